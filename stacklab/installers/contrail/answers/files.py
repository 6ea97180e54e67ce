"""Answers for OpenContrail: localrc for contrail-installer and localrc for DevStack.

They go to two trees, are read by two programs (contrail.sh and stack.sh) and
share few names. Facts here were read in Juniper/contrail-installer, branches
master (cfe0fc0), R2.20 (abf7ba8) and R1.06 (9b4f974), and in DevStack's tags.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.contrail.pairs import paired_devstack
from stacklab.installers.devstack.answers import images, projects
from stacklab.installers.devstack.answers.options import plain_sections
from stacklab.installers.kit.addresses import nic_on
from stacklab.installers.kit.git import CLONES, git_base
from stacklab.installers.kit.host import proxy_variables
from stacklab.installers.kit.release import bugs_on
from stacklab.installers.kit.request import Rendered, Request, shown
from stacklab.installers.kit.roles import has_compute
from stacklab.installers.kit.templates.guard import check_localrc
from stacklab.installers.kit.templates.quoting import TRAIT
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Bug, Release
from stacklab.model.release_names import plain_name
from stacklab.model.stack import Role

SECRET_NAMES = (
    "admin_password",
    "database_password",
    "rabbit_password",
    "service_password",
    "service_token",
)
INSTALLER_TREE = CLONES / "contrail-installer"
DEVSTACK_TREE = CLONES / "devstack"
INSTALLER_LOCALRC = INSTALLER_TREE / "localrc"
DEVSTACK_LOCALRC = DEVSTACK_TREE / "localrc"
DEVSTACK_CONF = DEVSTACK_TREE / "local.conf"
LOG = DEVSTACK_TREE / "log" / "stack.log"
_TEMPLATES = MappingProxyType(
    {
        INSTALLER_LOCALRC: "contrail/contrail-installer.localrc.j2",
        DEVSTACK_LOCALRC: "contrail/devstack.localrc.j2",
    }
)

# setup_devstack.sh does not source localrc, it greps for this name.
_GREPPED = "CONTRAIL_DEFAULT_INSTALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrailSeat:
    """A node as Contrail sees it: what templates know beside `lab` and `node`."""

    profile: str  # INSTALL_PROFILE: ALL or COMPUTE, compared by contrail.sh as they stand here
    has_compute: bool  # nova-compute and the vrouter agent do their work here
    address: IPv4Address
    device: str  # the vrouter's
    data_address: IPv4Address  # on that device: the vrouter's own
    controller: IPv4Address

    @property
    def is_controller(self) -> bool:
        """Return True for the node that runs everything but the computes' work."""
        return self.profile == "ALL"


def secret_names(_lab: Lab) -> tuple[str, ...]:
    """Return the names of the secrets in both localrc."""
    return SECRET_NAMES


def render(request: Request) -> Rendered:
    """Render both localrc of every controller and compute; a node of no such role gets none."""
    lab = request.lab
    _check_pair(lab, request.release)
    rendered: dict[str, Mapping[PurePosixPath, str]] = {}
    for node in lab.nodes:
        seat = _find_seat(lab, node)
        rendered[node.name] = _render_files(request, node, seat) if seat else {}
    return rendered


def _render_files(request: Request, node: Node, seat: ContrailSeat) -> Mapping[PurePosixPath, str]:
    lab = request.lab
    devstack = _ask_devstack(request)
    context = _template_context(request, devstack.release, node, seat)
    files = {}
    for path, template in _TEMPLATES.items():
        text = request.render(template, node, **context)
        once = _GREPPED if path == INSTALLER_LOCALRC else ""
        check_localrc(f"{node.name}:{path}", text, once=once)
        files[path] = text
    sections = plain_sections(devstack, node)
    if sections:
        # localrc wins over a local.conf's own variables, but its sections are merged all the same.
        files[DEVSTACK_CONF] = devstack.render(
            "devstack/post-config.conf.j2",
            node,
            sections=sections,
            traps=devstack.release.words(TRAIT),
        )
    own_lines = lab.stack.lines_for(node.role)
    if own_lines:
        # Behind the check: these are the user's own bash, and come last, so that they win.
        header = "# -- from the spec " + "-" * 61
        files[DEVSTACK_LOCALRC] += "\n".join(("", header, *own_lines, ""))
    return {**files, **images.metadata_file(lab, node)}


