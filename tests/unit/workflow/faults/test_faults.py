from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stacklab import record
from stacklab.checks.expect import Fault, FaultKind
from stacklab.errors import (
    AlreadyRunning,
    CommandFailed,
    LabError,
    NodeNotReady,
    ProviderError,
    ToolNotFound,
)
from stacklab.model.lab import Impairment, Lab, NetworkMode
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.providers.libvirt import faults as libvirt_faults
from stacklab.record import LabRecord
from stacklab.workflow.faults import fault_list, faults, settling
from tests.unit.checks.fake_lab import make_lab
from tests.unit.nodes import fake_session
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt
from tests.unit.workflow.fake_host import FakeHost

LAB = make_lab()
NIC = """<interface type='network'><mac address='{mac}'/><source network='{network}' portid='1' bridge='sl'/>
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


# --- words


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("link-down compute1 net1", "link-down compute1 eth1"),
        ("partition net1 controller,compute1", "partition net1 controller,compute1 compute2"),
        ("partition net1 compute2", "partition net1 compute2 controller,compute1"),
        ("pause controller", "pause controller"),
    ],
)
def test_a_fault_is_read_with_all_that_follows_from_it(words: str, shown: str) -> None:
    assert str(faults.parse(LAB, words.split())) == shown


@pytest.mark.parametrize("words", EVERY)
def test_what_is_listed_can_be_typed_again(words: str) -> None:
    fault = faults.parse(LAB, words.split())
    assert faults.parse(LAB, str(fault).split()) == fault


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("", "'' is not a fault .there are: link-down, unplug, pause, power-off, partition"),
        ("fire compute1", "'fire' is not a fault"),
        ("pause", "pause takes NODE, not nothing"),
        ("pause compute1 eth1", "pause takes NODE, not compute1 eth1"),
        ("link-down compute1", "link-down takes NODE NIC, not compute1"),
        (
            "pause nobody",
            "'nobody' is not a node of lab trio .it has: controller, compute1, compute2",
        ),
        (
            "unplug compute1 eth7",
            "'eth7' is not a NIC of compute1 .it has: eth0 on net0, eth1 on net1",
        ),
        ("partition net1", "partition takes NETWORK NODE,NODE, not net1"),
        ("partition nowhere compute1", "'nowhere' is not a network of lab trio"),
        ("partition net1 nobody", "'nobody' is not a node on net1"),
        ("partition net1 compute1 compute1", "compute1 is named twice"),
        ("partition net1 controller,compute1,compute2", "nothing is parted"),
        ("partition net1 ,", "nothing is parted"),
    ],
)
def test_what_can_t_be_meant_is_told_with_how_it_is_written(words: str, wrong: str) -> None:
    with pytest.raises(LabError, match=wrong) as caught:
        faults.parse(LAB, words.split())
    assert "./invoke lab.fault trio link-down NODE NIC" in str(caught.value.hint)


def test_the_host_s_own_bridge_is_never_parted() -> None:
    with pytest.raises(LabError, match="a bridge of the host's"):
        faults.parse(make_lab(mode=NetworkMode.BRIDGED), ["partition", "net1", "compute1"])


# --- made and undone


@pytest.mark.parametrize("words", EVERY)
def test_every_fault_is_made_listed_and_undone_whole(up: Up, words: str) -> None:
    assert up.is_healthy
    up.apply(*words.split())
    assert up.listed == [str(faults.parse(LAB, words.split()))]
    assert not up.is_healthy
    assert up.undo(*words.split()) == (str(faults.parse(LAB, words.split())),)
    assert up.is_healthy


def test_all_at_once_are_undone_whole(up: Up) -> None:
    for words in (
        "partition net1 compute2",
        "unplug compute1 eth1",
        "unplug compute2 eth1",
        "link-down compute2 eth0",
        "pause compute1",
        "power-off controller",
    ):
        up.apply(*words.split())
    assert len(up.listed) == 6
    assert len(up.undo()) == 6
    assert up.is_healthy


def test_nics_are_plugged_in_in_the_order_of_their_names_which_the_node_gives_anew(up: Up) -> None:
    for device in ("eth0", "eth1"):
        up.apply("unplug", "compute1", device)
    up.undo()
    assert [mac for mac, _, _ in up.libvirt.nics[up.uuid("compute1")]] == [
        nic.mac for nic in LAB.nodes[1].nics
    ]


def test_it_is_on_the_list_before_it_is_done(up: Up) -> None:
    seen: list[list[str]] = []
    real = up.libvirt.pause

    def look(uuid: str) -> None:
        seen.append(up.listed)
        real(uuid)

    up.libvirt.pause = look  # type: ignore[method-assign]
    up.apply("pause", "compute1")
    assert seen == [["pause compute1"]]


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("pause compute1", "pause"),
        ("unplug compute1 eth1", "unplug"),
        ("link-down compute1 eth1", "update_nic"),
    ],
)
def test_what_could_not_be_done_is_not_on_the_list(up: Up, words: str, call: str) -> None:
    up.libvirt.fails = call
    with pytest.raises(ProviderError, match="libvirt says: no"):
        up.apply(*words.split())
    up.libvirt.fails = ""
    if call != "update_nic":  # there undoing needs the call that failed: it stays on the list
        assert up.is_healthy
    up.undo()
    assert up.is_healthy


def test_a_node_that_does_not_let_go_of_its_nic_is_named(up: Up) -> None:
    up.libvirt.holds_on = True
    with pytest.raises(ProviderError, match="compute1 does not let go of eth1 within"):
        up.apply("unplug", "compute1", "eth1")
    assert up.is_healthy


def test_undoing_what_was_undone_by_hand_is_no_error(up: Up) -> None:
    for words in ("pause compute1", "unplug compute2 eth1", "partition net1 compute2"):
        up.apply(*words.split())
    up.libvirt.states[up.uuid("compute1")] = NodeState.RUNNING
    up.libvirt.wire(up.kept, LAB)
    up.tables.rules = {"FORWARD": []}
    up.libvirt.calls.clear()
    up.undo()
    assert up.is_healthy
    assert up.libvirt.calls == []


def test_undoing_with_a_domain_that_is_gone_is_no_error(up: Up) -> None:
    for words in ("unplug compute2 eth1", "link-down compute1 eth1"):
        up.apply(*words.split())
    up.libvirt.states.clear()
    assert len(up.undo()) == 2


def test_the_same_again_is_refused(up: Up) -> None:
    up.apply("pause", "compute1")
    with pytest.raises(LabError, match="has pause compute1 already") as caught:
        up.apply("pause", "compute1")
    assert caught.value.hint == "./invoke lab.fault trio --undo pause compute1"


@pytest.mark.parametrize("words", ["link-down compute1 eth1", "unplug compute1 eth1"])
def test_a_node_that_stands_still_takes_no_further_fault(up: Up, words: str) -> None:
    up.apply("pause", "compute1")
    with pytest.raises(LabError, match="compute1 is paused"):
        up.apply(*words.split())
    assert up.listed == ["pause compute1"]


def test_a_network_is_parted_one_way_at_a_time(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    with pytest.raises(LabError, match="net1 is partitioned already"):
        up.apply("partition", "net1", "compute2")


def test_a_fault_that_is_not_there_can_t_be_undone(up: Up) -> None:
    up.apply("pause", "compute1")
    with pytest.raises(
        LabError, match=r"pause compute2 is not a fault of lab trio \(it has: pause compute1"
    ):
        up.undo("pause", "compute2")
    assert up.undo() == ("pause compute1",)
    assert up.undo() == ()


def test_faults_are_undone_by_the_first_of_their_words(up: Up) -> None:
    for words in (
        "pause compute1",
        "pause compute2",
        "partition net1 controller",
        "partition net0 controller",
    ):
        up.apply(*words.split())
    assert up.undo("partition", "net1") == ("partition net1 controller compute1,compute2",)
    assert set(up.undo("pause")) == {"pause compute1", "pause compute2"}
    assert up.listed == ["partition net0 controller compute1,compute2"]
    with pytest.raises(LabError, match=r"^part.* is not a fault of lab trio"):
        up.undo("part")


def test_a_node_that_was_powered_on_has_its_nics_again_and_its_partition_still(up: Up) -> None:
    up.apply("link-down", "compute1", "eth1")
    up.apply("partition", "net1", "compute1")
    up.apply("power-off", "compute1")
    tap = next(
        tap
        for mac, _, tap in up.libvirt.nics[up.uuid("compute1")]
        if mac == LAB.nodes[1].nics[1].mac
    )
    assert not any(
        tap in rule for rule in up.tables.rules["sl-trio1"]
    )  # it may be another lab's by now
    up.libvirt.wire(up.kept, LAB)  # its start gives it new taps
    up.libvirt.down.clear()
    assert up.undo("power-off", "compute1") == ("power-off compute1", "link-down compute1 eth1")
    assert up.listed == ["partition net1 compute1 controller,compute2"]
    rules = [rule for rules in up.tables.rules.values() for rule in rules]
    assert not any(f"{tap} " in rule for rule in rules)
    assert len([rule for rule in rules if "vnet" in rule]) == 6


def test_the_rules_of_a_partition_name_the_lab_s_own_taps_alone(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    own = {
        tap
        for nics in up.libvirt.nics.values()
        for _, network, tap in nics
        if network == "trio_net1"
    }
    named = {
        word
        for rules in up.tables.rules.values()
        for rule in rules
        for word in rule.split()
        if "vnet" in word
    }
    assert named == own


def test_rules_that_stay_are_told(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    up.tables.stuck = True
    with pytest.raises(ProviderError, match="the rules that part net1 are still there"):
        up.undo()
    assert up.listed == ["partition net1 compute1 controller,compute2"]


def test_rules_that_nobody_may_look_at_are_not_taken_for_gone(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    up.tables.refuses = True
    with pytest.raises(LabError):
        up.undo()
    with pytest.raises(LabError):
        faults.forget(up.host.context, up.host.lab(), up.kept)
    assert up.listed == ["partition net1 compute1 controller,compute2"]
    up.tables.refuses = False
    up.undo()
    assert up.is_healthy


@pytest.mark.parametrize(
    "error", [ToolNotFound("ebtables"), CommandFailed("sudo: ebtables: command not found")]
)
def test_a_partition_that_cannot_be_made_is_never_on_the_list(up: Up, error: LabError) -> None:
    for prefix in (("ebtables",), ("sudo", "-n", "ebtables")):
        up.host.runner.on(*prefix, answer=error)
    with pytest.raises(LabError) as caught:
        up.apply("partition", "net1", "compute1")
    assert up.listed == [], "else lab.destroy would want ebtables too"
    assert "iptables" in str(caught.value.hint), "the package that has it"
    faults.forget(up.host.context, up.host.lab(), up.kept)


def test_a_network_that_is_not_on_record_keeps_no_lab_alive(up: Up) -> None:
    up.apply("partition", "net1", "compute1")
    faults.forget(up.host.context, up.host.lab(), dataclasses.replace(up.kept, networks=()))
    assert up.listed == []


@pytest.mark.parametrize(
    ("words", "closes"),
    [
        ("pause compute1", True),
        ("link-down compute1 eth0", True),
        ("link-down compute1 eth1", False),
    ],
)
def test_a_shared_connection_to_a_node_that_is_cut_off_is_closed(
    up: Up, words: str, closes: bool
) -> None:
    (up.host.lab().sockets / "compute1").touch()
    up.apply(*words.split())
    assert any("exit" in command.argv for command in up.host.ran("ssh")) is closes


@pytest.mark.parametrize("words", ["pause compute1", "power-off compute1", "unplug compute1 eth1"])
def test_a_node_that_stood_still_or_booted_has_its_clock_set(up: Up, words: str) -> None:
    up.apply(*words.split())
    up.undo()
    assert up.clocks == [[] if words.startswith("unplug") else ["compute1"]]


def test_a_nic_that_is_back_is_taken_up(up: Up) -> None:
    up.apply("unplug", "compute1", "eth1")
    up.undo()
    (command,) = [command for command in up.host.ran("ssh") if command.stdin]
    assert b"ifup eth1" in (command.stdin or b"")
    assert "compute1" in command.argv


def test_a_nic_that_is_back_and_not_taken_up_is_told_with_the_node_s_words(up: Up) -> None:
    up.apply("unplug", "compute1", "eth1")
    said = "ifup: unknown interface\x1b[2J eth1\n::error::forged"
    up.host.runner.on("ssh", answer=fake_session.answering({"faults.take-up": (said, 1)}))
    with pytest.raises(CommandFailed) as caught:
        up.undo()
    assert caught.value.message == (
        "compute1 has eth1 again, but can't configure it: "
        "ifup: unknown interface eth1\n    ::error::forged"
    )


def test_another_checkout_s_lab_is_left_alone(up: Up, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").touch()
    record.write(up.host.lab(), dataclasses.replace(up.kept, checkout=tmp_path))
    with pytest.raises(AlreadyRunning):
        up.apply("pause", "compute1")
    with pytest.raises(AlreadyRunning):
        up.undo()
    assert up.libvirt.calls == []


def test_a_lab_that_is_not_up_has_nothing_to_fail(host: FakeHost) -> None:
    with pytest.raises(LabError, match="lab trio is not up"):
        faults.apply(host.context, LAB, host.lab(), Fault(kind=FaultKind.PAUSE, node="compute1"))


@pytest.mark.parametrize(
    "text", ["{", "[1]", '[{"kind": "fire", "groups": []}]', '{"a": 1}', "[{}]"]
)
def test_a_list_that_can_t_be_read_is_told(up: Up, text: str) -> None:
    (up.host.lab().root / "faults.json").write_text(text)
    with pytest.raises(LabError, match="the faults of lab trio can't be read"):
        up.undo()


def test_a_nic_s_impairments_come_back_with_it(up: Up) -> None:
    slow = Impairment(delay_ms=20)
    nodes = tuple(
        dataclasses.replace(n, nics=(n.nics[0], dataclasses.replace(n.nics[1], impairment=slow)))
        for n in LAB.nodes
    )
    lab = dataclasses.replace(LAB, nodes=nodes)
    said = "qdisc netem 51ab: dev eth1 root refcnt 2 limit 9 delay 20ms"
    up.host.runner.on("ssh", answer=fake_session.answering({"impair.show": said}))
    faults.apply(
        up.host.context, lab, up.host.lab(), faults.parse(lab, ["unplug", "compute1", "eth1"])
    )
    faults.undo(up.host.context, lab, up.host.lab())
    given = [command for command in up.host.ran("ssh") if b"netem" in (command.stdin or b"")]
    assert [command.argv[command.argv.index("--") + 1] for command in given] == ["compute1"]


# --- kill -9


class Killed(BaseException):
    """What no handler can make good: from then on nothing reaches the host."""


class Mortal:
    """Dies at the step of that number, and at each after it: libvirt's calls, ebtables' and writes of the list."""

    STEPS = ("pause", "resume", "start", "power_off", "update_nic", "unplug", "plug")

    def __init__(self, up: Up, patch: pytest.MonkeyPatch, steps: int) -> None:
        self.left = steps
        for name in self.STEPS:
            patch.setattr(up.libvirt, name, self.step(getattr(up.libvirt, name)))
        patch.setattr(fault_list, "write", self.step(fault_list.write))
        for prefix in (("ebtables",), ("sudo", "-n", "ebtables")):
            patch.setitem(up.host.runner.script, prefix, self.step(up.tables.run))

    def step(self, real: Callable[..., object]) -> Callable[..., object]:
        def tried(*args: object) -> object:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return real(*args)

        return tried


def killed_at(up: Up, steps: int, do: Callable[[], object]) -> bool:
    """Whether it was killed before it was through."""
    with pytest.MonkeyPatch.context() as patch:
        Mortal(up, patch, steps)
        try:
            do()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("ends", ["undo", "clear", "forget"])
@pytest.mark.parametrize("words", EVERY)
def test_killed_between_any_two_steps_it_leaves_what_the_next_command_ends(
    up: Up, words: str, ends: str
) -> None:
    end: dict[str, Callable[[], object]] = {
        "undo": up.undo,
        "clear": lambda: faults.clear(up.host.context, LAB, up.host.lab(), up.kept),
        "forget": lambda: faults.forget(up.host.context, up.host.lab(), up.kept),
    }

    def make_and_end() -> None:
        up.apply(*words.split())
        end[ends]()

    steps = 0
    while killed_at(up, steps, make_and_end):
        end[ends]()
        assert up.tables.is_clean, steps
        assert up.listed == [], steps
        assert ends != "undo" or up.is_healthy, steps
        for uuid in up.libvirt.states:  # what lab.up or lab.destroy does next
            up.libvirt.states[uuid] = NodeState.RUNNING
        up.libvirt.wire(up.kept, LAB)
        up.libvirt.down.clear()
        steps += 1
    assert steps >= 3


# --- for lab.up and lab.destroy


def test_clear_undoes_all_but_what_up_starts_itself(up: Up) -> None:
    for words in (
        "partition net1 compute2",
        "unplug compute1 eth1",
        "pause compute1",
        "power-off controller",
    ):
        up.apply(*words.split())
    up.host.runner.commands.clear()
    faults.clear(up.host.context, LAB, up.host.lab(), up.kept)
    assert up.listed == []
    assert up.tables.is_clean
    assert up.libvirt.states[up.uuid("controller")] is NodeState.OFF
    assert up.libvirt.states[up.uuid("compute1")] is NodeState.RUNNING
    assert len(up.libvirt.nics[up.uuid("compute1")]) == 2
    assert up.host.ran("ssh") == []  # nobody is waited for here


def test_settle_puts_right_what_clear_could_not(up: Up) -> None:
    for words in ("unplug compute1 eth1", "pause compute2", "power-off controller"):
        up.apply(*words.split())
    undone = faults.clear(up.host.context, LAB, up.host.lab(), up.kept)
    assert sorted(map(str, undone)) == ["pause compute2", "unplug compute1 eth1"]
    up.host.runner.commands.clear()
    faults.settle(up.host.context, LAB, up.host.lab(), up.kept, undone)
    asked = [command for command in up.host.ran("ssh") if command.stdin]
    taken_up = [c for c in asked if "faults.take-up" in fake_session.parts_of(c)]
    assert up.clocks == [["compute2"]]
    assert [c.argv[c.argv.index("--") + 1] for c in taken_up] == ["compute1"]


def test_a_node_that_does_not_answer_after_all_is_named_and_not_reset(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    up.apply("pause", "compute1")
    monkeypatch.setattr(settling, "_ON_NODE_S", 0.0)
    monkeypatch.setattr(settling.wait, "banner", lambda _address, _port=22: (False, "refused"))
    with pytest.raises(
        NodeNotReady, match=r"compute1 does not answer on 10\.10\.0\.12 0 s after its"
    ):
        up.undo()
    assert up.is_healthy
    assert "reset" not in {call[0] for call in up.libvirt.calls}


def test_clear_of_nothing_asks_nobody(up: Up) -> None:
    faults.clear(up.host.context, LAB, up.host.lab(), up.kept)
    assert up.host.runner.commands == []
    assert up.libvirt.calls == []


def test_forget_leaves_nothing_on_the_host_and_touches_no_node(up: Up) -> None:
    up.apply("partition", "net1", "compute2")
    up.apply("pause", "compute1")
    up.libvirt.calls.clear()
    faults.forget(up.host.context, up.host.lab(), up.kept)
    assert up.tables.is_clean
    assert up.listed == []
    assert up.libvirt.calls == []


def test_forget_of_a_list_that_can_t_be_read_looks_at_every_network(up: Up) -> None:
    up.apply("partition", "net1", "compute2")
    (up.host.lab().root / "faults.json").write_text("{")
    faults.forget(up.host.context, up.host.lab(), up.kept)
    assert up.tables.is_clean


def test_the_list_says_since_when(up: Up) -> None:
    made = up.apply("pause", "compute1")
    kept = json.loads((up.host.lab().root / "faults.json").read_text())
    assert made.at > 1e9
    assert [each["at"] for each in kept] == [made.at]
