"""Which cause is told of which failure: nodes and host are scripted, results are as the mesh makes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.checks.expect import Fault, FaultKind, Outage
from stacklab.checks.explain import explain, scene
from stacklab.checks.explain.causes import causes
from stacklab.checks.explain.firewall import FirewallRule
from stacklab.checks.explain.scene import UNSEEN, Scene, SeenDevice
from stacklab.checks.pairs import family as pairs
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths, LabPaths
from stacklab.process import Conversing
from stacklab.providers.evidence import NICView, View
from stacklab.tools.host_net import Link, Neighbour, Plug, Snapshot
from stacklab.tools.knock import Door, Knock
from tests.unit.checks.fake_lab import make_lab


def well(lab: Lab, node: Node) -> Scene:
    """What a healthy node says."""
    devices = {
        nic.device: SeenDevice(
            flags=("UP", "LOWER_UP"), mtu=nic.mtu, addresses=(str(nic.address),), mac=nic.mac
        )
        for nic in node.nics
    }
    others = [
        (peer, theirs, nic)
        for nic in node.nics
        for peer, theirs in lab.members(nic.network)
        if peer != node
    ]
    return Scene(
        is_seen=True,
        devices=devices,
        routes={
            str(t.address.ip): f"{t.address.ip} dev {nic.device} src {nic.address.ip}"
            for _, t, nic in others
        },
        neighbours={str(theirs.address.ip): (theirs.mac, "REACHABLE") for _, theirs, _ in others},
        listens=True,
    )


def view_of(lab: Lab, node: Node) -> View:
    """How the host sees a healthy node."""
    nics = tuple(
        NICView(
            nic=nic,
            network=f"{lab.name}_{nic.network}",
            bridge=lab.network(nic.network).bridge,
            plug=Plug(mac=nic.mac, network="", bridge="", tap=f"vnet-{nic.device}", is_linked=True),
            tap=Link(
                name=f"vnet-{nic.device}",
                master=lab.network(nic.network).bridge,
                received=5,
                sent=6,
            ),
        )
        for nic in node.nics
    )
    access = node.access
    return View(
        node=node,
        title=f"domain {lab.name}_{node.name}",
        state=NodeState.RUNNING,
        nics=nics,
        is_looked_at=True,
        neighbour=Neighbour(
            address=str(access.address.ip), device="b", mac=access.mac, state="REACHABLE"
        ),
    )


class Site:
    """A lab of three; a test changes what a node says (`scenes`) or how the host sees it (`views`)."""

    def __init__(self, lab: Lab, root: Path) -> None:
        self.lab = lab
        self.paths = HostPaths(root).lab(lab.name)
        self.scenes = {node.name: well(lab, node) for node in lab.nodes}
        self.views = {node.name: view_of(lab, node) for node in lab.nodes}
        self.asked: list[str] = []
        self.knocked: list[str] = []
        self.faults: list[Fault] = []
        self.results = {check: _passed(check) for check in self._checks()}

    def _checks(self) -> list[Check]:
        found = []
        for node in self.lab.nodes:
            nic = node.access
            address = str(nic.address.ip)
            found += [
                Check(kind=CheckKind.STATE, node=node.name),
                Check(
                    kind=CheckKind.LOGIN,
                    node=node.name,
                    target=node.name,
                    network=nic.network,
                    address=address,
                    device=nic.device,
                ),
                *(
                    Check(
                        kind=CheckKind.NIC,
                        node=node.name,
                        network=nic.network,
                        address=str(nic.address.ip),
                        device=nic.device,
                    )
                    for nic in node.nics
                ),
            ]
        return [*found, *pairs.expected(self.lab)]

    def ask(self, paths: LabPaths, runner: Conversing, node: str, addresses: list[str]) -> Scene:
        self.asked.append(node)
        return self.scenes[node]

    def snapshot(self) -> Snapshot:
        return Snapshot()

    def view(
        self, node: Node, snapshot: Snapshot | None = None, *, is_knocking: bool = True
    ) -> View:
        if is_knocking:
            self.knocked.append(node.name)
        return self.views[node.name]

    def change(self, node: str, device: str, **changes: object) -> None:
        """Let a node say something else of one of its devices."""
        found = self.scenes[node]
        devices = {**found.devices, device: dataclasses.replace(found.devices[device], **changes)}  # type: ignore[arg-type]
        self.scenes[node] = dataclasses.replace(found, devices=devices)

    def take(self, node: str, mac: str = "", **changes: object) -> None:
        """A bridge takes the second NIC's address and MAC, as a cloud does it."""
        found = self.scenes[node].devices["eth1"]
        self.change(node, "eth1", addresses=())
        bridge = dataclasses.replace(found, **{"mac": mac or found.mac, **changes})  # type: ignore[arg-type]
        devices = {**self.scenes[node].devices, "br-ex": bridge}
        routes = {
            to: way.replace("dev eth1", "dev br-ex") for to, way in self.scenes[node].routes.items()
        }
        self.scenes[node] = dataclasses.replace(self.scenes[node], devices=devices, routes=routes)

    def see(self, node: str, network: str, change: Callable[[NICView], NICView]) -> None:
        """Let the host see something else of one NIC."""
        view = self.views[node]
        nics = tuple(change(each) if each.nic.network == network else each for each in view.nics)
        self.views[node] = dataclasses.replace(view, nics=nics)

    def fail(self, detail: str, *, status: CheckStatus = CheckStatus.FAILED, **which: str) -> None:
        """Let all checks of that description fail."""
        hit = [
            c
            for c in self.results
            if all(str(getattr(c, key)) == value for key, value in which.items())
        ]
        assert hit, which
        for check in hit:
            self.results[check] = CheckResult(
                check=check,
                status=status,
                reason=_REASONS[detail],
                detail=detail,
                command="type this",
            )

    def explained(self) -> dict[Check, CheckResult]:
        found, faults = tuple(self.results.values()), self.faults
        results = explain.explain(self.lab, self.paths, None, found, self, faults)  # type: ignore[arg-type]
        return {result.check: result for result in results}

    def detail(self, **which: str) -> str:
        """What is told of the one check of that description."""
        found = self.explained()
        return next(
            r.sentence
            for c, r in found.items()
            if all(str(getattr(c, k)) == v for k, v in which.items())
        )