def _template_context(
    request: Request, devstack: Release, node: Node, seat: ContrailSeat
) -> Mapping[str, object]:
    """Return what both templates know beside the names that every template knows."""
    lab = request.lab
    sources = projects.sources(lab, devstack)  # refuses a ref of what is not cloned
    refs = _choose_refs(lab, request.release)
    return {
        "seat": seat,
        # A comment may not mention what is grepped for, even in the name of the spec's file.
        "spec": shown(lab.source).replace(_GREPPED, "?"),
        "refs": refs,
        "proxy": proxy_variables(lab),
        "bugs": _bug_lines(lab, devstack, node, refs),
        "log": LOG,
        "sources": sources,
        "novnc_ref": devstack.text("novnc_ref"),
        "git_base": git_base(lab, request.release.text("git_base")),
    }


def _bug_lines(
    lab: Lab, devstack: Release, node: Node, refs: Mapping[str, str]
) -> Sequence[tuple[Bug, Sequence[str]]]:
    """Return the lines that DevStack's known bugs need, by bug.

    A name that the spec has a ref for is left to the spec.
    """
    lines_of_bugs: list[tuple[Bug, Sequence[str]]] = []
    for bug in bugs_on(lab, devstack, node):
        lines = [line for line in bug.localrc if line.partition("=")[0] not in refs]
        if lines:
            lines_of_bugs.append((bug, lines))
    return lines_of_bugs


def _ask_devstack(request: Request) -> Request:
    """Return the same request about the DevStack that goes with this release."""
    return dataclasses.replace(request, release=paired_devstack(request.release))


def _choose_refs(lab: Lab, release: Release) -> Mapping[str, str]:
    """Return the branches that DevStack is to clone.

    The release's own branches are gone upstream, and the spec may name others.
    """
    devstack = paired_devstack(release)
    projects_ref = devstack.text("projects_ref")
    refs = {}
    for project in release.words("projects"):
        refs[f"{project}_BRANCH"] = projects_ref
    cloned = projects.cloned(devstack)
    for name, ref in lab.stack.refs:
        if name in cloned:
            refs[f"{cloned[name].variable}_BRANCH"] = ref
    return refs


def _check_pair(lab: Lab, release: Release) -> None:
    branch = lab.stack.devstack_branch
    if branch and plain_name(branch) not in release.pairs:
        # contrail.sh would not notice: it is neutron's plugin that fails, an hour later.
        raise RenderError(
            f"stack.devstack_branch: {branch!r} does not go with Contrail {release.name} "
            f"(known: {', '.join(release.pairs)})"
        )


def _find_seat(lab: Lab, node: Node) -> ContrailSeat | None:
    """Return how Contrail sees a node; None for one that is not part of the cloud."""
    controllers = [other.name for other in lab.nodes if other.role is Role.CONTROLLER]
    if len(controllers) > 1:
        # Its scripts lose all but the first address of a list.
        raise RenderError(
            f"contrail-installer knows one controller, the lab has {', '.join(controllers)}"
        )
    is_controller = node.name == lab.controller.name
    if not is_controller and node.role is not Role.COMPUTE:
        return None
    network = lab.stack.network
    # The vrouter takes this NIC over, and sends tunnels by it.
    data_nic = nic_on(lab, node, lab.stack.data_network or network)
    return ContrailSeat(
        profile="ALL" if is_controller else "COMPUTE",
        has_compute=has_compute(lab, node),
        address=nic_on(lab, node, network).address.ip,
        device=data_nic.device,
        data_address=data_nic.address.ip,
        controller=nic_on(lab, lab.controller, network).address.ip,
    )
