"""Have nodes ask for their leases again, where the networks, and what they knew, are new.

Addresses stay, with a lease or without one. Vagrant looks for a node's address in its lease.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence

from stacklab.errors import LabError
from stacklab.model.lab import Node
from stacklab.nodes import session
from stacklab.nodes.protocol import Part, Phase
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.tools import bounded

_LIMIT_S = 20.0
_TAG = "leases.renew"


def renew(runner: Conversing, paths: LabPaths, nodes: Sequence[Node]) -> None:
    """Have these running nodes renew the lease of their first NIC, as far as they can.

    Only systemd-networkd is told; others renew it when half of its time is over.
    """

    def renew_one(node: Node) -> None:
        device = node.access.device
        shell = f"command -v networkctl >/dev/null || exit 0\nsudo -n networkctl renew {device}"
        part = Part(tag=_TAG, shell=shell, phase=Phase.FACTS)
        with contextlib.suppress(LabError):
            session.ask(runner, paths, node.name, [part], limit_s=_LIMIT_S)

    bounded.together([functools.partial(renew_one, node) for node in nodes], name="leases")