def _passed(check: Check) -> CheckResult:
    return CheckResult(check=check, status=CheckStatus.PASSED, reason=Reason.OK, detail="fine")


# The reasons that families give with these sentences.
_REASONS = {
    "no reply to 3 pings": Reason.NO_REPLY,
    "no reply to pings of any size": Reason.NO_REPLY,
    "1500 bytes do not pass, 1400 do": Reason.TOO_LONG,
    "1501 bytes are sent and get lost, 1500 is the MTU that the lab declares": Reason.MTU_LARGER,
    "no packet could be sent": Reason.NOT_SENT,
    "would leave by eth0, not by eth1": Reason.WRONG_WAY,
    "timed out": Reason.TIMED_OUT,
    "refused": Reason.REFUSED,
    "HOST KEY MISMATCH": Reason.HOST_KEY,
    "permission denied": Reason.DENIED,
    "name not known": Reason.NAME_UNKNOWN,
    "not reached: refused": Reason.NOT_REACHED,
    "not reached: the node is paused": Reason.NODE_OFF,
    "the node is paused": Reason.NODE_OFF,
    "the session ended before this check: the node is off": Reason.NODE_OFF,
    "is paused": Reason.NOT_RUNNING,
    "eth1 is down": Reason.NIC_DOWN,
    "eth1 has no carrier": Reason.NO_CARRIER,
    "has MTU 9000, not 1500": Reason.WRONG_MTU,
    "eth1 is down; has MTU 9000, not 1500": Reason.SEVERAL,
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(make_lab(), tmp_path)
    monkeypatch.setattr(scene, "ask", made.ask)
    return made


PING = {"kind": "ping", "node": "controller", "target": "compute1", "network": "net1"}
SSH = {"kind": "ssh", "node": "controller", "target": "compute1"}
SILENT = "no reply to 3 pings"


def test_where_all_passed_nobody_is_asked(site: Site) -> None:
    assert list(site.explained().values()) == list(site.results.values())
    assert (site.asked, site.knocked) == ([], [])


def test_a_device_that_is_down_explains_all_that_needs_it_in_the_same_words(site: Site) -> None:
    site.change("compute1", "eth1", flags=("BROADCAST",), addresses=())
    for kind in ("ping", "mtu"):
        site.fail(SILENT, kind=kind, node="controller", target="compute1", network="net1")
        site.fail(SILENT, kind=kind, node="compute1", network="net1")
    site.fail("eth1 is down", kind="nic", node="compute1", device="eth1")
    found = site.explained()
    bad = [result for result in found.values() if not result.is_passed]
    assert {r.sentence for r in bad if r.check.kind is not CheckKind.NIC} == {
        f"{SILENT}: eth1 is down on compute1"
    }
    (cause,) = causes(found.values())
    assert (cause.cause.text, len(cause.results)) == ("eth1 is down on compute1", 7)
    assert "compute1: eth1 is down, no address" in cause.evidence
    assert "controller: ARP for 10.20.0.12: 52:54:00:00:01:01 (reachable)" in next(
        r.evidence for r in bad if r.check.node == "controller"
    )
    assert site.knocked == [], "who can be logged in on needs no knock"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"flags": ("UP",)}, "eth1 has no carrier on compute1"),
        (
            {"addresses": ("10.20.0.99/24",)},
            "eth1 of compute1 has 10.20.0.99/24, not 10.20.0.12/24",
        ),
        ({"addresses": ()}, "eth1 of compute1 has no address, not 10.20.0.12/24"),
        ({"loss_percent": 100.0}, "eth1 of compute1 loses 100 % of what it sends (netem)"),
    ],
)
def test_what_a_node_says_of_its_device(site: Site, changes: dict[str, object], cause: str) -> None:
    site.change("compute1", "eth1", **changes)
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: {cause}"


