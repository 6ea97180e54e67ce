"""`dev.checkout`, `dev.status`, `dev.sync` and `dev.revert`."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stacklab import files, locks
from stacklab.errors import LabError
from stacklab.foreign import one_line
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.tools.bounded import together
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.debug.service import DebugService
from stacklab.workflow.debug.services import list_services
from stacklab.workflow.source import tree
from stacklab.workflow.source.placed import (
    Checkout,
    SourceNode,
    TreeChange,
    compare,
    forget_checkout,
    read_checkout,
    write_checkout,
)
from stacklab.workflow.source.projects import (
    SourceProject,
    branches,
    known_projects,
    nodes_of,
    project_named,
    refuse_containers,
)
from stacklab.workflow.source.tree import SourceTree

_WAIT_S = 5.0
_LOOK_S = 0.5  # between two looks at a tree that is watched


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedOut:
    """A project's source on the nodes that run it."""

    project: str
    tree: SourceTree
    nodes: tuple[str, ...]
    services: tuple[DebugService, ...]
    files: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCode:
    """From where a service imports its project; all words of the node's are printable."""

    project: str
    service: str
    node: str
    state: str
    path: str
    commit: str  # of the source that lies there; "": it is the package's


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a saved file has led to."""

    node: str
    files: tuple[str, ...]
    restarted: tuple[str, ...]
    took_s: float


def checkout(
    context: Context,
    name: str,
    project_name: str,
    *,
    source: str = "",
    ref: str = "",
    node: str = "",
    is_any_release: bool = False,
) -> CheckedOut:
    """Put a project's source on the nodes that run it, and have their services import it.

    Raises LabError for an unknown project, for what is not a source of it, and for a source of
    another release than the lab's, unless `is_any_release`.
    """
    project = project_named(project_name)
    lab, paths = running_lab(context, name)
    with _held(paths):
        services = list_services(context, lab, paths)
        nodes = _nodes(lab, project, services, node)
        found = tree.open_tree(context.runner, paths, project, source, ref)
        if not is_any_release:
            _check_release(lab, project, found)
        listing = tree.list_files(context.runner, found.directory)
        notes: list[str] = []

        def bring(node_name: str) -> None:
            units = [each.unit for each in _of(project, services, node_name)]
            there = SourceNode(context, lab, paths, project, node_name)
            notes.extend(_bring(there, paths, project, found, listing, units))

        together([functools.partial(bring, each) for each in nodes], name="source")
    return CheckedOut(
        project=project.name,
        tree=found,
        nodes=tuple(nodes),
        services=tuple(each for each in services if project.runs(each) and each.node in nodes),
        files=len(listing),
        notes=tuple(dict.fromkeys(notes)),
    )


def status(context: Context, name: str) -> tuple[ServiceCode, ...]:
    """Return from where each service imports its project, as its own process does."""
    lab, paths = running_lab(context, name)
    services = list_services(context, lab, paths)
    return tuple(_look(context, lab, paths, services, known_projects()))


def _look(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    services: Sequence[DebugService],
    projects: Sequence[SourceProject],
) -> Iterator[ServiceCode]:
    """Yield from where the services of these projects import them."""
    for project in projects:
        for node in nodes_of(project, services):
            some = _of(project, services, node)
            by_unit = {each.unit: each.name for each in some}
            record = read_checkout(paths, project, node)
            there = SourceNode(context, lab, paths, project, node)
            for said in there.look(list(by_unit)):
                is_ours = said.get("is_ours") is True
                yield ServiceCode(
                    project=project.name,
                    service=by_unit.get(str(said.get("unit")), "?"),
                    node=node,
                    state=one_line(str(said.get("state", ""))),
                    path=one_line(str(said.get("path", ""))),
                    commit=(record.commit if record else "unknown") if is_ours else "",
                )


def sync(
    context: Context,
    name: str,
    project_name: str,
    *,
    told: Callable[[Synced], None],
    is_watching: bool,
) -> None:
    """Copy what has changed in a project's source since, and restart the services that run it.

    With `is_watching` again and again until it is interrupted. Raises LabError for a project that
    has not been checked out.
    """
    project = project_named(project_name)
    lab, paths = running_lab(context, name)
    services = list_services(context, lab, paths)
    refuse_containers(lab, project, services)
    nodes = {
        node: record
        for node in nodes_of(project, services)
        if (record := read_checkout(paths, project, node)) is not None
    }
    if not nodes:
        raise LabError(
            f"no node of {name} has a source of {project.name}",
            hint=f"./invoke dev.checkout {name} {project.name} --from DIR",
        )
    syncing = _Syncing(context, lab, paths, project, services, told)
    syncing.check(nodes)
    is_said = False
    while True:
        for directory in {record.directory for record in nodes.values()}:
            listing = tree.list_files(context.runner, Path(directory))
            try:
                nodes |= syncing.look(directory, listing, nodes)
            except LabError as error:
                if not is_watching:
                    raise
                # Code that does not start is what people mend with the next file.
                context.progress.note("host", f"{error.message}; waiting for the next change")
                tried = {n: each for n, each in nodes.items() if each.directory == directory}
                nodes |= syncing.tried(tried, listing)
        if not is_watching:
            return
        if not is_said:
            where = " and ".join(sorted({record.directory for record in nodes.values()}))
            context.progress.note("host", f"watching {where} (Ctrl-C ends it)")
            is_said = True
        time.sleep(_LOOK_S)


class _Syncing:
    """Brings over what has changed in a project's source, to all nodes at once."""

    def __init__(
        self,
        context: Context,
        lab: Lab,
        paths: LabPaths,
        project: SourceProject,
        services: Sequence[DebugService],
        told: Callable[[Synced], None],
    ) -> None:
        self._context = context
        self._lab = lab
        self._paths = paths
        self._project = project
        self._services = services
        self._told = told

    def check(self, nodes: Mapping[str, Checkout]) -> None:
        """Raise LabError for a node that has not what is on record, as after a rebuild."""
        for node in nodes:
            units = [each.unit for each in _of(self._project, self._services, node)]
            there = SourceNode(self._context, self._lab, self._paths, self._project, node)
            if not any(said.get("is_ours") is True for said in there.look(units)):
                raise LabError(
                    f"{node} does not have the source of {self._project.name} any more",
                    hint=f"./invoke dev.checkout {self._lab.name} {self._project.name} --from DIR",
                )

    def tried(self, nodes: Mapping[str, Checkout], listing: tree.Listing) -> Mapping[str, Checkout]:
        """Return the nodes as if they had these files, so that only a change is tried again."""
        return {node: dataclasses.replace(nodes[node], listing=listing) for node in nodes}

    def look(
        self, directory: str, listing: tree.Listing, nodes: Mapping[str, Checkout]
    ) -> Mapping[str, Checkout]:
        """Bring over what a directory has and nodes have not; returns what these have then."""
        changed = {
            node: change
            for node, record in nodes.items()
            if record.directory == directory and (change := compare(record.listing, listing))
        }
        if not changed:
            return {}
        with _held(self._paths):
            bring = [functools.partial(self._bring, node, changed[node], nodes) for node in changed]
            together(bring, name="source")
        now = {}
        for node in changed:
            now[node] = dataclasses.replace(nodes[node], listing=listing)
            write_checkout(self._paths, self._project, node, now[node])
        return now

    def _bring(self, node: str, change: TreeChange, nodes: Mapping[str, Checkout]) -> None:
        began = time.monotonic()
        there = SourceNode(self._context, self._lab, self._paths, self._project, node)
        services = _of(self._project, self._services, node)
        units = [each.unit for each in services]
        there.send(Path(nodes[node].directory), change, unit=units[0])
        there.restart(units)
        self._told(
            Synced(
                node=node,
                files=(*change.written, *change.removed),
                restarted=tuple(each.name for each in services),
                took_s=time.monotonic() - began,
            )
        )


