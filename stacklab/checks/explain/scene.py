"""What a node tells of its own networks when a check has failed, and what that means."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stacklab.checks.explain import firewall
from stacklab.checks.explain.firewall import Packets, Rule
from stacklab.checks.holder import holder
from stacklab.errors import LabError
from stacklab.model.lab import NIC
from stacklab.nodes import session
from stacklab.nodes.protocol import Answer, Part, Phase
from stacklab.paths import LabPaths
from stacklab.process import Conversing

_LIMIT_S = 8.0
_MOST_ADDRESSES = 32
_JOURNAL_LINES = 4
_LINK = re.compile(
    r"\d+: (?P<name>[^:@\s]+)(@\S+)?: <(?P<flags>[^>]*)> mtu (?P<mtu>\d{1,9})(?!\d)"
    r"(.* link/ether (?P<mac>\S+))?",
    re.ASCII,
)
_ADDRESS = re.compile(r"\d+: (?P<name>\S+)\s+inet (?P<address>\d[\d./]+)")
_NEIGHBOUR = re.compile(
    r"(?P<address>\d[\d.]+) dev \S+\s+(lladdr (?P<mac>\S+)\s+)?(.*\s)?(?P<state>[A-Z]+)"
)
_NETEM = re.compile(
    r"qdisc netem \S+ dev (?P<name>\S+) .*\bloss (?P<loss>\d{1,3}(?:\.\d{1,9})?)%", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
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
        return "up" if self.has_carrier else "up, without carrier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a node told of itself; `is_seen` is False for a node that could not be asked."""

    is_seen: bool = False
    devices: Mapping[str, Device] = field(default_factory=dict)
    # By address: what `ip route get` wrote; and the neighbour's MAC ("" for none) and state.
    routes: Mapping[str, str] = field(default_factory=dict)
    neighbours: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    listens: bool | None = None  # whether anything listens on TCP 22
    ignores_pings: bool = False
    rules: tuple[Rule, ...] = ()
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


def ask(paths: LabPaths, runner: Conversing, node: str, addresses: Sequence[str]) -> Scene:
    """Ask a node in one session, within seconds; UNSEEN where that fails. Never raises."""
    try:
        reply = session.ask(runner, paths, node, parts(addresses), limit_s=_LIMIT_S)
    except LabError:  # this host has no ssh
        return UNSEEN
    return read(reply.answer)


def read(answer: Answer) -> Scene:
    """Return what the parts wrote; UNSEEN for an answer that breaks a parser here."""
    return session.guarded(lambda: _read(answer), lambda _why: UNSEEN)


def _read(answer: Answer) -> Scene:
    if not answer.is_begun or answer.of("explain.link").code is None:
        return UNSEEN
    port = answer.of("explain.port")
    return Scene(
        is_seen=True,
        devices=_devices(answer),
        routes=dict(_routes(answer.of("explain.route").lines)),
        neighbours={
            match["address"]: (match["mac"] or "", match["state"])
            for match in map(_NEIGHBOUR.match, answer.of("explain.neigh").lines)
            if match
        },
        listens=any(re.search(r":22\s", line) for line in port.lines) if port.code == 0 else None,
        ignores_pings=answer.of("explain.pings").text.strip() == "1",
        rules=tuple(firewall.read(answer.of("explain.firewall").lines)),
        journal=answer.of("explain.journal").lines[-_JOURNAL_LINES:]
        if answer.of("explain.journal").code == 0
        else (),
    )


def _devices(answer: Answer) -> dict[str, Device]:
    addresses: dict[str, list[str]] = {}
    for match in map(_ADDRESS.match, answer.of("explain.addr").lines):
        if match:
            addresses.setdefault(match["name"], []).append(match["address"])
    losses = {
        m["name"]: float(m["loss"]) for m in map(_NETEM.match, answer.of("explain.tc").lines) if m
    }
    return {
        match["name"]: Device(
            flags=tuple(match["flags"].split(",")),
            mtu=int(match["mtu"]),
            addresses=tuple(addresses.get(match["name"], ())),
            loss_percent=losses.get(match["name"], 0.0),
            mac=(match["mac"] or "").lower(),
        )
        for match in map(_LINK.match, answer.of("explain.link").lines)
        if match
    }


def _routes(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        address, _, text = line.partition(" ")
        yield address, re.sub(r"( uid \d+)?\s*\\?\s*(cache.*)?$", "", text).strip()
