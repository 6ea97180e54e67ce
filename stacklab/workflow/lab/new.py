"""`lab.new`: write a new lab's file, from the starter or another lab, that clashes with nothing."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from stacklab import doctor, files, spec, typed
from stacklab.doctor.subnets import SubnetClaim
from stacklab.errors import HostError, LabError, SpecError
from stacklab.model.lab import Lab
from stacklab.paths.project import LABS
from stacklab.spec import free_ranges, moving, source
from stacklab.spec.form.values import LAB_NAME_LENGTH, name_problem
from stacklab.spec.lab_files import files_of, shown
from stacklab.spec.lab_search import is_path
from stacklab.spec.lab_search import known as known_labs
from stacklab.spec.resolve import bridge_name
from stacklab.spec.rules.whole import NESTED_DEFAULT
from stacklab.workflow.context import Context

STARTER = Path(__file__).with_name("starter.yaml")

_SCHEMA = "lab.schema.json"  # by which editors know a lab's keys
_LARGEST_NUMBER = 1000  # behind a name that is taken, for one that is free


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLab:
    """A lab whose file was just written."""

    lab: Lab
    path: Path
    # What the user has to know of it, a sentence each: networks that could not be moved.
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Used:
    """What the new lab must not use, and what is not known of that."""

    ranges: list[IPv4Network] = field(default_factory=list)
    # Routes such as a VPN's 10.0.0.0/8: a lab inside of one works, and hides a part of it.
    wide_routes: list[IPv4Network] = field(default_factory=list)
    bridges: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def new(
    context: Context,
    name: str,
    *,
    original: str,
    directory: Path,
    others: Sequence[Path] = (),
) -> NewLab:
    """Write the directory's file for a lab of that name, and return the lab.

    It is that of the lab `original` (a name or a path), or the starter where that is "", under
    another name and with networks that no lab of the directory or of `others` uses. Raises
    LabError, and writes nothing, for a name that can't be had, an original that is not valid, and
    a copy that would not be.
    """
    directories = tuple(dict.fromkeys((directory, *others)))
    _refuse_name(context, name, directories, original)
    template = _file_of(original, directory) if original else STARTER
    of_template = spec.load(template)
    used = _used_here(context, name, directories)
    moves, notes = _moves(of_template, used)
    text = moving.move(
        files.read_regular(template).decode("utf-8-sig"),
        old_name=of_template.name,
        new_name=name,
        moves=moves,
    )
    if not (directory / _SCHEMA).exists():
        text = text.replace(f"$schema=./{_SCHEMA}", f"$schema={LABS / _SCHEMA}", 1)
    # Its comments tell what to type.
    text = typed.as_typed(text)
    path = directory / f"{name}.yaml"
    lab = _valid_lab(text, path, template)
    _refuse_bridges(lab, used.bridges)
    _create(path, text)
    return NewLab(lab=lab, path=path, notes=(*used.notes, *notes))


def _file_of(original: str, directory: Path) -> Path:
    is_here = original in spec.names(directory)
    if is_path(original) or (not is_here and original in known_labs()):
        return spec.lab_file(original)
    return spec.find(original, directory)


def _refuse_name(context: Context, name: str, directories: Sequence[Path], original: str) -> None:
    """Raise LabError for a name that no lab can have, and for one that a lab has."""
    option = f" --from {original}" if original else ""
    problem = name_problem(name, LAB_NAME_LENGTH)
    if problem:
        wrong, right = problem
        better = _nearest_good_name(name)
        raise LabError(
            f"no lab can have this name: {wrong} ({right})",
            hint=f"./invoke lab.new {better or 'my-lab'}{option}",
        )
    known = {path.stem: path for one in directories for path in files_of(one)}
    if name in known:
        other = _free_name(name, known)
        raise LabError(
            f"{shown(known[name])} exists: lab.new does not write over it",
            hint=f"./invoke lab.new {other}{option}, or ./invoke lab.show {name}",
        )
    if name in context.host.recorded_labs():
        raise LabError(
            f"a lab {name} is on this host, whose file is elsewhere or was removed",
            hint=f"./invoke lab.status {name}, or ./invoke lab.new with another name",
        )


def _nearest_good_name(name: str) -> str:
    """Return a name that a lab can have, and that looks like this one; "" if nothing is left."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower())
    return plain.strip("-")[:LAB_NAME_LENGTH].strip("-")