def test_a_bridge_that_took_a_nic_s_address_and_mac_is_no_cause(site: Site) -> None:
    """It was told as certain that the NIC has no address, or that its node sends wrongly."""
    site.take("compute1")
    site.take("controller")
    site.fail(SILENT, **PING)
    site.fail(
        "no packet could be sent", **{**PING, "kind": "nic", "node": "compute1", "target": ""}
    )
    found = [r for r in site.explained().values() if not r.is_passed]
    assert [(r.cause, r.detail) for r in found if r.cause] == []
    assert "compute1: eth1 is up, no address" in found[-1].evidence
    assert "compute1: br-ex is up, 10.20.0.12/24" in found[-1].evidence


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"flags": ("BROADCAST",)}, "br-ex is down on compute1"),
        ({"mac": "52:54:00:77:77:77"}, "eth1 of compute1 has no address, not 10.20.0.12/24"),
        ({"addresses": ("10.20.0.99/24",)}, "eth1 of compute1 has no address, not 10.20.0.12/24"),
    ],
)
def test_a_bridge_that_is_down_or_is_not_the_nic_s_is_one(
    site: Site, changes: dict[str, object], cause: str
) -> None:
    site.take("compute1", **changes)  # type: ignore[arg-type]
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: {cause}"


def test_a_rule_is_of_the_bridge_that_took_the_address_not_of_the_nic_below(site: Site) -> None:
    site.take("compute1")
    rules = {
        device: FirewallRule(hook="input", text=f"-A INPUT -i {device} -p icmp -j DROP")
        for device in ("eth1", "br-ex")
    }
    site.fail(SILENT, **PING)
    for device, says in (
        ("eth1", ""),
        ("br-ex", f": a firewall rule of compute1 refuses it: {rules['br-ex'].text}"),
    ):
        site.scenes["compute1"] = dataclasses.replace(
            site.scenes["compute1"], rules=(rules[device],)
        )
        assert site.detail(**PING) == f"{SILENT}{says}"


