"""A lab that hand-written files are held against, and the node that each file is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from stacklab.lint.scope import Source
from stacklab.model.lab import Lab, Node

# What a node's own file says of its address: DevStack's and contrail-installer's names for it.
_OWN_ADDRESS = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?:HOST_IP|COMPUTE_HOST_IP|TUNNEL_ENDPOINT_IP)=["']?([0-9.]+)""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNode:
    """A lab, and the node that its user names; None leaves it to the files."""

    lab: Lab
    node: Node | None = None

    def find_node(self, source: Source, path: PurePath) -> Node:
        """Return the node that a file is for.

        The user names it, or a directory in its path does (`answers.render --out` makes such), or
        the file has one of its addresses as its own. Files of a whole cloud are the controller's.
        """
        if self.node is not None:
            return self.node
        for node in self.lab.nodes:
            if node.name in path.parts:
                return node
        own = set(_OWN_ADDRESS.findall(source.text))
        for node in self.lab.nodes:
            if own & {str(nic.address.ip) for nic in node.nics}:
                return node
        return self.lab.controller