def _free_name(name: str, known: Collection[str]) -> str:
    for number in range(2, _LARGEST_NUMBER):
        end = f"-{number}"
        other = name[: LAB_NAME_LENGTH - len(end)].rstrip("-") + end
        if other not in known:
            return other
    return "NAME"


def _used_here(context: Context, name: str, directories: Sequence[Path]) -> _Used:
    """Return what other files, the labs on record and this host use."""
    used = _Used(ranges=[NESTED_DEFAULT])
    for path in (path for directory in directories for path in files_of(directory)):
        document = source.read(path, shown(path))
        if document.data is None:
            used.notes.append(f"{document.file} can't be read: its networks may be used, too")
        used.ranges += free_ranges.written_in(document)
        used.bridges |= {bridge_name(path.stem, one) for one in free_ranges.network_names(document)}
    for lab in context.other_labs(name):
        used.ranges += [network.cidr for network in lab.networks]
        used.bridges |= {network.bridge for network in lab.networks}
    try:
        claims, links = doctor.host_networks(context.machine)
    except HostError as error:
        used.notes.append(f"{error.message}; its networks may be used, too ({error.hint})")
        return used
    used.bridges |= links
    for claim in claims:
        (used.wide_routes if _is_wide_route(claim) else used.ranges).append(claim.cidr)
    return used


def _is_wide_route(claim: SubnetClaim) -> bool:
    return not claim.is_address and claim.cidr.prefixlen < 24


def _moves(lab: Lab, used: _Used) -> tuple[Mapping[IPv4Network, IPv4Network], tuple[str, ...]]:
    """Return where the lab's networks go, and a sentence for each that can't be moved."""
    movable = [network for network in lab.networks if network.is_made_by_us]
    ranges = [network.cidr for network in movable]
    staying = [network for network in lab.networks if not network.is_made_by_us]
    # The pools of its own cloud that are not a part of a network stay, too.
    pools = [pool for pool in (lab.stack.fixed_range, lab.stack.floating_range) if pool]
    taken = [
        *used.ranges,
        *(network.cidr for network in staying),
        *(pool for pool in pools if free_ranges.is_free(pool, ranges)),
    ]
    moves = free_ranges.moves(ranges, (*taken, *used.wide_routes))
    if not _is_enough(ranges, moves, (*taken, *used.wide_routes)):
        moves = free_ranges.moves(ranges, taken)
    notes = [
        f"network {network.name} stays in {network.cidr}, which is in use: no other range of "
        "its size is free"
        for network in movable
        if network.cidr not in moves and not free_ranges.is_free(network.cidr, taken)
    ]
    notes += [
        f"network {network.name} stays in {network.cidr}, since it is by "
        f"{network.bridge} of the host's: give its nodes addresses that no other machine has there"
        for network in staying
    ]
    return moves, tuple(notes)


def _is_enough(
    ranges: Iterable[IPv4Network],
    moves: Mapping[IPv4Network, IPv4Network],
    taken: Collection[IPv4Network],
) -> bool:
    """Return True if every range is free, or moves to where it is."""
    return all(network in moves or free_ranges.is_free(network, taken) for network in ranges)


def _valid_lab(text: str, path: Path, template: Path) -> Lab:
    try:
        return spec.load_text(text, path)
    except SpecError as error:
        raise LabError(
            f"{shown(template)} can't be moved to other networks by itself; "
            f"a copy would have these mistakes:\n{error.message}",
            hint=f"cp {shown(template)} {shown(path)}, edit it, then "
            f"./invoke lab.validate {path.stem}",
        ) from error


def _refuse_bridges(lab: Lab, bridges: Collection[str]) -> None:
    """Raise LabError where a bridge of the new lab would have the name of another one."""
    for network in lab.networks:
        if network.is_made_by_us and network.bridge in bridges:
            raise LabError(
                f"the bridge of network {network.name} would be {network.bridge}, which there is",
                hint="./invoke lab.new with another name, from which bridges get theirs",
            )


def _create(path: Path, text: str) -> None:
    directory = shown(path.parent)
    try:
        files.create(path, text)
    except FileExistsError:
        raise LabError(
            f"{shown(path)} exists: lab.new does not write over it",
            hint=f"./invoke lab.show {path.stem}",
        ) from None
    except OSError as error:
        why = error.strerror or errno.errorcode.get(error.errno or 0, "unknown")
        raise HostError(
            f"{shown(path)} can't be written: {why}", hint=f"ls -ld {directory}; df -h {directory}"
        ) from error