def test_a_device_that_is_not_there(site: Site) -> None:
    devices = {"eth0": site.scenes["compute1"].devices["eth0"]}
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], devices=devices)
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: compute1 lacks eth1"


def test_a_wrong_mtu_explains_sizes_but_not_silence(site: Site) -> None:
    site.change("compute1", "eth1", mtu=1400)
    which = {**PING, "kind": "mtu"}
    site.fail("1500 bytes do not pass, 1400 do", **which)
    assert (
        site.detail(**which)
        == "1500 bytes do not pass, 1400 do: eth1 of compute1 has an MTU of 1400, not 1500"
    )
    site.fail("no reply to pings of any size", **which)
    assert site.detail(**which) == "no reply to pings of any size"


def test_a_pulled_cable_is_told_rather_than_the_carrier_that_is_gone_for_it(site: Site) -> None:
    plug = Plug(mac="52:54:00:00:01:01", network="", bridge="", tap="vnet-eth1", is_linked=False)
    site.see("compute1", "net1", lambda at: dataclasses.replace(at, plug=plug))
    site.change("compute1", "eth1", flags=("UP",))
    site.fail(SILENT, **PING)
    cause = "eth1 of compute1 has its cable pulled: its link is down in the domain"
    assert site.detail(**PING) == f"{SILENT}: {cause}"


def test_a_tap_off_its_bridge_is_told(site: Site) -> None:
    site.see("compute1", "net1", lambda at: dataclasses.replace(at, tap=Link(name="vnet7")))
    site.fail(SILENT, **PING)
    assert (
        site.detail(**PING)
        == f"{SILENT}: tap vnet7 of compute1's eth1 is not on bridge sl-trio1, but on none"
    )


def test_a_route_by_another_device(site: Site) -> None:
    found = site.scenes["controller"]
    routes = {**found.routes, "10.20.0.12": "10.20.0.12 via 10.10.0.1 dev eth0 src 10.10.0.11"}
    site.scenes["controller"] = dataclasses.replace(found, routes=routes)
    site.fail(SILENT, **PING)
    cause = (
        "controller sends to 10.20.0.12 wrongly: 10.20.0.12 via 10.10.0.1 dev eth0 src 10.10.0.11"
    )
    assert site.detail(**PING) == f"{SILENT}: {cause}"


@pytest.mark.parametrize(
    ("neighbour", "cause"),
    [
        (
            ("52:54:00:ff:ff:ff", "REACHABLE"),
            "another machine has 10.20.0.12: 52:54:00:ff:ff:ff answers, not compute1's 52:54:00:00:01:01",
        ),
        (("", "FAILED"), "compute1 does not answer ARP for 10.20.0.12"),
    ],
)
def test_who_answers_arp(site: Site, neighbour: tuple[str, str], cause: str) -> None:
    found = site.scenes["controller"]
    neighbours = {**found.neighbours, "10.20.0.12": neighbour}
    site.scenes["controller"] = dataclasses.replace(found, neighbours=neighbours)
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: {cause}"


