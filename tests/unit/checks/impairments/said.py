"""Labs with impairments, and answers about them."""

from __future__ import annotations

import dataclasses

from stacklab.checks.family import Facts
from stacklab.checks.impairments import family as impairments
from stacklab.checks.result import Check, CheckKind
from stacklab.model.lab import Impairment, Lab
from tests.unit.checks.fake_lab import make_lab

WAN = Impairment(delay_ms=20, loss_percent=1, rate_kbit=10_000)


FACTS = Facts()


def impaired(*on_net1: Impairment, nodes: int = 3) -> Lab:
    """A lab whose second network is impaired.

    The nodes' NICs there in turn, the last one's for all further.
    """
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(nodes)))
    made = []
    for index, node in enumerate(lab.nodes):
        found = on_net1[min(index, len(on_net1) - 1)]
        made.append(
            dataclasses.replace(
                node, nics=(node.nics[0], dataclasses.replace(node.nics[1], impairment=found))
            )
        )
    return dataclasses.replace(lab, nodes=tuple(made))


def of(lab: Lab, kind: CheckKind, node: str = "n0", target: str = "n1") -> Check:
    (found,) = [
        c for c in impairments.expected(lab) if (c.kind, c.node, c.target) == (kind, node, target)
    ]
    return found
