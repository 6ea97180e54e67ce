"""The lab's own files in a bundle: read as anybody's, and made anew for this host.

Of a lab's directory a bundle gives what only the other host can know: keys, passwords,
answers, and which stages have run. All that names paths of a host, or that a program of this
host runs (record, ssh_config, Vagrantfile, Vagrant's state), is made here as `lab.up` makes it.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import tarfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from stacklab import files
from stacklab import record as records
from stacklab.codec import JSON
from stacklab.errors import LabError
from stacklab.model import lab_json
from stacklab.model.lab import NO_IMPAIRMENT, Lab, Network, Node
from stacklab.nodes import access
from stacklab.nodes.access import KeyPair, Keys
from stacklab.paths import HostPaths, LabPaths
from stacklab.providers import registry
from stacklab.providers.bundling import BundleMaker
from stacklab.record import LabRecord
from stacklab.tools import ssh

_MOST_BYTES = 256 << 20  # of all files together: they are read into memory
_ANSWERS_DIGEST = re.compile(r"[0-9a-f]{0,128}")
_STAGE_FILE = re.compile(r"stack/(journal\.jsonl|logs/[a-z0-9-]{1,64}\.log(\.1)?)")
_SECRET = re.compile(r"[ -~\n]{0,65536}")  # an alphabet of ours, or a certificate


class ForeignFiles(ValueError):
    """Files that are not those of a lab of this name, or that are not all there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LabFiles:
    """What a bundle has of a lab's directory, by the paths below it; checked by `read`."""

    record: LabRecord
    made: Lab  # as it was brought up
    contents: Mapping[str, bytes]


def read(tar: Path, *, home: Path, lab: str) -> LabFiles:
    """Return the files of a lab that was made below that home; raises ForeignFiles.

    The record may only name what would be the lab's own there.
    """
    contents = _contents(tar)
    there = HostPaths(home).lab(lab)
    for needed in ("record.json", "resolved.json"):
        if needed not in contents:
            raise ForeignFiles(f"the lab's files lack {needed}")
    if "faults.json" in contents:
        raise ForeignFiles("the snapshot was made while faults were on")
    try:
        record = records.parse(contents["record.json"].decode(), there)
        registry.kind(record.provider).refuse_damaged(there, record)
        made = lab_json.from_json(contents["resolved.json"].decode())
    # A handle is what somebody's JSON holds: whatever a wrong type raises is damage, too.
    except (LabError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = error.message if isinstance(error, LabError) else error
        raise ForeignFiles(f"the lab's record: {why}") from error
    if made.name != lab or {node.name for node in made.nodes} != {
        node.name for node in record.nodes
    }:
        raise ForeignFiles("the lab's record and its spec name different nodes")
    if any(node.disks for node in made.nodes):
        raise ForeignFiles("the lab has further disks, which no bundle carries")
    return LabFiles(record=record, made=made, contents=contents)


def _contents(tar: Path) -> Mapping[str, bytes]:
    """Return the files in a tar by their names; raises ForeignFiles for anything else in it."""
    contents: dict[str, bytes] = {}
    left = _MOST_BYTES
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                _refuse_odd_member(member, contents)
                left -= member.size
                if left < 0:
                    raise ForeignFiles(f"the lab's files take more than {_MOST_BYTES} bytes")
                stream = archive.extractfile(member)
                if stream is not None:  # None: a directory
                    contents[member.name] = stream.read()
                if member.isfile() and len(contents[member.name]) != member.size:
                    raise ForeignFiles(f"the lab's files end in {member.name!a}")
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise ForeignFiles(f"the lab's files can't be read: {error}") from error
    return contents


def _refuse_odd_member(member: tarfile.TarInfo, known: Mapping[str, bytes]) -> None:
    name = PurePosixPath(member.name)
    is_inside = not name.is_absolute() and ".." not in name.parts and str(name) == member.name
    is_plain = (member.isfile() or member.isdir()) and not member.issparse()
    if not is_inside or not is_plain or member.name in known:
        raise ForeignFiles(f"the lab's files have a member {member.name!a}")


def _names_that_differ(known: Lab, made: Lab) -> str:
    """Return the networks and nodes that one of them lacks, or has otherwise; "" for none."""
    networks = _differing(known.networks, made.networks)
    nodes = _differing(map(_as_made, known.nodes), map(_as_made, made.nodes))
    words = [f"network {name}" for name in networks] + [f"node {name}" for name in nodes]
    return ", ".join(words)


def _differing(ours: Iterable[Network | Node], theirs: Iterable[Network | Node]) -> list[str]:
    # By name: what was changed is in both, as it is in each.
    return sorted({item.name for item in set(ours) ^ set(theirs)})


def _as_made(node: Node) -> Node:
    """Return the node without what `lab.up` sets each time."""
    nics = [dataclasses.replace(nic, impairment=NO_IMPAIRMENT) for nic in node.nics]
    return dataclasses.replace(node, nics=tuple(nics))


def refuse_other_spec(known: Lab, made: Lab) -> None:
    """Raise LabError unless the lab's spec in this checkout is that of the bundle.

    Networks, bridges, files that a spec names, checks: all of it acts on this host. So a
    lab is run by its own spec here, never by what a bundle says.
    """
    what = _names_that_differ(known, made)
    if not what and _stack_words(known) != _stack_words(made):
        what = "its stack"
    if what:
        raise LabError(
            f"lab {made.name} of the bundle is not the one of {known.source}: {what} differs",
            hint=f"put the spec that it was made from into {known.source}",
        )


def _stack_words(lab: Lab) -> tuple[str, str, str]:
    stack = lab.stack
    return str(stack.installer), str(stack.release), str(stack.network_mode)


def new_record(lab: Lab, paths: LabPaths, foreign: LabRecord, *, image: str) -> LabRecord:
    """Return the record of the lab on this host: other UUIDs, and paths of this home.

    A domain gets a new UUID, as a bundle could name that of somebody's machine here.
    """
    made = registry.new_record(
        lab,
        paths,
        image=image,
        passed_over={},
        now=time.time(),
        provider=foreign.provider,
        all_as=foreign.all_as,
    )
    for node in foreign.nodes:
        ours = made.node(node.name)
        if ours is None:
            raise ForeignFiles(f"{node.name} is not a node of lab {lab.name}")
        if not isinstance(node.answers, str) or not _ANSWERS_DIGEST.fullmatch(node.answers):
            raise ForeignFiles(f"the record of {node.name}: answers {node.answers!a}")
        ours = dataclasses.replace(ours, is_created=True, answers=node.answers)
        made = made.with_node(ours)
    return made


def pack(
    target: Path,
    lab: Lab,
    paths: LabPaths,
    record: LabRecord,
    foreign: LabFiles,
    maker: BundleMaker,
) -> None:
    """Write the lab's directory as this host would have made it, as the tar of a snapshot."""
    keys = _keys(lab, foreign.contents)
    texts = {
        paths.resolved: lab_json.to_json(lab),
        paths.known_hosts: access.known_hosts(lab, keys),
        paths.ssh_config: ssh.render_config(lab, paths),
        **maker.state_files(lab, paths, record),
    }
    contents = _taken(lab, foreign.contents)
    contents |= {str(path.relative_to(paths.root)): text.encode() for path, text in texts.items()}
    contents["record.json"] = records.as_text(record).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(contents):
            member = tarfile.TarInfo(name)
            member.size = len(contents[name])
            member.mode = 0o644 if name == "record.json" else 0o600
            member.mtime = int(time.time())
            archive.addfile(member, io.BytesIO(contents[name]))
    files.write(target, buffer.getvalue(), mode=0o600)


def _keys(lab: Lab, contents: Mapping[str, bytes]) -> Keys:
    """Return the lab's keys; raises ForeignFiles where one is missing, or is not one line."""
    return Keys(
        lab=_pair("keys/id_ed25519", contents),
        hosts={node.name: _pair(f"keys/{node.name}.host_ed25519", contents) for node in lab.nodes},
    )


def _pair(name: str, contents: Mapping[str, bytes]) -> KeyPair:
    try:
        private, public = contents[name].decode(), contents[f"{name}.pub"].decode().strip()
    except (KeyError, UnicodeDecodeError) as error:
        raise ForeignFiles(f"the lab's files lack {name} or its public half") from error
    if not re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/=._-]+( [ -~]*)?", public):
        raise ForeignFiles(f"{name}.pub is not a public key")
    return KeyPair(private=private, public=public)


