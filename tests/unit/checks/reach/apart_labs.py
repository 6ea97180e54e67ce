"""Labs with networks that not everybody is on, for the tests of isolation, outside and host."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stacklab.checks.family import Facts, Family
from stacklab.checks.result import Check, CheckResult
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.model.lab import Lab, NetworkMode
from stacklab.nodes import protocol
from tests.unit.checks.fake_lab import make_lab

MARK = "stacklab-0123"
RESPONDERS = {
    "host.beside": outside_simulated.beside,
    "isolation.separate": outside_simulated.separate,
    "isolation.transit": outside_simulated.transit,
    "outside.dials": outside_simulated.dials,
}


def make_apart() -> Lab:
    """All on net0 (nat); net1 is isolated, without compute2.

    net2 is without host and controller.
    """
    lab = make_lab(cidrs=("10.10.0.0/24", "10.20.0.0/24", "10.30.0.0/24"))
    without = {"controller": "net2", "compute2": "net1"}
    nodes = tuple(
        dataclasses.replace(
            node, nics=tuple(nic for nic in node.nics if nic.network != without.get(node.name))
        )
        for node in lab.nodes
    )
    modes = (NetworkMode.NAT, NetworkMode.ISOLATED, NetworkMode.ISOLATED)
    networks = tuple(
        dataclasses.replace(network, mode=mode, has_host=network.name != "net2")
        for network, mode in zip(lab.networks, modes, strict=True)
    )
    return dataclasses.replace(lab, nodes=nodes, networks=networks)


def make_closed() -> Lab:
    """Two isolated networks, and no way out."""
    return make_lab(mode=NetworkMode.ISOLATED)


def with_stack(lab: Lab, **changes: object) -> Lab:
    return dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, **changes))  # type: ignore[arg-type]


def of(family: Family, lab: Lab, node: str) -> tuple[Check, ...]:
    """A node's own checks."""
    return tuple(check for check in family.expected(lab) if check.node == node)


def healthy(family: Family, lab: Lab, node: str, facts: Facts) -> dict[str, list[str]]:
    """What the parts of a healthy node write, by tag."""
    parts = family.parts(lab, lab.node(node), of(family, lab, node), facts)
    return {part.tag: list(RESPONDERS[part.tag](lab, lab.node(node), part.shell)) for part in parts}


def text(said: dict[str, list[str]], codes: dict[str, int] | None = None) -> str:
    """The same as a node writes it."""
    lines = [f"{MARK} begin"]
    for tag, written in said.items():
        lines += [f"{MARK} {tag} {line}" for line in written]
        lines.append(f"{MARK} {tag} = {(codes or {}).get(tag, 0)}")
    return "\n".join([*lines, f"{MARK} end", ""])


def judged(
    family: Family, lab: Lab, node: str, written: str, facts: Facts, checks: Sequence[Check] = ()
) -> dict[tuple[str, str], CheckResult]:
    """The results by kind and network, or subject."""
    own = tuple(checks) or of(family, lab, node)
    results = list(family.judge(lab, own, protocol.read(written, MARK), facts))
    assert [result.check for result in results] == list(own)
    return {(str(r.check.kind), r.check.network or r.check.subject): r for r in results}
