"""The firewall rules of a node, and which of them is about the packets of a check."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stacklab.model.lab import NIC

_HOOKS = ("input", "output")
_HOOK = re.compile(r"type filter hook (\w+)")
_IPTABLES = re.compile(r"(\[\d+:\d+\] )?(?P<rule>-A .* -j (?P<verdict>DROP|REJECT|ACCEPT)\b.*)")
_NFT_VERDICT = re.compile(r"(^|\s)(drop|reject|accept)\b")
_POLICY = re.compile(r":(?P<chain>INPUT|OUTPUT) DROP\b")
_ECHO = ("8", "8/0", "echo-request", "any")
_ECHO_REPLY = ("0", "0/0", "echo-reply", "any")
_COUNTERS = re.compile(r"counter packets \d+ bytes \d+ ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """The packets of a check, seen from one of its ends: ICMP echo, or TCP to port 22."""

    protocol: str  # "icmp" or "tcp"
    nic: NIC  # of this end
    peer: str  # address of the other end
    is_reply: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallRule:
    """A firewall rule that ends a packet's way; `hook` is input or output. A policy comes last."""

    hook: str
    text: str
    accepts: bool = False
    is_policy: bool = False

    def fits(self, packets: Packets) -> bool:
        """Return True if the rule is about these packets, as far as its words tell.

        A rule that is not understood may refuse them or not. It counts as one that accepts
        them if it accepts anything, since no rule may be blamed that is not known to be
        to blame.
        """
        if self.is_policy:
            return True
        words = _RuleWords.of(self.text)
        if words.is_negated:
            return self.accepts
        return (
            words.fits_state(packets)
            and words.fits_protocol(packets)
            and words.fits_ports(packets)
            and words.fits_ends(packets)
        )


@dataclass(frozen=True, slots=True)
class _RuleWords:
    """A rule's words, of iptables or of nft, and which word comes after which."""

    words: Sequence[str]
    after: Mapping[str, str]

    @classmethod
    def of(cls, text: str) -> _RuleWords:
        words = text.replace('"', "").split()
        return cls(words, dict(itertools.pairwise(words)))

    @property
    def is_negated(self) -> bool:
        return not {"!", "!="}.isdisjoint(self.words)

    def first_after(self, *options: str) -> str:
        """Return the value of the first of these options that the rule has; "" for none."""
        return next((self.after[option] for option in options if option in self.after), "")

    def fits_state(self, packets: Packets) -> bool:
        """Return True unless the rule is for packets in another state of their connection."""
        states = self.first_after("--ctstate", "--state")
        if not states and "ct" in self.words:
            states = self.after.get("state", "")
        wanted = "ESTABLISHED" if packets.is_reply else "NEW"
        return not states or wanted in states.upper().split(",")

    def fits_protocol(self, packets: Packets) -> bool:
        """Return True unless the rule is for another protocol, or another kind of ICMP."""
        kind = self.first_after("--icmp-type")
        if not kind and "icmp" in self.words:
            kind = self.after.get("type", "")
        echo = _ECHO_REPLY if packets.is_reply else _ECHO
        if kind and kind not in echo:
            return False
        named = self.first_after("-p")
        if named:
            return named in ("all", packets.protocol)
        # nft names the protocol without a word before it.
        protocols = [word for word in ("icmp", "tcp", "udp") if word in self.words]
        return not protocols or protocols[0] == packets.protocol

    def fits_ports(self, packets: Packets) -> bool:
        """Return True unless the rule is for other ports: only sshd's end has a known one."""
        known, other = ("sport", "dport") if packets.is_reply else ("dport", "sport")
        if f"--{other}" in self.after or other in self.after:
            return False
        port = self.first_after(f"--{known}", f"--{known}s", known)
        if not port:
            return True
        is_ssh = not {"22", "ssh"}.isdisjoint(re.findall(r"\w+", port))
        return packets.protocol == "tcp" and is_ssh

    def fits_ends(self, packets: Packets) -> bool:
        """Return True unless the rule is for another device, or other addresses."""
        device = self.first_after("-i", "-o", "iifname", "oifname")
        if device and device != packets.nic.device:
            return False
        ends = (packets.peer, str(packets.nic.address.ip))
        for word in ("-s", "-d", "saddr", "daddr"):
            if word in self.after and not _network_holds(self.after[word], ends):
                return False
        return True


def _network_holds(text: str, addresses: Sequence[str]) -> bool:
    """Return True if a network has any of these addresses."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return any(ipaddress.ip_address(address) in network for address in addresses)


def read_rules(lines: Sequence[str]) -> Iterator[FirewallRule]:
    """Yield every rule of iptables-save and of `nft list ruleset` for what comes in or goes out."""
    policies: list[FirewallRule] = []  # these come last, whatever the order of the lines
    hook = ""  # of the nft chain that the lines are in
    for line in map(str.strip, lines):
        chain = _HOOK.search(line)
        if chain:
            hook = chain[1]
            if hook in _HOOKS and "policy drop" in line:
                text = f"policy of {hook} is drop"
                policies.append(FirewallRule(hook=hook, text=text, is_policy=True))
            continue
        if line.startswith(("chain ", "}")):
            hook = ""
        policy = _POLICY.match(line)
        if policy:
            name = policy["chain"]
            text = f"policy of {name} is DROP"
            policies.append(FirewallRule(hook=name.lower(), text=text, is_policy=True))
        rule = _iptables_rule(line) or _nft_rule(line, hook)
        if rule:
            yield rule
    yield from policies


def _iptables_rule(line: str) -> FirewallRule | None:
    """Return a rule of iptables' INPUT or OUTPUT; None for any other line."""
    match = _IPTABLES.match(line)
    if match is None:
        return None
    chain = match["rule"].split()[1]
    if chain not in ("INPUT", "OUTPUT"):
        return None
    accepts = match["verdict"] == "ACCEPT"
    return FirewallRule(hook=chain.lower(), text=match["rule"], accepts=accepts)


def _nft_rule(line: str, hook: str) -> FirewallRule | None:
    """Return a rule of the nft chain that belongs to that hook; None for any other line."""
    match = _NFT_VERDICT.search(line)
    if match is None or hook not in _HOOKS:
        return None
    # Counters differ from moment to moment, and one cause must have one text.
    return FirewallRule(hook=hook, text=_COUNTERS.sub("", line), accepts=match[2] == "accept")
