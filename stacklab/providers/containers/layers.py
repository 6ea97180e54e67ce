"""The disks that snapshots of containers have frozen: layers, of which overlayfs makes a root.

A layer is a directory. Root moves what a node has written into `private/upper`, where nobody else
gets: it may have programs that run as root. `below` names the layer that lies under it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from stacklab import files
from stacklab.errors import ProviderError
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Runner, as_root

SUFFIX = ".layer"
# Their short names have to fit into one mount option: see mount_root in machine.sh.
MOST = 60
# A node with a DevStack has 200,000 files; a busy disk takes minutes to delete them.
REMOVE_LIMIT_S = 900.0
_LOOK_LIMIT_S = 120.0


def begin(layer: Path, below: Path | None) -> None:
    """Make a layer that lies on another, or on the image, and has nothing in it yet."""
    files.write(_file_below(layer), _name(below))


def is_begun(layer: Path) -> bool:
    """Return whether there is such a layer, so that something may have been moved into it."""
    return _file_below(layer).exists()


def has_content(layer: Path) -> bool:
    """Return whether something was moved into a layer."""
    return (layer / "private").exists()


def lie_on(paths: LabPaths, node: str, below: Path | None) -> None:
    """Have a node that is off lie on that layer from its next start; None is the image itself."""
    if below is None:
        paths.container_below(node).unlink(missing_ok=True)
    else:
        files.write(paths.container_below(node), _name(below))


def under(paths: LabPaths, node: str) -> Path | None:
    """Return the layer that a node lies on; None if that is the image itself."""
    return _read(paths.container_below(node), paths.frozen_disks)


def below(layer: Path) -> Path | None:
    """Return the layer that another lies on; None if that is the image itself."""
    return _read(_file_below(layer), layer.parent)


def all_below(paths: LabPaths, node: str) -> tuple[Path, ...]:
    """Return the layers under a node, the newest first; raises ProviderError if one is missing."""
    return tuple(_down_from(under(paths, node), paths, node))


def _down_from(layer: Path | None, paths: LabPaths, node: str) -> Iterator[Path]:
    seen: set[Path] = set()
    while layer is not None:
        if layer in seen or not is_begun(layer):
            raise ProviderError(
                f"{node}: what it has written is not whole: {layer} is missing",
                hint=f"./invoke lab.snapshots {paths.name}, lab.restore one of them, or "
                f"./invoke lab.rebuild {paths.name}",
            )
        seen.add(layer)
        yield layer
        layer = below(layer)


def _file_below(layer: Path) -> Path:
    return layer / "below"


def _name(layer: Path | None) -> str:
    return f"{layer.name}\n" if layer else "\n"


def _read(file: Path, directory: Path) -> Path | None:
    try:
        # Of any path the last part alone: root mounts it.
        name = Path(file.read_text().strip()).name
    except FileNotFoundError:
        return None
    return directory / name if name.endswith(SUFFIX) else None


class Layers:
    """See stacklab.providers.frozen_disks.FrozenDisks."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def in_use(self, paths: LabPaths) -> Iterable[Path]:
        """See FrozenDisks.in_use."""
        for file in paths.host.volumes.glob(f"{paths.name}_*.container.below"):
            layer = _read(file, paths.frozen_disks)
            if layer is not None:
                yield layer

    def below(self, disk: Path) -> Path | None:
        """See FrozenDisks.below."""
        return below(disk)

    def bytes_of(self, disks: Collection[Path]) -> int:
        """See FrozenDisks.bytes_of."""
        if not disks:
            return 0
        argv = ("du", "--summarize", "--block-size=1", "--", *map(str, disks))
        lines = self._run(argv, "counting what layers take", _LOOK_LIMIT_S).splitlines()
        return sum(int(line.split()[0]) for line in lines)

    def remove(self, disks: Collection[Path]) -> None:
        """See FrozenDisks.remove."""
        if disks:
            argv = ("rm", "-rf", "--one-file-system", "--", *map(str, disks))
            self._run(argv, "removing layers that nobody needs", REMOVE_LIMIT_S)

    def _run(self, argv: tuple[str, ...], what: str, limit_s: float) -> str:
        command = Command(argv=as_root(argv), what=what, timeout_s=limit_s)
        return self._runner.run(command).stdout
