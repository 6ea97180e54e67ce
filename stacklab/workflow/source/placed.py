"""A project's source on nodes: what lies there, and what has to be copied or removed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacklab import files
from stacklab.drivers.node_units import SOURCES
from stacklab.errors import LabError
from stacklab.foreign import one_line
from stacklab.model.lab import Lab
from stacklab.nodes import programs
from stacklab.nodes.archive import Entry
from stacklab.paths import LabPaths
from stacklab.stages.stage import MINUTE_S
from stacklab.workflow.context import Context
from stacklab.workflow.copying import copy_to_node
from stacklab.workflow.debug.service import restart_limit_s
from stacklab.workflow.source.projects import SourceProject
from stacklab.workflow.source.tree import Listing

_TAG = "source"
_COPY_S = 10 * MINUTE_S
_COMPILE_S = 30 * MINUTE_S
_NAMES_MAX = 60_000  # characters of files' names on one command line


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What is on record of a project whose source lies on a node."""

    directory: str  # on this host
    commit: str
    listing: Listing


def read_checkout(paths: LabPaths, project: SourceProject, node: str) -> Checkout | None:
    """Return what a node has of a project by our record; None for nothing."""
    try:
        said = json.loads(_record(paths, project, node).read_text())
        listing = {name: (int(size), int(at)) for name, (size, at) in said["listing"].items()}
        return Checkout(directory=said["directory"], commit=said["commit"], listing=listing)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_checkout(paths: LabPaths, project: SourceProject, node: str, checkout: Checkout) -> None:
    """Write down what a node has of a project."""
    said = {
        "directory": checkout.directory,
        "commit": checkout.commit,
        "listing": {name: list(stat) for name, stat in checkout.listing.items()},
    }
    files.write(_record(paths, project, node), json.dumps(said), mode=0o600)


def forget_checkout(paths: LabPaths, project: SourceProject, node: str) -> None:
    """Remove that record."""
    _record(paths, project, node).unlink(missing_ok=True)


def _record(paths: LabPaths, project: SourceProject, node: str) -> Path:
    return paths.root / "source" / f"{node}.{project.name}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChange:
    """Files that differ between a tree and what a node has of it."""

    written: tuple[str, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.written or self.removed)


def compare(before: Listing, now: Listing) -> TreeChange:
    """Return what has changed, by sizes and times."""
    written = tuple(name for name, stat in now.items() if before.get(name) != stat)
    return TreeChange(written=written, removed=tuple(name for name in before if name not in now))


class BrokenSource(LabError):
    """A file that was changed can't be compiled, so that no service should import it."""


class SourceNode:
    """One node, with the source of one project."""

    def __init__(
        self, context: Context, lab: Lab, paths: LabPaths, project: SourceProject, node: str
    ) -> None:
        self._context = context
        self._paths = paths
        self._project = project
        self.name = node
        self._restart_s = restart_limit_s(lab, node)

    def send(self, tree: Path, change: TreeChange, *, unit: str, is_new: bool = False) -> list[str]:
        """Copy and remove files, and compile them; returns what a person should know.

        `unit` is one of those that will import them.

        Raises BrokenSource for a file that Python can't read, unless all of the tree is new.
        """
        if change.removed:
            self._in_pieces("remove", change.removed)
        if not change.written:
            return []
        entries = dict(_entries(self._project, tree, change.written))
        copy_to_node(
            self._context,
            self._paths,
            self.name,
            entries,
            what="source",
            limit_s=_COPY_S,
        )
        # No service imports tests.
        prepared = [name for name in change.written if "/tests/" not in name]
        said = self._in_pieces("prepare", prepared, "--unit", unit)
        broken = [one_line(str(line["broken"])) for line in said if "broken" in line]
        if broken and not is_new:
            raise BrokenSource(
                f"{self.name}: {broken[0]}", hint="no service was restarted: mend it, and save it"
            )
        notes = [one_line(str(line["note"])) for line in said if "note" in line]
        return [*notes, *(f"{self.name}: {each}" for each in broken)]

    def clear(self) -> None:
        """Remove whatever lies there of the project."""
        self._run("clear", ())

    def look(self, units: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """Return from where units import the project."""
        return self._run("look", units)

    def use(self, units: Sequence[str]) -> None:
        """Have units import the source, and restart those that did not."""
        self._restarting("use", units, "restart with this source")

    def restart(self, units: Sequence[str]) -> None:
        """Restart units."""
        self._restarting("restart", units, "restart")

    def revert(self, units: Sequence[str]) -> None:
        """Have units import their package again, and remove the source."""
        self._restarting("revert", units, "restart with the package's code")

    def _restarting(self, order: str, units: Sequence[str], what: str) -> None:
        with self._context.progress.stage(self.name, what):
            self._run(order, units, limit_s=self._restart_s + MINUTE_S)

    def _in_pieces(
        self, order: str, names: Sequence[str], *options: str
    ) -> list[Mapping[str, Any]]:
        """Give an order for many files: a command line has an end."""
        said: list[Mapping[str, Any]] = []
        with self._context.progress.stage(self.name, f"{order} files"):
            piece: list[str] = []
            for name in names:
                if sum(map(len, piece)) + len(piece) > _NAMES_MAX:
                    said += self._run(order, piece, *options, limit_s=_COMPILE_S)
                    piece = []
                piece.append(name)
            said += self._run(order, piece, *options, limit_s=_COMPILE_S)
        return said

    def _run(
        self, order: str, names: Sequence[str], *options: str, limit_s: float = MINUTE_S
    ) -> Sequence[Mapping[str, Any]]:
        limit = ("--limit", f"{self._restart_s:g}")
        argv = ["python3", "-", *limit, *options, order, self._project.name, "--", *names]
        program = programs.source_of("source_node")
        ended = programs.run(
            self._context.runner,
            self._paths,
            self.name,
            argv,
            program,
            tag=_TAG,
            limit_s=limit_s,
        )
        why = ended.failed or ended.why
        if why:
            raise LabError(f"{self.name}: {why}", hint=f"./invoke dev.status {self._paths.name}")
        return ended.objects


def _entries(
    project: SourceProject, tree: Path, names: Sequence[str]
) -> Iterator[tuple[str, Entry]]:
    """Yield the files of a tree, and before them their directories, as they lie on a node."""
    root = f"{SOURCES[1:]}/{project.name}"
    folders = {parent for name in names for parent in Path(name).parents}
    yield SOURCES[1:], Entry(text=None, mode=0o755)
    for folder in sorted(folders):
        yield f"{root}/{folder}".removesuffix("/."), Entry(text=None, mode=0o755)
    for name in names:
        try:
            data = (tree / name).read_bytes()
            mode = 0o755 if (tree / name).stat().st_mode & 0o100 else 0o644
        except OSError:
            continue  # removed meanwhile: the next look sees that
        yield f"{root}/{name}", Entry(text=data, mode=mode)