def _taken(lab: Lab, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files that are taken as they are; all others are made here, or not needed."""
    names = {node.name for node in lab.nodes}
    taken = {}
    for name, content in contents.items():
        if _is_taken(name, names):
            taken[name] = content
    if "secrets.json" in contents:
        taken["secrets.json"] = _secrets(contents["secrets.json"])
    if "impaired.json" in contents:
        taken["impaired.json"] = _impaired(contents["impaired.json"], names)
    return taken


def _is_taken(name: str, nodes: set[str]) -> bool:
    """Return True for the lab's keys, its nodes' answers, and what its stages have left."""
    top, *rest = PurePosixPath(name).parts
    if top == "keys":
        return _is_key(rest, nodes)
    if top == "answers":
        return len(rest) > 1 and rest[0] in nodes
    return _STAGE_FILE.fullmatch(name) is not None


def _is_key(rest: list[str], nodes: set[str]) -> bool:
    known = {"id_ed25519", *(f"{node}.host_ed25519" for node in nodes)}
    return len(rest) == 1 and rest[0].removesuffix(".pub") in known


def _secrets(content: bytes) -> bytes:
    data = _json(content, "secrets.json")
    is_plain = isinstance(data, dict) and all(
        isinstance(value, str) and _SECRET.fullmatch(value) for value in data.values()
    )
    if not is_plain:
        raise ForeignFiles("secrets.json holds something else than secrets")
    return content


def _impaired(content: bytes, names: set[str]) -> bytes:
    data = _json(content, "impaired.json")
    if not isinstance(data, list) or not all(name in names for name in data):
        raise ForeignFiles("impaired.json names what is not a node")
    return content


def _json(content: bytes, name: str) -> JSON:
    try:
        data: JSON = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ForeignFiles(f"{name} can't be read: {error}") from error
    return data
