"""What tests against a running lab are given: the lab, its nodes, and how to fail a test.

Loaded by pytest_plugin when `--lab` is given.
"""

from __future__ import annotations

import itertools
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NoReturn

import pytest

from stacklab.model.lab import Lab, Node
from stacklab.paths import LabPaths
from stacklab.process.command import Result
from stacklab.tools import ssh
from stacklab.workflow.context import Context

if TYPE_CHECKING:  # testinfra may not be installed
    from testinfra.host import Host

_EXEC_LIMIT_S = 120.0


class LabCheckWarning(pytest.PytestWarning):
    """Warns that a built-in check passed only with a warning."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LabNode:
    """A node of the running lab; `spec` is the node as its lab declares it."""

    lab: RunningLab
    spec: Node

    @property
    def name(self) -> str:
        """The node's name, which is its host name as well."""
        return self.spec.name

    @property
    def role(self) -> str:
        """The node's part in the cloud: controller, compute or node."""
        return self.spec.role.value

    def address(self, network: str = "") -> IPv4Address:
        """Return the node's address on a network, by default on the one that the host logs in by.

        Fails the test if the node is not on that network.
        """
        nic = self.spec.nic_on(network) if network else self.spec.access
        if nic is None:
            known = ", ".join(nic.network for nic in self.spec.nics)
            fail(f"{self.name} is not on network {network!r} (it is on: {known})")
        return nic.address.ip

    def exec(self, command: str | Sequence[str], *, timeout_s: float = _EXEC_LIMIT_S) -> Result:
        """Run a command on the node as `stack`; a string is run by the node's shell.

        Any exit code is a result; raises CommandTimedOut after `timeout_s`.
        """
        argv = (command,) if isinstance(command, str) else tuple(command)
        return self.lab.context.runner.run(
            ssh.exec_command(self.lab.paths, self.name, argv, timeout_s=timeout_s)
        )

    @property
    def hostspec(self) -> str:
        """The node's name in testinfra's form."""
        ssh_config = urllib.parse.quote(str(self.lab.paths.ssh_config))
        # The lab's ssh_config shares connections by itself: testinfra must not do it again.
        return f"ssh://{self.name}?ssh_config={ssh_config}&controlpersist=0"

    @property
    def host(self) -> Host:
        """The node as a testinfra host: `node.host.service("ssh").is_running`."""
        try:
            import testinfra
        except ImportError:
            fail("node.host needs testinfra: pip install pytest-testinfra")
        return testinfra.get_host(self.hostspec)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        # A failed test prints its fixtures: keep that to one line.
        return f"<node {self.name} of lab {self.lab.name}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunningLab:
    """The lab under test: `spec` is the lab as it was brought up, `paths` are its files here."""

    spec: Lab
    paths: LabPaths
    context: Context

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.spec.name

    @property
    def nodes(self) -> tuple[LabNode, ...]:
        """The nodes, in the spec's order."""
        return tuple(LabNode(lab=self, spec=node) for node in self.spec.nodes)

    @property
    def node_pairs(self) -> tuple[tuple[LabNode, LabNode], ...]:
        """Every ordered pair of nodes."""
        return tuple(itertools.permutations(self.nodes, 2))

    def node(self, name: str) -> LabNode:
        """Return the node of that name; fails the test if there is none."""
        by_name = {node.name: node for node in self.nodes}
        if name not in by_name:
            fail(f"there is no node {name!r} in lab {self.name} (its nodes: {', '.join(by_name)})")
        return by_name[name]

    def exec(
        self, node: str | LabNode, command: str | Sequence[str], *, timeout_s: float = _EXEC_LIMIT_S
    ) -> Result:
        """Run a command on a node as `stack`; see LabNode.exec."""
        return self.node(str(node)).exec(command, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return f"<lab {self.name}>"


def fail(text: str) -> NoReturn:
    """Fail the current test; pytest counts it as an error if it is still being set up."""
    pytest.fail(text, pytrace=False)
