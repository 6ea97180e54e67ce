"""Make what a node starts from: an overlay on the base image, a seed, an empty console log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from stacklab import files
from stacklab.errors import LabError, ProviderError
from stacklab.model.lab import Node
from stacklab.nodes import archive
from stacklab.nodes.archive import Entry
from stacklab.process.command import Command, Runner, as_root
from stacklab.providers.libvirt.handles import LibvirtNode
from stacklab.providers.libvirt.storage import further_disks
from stacklab.providers.snapshot_maker import NodeDisks
from stacklab.tools import qemu_img

_KEPT_CONSOLE_BYTES = 256 * 1024
_CONSOLE_S = 20.0
_FROZEN_MODE = 0o444
_OWN_MODE = 0o600


def make_disks(
    runner: Runner, disks: LibvirtNode, node: Node, *, base: Path, identity: Mapping[str, Entry]
) -> None:
    """Make a node's disks, unless they are there, and its seed, anew each time."""
    # An overlay that is there holds all that the node has written so far.
    if not disks.overlay.exists():
        runner.run(qemu_img.overlay(disks.overlay, base, node.disk))
    further_disks.make(runner, disks, node)
    # libvirt gives the file to QEMU's user when the domain starts.
    write_seed(disks.seed, identity)


def freeze(runner: Runner, disks: LibvirtNode, frozen: NodeDisks) -> None:
    """Give a node that is off new overlays, above the disks that it had for itself."""
    for disk, below in _with_frozen(disks, frozen):
        disk.rename(below)
        below.chmod(_FROZEN_MODE)
        runner.run(qemu_img.overlay(disk, below))


def take_back(disks: LibvirtNode, frozen: NodeDisks) -> None:
    """Undo `freeze`, also one that was cut short: nothing was written above the disks yet."""
    for disk, below in _with_frozen(disks, frozen):
        if below.exists():
            below.chmod(_OWN_MODE)
            below.replace(disk)


def renew_overlays(runner: Runner, disks: LibvirtNode, frozen: NodeDisks) -> None:
    """Give a node that is off empty overlays above these disks, in place of what it has."""
    for disk, below in _with_frozen(disks, frozen):
        disk.unlink(missing_ok=True)
        runner.run(qemu_img.overlay(disk, below))


def _with_frozen(disks: LibvirtNode, frozen: NodeDisks) -> Sequence[tuple[Path, Path]]:
    """Return each disk that a node has for itself, and its frozen one."""
    if disks.disks.keys() != frozen.further.keys():
        then, today = ", ".join(frozen.further) or "none", ", ".join(disks.disks) or "none"
        raise ProviderError(
            f"the further disks of {disks.name} are {today}, and those of its snapshot {then}",
            hint=f"./invoke lab.snapshots {disks.domain.partition('_')[0]}",
        )
    further = [(path, frozen.further[name]) for name, path in disks.disks.items()]
    return [(disks.overlay, frozen.disk), *further]


def grow(runner: Runner, disks: LibvirtNode, node: Node) -> None:
    """Make the overlay of a node that is off as large as its spec says, if it is smaller."""
    if not disks.overlay.exists():
        return
    info = qemu_img.parse_info(runner.run(qemu_img.info(disks.overlay)).stdout)
    if info.virtual_bytes < node.disk.bytes:
        runner.run(qemu_img.resize(disks.overlay, node.disk))


def remove_disks(disks: LibvirtNode) -> None:
    """Remove a node's disks, but for those that it shares; absent is success."""
    for disk in (disks.overlay, *disks.disks.values()):
        disk.unlink(missing_ok=True)
    remove_seed(disks.seed)


def write_seed(seed: Path, identity: Mapping[str, Entry]) -> None:
    """Write a node's seed anew."""
    put_seed(seed, archive.image(identity))


def put_seed(seed: Path, content: bytes) -> None:
    """Put a seed in the place of the one that is there; it holds private keys."""
    # libvirt has given the old one to QEMU's user.
    remove_seed(seed)
    files.write(seed, content, mode=0o600)


def remove_seed(seed: Path) -> None:
    """Remove a node's seed; absent is success."""
    seed.unlink(missing_ok=True)
    # Left by a run that was killed while it wrote the seed: half a file, but with keys in it.
    files.remove_unfinished(seed)


def empty_console(console: Path) -> None:
    """Make an empty console log, so that it holds this boot alone, and exists before virtlogd's."""
    files.make_directory(console.parent, mode=0o700)
    console.unlink(missing_ok=True)
    console.touch(mode=0o600)


def keep_console(console: Path, kept: Path) -> None:
    """Copy the end of a console log, for a node whose memory is kept; there may be no log."""
    with contextlib.suppress(OSError), console.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _KEPT_CONSOLE_BYTES))
        files.write(kept, stream.read(_KEPT_CONSOLE_BYTES), mode=0o600)


def bring_console_back(runner: Runner, kept: Path, console: Path) -> None:
    """Write what was kept in front of what a restored node will print: it stands still yet.

    virtlogd has emptied the log when it started the node, and appends to it.
    """
    if not kept.exists():
        return
    append = Command(
        argv=as_root(("sh", "-c", 'cat >> "$1"', "sh", str(console))),
        what="bringing a console log back",
        stdin=kept.read_bytes(),
        timeout_s=_CONSOLE_S,
    )
    with contextlib.suppress(LabError):  # without sudo the node runs all the same
        runner.run(append)


def open_consoles(runner: Runner, consoles: Sequence[Path]) -> None:
    """Make the console logs readable for us.

    At every start virtlogd makes them anew, as root's and 0600, in our 0700 directory.
    """
    if not consoles or os.geteuid() == 0:
        return
    files_to_open = [str(console) for console in consoles]
    argv = as_root(("chmod", "0644", *files_to_open))
    command = Command(argv=argv, what="opening the console logs")
    with contextlib.suppress(LabError):  # without sudo the nodes run all the same
        runner.run(command)
