"""What a mirror of git needs to have, so that DevStack asks no other server of git."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from stacklab.installers.devstack.answers.projects import (
    Project,
    cloned,
    devstack_ref,
    driver_projects,
    sources,
)
from stacklab.installers.devstack.answers.seat import is_nova_network, seat
from stacklab.installers.kit.release import release_of
from stacklab.installers.kit.sources import GitProject
from stacklab.model.lab import Lab
from stacklab.model.stack import Driver, Role

NOVNC = "novnc/novnc"
_GITHUB = "https://github.com"
# Cloned unless a service is switched off: a project -> the service that asks for it.
_OF_SERVICES = {"cinder": "c-api", "horizon": "horizon", "tempest": "tempest"}
_ALWAYS = ("requirements", "keystone", "glance", "placement", "nova")
# A branch of its own, whichever release the others are of.
_BRANCHLESS = {"tempest": "master"}


def git_projects(lab: Lab) -> Iterator[GitProject]:
    """Yield what stack.sh clones on the nodes of a lab; plugins of the spec have their own URLs."""
    release = release_of(lab)
    yield GitProject(
        path=urlsplit(release.repository).path.strip("/"), ref=devstack_ref(lab, release)
    )
    known = cloned(release)
    wanted = [*_ALWAYS, *sources(lab, release).libraries]
    if not is_nova_network(lab):
        wanted.append("neutron")
    off = disabled(lab) | set(left_out(lab))
    wanted += [name for name, service in _OF_SERVICES.items() if service not in off]
    branches = sources(lab, release).branches
    for name in wanted:
        if name in known:
            default = release.text("projects_ref") or release.ref
            yield _project(known[name], branches, _BRANCHLESS.get(name, default))
    yield from driver_projects(lab, release)
    if "n-novnc" not in off:
        # stackrc names a tag that is another one in each release.
        yield GitProject(path=NOVNC, ref=release.text("novnc_ref"), home=_GITHUB)


def disabled(lab: Lab) -> frozenset[str]:
    """Return the services that a controller does not get: by its seat, and by the spec's lines."""
    place = seat(lab, release_of(lab), lab.controller)
    names = set(place.disabled) if place else set()
    for line in lab.stack.lines_for(Role.CONTROLLER):
        command, _, services = line.partition("#")[0].strip().partition(" ")
        if command == "disable_service":
            names.update(services.replace(",", " ").split())
    return frozenset(names)


def left_out(lab: Lab) -> tuple[str, ...]:
    """Return what a lab with a mirror does without: services that need something of GitHub.

    tempest ends stack.sh at its last phase if glance has no image.
    """
    release = release_of(lab)
    needs_etcd = lab.stack.driver is Driver.ZUN and bool(release.text("zun_etcd"))
    names = []
    if release.text("etcd") and not needs_etcd:
        names.append("etcd3")
    lines = lab.stack.lines_for(Role.CONTROLLER)
    if not any(line.startswith("IMAGE_URLS=") for line in lines):
        names.append("tempest")
    return tuple(names)


def _project(project: Project, branches: Mapping[str, str], default: str) -> GitProject:
    ref = branches.get(f"{project.variable}_BRANCH", default)
    return GitProject(path=f"openstack/{project.name}", ref=ref)
