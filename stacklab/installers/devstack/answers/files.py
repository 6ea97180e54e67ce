"""Answers for DevStack: localrc or local.conf of every node, and a file for glance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from stacklab.errors import RenderError
from stacklab.installers.devstack.answers import images, options
from stacklab.installers.devstack.answers.mirrored import NOVNC, left_out
from stacklab.installers.devstack.answers.projects import sources
from stacklab.installers.devstack.answers.seat import (
    DevStackSeat,
    is_nova_network,
    ranges,
    seat,
)
from stacklab.installers.kit import container
from stacklab.installers.kit.datapath import has_userspace_datapath
from stacklab.installers.kit.git import CLONES, mirror_url
from stacklab.installers.kit.host import proxy_variables
from stacklab.installers.kit.release import bugs_on, release_of
from stacklab.installers.kit.request import Rendered, Request
from stacklab.installers.kit.templates import quoting
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Driver

TREE = CLONES / "devstack"
LOCALRC, LOCAL_CONF = TREE / "localrc", TREE / "local.conf"
LOGS = CLONES / "logs"

# Releases that still read SERVICE_TOKEN ask for that, too.
_SECRETS = ("admin_password", "database_password", "rabbit_password", "service_password")


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Return the names of a lab's secrets: stack.sh asks for the same ones on all nodes."""
    token = () if "SERVICE_TOKEN" in release_of(lab).inert else ("service_token",)
    return (*_SECRETS, *token)


def render(request: Request) -> Rendered:
    """Render the files of every controller and compute; a node of no such role gets none."""
    _check_volume_types(request)
    # All seats first: a lab that cannot be installed is refused before anything is rendered.
    seats = {node.name: seat(request.lab, request.release, node) for node in request.lab.nodes}
    rendered: dict[str, Mapping[PurePosixPath, str]] = {}
    for node in request.lab.nodes:
        place = seats[node.name]
        rendered[node.name] = _render_node(request, node, place) if place else {}
    return rendered


def reads_localrc(lab: Lab) -> bool:
    """Return True if a localrc is written beside local.conf, and wins over it.

    Old releases of nova-docker's script append to localrc.
    """
    release = release_of(lab)
    is_old_docker = lab.stack.driver is Driver.DOCKER and release.text("docker_style") == "prepare"
    return is_old_docker or release.file == "localrc"


def _check_volume_types(request: Request) -> None:
    types = request.lab.stack.volume_types
    if request.release.text("volume_backends") == "CINDER_MULTI_LVM_BACKEND" and len(types) > 2:
        raise RenderError(
            f"stack.volume_types: DevStack {request.release.name} has two back ends, these are "
            f"{len(types)}",
            hint="name two at most, or take a release since juno",
        )


def _render_node(request: Request, node: Node, place: DevStackSeat) -> Mapping[PurePosixPath, str]:
    files: dict[PurePosixPath, str] = {}
    context = _gather_context(request, node, place)
    if reads_localrc(request.lab):
        files[LOCALRC] = request.render("devstack/localrc.j2", node, **context)
        # local.conf beside it carries the options of services, which localrc cannot.
        if context["sections"]:
            files[LOCAL_CONF] = request.render("devstack/post-config.conf.j2", node, **context)
    else:
        files[LOCAL_CONF] = request.render("devstack/local.conf.j2", node, **context)
    return {
        **files,
        **images.metadata_file(request.lab, node),
        **container.files(request, node, public_device=place.public_device),
    }


def _gather_context(request: Request, node: Node, place: DevStackSeat) -> dict[str, object]:
    lab, release = request.lab, request.release
    mode = lab.stack.network_mode
    bugs = [bug for bug in bugs_on(lab, release, node) if bug.localrc]
    return {
        "seat": place,
        "mode": str(mode),
        "is_nova_network": is_nova_network(lab),
        "driver": str(lab.stack.driver),
        "has_userspace_datapath": has_userspace_datapath(lab, node),
        "mode_lines": release.words(f"lines_{mode}"),
        "ranges": ranges(lab, release),
        "sources": sources(lab, release),
        "novnc_url": f"{mirror_url(lab)}/{NOVNC}.git" if mirror_url(lab) else "",
        "left_out": left_out(lab) if mirror_url(lab) else (),
        "proxy": proxy_variables(lab),
        "sections": options.sections(request, node, place),
        "traps": release.words(quoting.TRAIT),
        "bugs": bugs,
        "lines": lab.stack.lines_for(node.role),
        "logs": LOGS,
    }