def test_a_firewall_of_the_target_s(site: Site) -> None:
    rule = FirewallRule(hook="input", text="-A INPUT -p icmp -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail(SILENT, **PING)
    site.fail("timed out", **SSH)
    assert (
        site.detail(**PING)
        == f"{SILENT}: a firewall rule of compute1 refuses it: -A INPUT -p icmp -j DROP"
    )
    assert site.detail(**SSH) == "timed out", "that rule is not about TCP"


def test_a_firewall_of_the_source_s(site: Site) -> None:
    rule = FirewallRule(hook="output", text="-A OUTPUT -o eth0 -j DROP")
    site.scenes["controller"] = dataclasses.replace(site.scenes["controller"], rules=(rule,))
    site.fail("timed out", **SSH)
    assert (
        site.detail(**SSH)
        == "timed out: a firewall rule of controller refuses it: -A OUTPUT -o eth0 -j DROP"
    )


def test_a_firewall_that_lets_no_answer_in_explains_the_pings_that_its_own_node_sends(
    site: Site,
) -> None:
    rule = FirewallRule(hook="input", text="-A INPUT -i eth1 -p icmp -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail(SILENT, kind="ping", node="compute1", network="net1")
    site.fail(SILENT, **PING)
    (cause,) = causes(site.explained().values())
    assert (cause.cause.text, len(cause.results)) == (
        f"a firewall rule of compute1 refuses it: {rule.text}",
        3,
    )


def test_a_firewall_that_lets_no_answer_out(site: Site) -> None:
    rule = FirewallRule(hook="output", text="-A OUTPUT -p tcp --sport 22 -j DROP")
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], rules=(rule,))
    site.fail("timed out", **SSH)
    assert site.detail(**SSH) == f"timed out: a firewall rule of compute1 refuses it: {rule.text}"


def test_a_node_that_ignores_pings(site: Site) -> None:
    site.scenes["compute1"] = dataclasses.replace(site.scenes["compute1"], ignores_pings=True)
    site.fail(SILENT, **PING)
    assert site.detail(**PING) == f"{SILENT}: compute1 ignores pings (icmp_echo_ignore_all)"


def test_an_sshd_that_is_not_up_though_the_shared_connection_lives_on(site: Site) -> None:
    found = dataclasses.replace(
        site.scenes["compute1"], listens=False, journal=("Received signal 15; terminating.",)
    )
    site.scenes["compute1"] = found
    site.fail("refused", **SSH)
    result = next(
        r for c, r in site.explained().items() if c.kind is CheckKind.SSH and not r.is_passed
    )
    assert result.sentence == "refused: sshd is not up on compute1: nothing listens on TCP 22"
    assert "compute1: sshd: Received signal 15; terminating." in result.evidence
    assert result.command == "type this"


@pytest.mark.parametrize("said", ["HOST KEY MISMATCH", "permission denied", "name not known"])
def test_what_ssh_itself_has_told_is_no_network_s_fault(site: Site, said: str) -> None:
    site.change("compute1", "eth0", flags=())
    site.fail(said, **SSH)
    assert site.detail(**SSH) == said


def test_a_paused_node_explains_what_was_not_tried_on_it_too(site: Site) -> None:
    site.views["compute1"] = dataclasses.replace(
        site.views["compute1"], state=NodeState.PAUSED, reason="user"
    )
    site.fail("not reached: the node is paused", status=CheckStatus.ERROR, node="compute1")
    site.fail("is paused", kind="state", node="compute1")
    site.fail("the node is paused", kind="login", node="compute1")
    site.fail(SILENT, kind="ping", target="compute1")
    site.fail("refused", kind="ssh", node="controller", target="compute2")
    found = site.explained()
    (cause,) = causes(found.values())
    assert cause.cause.text == "compute1 is paused (user)"
    about = [
        r
        for r in found.values()
        if not r.is_passed and "compute1" in (r.check.node, r.check.target)
    ]
    assert len(cause.results) == len(about)
    details = {r.sentence for r in about}
    assert details == {
        "not reached: the node is paused",
        "is paused",
        "the node is paused",
        f"{SILENT}: compute1 is paused (user)",
    }
    assert "compute1" not in site.asked, "who could not be logged in on is not asked again"
    assert site.knocked == ["compute1"]


