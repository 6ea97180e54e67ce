"""The look at a node's own networks when a check has failed."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stacklab.checks.explain import firewall
from stacklab.checks.explain.firewall import FirewallRule, Packets
from stacklab.model.lab import NIC
from stacklab.nodes.guard import guarded
from stacklab.nodes.holder import holder
from stacklab.nodes.protocol import Answer, Part, Phase

_MOST_ADDRESSES = 32
_JOURNAL_LINES = 4
_LINK = re.compile(
    r"\d+: (?P<name>[^:@\s]+)(@\S+)?: <(?P<flags>[^>]*)> mtu (?P<mtu>\d{1,9})(?!\d)"
    r"(.* link/ether (?P<mac>\S+))?",
    re.ASCII,
)
_ADDRESS = re.compile(r"\d+: (?P<name>\S+)\s+inet (?P<address>\d[\d./]+)")
_STATE = re.compile(r"[A-Z]+")
_UID = re.compile(r" uid \d{1,10}$", re.ASCII)
_SSH_PORT = re.compile(r":22\s")
_NETEM = re.compile(
    r"qdisc netem \S+ dev (?P<name>\S+) .*\bloss (?P<loss>\d{1,3}(?:\.\d{1,9})?)%", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenDevice:
    """An interface of a node, in the node's own words."""

    flags: tuple[str, ...] = ()
    mtu: int = 0
    addresses: tuple[str, ...] = ()
    loss_percent: float = 0.0  # netem's
    mac: str = ""

    @property
    def is_up(self) -> bool:
        """True if it is switched on."""
        return "UP" in self.flags

    @property
    def has_carrier(self) -> bool:
        """True if its cable is plugged in at both ends."""
        return "LOWER_UP" in self.flags

    @property
    def state(self) -> str:
        """Up, down, or up without a carrier."""
        if not self.is_up:
            return "down"
        if not self.has_carrier:
            return "up, without carrier"
        return "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A node in its own words; `is_seen` is False for a node that could not be asked."""

    is_seen: bool = False
    devices: Mapping[str, SeenDevice] = field(default_factory=dict)
    # By address: what `ip route get` wrote; and the neighbour's MAC ("" for none) and state.
    routes: Mapping[str, str] = field(default_factory=dict)
    neighbours: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    listens: bool | None = None  # something listens on TCP 22; None: not known
    ignores_pings: bool = False
    rules: tuple[FirewallRule, ...] = ()
    journal: tuple[str, ...] = ()

    def holder(self, nic: NIC) -> str:
        """Return the device that stands for the NIC: itself, or what a cloud made of it."""
        addresses = {name: device.addresses for name, device in self.devices.items()}
        macs = {name: device.mac for name, device in self.devices.items()}
        return holder(nic, addresses, macs)

    def drops(
        self, hook: str, protocol_: str, nic: NIC, peer: str, *, is_reply: bool = False
    ) -> str:
        """Return the rule that stops these packets, "" if none does.

        They are ICMP echos, or TCP to port 22; with `is_reply`, what answers them.
        """
        nic = dataclasses.replace(nic, device=self.holder(nic))
        packets = Packets(protocol=protocol_, nic=nic, peer=peer, is_reply=is_reply)
        for rule in self.rules:
            if rule.hook == hook and rule.fits(packets):
                return "" if rule.accepts else rule.text
        return ""


UNSEEN = Scene()


def parts(addresses: Sequence[str]) -> tuple[Part, ...]:
    """Return what a node is asked: the sure and quick first, so that the rest is cut off."""
    asked = shlex.join(addresses[:_MOST_ADDRESSES])
    look = {
        "link": "ip -o link",
        "addr": "ip -o -4 addr",
        "neigh": "ip -4 neigh",
        "route": f"for a in {asked}; do printf '%s ' $a; "
        "ip -4 -o route get $a 2>&1 | head -n 1; done",
        "port": "ss -ltn",
        "pings": "cat /proc/sys/net/ipv4/icmp_echo_ignore_all",
        "tc": "tc qdisc show",
        "firewall": "sudo -n sh -c 'iptables-save; nft list ruleset' 2>/dev/null",
        "journal": "sudo -n journalctl -q -b -t sshd -t sshd-session "
        f"-n {_JOURNAL_LINES} --no-pager -o cat",
    }
    if not addresses:
        del look["route"]
    return tuple(
        Part(tag=f"explain.{tag}", shell=shell, phase=Phase.FACTS) for tag, shell in look.items()
    )


def read(answer: Answer) -> Scene:
    """Return what the parts wrote; UNSEEN for an answer that breaks a parser here."""
    return guarded(lambda: _read_scene(answer), lambda _why: UNSEEN)


def _read_scene(answer: Answer) -> Scene:
    """Return what the parts wrote; a part that is missing leaves its field as it was."""
    if not answer.is_begun or answer.of("explain.link").code is None:
        return UNSEEN
    port = answer.of("explain.port")
    listens = None
    if port.code == 0:
        listens = any(_SSH_PORT.search(line) for line in port.lines)
    journal = answer.of("explain.journal")
    journal_lines = journal.lines[-_JOURNAL_LINES:] if journal.code == 0 else ()
    return Scene(
        is_seen=True,
        devices=_read_devices(answer),
        routes=dict(_read_routes(answer.of("explain.route").lines)),
        neighbours=_read_neighbours(answer.of("explain.neigh").lines),
        listens=listens,
        ignores_pings=answer.of("explain.pings").text.strip() == "1",
        rules=tuple(firewall.read_rules(answer.of("explain.firewall").lines)),
        journal=journal_lines,
    )


def _read_neighbours(lines: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the MAC ("" for none) and the state of each neighbour, by address."""
    neighbours: dict[str, tuple[str, str]] = {}
    for line in lines:
        # Not one pattern for all of it: a line made for it would keep that busy for minutes.
        words = line.split()
        states = [word for word in words[3:] if _STATE.fullmatch(word)]
        if words[1:2] != ["dev"] or not words[0][0].isdigit() or not states:
            continue
        mac = words[4] if words[3] == "lladdr" else ""
        neighbours[words[0]] = (mac, states[-1])
    return neighbours


def _matches(pattern: re.Pattern[str], lines: Iterable[str]) -> Iterator[re.Match[str]]:
    """Yield a match for each line that begins like the pattern; all other lines are left out."""
    return filter(None, map(pattern.match, lines))


def _read_devices(answer: Answer) -> dict[str, SeenDevice]:
    """Return the node's devices by name, put together from three programs' lines."""
    addresses: dict[str, list[str]] = {}
    for match in _matches(_ADDRESS, answer.of("explain.addr").lines):
        addresses.setdefault(match["name"], []).append(match["address"])
    losses: dict[str, float] = {}
    for match in _matches(_NETEM, answer.of("explain.tc").lines):
        losses[match["name"]] = float(match["loss"])
    devices: dict[str, SeenDevice] = {}
    for match in _matches(_LINK, answer.of("explain.link").lines):
        name = match["name"]
        mac = match["mac"] or ""  # a tunnel has none
        devices[name] = SeenDevice(
            flags=tuple(match["flags"].split(",")),
            mtu=int(match["mtu"]),
            addresses=tuple(addresses.get(name, ())),
            loss_percent=losses.get(name, 0.0),
            mac=mac.lower(),
        )
    return devices


def _read_routes(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each address with the route to it, without what only the kernel's cache needs."""
    for line in lines:
        address, _, text = line.partition(" ")
        # Its end, as iproute2 writes it: `... uid 1000 \    cache`.
        route, _, _cached = text.partition("\\")
        yield address, _UID.sub("", route.rstrip()).strip()
