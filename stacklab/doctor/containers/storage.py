"""Probe if the disk under STACKLAB_HOME can hold what containers write, by trying it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from stacklab.doctor.containers.trying import why_not_as_root
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, NodeKind
from stacklab.paths import HostPaths
from stacklab.paths.project import PACKAGE

_SCRIPT = PACKAGE / "providers" / "containers" / "try_storage.sh"
_MOUNTS = Path("/proc/self/mountinfo")
# A blank, a tab, a newline and a backslash in a path of mountinfo: \040 and so on.
_ESCAPED = re.compile(r"\\([0-7]{3})")


def probe(lab: Lab | None, host: HostPaths, machine: Machine) -> tuple[ProbeResult, ...]:
    """Try each kind of container that the lab has; without a lab, those that need more."""
    kinds = {False}
    if lab is not None:
        kinds = {node.is_privileged for node in lab.of_kind(NodeKind.CONTAINER)}
    for is_privileged in sorted(kinds):
        why_not = _why_not(host.volumes, machine, is_privileged=is_privileged)
        if why_not:
            # A file system or a kernel may do for privileged ones alone.
            do_privileged = not is_privileged and not _why_not(
                host.volumes, machine, is_privileged=True
            )
            return (_refusal(host.volumes, machine, why_not, do_privileged=do_privileged),)
    if not kinds:
        return ()
    return (_result(ProbeStatus.OK, f"{host.volumes} can hold what containers write"),)


def _why_not(directory: Path, machine: Machine, *, is_privileged: bool) -> str:
    """Return why containers of a kind can't write there, in the kernel's words; "" if they can."""
    kind = "yes" if is_privileged else "no"
    return why_not_as_root(
        machine, "env", "LC_ALL=C", "sh", str(_SCRIPT), str(directory), kind, sys.executable
    )


def _refusal(
    directory: Path, machine: Machine, why_not: str, *, do_privileged: bool
) -> ProbeResult:
    filesystem = filesystem_of(directory, machine.read_text(_MOUNTS))
    whose = "containers that are not privileged" if do_privileged else "containers"
    sentence = (
        f"{directory}, whose file system is {filesystem}, can't hold what {whose} write: {why_not}"
    )
    fix = "set STACKLAB_HOME to a directory on ext4, xfs, btrfs or tmpfs"
    if do_privileged:
        fix += "; or give the nodes privileged: true in the spec (see SECURITY.md), or kind: vm"
    return _result(ProbeStatus.FAILED, sentence, fix)


def filesystem_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds a path, by the text of a mountinfo file."""
    best, filesystem = -1, "not known"
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        words = mount.split(" ")
        if len(words) < 5 or not source:
            continue
        place = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), words[4]))
        # Of two at one place, the later one covers the other.
        if path.is_relative_to(place) and len(place.parts) >= best:
            best, filesystem = len(place.parts), source.split(" ")[0]
    return filesystem


def _result(status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    return ProbeResult(
        name="storage", area=ProbeArea.HOST, status=status, sentence=sentence, fix=fix
    )
