"""A lab that is up, on a libvirt and ebtables whose every call can be made to fail."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from stacklab import record
from stacklab.checks.expect import Fault
from stacklab.errors import (
    CommandFailed,
    ProviderError,
)
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.providers.libvirt import faults as libvirt_faults
from stacklab.record import LabRecord
from stacklab.workflow.faults import faults, settling
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt
from tests.unit.workflow.fake_host import FakeHost

LAB = make_lab()
NIC = """<interface type='network'><mac address='{mac}'/>\
<source network='{network}' portid='1' bridge='sl'/>
<target dev='{tap}'/></interface>"""


@dataclass
class FaultyLibvirt(FakeLibvirt):
    """Domains with NICs whose cables and slots can be looked at; `holds_on` lets go of no NIC."""

    down: set[str] = field(default_factory=set)  # MACs without a cable
    holds_on: bool = False
    fails: str = ""  # the call that libvirt refuses
    _taps: int = 0

    def wire(self, kept: LabRecord, lab: Lab) -> None:
        for node in lab.nodes:
            self.nics[self.uuid(kept, node.name)] = ()
            for nic in node.nics:
                self._add(self.uuid(kept, node.name), nic.mac, f"{lab.name}_{nic.network}")

    @staticmethod
    def uuid(kept: LabRecord, node: str) -> str:
        found = kept.node(node)
        assert found is not None
        return found.handle["uuid"]

    def _add(self, uuid: str, mac: str, network: str) -> None:
        self._taps += 1
        self.nics[uuid] = (*self.nics[uuid], (mac, network, f"vnet{self._taps}"))

    def _call(self, *words: str) -> None:
        self.calls.append(words)
        if words[0] == self.fails:
            raise ProviderError(f"{words[0]}: libvirt says: no")

    def domain_xml(self, uuid: str) -> str:
        nics = "".join(
            NIC.format(mac=mac, network=network, tap=tap) for mac, network, tap in self.nics[uuid]
        )
        return f"<domain><devices>{nics}</devices></domain>"

    def pause(self, uuid: str) -> None:
        self._call("pause", uuid)
        self.states[uuid] = NodeState.PAUSED

    def start(self, uuid: str) -> None:
        self._call("start", uuid)
        self.states[uuid] = NodeState.RUNNING

    def update_nic(self, uuid: str, xml: str) -> None:
        self._call("update_nic", uuid)
        mac = next(mac for mac, _, _ in self.nics[uuid] if mac in xml)
        (self.down.add if 'state="down"' in xml else self.down.discard)(mac)

    def unplug(self, uuid: str, xml: str) -> None:
        self._call("unplug", uuid)
        if not self.holds_on:
            self.nics[uuid] = tuple(nic for nic in self.nics[uuid] if nic[0] not in xml)

    def plug(self, uuid: str, xml: str) -> None:
        self._call("plug", uuid)
        assert "portid" not in xml
        mac = xml.partition('mac address="')[2].partition('"')[0]
        self._add(uuid, mac, xml.partition('source network="')[2].partition('"')[0])


@dataclass
class Tables:
    """ebtables, as far as chains go: `rules` by chain."""

    rules: dict[str, list[str]] = field(default_factory=lambda: {"FORWARD": []})
    stuck: bool = False
    refuses: bool = False  # sudo asks for a password

    def run(self, command: Command) -> Result:
        words = command.argv[command.argv.index("ebtables") + 1 :]
        if self.refuses:
            if 1 in command.ok_codes:
                return Result(exit_code=1, stderr="sudo: a password is required\n")
            raise CommandFailed(f"{command.what}: sudo ended with 1")
        if words == ("-L",):
            return Result(
                exit_code=0,
                stdout="".join(f"Bridge chain: {name}, entries: 0\n" for name in self.rules),
            )
        flag, chain, rest = words[0], words[1], " ".join(words[2:])
        is_known = chain in self.rules
        if flag == "-N" and not is_known:
            self.rules[chain] = []
        elif flag == "-A" and is_known:
            self.rules[chain].append(rest)
        elif self.stuck:
            return Result(exit_code=4)
        elif flag == "-D" and rest in self.rules.get(chain, ()):
            self.rules[chain].remove(rest)
        elif flag == "-F" and is_known:
            self.rules[chain].clear()
        elif (
            flag == "-X"
            and is_known
            and not any(f"-j {chain}" in each for r in self.rules.values() for each in r)
        ):
            del self.rules[chain]
        else:
            return Result(exit_code=1)
        return Result(exit_code=0)

    @property
    def is_clean(self) -> bool:
        return self.rules == {"FORWARD": []}


@dataclass
class Up:
    """A lab that is up, with all that can be made to fail."""

    host: FakeHost
    libvirt: FaultyLibvirt
    tables: Tables
    clocks: list[list[str]] = field(default_factory=list)  # whose were set

    @property
    def kept(self) -> LabRecord:
        found = record.read(self.host.lab())
        assert found is not None
        return found

    def uuid(self, node: str) -> str:
        return self.libvirt.uuid(self.kept, node)

    def apply(self, *words: str) -> Fault:
        return faults.apply(self.host.context, LAB, self.host.lab(), faults.parse(LAB, words))

    def undo(self, *words: str) -> tuple[str, ...]:
        return tuple(map(str, faults.undo(self.host.context, LAB, self.host.lab(), words)))

    @property
    def listed(self) -> list[str]:
        return [str(fault) for fault in faults.listed(self.host.lab())]

    @property
    def is_healthy(self) -> bool:
        is_wired = (
            all(len(nics) == 2 for nics in self.libvirt.nics.values()) and not self.libvirt.down
        )
        is_running = set(self.libvirt.states.values()) == {NodeState.RUNNING}
        return (
            is_wired
            and is_running
            and self.tables.is_clean
            and not (self.host.lab().root / "faults.json").exists()
        )


@pytest.fixture
def up(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Up:
    libvirt, tables = FaultyLibvirt(), Tables()
    host.connect(libvirt)
    host.up()
    made = Up(host, libvirt, tables)
    libvirt.wire(made.kept, LAB)
    libvirt.calls.clear()
    for prefix in (("ebtables",), ("sudo", "-n", "ebtables")):
        host.runner.on(*prefix, answer=tables.run)
    for prefix in (("chmod",), ("sudo", "-n", "chmod")):
        host.runner.on(*prefix)
    host.runner.commands.clear()
    monkeypatch.setattr(
        settling, "set_clocks", lambda _r, _p, nodes: made.clocks.append([n.name for n in nodes])
    )
    monkeypatch.setattr(libvirt_faults, "_LET_GO_S", 0.05)
    monkeypatch.setattr(libvirt_faults, "_POLL_S", 0.01)
    monkeypatch.setattr(settling, "_POLL_S", 0.01)
    return made


EVERY = (
    "link-down compute1 eth1",
    "link-down compute1 eth0",
    "unplug compute1 eth1",
    "unplug compute1 eth0",
    "pause compute1",
    "power-off compute1",
    "partition net1 controller,compute1",
    "partition net1 controller compute1 compute2",
)
