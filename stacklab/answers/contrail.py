"""Answers for OpenContrail: localrc for contrail-installer and localrc for DevStack.

They go to two trees, are read by two programs (contrail.sh and stack.sh) and
share few names. Facts here were read in Juniper/contrail-installer, branches
master (cfe0fc0), R2.20 (abf7ba8) and R1.06 (9b4f974), and in DevStack's tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import jinja2

from stacklab.answers.environment import render_template
from stacklab.answers.lint import check_localrc
from stacklab.errors import RenderError
from stacklab.model import Lab, Node, Role
from stacklab.paths import PROJECT

SECRET_NAMES = ("admin_password", "database_password", "rabbit_password", "service_password", "service_token")
INSTALLER_LOCALRC = PurePosixPath("/opt/stack/contrail-installer/localrc")
DEVSTACK_LOCALRC = PurePosixPath("/opt/stack/devstack/localrc")
_TEMPLATES = MappingProxyType({
    INSTALLER_LOCALRC: "contrail/contrail-installer.localrc.j2",
    DEVSTACK_LOCALRC: "contrail/devstack.localrc.j2",
})  # fmt: skip

# setup_devstack.sh does not source localrc, it greps for this name.
_GREPPED = "CONTRAIL_DEFAULT_INSTALL"
_R1_CONTROLLER = (
    "redis", "cass", "zk", "ifmap", "disco", "apiSrv", "schema", "svc-mon", "control", "redis-u",
    "redis-q", "vizd", "opserver", "qed", "redis-w", "ui-jobs", "ui-webs",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One supported pair of contrail-installer and DevStack."""

    branch: str
    installer_ref: str  # what to check out of contrail-installer itself
    devstack: str  # OpenStack's release: its DevStack is stable/<it>, or the tag that took its place
    devstack_refs: tuple[str, ...]
    packages: bool  # .debs from Launchpad; else built from source
    launchpad: str = ""
    plugin_branch: str = ""
    plugin_class: str = ""
    vif_driver: str = ""
    services: tuple[str, ...] = ()  # what localrc must list, where contrail.sh does not do it itself
    projects: tuple[str, ...] = ("GLANCE", "HORIZON", "KEYSTONE", "NEUTRON", "NOVA", "REQUIREMENTS")
    registers_computes: bool = True  # contrail.sh tells the controller of a compute's vrouter

    @property
    def default_install(self) -> str:
        """The word that contrail.sh compares with, literally."""
        return "True" if self.packages else "False"

    @property
    def eol_ref(self) -> str:
        """The tag that stands, in OpenStack's projects, where the release's branch was."""
        return f"{self.devstack}-eol"