def test_a_node_that_went_off_after_its_login_explains_what_it_no_longer_did(site: Site) -> None:
    """It was asked once more, for 8 s, and what its session had not come to had "no known cause"."""
    site.views["compute1"] = dataclasses.replace(
        site.views["compute1"], state=NodeState.OFF, reason="destroyed"
    )
    site.fail(SILENT, **PING)
    ended = "the session ended before this check: the node is off"
    site.fail(ended, node="compute1", kind="nic", status=CheckStatus.ERROR)
    site.fail(ended, node="compute1", kind="name", status=CheckStatus.ERROR)
    explained = site.explained().values()
    (cause,) = causes(explained)
    assert cause.cause.text == "compute1 is off (destroyed)"
    assert len(cause.results) == sum(not each.is_passed for each in explained)
    assert "compute1" not in site.asked


def test_a_login_that_failed_is_diagnosed_from_the_host(site: Site) -> None:
    refused = Knock(door=Door.REFUSED, said="Connection refused")
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], knock=refused)
    site.fail("not reached: refused", status=CheckStatus.ERROR, node="compute1")
    site.fail("refused", kind="login", node="compute1")
    site.fail("refused", **SSH)
    cause = "compute1 answers ARP but refuses TCP 22: sshd is not up"
    assert site.detail(kind="login", node="compute1") == f"refused: {cause}"
    assert site.detail(**SSH) == f"refused: {cause}"
    login = next(
        r for c, r in site.explained().items() if c.kind is CheckKind.LOGIN and c.node == "compute1"
    )
    assert "domain trio_compute1: running" in login.evidence


def test_an_sshd_that_is_down_is_not_blamed_for_a_ping(site: Site) -> None:
    refused = Knock(door=Door.REFUSED, said="Connection refused")
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], knock=refused)
    site.fail("refused", kind="login", node="compute1")
    which = {**PING, "network": "net0"}
    site.fail(SILENT, **which)
    assert site.detail(**which) == SILENT


def test_an_sshd_that_is_down_is_down_on_all_networks(site: Site) -> None:
    """It was a reason "not known" where the node was tried by another network than the host's."""
    refused = Knock(door=Door.REFUSED, said="Connection refused")
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], knock=refused)
    site.scenes["compute1"] = UNSEEN
    site.fail("refused", kind="login", node="compute1")
    which = {"kind": "port", "node": "controller", "target": "compute1", "network": "net1"}
    site.fail("refused", **which)
    assert site.detail(**which).endswith("refuses TCP 22: sshd is not up")
    (cause,) = causes(site.explained().values())
    assert len(cause.results) == 2


def test_a_wrong_host_key_is_not_explained_away(site: Site) -> None:
    refused = Knock(door=Door.REFUSED, said="Connection refused")
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], knock=refused)
    site.fail("HOST KEY MISMATCH", kind="login", node="compute1")
    assert site.detail(kind="login", node="compute1") == "HOST KEY MISMATCH"


def test_what_lab_fault_has_done_needs_no_other_cause(site: Site) -> None:
    groups = (("controller",), ("compute1", "compute2"))
    site.faults = [Fault(kind=FaultKind.PARTITION, network="net1", groups=groups)]
    site.fail(SILENT, **PING)
    site.fail(SILENT, kind="ping", node="compute2", target="compute1", network="net1")
    cause = "lab.fault partition net1 controller compute1,compute2"
    assert site.detail(**PING) == f"{SILENT}: {cause}"
    within = {"kind": "ping", "node": "compute2", "target": "compute1", "network": "net1"}
    assert site.detail(**within) == SILENT, "both are on one side"