def revert(
    context: Context, name: str, project_names: Sequence[str] = ()
) -> tuple[ServiceCode, ...]:
    """Have services import their packages again; of these projects, or of all that were changed.

    Returns what their services import then.
    """
    projects = [project_named(word) for word in project_names] or list(known_projects())
    lab, paths = running_lab(context, name)
    with _held(paths):
        services = list_services(context, lab, paths)
        changed = {
            (each.project, each.node)
            for each in _look(context, lab, paths, services, projects)
            if each.commit or read_checkout(paths, project_named(each.project), each.node)
        }
        for project_name, node in sorted(changed):
            project = project_named(project_name)
            units = [each.unit for each in _of(project, services, node)]
            SourceNode(context, lab, paths, project, node).revert(units)
            forget_checkout(paths, project, node)
        for project in projects:
            left = [each.name for each in lab.nodes if read_checkout(paths, project, each.name)]
            if left:
                raise LabError(
                    f"{', '.join(left)} can't be asked, and has the source of {project.name}",
                    hint=f"./invoke lab.up {name}, then ./invoke dev.revert {name}",
                )
    now = _look(context, lab, paths, services, projects)
    return tuple(each for each in now if (each.project, each.node) in changed)


@contextmanager
def _held(paths: LabPaths) -> Iterator[None]:
    directory = paths.root / "source"
    files.make_directory(directory, mode=0o700)
    with locks.held(directory / "lock", f"dev.* of {paths.name}", wait_s=_WAIT_S):
        yield


def _of(project: SourceProject, services: Sequence[DebugService], node: str) -> list[DebugService]:
    return [each for each in services if project.runs(each) and each.node == node]


def _nodes(
    lab: Lab, project: SourceProject, services: Sequence[DebugService], node: str
) -> list[str]:
    refuse_containers(lab, project, services)
    nodes = nodes_of(project, services, node)
    if not nodes:
        raise LabError(
            f"{node or f'no node of {lab.name}'} runs no service of {project.name}",
            hint=f"./invoke debug.status {lab.name} lists the services",
        )
    return nodes


def _check_release(lab: Lab, project: SourceProject, found: SourceTree) -> None:
    fitting = branches(lab)
    if found.branch in fitting:
        return
    whose = f"is for {found.branch}" if found.branch else "does not say for which branch it is"
    raise LabError(
        f"{found.directory} {whose} (.gitreview), and {lab.name} runs {lab.stack.release}",
        hint=f"branches of {project.name} for it: {' or '.join(fitting)}; or --any-release",
    )


def _bring(
    there: SourceNode,
    paths: LabPaths,
    project: SourceProject,
    found: SourceTree,
    listing: tree.Listing,
    units: Sequence[str],
) -> list[str]:
    """Put a source on one node, and have units import it; returns what a person should know."""
    before = read_checkout(paths, project, there.name)
    is_new = not any(said.get("is_ours") is True for said in there.look(units))
    # What is on record counts only where the node still has it.
    known = {} if before is None or is_new else before.listing
    change = compare(known, listing)
    # Until all of it is there, nobody knows what is.
    forget_checkout(paths, project, there.name)
    if not known:
        there.clear()
    notes = there.send(found.directory, change, unit=units[0], is_new=not known)
    there.use(units)
    if change and not is_new:
        there.restart(units)
    done = Checkout(directory=str(found.directory), commit=found.commit, listing=listing)
    write_checkout(paths, project, there.name, done)
    return notes
