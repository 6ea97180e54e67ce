"""A libvirt of dictionaries.

What stacklab.tools.libvirt.Libvirt does, as far as the provider asks.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.errors import NotOurs
from stacklab.model.host_network import Lease
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.progress import Progress
from stacklab.providers.contract import HostServices
from stacklab.providers.libvirt.provider import LibvirtProvider
from stacklab.tools.host.accelerator import Accelerator
from stacklab.tools.libvirt.nics import NewNic
from tests.conftest import FakeRunner

TCG = Accelerator(name="TCG", reason="a test")


@dataclass
class FakeLibvirt:
    """`stubborn` domains do not hear the power button; `calls` is what was asked for, in order."""

    states: dict[str, NodeState] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    networks: dict[str, str] = field(default_factory=dict)
    hosts: dict[str, dict[str, str]] = field(default_factory=dict)  # of each network: its leases
    pools: dict[str, Path] = field(default_factory=dict)
    nics: dict[str, tuple[tuple[str, str, str], ...]] = field(default_factory=dict)
    given: dict[str, tuple[Lease, ...]] = field(default_factory=dict)
    stubborn: set[str] = field(default_factory=set)
    slow: int = 0  # how often a domain is looked at before it is off
    calls: list[tuple[str, ...]] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    unlinked: set[str] = field(default_factory=set)  # MACs of NICs whose cable is pulled
    capabilities_xml: str = "<capabilities/>"
    is_dead: bool = False
    machine: str = "pc-i440fx-7.2"  # every domain's type
    added: dict[str, list[NewNic]] = field(default_factory=dict)  # NICs, by the domain's UUID
    _looks: dict[str, int] = field(default_factory=dict)

    def close(self) -> None:
        self.calls.append(("close",))

    def capabilities(self) -> str:
        return self.capabilities_xml

    def add(self, uuid: str, name: str, state: NodeState) -> None:
        self.states[uuid], self.names[uuid] = state, name
        self._looks.pop(uuid, None)  # of a domain of the same UUID that was shut down before

    def state(self, uuid: str) -> NodeState:
        if uuid in self._looks:
            self._looks[uuid] -= 1
            if self._looks[uuid] < 0:
                self.states[uuid] = NodeState.OFF
        return self.states.get(uuid, NodeState.ABSENT)

    def why_in_state(self, uuid: str) -> str:
        return self.reasons.get(uuid, "")

    def domain_xml(self, uuid: str) -> str:
        nics = "".join(
            f"<interface><mac address='{mac}'/><source network='{network}'/><target dev='{tap}'/>"
            f"<link state='{'down' if mac in self.unlinked else 'up'}'/></interface>"
            for mac, network, tap in self.nics.get(uuid, ())
        )
        if uuid not in self.states:
            return ""
        machine = f"<os><type machine='{self.machine}'>hvm</type></os>"
        return f"<domain>{machine}<devices>{nics}</devices></domain>"

    def refuse_foreign_domain(self, name: str, uuid: str) -> None:
        self.calls.append(("refuse_foreign_domain", name))
        if any(known == name and other != uuid for other, known in self.names.items()):
            raise NotOurs(f"a domain called {name} exists and is not this lab's")

    def reset(self, uuid: str) -> None:
        self.calls.append(("reset", uuid))

    def resume(self, uuid: str) -> None:
        self.calls.append(("resume", uuid))
        self.states[uuid] = NodeState.RUNNING

    def shut_down(self, uuid: str) -> None:
        self.calls.append(("shut_down", uuid))
        if self.states.get(uuid) is NodeState.RUNNING and uuid not in self.stubborn:
            self._looks[uuid] = self.slow

    def power_off(self, uuid: str) -> None:
        self.calls.append(("power_off", uuid))
        self.states[uuid] = NodeState.OFF

    def remove_domain(self, uuid: str, name: str) -> None:
        self.calls.append(("remove_domain", uuid, name))
        if uuid in self.names and self.names[uuid] != name:
            raise NotOurs(f"domain {uuid} is called {self.names[uuid]}")
        self.states.pop(uuid, None)
        self.names.pop(uuid, None)
        self.added.pop(uuid, None)

    def add_nic(self, uuid: str, nic: NewNic) -> None:
        self.calls.append(("add_nic", uuid, nic.mac))
        if self.states.get(uuid, NodeState.OFF) is NodeState.RUNNING:
            source = nic.source
            is_known = source.attributes.get("network") in self.networks
            assert is_known or source.kind != "network", "libvirt knows no such network"
        added = self.added.setdefault(uuid, [])
        if uuid in self.states and nic not in added:
            added.append(nic)

    def interfaces(self, uuid: str) -> tuple[tuple[str, str, str], ...]:
        return self.nics.get(uuid, ())

    def ensure_network(self, name: str, uuid: str, xml: str) -> None:
        assert name in xml
        self.calls.append(("ensure_network", name))
        # What is there with another UUID is somebody else's.
        assert self.networks.get(name, uuid) == uuid
        self.networks[name] = uuid
        hosts = ET.fromstring(xml).iterfind("ip/dhcp/host")
        self.hosts[name] = {host.get("name", ""): host.get("ip", "") for host in hosts}

    def remove_network(self, name: str, uuid: str) -> None:
        self.calls.append(("remove_network", name, uuid))
        if self.networks.get(name) == uuid:
            del self.networks[name]
            self.hosts.pop(name, None)

    def leases(self, network: str) -> tuple[Lease, ...]:
        return self.given.get(network, ())

    def ensure_pool(self, name: str, directory: Path) -> None:
        self.calls.append(("ensure_pool", name))
        self.pools[name] = directory

    def remove_pool(self, name: str, directory: Path | None = None) -> None:
        self.calls.append(("remove_pool", name, str(directory)))
        self.pools.pop(name, None)


def make_provider(
    host: HostPaths,
    libvirt: FakeLibvirt | None,
    progress: Progress,
    *,
    accelerator: Accelerator = TCG,
    runner: FakeRunner | None = None,
) -> LibvirtProvider:
    """A provider that is connected to this libvirt; without one, nothing answers."""
    site = HostServices(
        host=host,
        runner=runner or FakeRunner(),
        progress=progress,
        accelerator=lambda: accelerator,
    )
    provider = LibvirtProvider(
        site,
        ask=lambda: None if libvirt else "no socket",
        connect_memory=lambda: libvirt,  # type: ignore[arg-type,return-value]
    )
    provider._link.connection = libvirt  # type: ignore[assignment]
    return provider


@dataclass
class FakeListener:
    """Progress as it was told: (row, stage or text)."""

    heard: list[tuple[str, str]] = field(default_factory=list)

    def started(self, row: str, stage: str) -> None:
        self.heard.append((row, stage))

    def said(self, row: str, text: str) -> None:
        self.heard.append((row, text))

    def noted(self, row: str, text: str) -> None:
        self.heard.append((row, text))

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        self.heard.append((row, f"{stage} {'ended' if error is None else 'failed'}"))