def test_a_node_that_lab_fault_has_paused(site: Site) -> None:
    site.faults = [Fault(kind=FaultKind.PAUSE, node="compute1")]
    site.views["compute1"] = dataclasses.replace(
        site.views["compute1"], state=NodeState.PAUSED, reason="user"
    )
    site.fail("not reached: the node is paused", status=CheckStatus.ERROR, node="compute1")
    site.fail("is paused", kind="state", node="compute1")
    site.fail("the node is paused", kind="login", node="compute1")
    site.fail(SILENT, **PING)
    assert {cause.cause.text for cause in causes(site.explained().values())} == {
        "lab.fault pause compute1"
    }


def test_without_a_certain_cause_there_is_evidence_alone(site: Site) -> None:
    site.fail(SILENT, **PING)
    found = site.explained()
    result = next(r for r in found.values() if not r.is_passed)
    assert result.sentence == SILENT
    assert result.evidence.startswith("controller: eth1 is up, 10.20.0.11/24\n")
    assert causes(found.values()) == ()


def test_nodes_that_can_t_be_asked_leave_what_the_host_sees(site: Site) -> None:
    site.scenes = dict.fromkeys(site.scenes, UNSEEN)
    site.fail(SILENT, **PING)
    result = next(r for r in site.explained().values() if not r.is_passed)
    assert result.sentence == SILENT
    assert "compute1, from the host: NIC eth1" in result.evidence


def test_without_the_host_the_nodes_are_asked(site: Site) -> None:
    site.change("compute1", "eth1", flags=())
    site.fail(SILENT, **PING)
    results = explain.explain(site.lab, site.paths, None, tuple(site.results.values()), None)  # type: ignore[arg-type]
    assert [r.sentence for r in results if not r.is_passed] == [
        f"{SILENT}: eth1 is down on compute1"
    ]


def test_only_so_many_nodes_are_asked_those_with_the_most_failures_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(make_lab(nodes=tuple(f"n{number}" for number in range(30))), tmp_path)
    monkeypatch.setattr(scene, "ask", site.ask)
    site.fail(SILENT, kind="ping", target="n29")
    site.explained()
    assert len(site.asked) == 12
    assert site.asked[0] == "n29"


def test_what_the_host_itself_did_and_other_layers_are_left_alone(site: Site) -> None:
    check = Check(kind=CheckKind.HOST_APART, node=HOST, network="net1")
    site.results[check] = CheckResult(
        check=check,
        status=CheckStatus.FAILED,
        reason=Reason.REACHED,
        detail="answers",
        clues="its own",
    )
    assert site.explained()[check] == site.results[check]


