"""What a node that is a container gets before an installer that expects a machine of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from stacklab.installers.kit.addresses import nic_on
from stacklab.installers.kit.datapath import has_userspace_datapath
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.request import Request
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.stack import NetworkingMode
from stacklab.stages.stage import Step

_FOLDER = CLONES / "container"
_PREPARE = _FOLDER / "prepare.sh"
_BRIDGES = _FOLDER / "bridges.sh"
_QEMU = _FOLDER / "qemu-system-x86_64"
_TUNNELS = "br-tunnel"


def files(request: Request, node: Node, *, public_device: str = "") -> Mapping[PurePosixPath, str]:
    """Return the script, and what it puts in its place; a VM needs neither.

    The installer gives `public_device` to its bridge br-ex.
    """
    if node.kind is not NodeKind.CONTAINER:
        return {}
    is_userspace = has_userspace_datapath(request.lab, node)
    rendered = {
        _PREPARE: request.render(
            "kit/container.sh.j2", node, folder=_FOLDER, is_userspace=is_userspace
        )
    }
    if is_userspace:
        rendered[_QEMU] = request.render("kit/qemu.sh.j2", node)
        rendered[_BRIDGES] = _render_bridges(request, node, public_device)
    return rendered


def _render_bridges(request: Request, node: Node, public_device: str) -> str:
    lab = request.lab
    public_nics = [nic for nic in node.nics if nic.device == public_device]
    return request.render(
        "kit/container-bridges.sh.j2",
        node,
        is_ovn=lab.stack.network_mode is NetworkingMode.OVN,
        bridge=_TUNNELS if _has_tunnels(lab) else "",
        data_nic=nic_on(lab, node, lab.stack.data_network or lab.stack.network),
        public_nic=public_nics[0] if public_nics else None,
    )


def prepare(node: Node) -> tuple[Step, ...]:
    """Return the step that runs the script; it may be run again at any time."""
    if node.kind is not NodeKind.CONTAINER:
        return ()
    step = Step(
        node=node.name,
        title="prepare the container for what expects a machine",
        command=f"sh {_PREPARE}",
        user="root",
    )
    return (step,)


def _has_tunnels(lab: Lab) -> bool:
    """Return True if more than one node carries the tenants' networks."""
    return bool(lab.computes)
