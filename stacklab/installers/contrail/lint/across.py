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
_SHARED = ("SERVICE_HOST", "PHYSICAL_INTERFACE", "ADMIN_PASSWORD", "RABBIT_PASSWORD")


def check(contrail: Sequence[NodeLocalrc], devstack: Sequence[NodeLocalrc]) -> Iterator[Finding]:
    """Yield what Contrail's files contradict each other, and DevStack's, in."""
    yield from across.same_address(contrail, "COMPUTE_HOST_IP")
    controller = _controller(contrail)
    for node in contrail:
        if controller is not None and node is not controller:
            yield from _pair(controller.rc, node.rc)
    for node in contrail:
        for half in devstack:
            if node.node == half.node:
                yield from _halves(node.rc, half.rc)


def _controller(nodes: Sequence[NodeLocalrc]) -> NodeLocalrc | None:
    """Return the only node with the controller's profile; None if there are several, or none."""
    heads = [node for node in nodes if node.rc.value("INSTALL_PROFILE") == "ALL"]
    return heads[0] if len(heads) == 1 else None


def _pair(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    host, right = compute.value("SERVICE_HOST"), controller.value("SERVICE_HOST")
    if host and right and host != right:
        yield across.wrong_service_host(compute, host, right, at(controller, "SERVICE_HOST"))
    yield from across.passwords(controller, compute)
    for name in _BRANCHES:
        ours, theirs = compute.value(name), controller.value(name)
        if ours and theirs and ours != theirs:
            place = at(controller, name)
            yield _BOOK.finding(
                "across-contrail-branch",
                compute.file,
                compute.line(name),
                f"{name} is {ours}, and {theirs} in {place}: agent and control node differ",
                f"{name}={theirs}",
            )


def _halves(contrail: Localrc, devstack: Localrc) -> Iterator[Finding]:
    """Yield what one node's two files contradict each other in; no program compares them."""
    for name in _SHARED:
        ours, theirs = contrail.value(name), devstack.value(name)
        if not ours or not theirs or ours == theirs:
            continue
        if name.endswith("PASSWORD"):  # its value is not shown
            values, fix = "", f"write the same {name} into both files"
        else:
            values, fix = f" ({ours} and {theirs})", f"{name}={theirs}, or {name}={ours} there"
        yield _BOOK.finding(
            "across-contrail",
            contrail.file,
            contrail.line(name),
            f"{name} differs between here and {at(devstack, name)}{values}: "
            "Contrail and OpenStack do not find each other",
            fix,
        )