def test_what_else_a_nic_fails_at_that_lab_fault_has_taken_is_the_same_cause(site: Site) -> None:
    site.faults = [Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")]
    site.see(
        "compute1",
        "net1",
        lambda at: dataclasses.replace(at, plug=dataclasses.replace(at.plug, is_linked=False)),
    )  # type: ignore[type-var]
    site.fail(SILENT, **PING)
    site.fail(
        "would leave by eth0, not by eth1",
        kind="source",
        node="compute1",
        target="controller",
        network="net1",
    )
    site.fail("eth1 has no carrier", kind="nic", node="compute1", network="net1")
    assert [cause.cause.text for cause in causes(site.explained().values())] == [
        "lab.fault link-down compute1 eth1"
    ]


def test_what_works_though_lab_fault_was_to_cut_it_is_not_explained_by_it(site: Site) -> None:
    site.faults = [Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")]
    check = next(c for c in site.results if all(str(getattr(c, k)) == v for k, v in PING.items()))
    site.results[check] = Outage(site.lab, site.faults).as_expected(_passed(check))
    found = site.explained()
    assert found[check].reason is Reason.STILL_WORKS
    assert causes(found.values()) == ()


@pytest.mark.parametrize(
    ("reason", "device", "cause"),
    [
        (Reason.NO_ROUTE, "eth1", "eth1 is down on compute1"),
        (Reason.NO_ROUTE, "eth0", ""),
        (Reason.WRONG_ROUTE, "", ""),
        (Reason.SEVERAL, "", ""),
    ],
)
def test_a_route_that_is_missing_with_its_nic_has_the_nic_s_cause(
    site: Site, reason: Reason, device: str, cause: str
) -> None:
    check = Check(kind=CheckKind.ROUTES, node="compute1")
    site.change("compute1", "eth1", flags=())
    site.results[check] = CheckResult(
        check=check, status=CheckStatus.FAILED, reason=reason, detail="", about=device
    )
    assert site.explained()[check].cause_text == cause


TRANSIT = Check(kind=CheckKind.NO_TRANSIT, node="compute1", network="net1", device="eth1")


def test_what_could_not_be_sent_by_a_nic_that_is_down_has_the_cause_of_all_else_by_it(
    site: Site,
) -> None:
    site.change("compute1", "eth1", flags=())
    site.fail("eth1 is down", kind="nic", node="compute1", device="eth1")
    said = "eth1 is down: no packet could be sent by way of the host"
    site.results[TRANSIT] = CheckResult(
        check=TRANSIT, status=CheckStatus.ERROR, reason=Reason.NOT_SENT, detail=said
    )
    (cause,) = causes(site.explained().values())
    assert (cause.cause.text, len(cause.results)) == ("eth1 is down on compute1", 2)
    assert site.explained()[TRANSIT].sentence == said


def test_a_nic_alone_explains_why_nothing_could_be_sent(site: Site) -> None:
    """Where its own layer alone is checked, nobody else has failed on that node."""
    site.change("compute1", "eth1", addresses=())
    site.results[TRANSIT] = CheckResult(
        check=TRANSIT,
        status=CheckStatus.ERROR,
        reason=Reason.NOT_SENT,
        detail="no packet could be sent",
    )
    assert (
        site.explained()[TRANSIT].cause_text == "eth1 of compute1 has no address, not 10.20.0.12/24"
    )


def test_a_way_through_the_host_is_no_nic_s_fault(site: Site) -> None:
    site.change("compute1", "eth1", addresses=())
    site.results[TRANSIT] = CheckResult(
        check=TRANSIT,
        status=CheckStatus.FAILED,
        reason=Reason.REACHED,
        detail="gets through the host",
    )
    assert site.explained()[TRANSIT].cause_text == ""


@pytest.mark.parametrize("kind", [CheckKind.DELAY, CheckKind.LOSS, CheckKind.RATE])
@pytest.mark.parametrize(
    ("node", "target"), [("compute1", "controller"), ("controller", "compute1")]
)
def test_what_is_measured_between_two_nics_is_not_where_one_is_down(
    site: Site, kind: CheckKind, node: str, target: str
) -> None:
    check = Check(
        kind=kind, node=node, target=target, network="net1", address="10.20.0.9", device="eth1"
    )
    site.results[check] = CheckResult(
        check=check,
        status=CheckStatus.FAILED,
        reason=Reason.NO_REPLY,
        detail="no reply to 20 pings",
    )
    assert site.explained()[check].cause_text == ""
    site.change("compute1", "eth1", flags=())
    assert site.explained()[check].cause_text == "eth1 is down on compute1"


@pytest.mark.parametrize(
    ("detail", "count"),
    [("has MTU 9000, not 1500", 2), ("eth1 is down; has MTU 9000, not 1500", 1)],
)
def test_a_wrong_mtu_is_one_cause_of_the_nic_s_failure_and_of_what_gets_lost(
    site: Site, detail: str, count: int
) -> None:
    site.change("compute1", "eth1", mtu=9000)
    site.fail(detail, kind="nic", node="compute1", device="eth1")
    lost = "1501 bytes are sent and get lost, 1500 is the MTU that the lab declares"
    site.fail(lost, kind="mtu", node="compute1", target="controller", network="net1")
    (cause,) = causes(site.explained().values())
    assert (cause.cause.text, len(cause.results)) == (
        "eth1 of compute1 has an MTU of 9000, not 1500",
        count,
    )