_CORE_V2 = "neutron_plugin_contrail.plugins.opencontrail.contrail_plugin.NeutronPluginContrailCoreV2"
_MITAKA = ("stable/mitaka", "mitaka-eol")
RELEASES: Mapping[str, Release] = MappingProxyType({
    release.branch: release
    for release in (
        Release(
            branch="master", installer_ref="master", devstack="mitaka", devstack_refs=_MITAKA, packages=False,
            plugin_class=_CORE_V2,
        ),
        # R3.0 is a branch of Contrail's sources; contrail-installer's own stays at master.
        Release(
            branch="R3.0", installer_ref="master", devstack="mitaka", devstack_refs=_MITAKA, packages=False,
            plugin_class=_CORE_V2,
        ),
        Release(
            branch="R2.20", installer_ref="R2.20", devstack="kilo", devstack_refs=("stable/kilo", "kilo-2"),
            packages=True, launchpad="r2.20", plugin_class=_CORE_V2,
        ),
        # Its DevStack plugin sets the plugin's class unconditionally, and Havana's
        # nova doesn't know vrouter: the driver must be named.
        Release(
            branch="R1.06", installer_ref="R1.06", devstack="havana", devstack_refs=("stable/havana", "havana-eol"),
            packages=True, registers_computes=False, plugin_branch="aa40d25a62e4f908b099804b255d548de2a01a7f",
            # Havana's stack.sh installs oslo.config from git on every node.
            projects=("GLANCE", "HORIZON", "KEYSTONE", "NEUTRON", "NOVA", "OSLOCFG", "REQUIREMENTS"),
            vif_driver="nova_contrail_vif.contrailvif.VRouterVIFDriver", services=_R1_CONTROLLER,
        ),
    )
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What a node is to Contrail, and where: all that the templates know beside `lab` and `node`."""

    profile: str  # INSTALL_PROFILE: ALL or COMPUTE, compared by contrail.sh as they stand here
    has_compute: bool  # nova-compute and the vrouter agent do their work here
    address: IPv4Address
    device: str
    controller: IPv4Address

    @property
    def is_controller(self) -> bool:
        """Whether everything but the computes' work is here."""
        return self.profile == "ALL"


def render(lab: Lab, secrets: Mapping[str, str], env: jinja2.Environment) -> Mapping[str, Mapping[PurePosixPath, str]]:
    """Render both localrc of every controller and compute; a node of no such role gets none."""
    release = _release(lab)
    rendered: dict[str, Mapping[PurePosixPath, str]] = {}
    for node in lab.nodes:
        seat = _seat(lab, node)
        rendered[node.name] = _files(lab, node, release, seat, secrets, env) if seat else {}
    return rendered


def _files(
    lab: Lab, node: Node, release: Release, seat: Seat, secrets: Mapping[str, str], env: jinja2.Environment
) -> Mapping[PurePosixPath, str]:
    files = {}
    for path, template in _TEMPLATES.items():
        context = {
            **secrets, "lab": lab, "node": node, "release": release, "seat": seat,
            "spec": _shown(lab.source), "template": f"localrc/{template}",
        }  # fmt: skip
        files[path] = render_template(env, template, context)
        once = _GREPPED if path == INSTALLER_LOCALRC else ""
        check_localrc(f"{node.name}:{path}", files[path], once=once)
    return files


def _release(lab: Lab) -> Release:
    release = RELEASES.get(lab.stack.branch or "master")
    if release is None:
        raise RenderError(f"stack.branch: no {lab.stack.branch!r} of contrail-installer (known: {', '.join(RELEASES)})")
    if lab.stack.devstack_branch not in ("", *release.devstack_refs):
        # contrail.sh would not notice: it is neutron's plugin that fails, an hour later.
        raise RenderError(
            f"stack.devstack_branch: {lab.stack.devstack_branch!r} does not go with Contrail {release.branch} "
            f"(known: {', '.join(release.devstack_refs)})"
        )
    return release


def _seat(lab: Lab, node: Node) -> Seat | None:
    controllers = [n.name for n in lab.nodes if n.role is Role.CONTROLLER]
    if len(controllers) > 1:
        # Its scripts lose all but the first address of a list.
        raise RenderError(f"contrail-installer knows one controller, the lab has {', '.join(controllers)}")
    is_controller = node.name == lab.controller.name
    if not is_controller and node.role is not Role.COMPUTE:
        return None
    address, device = _end(lab, node)
    return Seat(
        profile="ALL" if is_controller else "COMPUTE",
        has_compute=not is_controller or not any(n.name != node.name for n in lab.computes),
        address=address,
        device=device,
        controller=_end(lab, lab.controller)[0],
    )


def _end(lab: Lab, node: Node) -> tuple[IPv4Address, str]:
    nic = node.nic_on(lab.stack.network)
    if nic is None:
        raise RenderError(f"node {node.name} has no NIC on {lab.stack.network}, the network of the stack")
    return nic.address.ip, nic.device


def _shown(source: Path) -> str:
    """The spec's name as a comment may hold it; the same in every checkout."""
    path = source.relative_to(PROJECT) if source.is_relative_to(PROJECT) else source
    return re.sub(r"[^A-Za-z0-9._/-]", "?", path.as_posix()).replace(_GREPPED, "?")
