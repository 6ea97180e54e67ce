"""What a node tells of its own networks when a check has failed, and what that means."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
_HOOK = re.compile(r"type filter hook (\w+)")
_IPTABLES = re.compile(r"(\[\d+:\d+\] )?(?P<rule>-A .* -j (?P<verdict>DROP|REJECT|ACCEPT)\b.*)")
_NFT_VERDICT = re.compile(r"(^|\s)(drop|reject|accept)\b")
_POLICY = re.compile(r":(?P<chain>INPUT|OUTPUT) DROP\b")
_ECHO = ("8", "8/0", "echo-request", "any")
_ECHO_REPLY = ("0", "0/0", "echo-reply", "any")
_COUNTERS = re.compile(r"counter packets \d+ bytes \d+ ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An interface of a node, in the node's own words."""

    flags: tuple[str, ...] = ()
    mtu: int = 0
    addresses: tuple[str, ...] = ()
    loss_percent: float = 0.0  # netem's
    mac: str = ""

    @property
    def state(self) -> str:
        """Whether it is up, down, or up without a carrier."""
        if "UP" not in self.flags:
            return "down"
        return "up" if "LOWER_UP" in self.flags else "up, without carrier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A firewall rule of a node that decides about a packet; `hook` is input or output.

    A chain's policy comes behind its rules.
    """

    hook: str
    text: str
    accepts: bool = False


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
        """Return the device that has the NIC's address: the NIC's own device for want of another.

        It may be what an installer made of the NIC and gave its MAC (br-ex, vhost0); the
        check `nic` has the same rule.
        """
        address, mac = str(nic.address), nic.mac.lower()
        holders = [name for name, device in self.devices.items() if address in device.addresses]
        if nic.device in holders:
            return nic.device
        return next((name for name in holders if self.devices[name].mac == mac), nic.device)

    def drops(
        self, hook: str, protocol_: str, nic: NIC, peer: str, *, is_reply: bool = False
    ) -> str:
        """Return the rule that stops these packets, "" if none does.

        They are ICMP echos, or TCP to port 22; with `is_reply`, what answers them.
        """
        nic = dataclasses.replace(nic, device=self.holder(nic))
        fitting = (
            r
            for r in self.rules
            if r.hook == hook and _fits(r, protocol_, nic, peer, is_reply=is_reply)
        )
        first = next(fitting, None)
        return first.text if first and not first.accepts else ""


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
        rules=tuple(_rules(answer.of("explain.firewall").lines)),
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


def _rules(lines: Sequence[str]) -> Iterator[Rule]:
    """Yield each rule of iptables-save and `nft list ruleset` that accepts or refuses packets."""
    hook = ""
    policies = []
    for raw in lines:
        line = raw.strip()
        if match := _IPTABLES.match(line):
            chain = match["rule"].split()[1]
            if chain in ("INPUT", "OUTPUT"):
                yield Rule(
                    hook=chain.lower(), text=match["rule"], accepts=match["verdict"] == "ACCEPT"
                )
        elif match := _POLICY.match(line):
            policies.append(
                Rule(hook=match["chain"].lower(), text=f"policy of {match['chain']} is DROP")
            )
        elif match := _HOOK.search(line):
            hook = match[1]
            if hook in ("input", "output") and "policy drop" in line:
                policies.append(Rule(hook=hook, text=f"policy of {hook} is drop"))
        elif line.startswith(("chain ", "}")):
            hook = ""
        elif hook in ("input", "output") and (match := _NFT_VERDICT.search(line)):
            yield Rule(hook=hook, text=_COUNTERS.sub("", line), accepts=match[2] == "accept")
    yield from policies


def _fits(rule: Rule, protocol_: str, nic: NIC, peer: str, *, is_reply: bool) -> bool:
    """Return whether a rule is about these packets, as far as its words tell.

    In doubt a rule that accepts is taken to be about them: no cause is better than a wrong one.
    """
    words = rule.text.replace('"', "").split()
    after = {word: words[at + 1] for at, word in enumerate(words[:-1])}
    if rule.text.startswith("policy"):
        return True
    if {"!", "!="} & set(words):
        return rule.accepts
    states = (
        after.get("--ctstate")
        or after.get("--state")
        or (after.get("state") if "ct" in words else "")
        or ""
    )
    if states and not set(states.upper().split(",")) & ({"ESTABLISHED"} if is_reply else {"NEW"}):
        return False
    kind = after.get("--icmp-type") or (after.get("type") if "icmp" in words else None)
    if kind and kind not in (_ECHO_REPLY if is_reply else _ECHO):
        return False
    named = after.get("-p") or next((word for word in ("icmp", "tcp", "udp") if word in words), "")
    if named and named not in (protocol_, "all"):
        return False
    ours, others = ("sport", "dport") if is_reply else ("dport", "sport")  # sshd's port, and any
    port = after.get(f"--{ours}") or after.get(f"--{ours}s") or after.get(ours) or ""
    if f"--{others}" in after or others in after:
        return False
    if port and (protocol_ != "tcp" or not {"22", "ssh"} & set(re.findall(r"\w+", port))):
        return False
    device = after.get("-i") or after.get("-o") or after.get("iifname") or after.get("oifname")
    if device and device != nic.device:
        return False
    ends = (peer, str(nic.address.ip))
    return all(
        _holds(after[word], ends) for word in ("-s", "-d", "saddr", "daddr") if word in after
    )


def _holds(text: str, addresses: Sequence[str]) -> bool:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return any(ipaddress.ip_address(address) in network for address in addresses)
