"""OpenStack's projects: the units that run a project's code, and the branches of a release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.words import suggest
from stacklab.workflow.debug.service import DebugService


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceProject:
    """A project whose source can be changed; its Python package has the same name."""

    name: str
    services: tuple[str, ...]  # what the names of its services begin with: Debian's, DevStack's

    def runs(self, service: DebugService) -> bool:
        """Return True if a service runs this project's code where it can be changed."""
        # In a container nothing finds what lies on the node.
        return not service.container and service.name.startswith(self.services)


_PROJECTS = (
    SourceProject(name="nova", services=("nova-", "n-")),
    SourceProject(name="neutron", services=("neutron-", "q-")),
    SourceProject(name="keystone", services=("keystone",)),
    SourceProject(name="glance", services=("glance", "g-")),
    SourceProject(name="placement", services=("placement",)),
    SourceProject(name="cinder", services=("cinder", "c-")),
)


def project_named(name: str) -> SourceProject:
    """Return the project of that name; raises LabError for one that is not known."""
    for project in _PROJECTS:
        if project.name == name:
            return project
    known = [project.name for project in _PROJECTS]
    raise LabError(f"no project {name!r}", hint=suggest(name, known, label="projects"))


def known_projects() -> tuple[SourceProject, ...]:
    """Return all projects whose source can be changed."""
    return _PROJECTS


def nodes_of(project: SourceProject, services: Iterable[DebugService], node: str = "") -> list[str]:
    """Return the nodes on which a project's code runs, in their order; `node` leaves one alone."""
    names = [each.node for each in services if project.runs(each)]
    return [name for name in dict.fromkeys(names) if node in ("", name)]


def refuse_containers(lab: Lab, project: SourceProject, services: Iterable[DebugService]) -> None:
    """Raise LabError for services in containers, where nothing finds a source of the node's."""
    if any(each.container for each in services):
        raise LabError(
            f"the services of {lab.name} run in containers, which dev.* does not change",
            hint=f"stack.dev_mode: [{project.name}] mounts its source there, from /opt/stack",
        )


def branches(lab: Lab) -> tuple[str, ...]:
    """Return the branches of git that fit a lab's release, the one that is developed first."""
    release = lab.stack.release
    return (f"stable/{release}", f"unmaintained/{release}")
