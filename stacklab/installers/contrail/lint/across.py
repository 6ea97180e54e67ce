"""Rules for Contrail's localrc of several nodes, and for the two files of one node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacklab.installers.devstack.lint import across
from stacklab.installers.devstack.lint.across import NodeLocalrc, at
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding

RULES = (
    rule(
        "across-contrail",
        "Contrail's localrc and DevStack's disagree on one node",
        "Juniper/contrail-installer@cfe0fc0",
    ),
    rule(
        "across-contrail-branch",
        "Contrail's branch differs between nodes",
        "Juniper/contrail-installer@cfe0fc0:contrail.sh",
    ),
)
_BOOK = Book(RULES)
_BRANCHES = ("CONTRAIL_BRANCH", "LAUNCHPAD_BRANCH", "CONTRAIL_DEFAULT_INSTALL")
# What both files of a node say, each to its own program.
_SHARED = ("SERVICE_HOST", "PHYSICAL_INTERFACE", "ADMIN_PASSWORD", "RABBIT_PASSWORD")


def check(contrail: Sequence[NodeLocalrc], devstack: Sequence[NodeLocalrc]) -> Iterator[Finding]:
    """Yield what Contrail's files contradict each other, and DevStack's, in."""
    yield from across.same_address(contrail, "COMPUTE_HOST_IP")
    controller = _find_controller(contrail)
    if controller is not None:
        for node in contrail:
            if node is not controller:
                yield from _compare_with_controller(controller.rc, node.rc)
    for node in contrail:
        for half in devstack:
            if node.node == half.node:
                yield from _compare_halves(node.rc, half.rc)


def _find_controller(nodes: Sequence[NodeLocalrc]) -> NodeLocalrc | None:
    """Return the only node with the controller's profile; None if there are several, or none."""
    controllers = [node for node in nodes if node.rc.value("INSTALL_PROFILE") == "ALL"]
    # With several, nobody can tell which of them a compute belongs to.
    if len(controllers) != 1:
        return None
    return controllers[0]


def _compare_with_controller(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    host = compute.value("SERVICE_HOST")
    right_host = controller.value("SERVICE_HOST")
    if _differ(host, right_host):
        place = at(controller, "SERVICE_HOST")
        yield across.wrong_service_host(compute, host, right_host, place)
    yield from across.passwords(controller, compute)
    # contrail.sh builds each node from its own branch, and never asks for the others'.
    for name in _BRANCHES:
        ours = compute.value(name)
        theirs = controller.value(name)
        if not _differ(ours, theirs):
            continue
        place = at(controller, name)
        yield _BOOK.finding(
            "across-contrail-branch",
            compute.file,
            compute.line(name),
            effect=f"{name} is {ours}, and {theirs} in {place}: agent and control node differ",
            fix=f"{name}={theirs}",
        )


def _differ(ours: str, theirs: str) -> bool:
    """Return True if two values are known and differ; "" may be a default, or anything."""
    return bool(ours) and bool(theirs) and ours != theirs


def _compare_halves(contrail: Localrc, devstack: Localrc) -> Iterator[Finding]:
    """Yield what one node's two files contradict each other in; no program compares them."""
    for name in _SHARED:
        ours = contrail.value(name)
        theirs = devstack.value(name)
        if not _differ(ours, theirs):
            continue
        if name.endswith("PASSWORD"):  # its value is not shown
            values = ""
            fix = f"write the same {name} into both files"
        else:
            values = f" ({ours} and {theirs})"
            fix = f"{name}={theirs}, or {name}={ours} there"
        place = at(devstack, name)
        yield _BOOK.finding(
            "across-contrail",
            contrail.file,
            contrail.line(name),
            effect=f"{name} differs between here and {place}{values}: "
            "Contrail and OpenStack do not find each other",
            fix=fix,
        )
