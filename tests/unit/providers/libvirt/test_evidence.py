"""A diagnosis per fault: what this host sees is scripted; the words are golden ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, ProviderError
from stacklab.model.cause import CauseKind
from stacklab.model.host_network import Lease
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.process import Result
from stacklab.providers import registry
from stacklab.providers.libvirt import evidence
from stacklab.providers.libvirt.evidence import LibvirtLooker
from stacklab.providers.node_view import NodeEvidence, View
from stacklab.tools.network.knock import Door, Knock
from tests.conftest import FakeRunner
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt

ADDRESS, MAC, MAC1 = "10.10.0.12", "52:54:00:00:00:01", "52:54:00:00:01:01"
OTHER = "52:54:00:ff:ff:ff"


class Site:
    """compute1 of a lab on this host, well but for its sshd; each test breaks one thing."""

    def __init__(self, root: Path) -> None:
        self.lab = make_lab()
        self.node = self.lab.node("compute1")
        self.paths = HostPaths(root).lab("trio")
        self.record = registry.new_record(self.lab, self.paths, image="x", passed_over={}, now=0)
        found = self.record.node("compute1")
        assert found is not None
        self.uuid = found.handle["uuid"]
        self.libvirt: FakeLibvirt | None = FakeLibvirt()
        self.libvirt.add(self.uuid, found.handle["domain"], NodeState.RUNNING)
        self.libvirt.nics[self.uuid] = ((MAC, "trio_net0", "vnet1"), (MAC1, "trio_net1", "vnet2"))
        self.libvirt.given["trio_net0"] = (Lease(mac=MAC, address=ADDRESS, hostname="compute1"),)
        self.links = {
            name: {
                "ifname": name,
                "master": master,
                "flags": ["UP", "LOWER_UP"],
                "address": mac,
                "stats64": {"rx": {"packets": 20}, "tx": {"packets": 30}},
            }
            for name, master, mac in (
                ("sl-trio0", "", ""),
                ("sl-trio1", "", ""),
                ("vnet1", "sl-trio0", f"fe{MAC[2:]}"),
                ("vnet2", "sl-trio1", f"fe{MAC1[2:]}"),
            )
        }
        self.neighbour: dict[str, object] = {
            "dst": ADDRESS,
            "dev": "sl-trio0",
            "lladdr": MAC,
            "state": ["REACHABLE"],
        }
        self.route = {"dst": ADDRESS, "dev": "sl-trio0", "prefsrc": "10.10.0.1"}
        self.rules = "[5:99] -A LIBVIRT_INP -i sl-trio0 -p udp --dport 67 -j ACCEPT\n"
        self.knock = Knock(door=Door.REFUSED, said="[Errno 111] Connection refused")
        self.runner = FakeRunner()
        self.say("Started foo\n")

    def say(self, text: str) -> None:
        console = self.paths.console("compute1")
        console.parent.mkdir(parents=True, exist_ok=True)
        console.write_text(text)

    def looker(self) -> LibvirtLooker:
        links = [{k: v for k, v in each.items() if v} for each in self.links.values()]
        self.runner.on("ip", "-json", "-s", "link", stdout=json.dumps(links))
        self.runner.on("ip", "-json", "-4", "neigh", stdout=json.dumps([self.neighbour]))
        self.runner.on("ip", "-json", "-4", "route", stdout=json.dumps([self.route]))
        for argv in (("iptables-save",), ("sudo", "-n", "iptables-save")):
            if argv not in self.runner.script:
                self.runner.on(*argv, stdout=self.rules)
        knocker = lambda _address: self.knock  # noqa: E731
        return LibvirtLooker(self.libvirt, self.runner, self.paths, self.record, knocker=knocker)  # type: ignore[arg-type]

    def kind(self) -> CauseKind | None:
        """The kind of the likeliest cause; its words name facts, see `look`."""
        found = evidence.cause(self.looker().view(self.node))
        return found.kind if found else None

    def look(self) -> NodeEvidence:
        return self.looker().evidence(self.node)

    @property
    def known(self) -> FakeLibvirt:
        assert self.libvirt is not None
        return self.libvirt


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_an_sshd_that_is_not_up(site: Site) -> None:
    assert site.kind() is CauseKind.SSHD_DOWN


def test_a_node_that_is_well_has_no_cause(site: Site) -> None:
    site.knock = Knock(door=Door.OPEN, said="SSH-2.0-x")
    assert site.kind() is None
    assert site.look().cause == ""


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (NodeState.PAUSED, "user"),
        (NodeState.PAUSED, "ioerror"),
        (NodeState.OFF, "destroyed"),
        (NodeState.CRASHED, ""),
    ],
)
def test_a_domain_that_does_not_run(site: Site, state: NodeState, reason: str) -> None:
    site.known.states[site.uuid] = state
    site.known.reasons[site.uuid] = reason
    site.knock = Knock(door=Door.NO_ANSWER, said="-")
    assert site.kind() is CauseKind.NODE_STATE
    assert str(state) in site.look().cause
    assert reason in site.look().cause


def test_a_nic_that_is_unplugged(site: Site) -> None:
    site.known.nics[site.uuid] = ((MAC1, "trio_net1", "vnet2"),)
    assert site.kind() is CauseKind.NIC_UNPLUGGED
    assert MAC in site.look().cause


def test_a_cable_that_is_pulled(site: Site) -> None:
    site.known.unlinked = {MAC}
    assert site.kind() is CauseKind.CABLE_PULLED


def test_a_tap_on_no_bridge_or_on_another(site: Site, bridge_names: tuple[str, str]) -> None:
    first, second = bridge_names
    site.links["vnet1"]["master"] = ""
    assert site.kind() is CauseKind.TAP_ASTRAY
    assert first in site.look().cause
    site.links["vnet1"]["master"] = second
    assert site.kind() is CauseKind.TAP_ASTRAY
    assert second in site.look().cause


def test_a_tap_that_is_down_or_gone(site: Site) -> None:
    site.links["vnet1"]["flags"] = ["BROADCAST"]
    assert site.kind() is CauseKind.TAP_DOWN
    del site.links["vnet1"]
    assert site.kind() is CauseKind.TAP_MISSING


@pytest.fixture
def bridge_names(site: Site) -> tuple[str, str]:
    return site.record.networks[0].handle["bridge"], site.record.networks[1].handle["bridge"]


def test_a_bridge_that_is_down_or_gone(site: Site, bridge_names: tuple[str, str]) -> None:
    site.links[bridge_names[0]]["flags"] = ["BROADCAST"]
    assert site.kind() is CauseKind.BRIDGE_DOWN
    assert bridge_names[0] in site.look().cause
    del site.links[bridge_names[0]]
    assert site.kind() is CauseKind.BRIDGE_DOWN
    assert bridge_names[0] in site.look().cause


def test_a_route_that_leads_elsewhere(site: Site) -> None:
    site.route = {"dst": ADDRESS, "dev": "tun0", "prefsrc": "10.8.0.2"}
    assert site.kind() is CauseKind.HOST_ROUTE
    assert "tun0" in site.look().cause


def test_another_machine_with_the_address(site: Site) -> None:
    site.neighbour["lladdr"] = OTHER
    assert site.kind() is CauseKind.ADDRESS_TAKEN
    assert OTHER in site.look().cause


def test_a_node_that_never_sent_a_packet(site: Site) -> None:
    site.links["vnet1"]["stats64"] = {"rx": {"packets": 0}, "tx": {"packets": 30}}
    site.neighbour = {"dst": ADDRESS, "dev": "sl-trio0", "state": ["INCOMPLETE"]}
    assert site.kind() is CauseKind.NETWORK_DOWN
    site.say("")
    assert site.kind() is CauseKind.NOT_BOOTED


def test_a_lease_for_another_address(site: Site) -> None:
    site.known.given["trio_net0"] = (Lease(mac=MAC, address="10.10.0.99", hostname="compute1"),)
    site.neighbour = {"dst": ADDRESS, "dev": "sl-trio0", "state": ["FAILED"]}
    assert site.kind() is CauseKind.OTHER_LEASE
    assert "10.10.0.99" in site.look().cause


def test_a_node_that_sends_but_answers_no_arp(site: Site) -> None:
    site.neighbour = {"dst": ADDRESS, "dev": "sl-trio0", "state": ["FAILED"]}
    site.knock = Knock(door=Door.UNREACHABLE, said="No route to host")
    assert site.kind() is CauseKind.NO_ARP
    assert "20 packets" in site.look().cause


@pytest.mark.parametrize(
    ("door", "kind"),
    [
        (Door.NO_ANSWER, CauseKind.SSHD_FILTERED),
        (Door.UNREACHABLE, CauseKind.SSHD_FILTERED),
        (Door.SILENT, CauseKind.SSHD_HANGS),
        (Door.OTHER, CauseKind.NOT_SSHD),
    ],
)
def test_what_answers_at_its_door(site: Site, door: Door, kind: CauseKind) -> None:
    site.knock = Knock(door=door, said="words")
    assert site.kind() is kind


def test_a_firewall_rule_of_this_host_that_has_dropped_packets(site: Site) -> None:
    site.rules += "[4:240] -A OUTPUT -d 10.10.0.12/32 -o sl-trio0 -j DROP\n"
    site.knock = Knock(door=Door.NO_ANSWER, said="no answer within 1 s")
    assert site.kind() is CauseKind.HOST_FIREWALL
    assert "-A OUTPUT -d 10.10.0.12/32 -o sl-trio0 -j DROP (4 " in site.look().cause


@pytest.mark.parametrize(
    "rule",
    [
        "[0:0] -A OUTPUT -o sl-trio0 -j DROP",  # has seen no packet
        "[9:99] -A LIBVIRT_FWI -o sl-trio0 -j REJECT",  # libvirt's, of packets that are forwarded
        "[9:99] -A OUTPUT -o sl-trio1 -j DROP",  # on another bridge
    ],
)
def test_a_rule_that_cannot_have_done_it_is_not_blamed(site: Site, rule: str) -> None:
    site.rules = rule + "\n"
    site.knock = Knock(door=Door.NO_ANSWER, said="no answer within 1 s")
    assert "firewall rule of this host" not in site.look().cause


def test_all_the_evidence_is_told(site: Site) -> None:
    bridge = "sl-trio0"
    site.rules += f"[3:9] -A OUTPUT -o {bridge} -j DROP\n"
    assert list(site.look().lines) == [
        "domain trio_compute1: running",
        f"NIC eth0: {MAC} on trio_net0, tap vnet1, to have 10.10.0.12/24; tap on {bridge}, up, "
        "the node sent 20 packets and was sent 30",
        f"NIC eth1: {MAC1} on trio_net1, tap vnet2, to have 10.20.0.12/24; tap on sl-trio1, up, "
        "the node sent 20 packets and was sent 30",
        f"lease: {ADDRESS} to {MAC} on trio_net0",
        f"route to {ADDRESS}: by {bridge}, from 10.10.0.1",
        f"ARP for {ADDRESS}: {MAC} (reachable)",
        f"port 22 of {ADDRESS}: refused ([Errno 111] Connection refused)",
        f"firewall of this host: -A OUTPUT -o {bridge} -j DROP (3 so far)",
        f"console ({site.paths.console('compute1')}) of compute1 ends with:",
        "  | Started foo",
    ]


def test_rules_that_refuse_nothing_on_the_way_are_counted_alone(site: Site) -> None:
    site.rules += "[42:99] -A LIBVIRT_FWI -o sl-trio0 -j REJECT\n"
    told = [line for line in site.look().lines if line.startswith("firewall")]
    assert len(told) == 1
    assert "2 rules" in told[0]


def test_dnsmasq_s_view_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evidence, "_RUN", tmp_path)
    monkeypatch.setattr(evidence, "_DNSMASQ", tmp_path)
    (tmp_path / "trio_net0.pid").write_text("1\n")
    (tmp_path / "trio_net0.hostsfile").write_text(f"{MAC},{ADDRESS},compute1,604800\n")
    assert f"dnsmasq of trio_net0: runs, keeps {ADDRESS} for {MAC}" in site.look().lines
    (tmp_path / "trio_net0.pid").write_text("999999999\n")
    (tmp_path / "trio_net0.hostsfile").write_text("")
    told = f"dnsmasq of trio_net0: does not run any more (process 999999999), does not know {MAC}"
    assert told in site.look().lines


def test_a_libvirtd_that_is_away_leaves_what_the_host_itself_tells(site: Site) -> None:
    site.libvirt = None
    found = site.look()
    assert site.kind() is CauseKind.SSHD_DOWN
    assert found.lines[0] == "domain trio_compute1: state unknown"
    assert "tap vnet1" in found.lines[1], "the tap is known by its MAC"
    assert "not looked at: libvirtd does not answer" in found.lines


def test_a_libvirtd_that_goes_away_meanwhile_is_evidence_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_uuid: str) -> NodeState:
        raise ProviderError("libvirtd: end of file")

    monkeypatch.setattr(site.known, "state", gone)
    assert "not looked at: libvirtd: end of file" in site.look().lines


def test_what_may_not_be_looked_at_is_named_and_keeps_no_other_evidence_away(site: Site) -> None:
    for argv in (("iptables-save",), ("sudo", "-n", "iptables-save")):
        site.runner.on(
            *argv,
            answer=CommandFailed("looking at this host's firewall: sudo ended with 1\n  more"),
        )
    found = site.look()
    assert site.kind() is CauseKind.SSHD_DOWN
    why = [line for line in found.lines if line.startswith("not looked at")]
    assert len(why) == 1
    assert "this host's firewall: sudo ended with 1" in why[0]


def test_without_a_look_at_the_host_no_cause_is_guessed(site: Site) -> None:
    site.runner.on("ip", answer=Result(exit_code=0, stdout="no json"))
    looker = LibvirtLooker(None, None, site.paths, site.record)
    assert evidence.cause(looker.view(site.node)) is None


def test_an_empty_view_has_no_cause(site: Site) -> None:
    assert evidence.cause(View(node=site.node)) is None
