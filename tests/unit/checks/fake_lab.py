"""A lab and a runner for the tests of tools, checks and doctor."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import NIC, Impairment, Lab, Network, NetworkMode, Node, Size
from stacklab.model.stack import Installer, Role, Stack
from stacklab.process import Command, Result


def make_lab(
    *,
    name: str = "trio",
    nodes: tuple[str, ...] = ("controller", "compute1", "compute2"),
    cidrs: tuple[str, ...] = ("10.10.0.0/24", "10.20.0.0/24"),
    memory_mib: int = 1024,
    retries: int = 2,
    mode: NetworkMode = NetworkMode.NAT,
    mtu: int = 1500,
) -> Lab:
    """A resolved lab: node number n has .11+n on every network, eth0 on the first."""
    networks = tuple(
        Network(
            name=f"net{number}",
            cidr=IPv4Network(cidr),
            mode=mode,
            mtu=mtu,
            bridge=f"sl-{name}{number}",
        )
        for number, cidr in enumerate(cidrs)
    )
    made = []
    for index, node in enumerate(nodes):
        nics = tuple(
            NIC(
                network=network.name,
                device=f"eth{number}",
                address=IPv4Interface(f"{network.cidr[11 + index]}/{network.cidr.prefixlen}"),
                mac=f"52:54:00:00:{number:02x}:{index:02x}",
                mtu=mtu,
            )
            for number, network in enumerate(networks)
        )
        role = Role.CONTROLLER if index == 0 else Role.COMPUTE
        made.append(
            Node(name=node, role=role, cpus=1, memory=Size(memory_mib), disk=Size(20480), nics=nics)
        )
    return Lab(
        name=name,
        description="",
        source=Path(f"labs/{name}.yaml"),
        images=("debian-12",),
        networks=networks,
        nodes=tuple(made),
        stack=Stack(installer=Installer.NONE, network=networks[0].name),
        checks=CheckPolicy(retries=retries, interval_s=1.5, boot_timeout_s=60),
    )


def late(lab: Lab, delay_ms: float) -> Lab:
    """The same with every first NIC holding back what it sends."""
    nodes = tuple(
        dataclasses.replace(
            node,
            nics=(
                dataclasses.replace(node.access, impairment=Impairment(delay_ms=delay_ms)),
                *node.nics[1:],
            ),
        )
        for node in lab.nodes
    )
    return dataclasses.replace(lab, nodes=nodes)


class FakeRunner:
    """Answers each command by a function and remembers what was asked; safe in threads."""

    def __init__(self, answer: Callable[[Command], Result]) -> None:
        self.answer = answer
        self.commands: list[Command] = []
        self._lock = threading.Lock()

    def run(self, command: Command) -> Result:
        with self._lock:
            self.commands.append(command)
        return self.answer(command)

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        """The same, told line by line; see Conversing.converse."""
        result = self.run(command)
        for line in result.stdout.split("\n")[:-1]:
            heard(line, time.time())
        return dataclasses.replace(result, stdout="")
