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
        words = _RuleWords.of_rule(self.text)
        if words.is_negated:
            return self.accepts
        tests = (words.fits_state, words.fits_protocol, words.fits_ports, words.fits_ends)
        return all(fits_packets(packets) for fits_packets in tests)


@dataclass(frozen=True, slots=True)
class _RuleWords:
    """A rule's words, of iptables or of nft, and which word comes after which."""

    words: Sequence[str]
    after: Mapping[str, str]

    @classmethod
    def of_rule(cls, text: str) -> _RuleWords:
        """Split a rule's text; nft puts the names of devices in quotation marks."""
        words = text.replace('"', "").split()
        return cls(words=words, after=dict(itertools.pairwise(words)))

    @property
    def is_negated(self) -> bool:
        """True if the rule is for all but what it names."""
        return "!" in self.words or "!=" in self.words

    def value_after(self, *options: str) -> str:
        """Return the value of the first of these options that the rule has; "" for none."""
        for option in options:
            if option in self.after:
                return self.after[option]
        return ""

    def value_of_match(self, options: Sequence[str], match: str, word: str) -> str:
        """Return the value of iptables' options; of nft, what follows `word` in that match.

        nft uses plain words (`ct state new`, `icmp type echo-request`), so the word counts
        only in a rule that has the match as well.
        """
        value = self.value_after(*options)
        if not value and match in self.words:
            value = self.value_after(word)
        return value

    def fits_state(self, packets: Packets) -> bool:
        """Return True unless the rule is for packets in another state of their connection."""
        states = self.value_of_match(("--ctstate", "--state"), match="ct", word="state")
        if not states:
            return True
        wanted = "ESTABLISHED" if packets.is_reply else "NEW"
        return wanted in states.upper().split(",")

    def fits_protocol(self, packets: Packets) -> bool:
        """Return True unless the rule is for another protocol, or another kind of ICMP."""
        kind = self.value_of_match(("--icmp-type",), match="icmp", word="type")
        echo = _ECHO_REPLY if packets.is_reply else _ECHO
        if kind and kind not in echo:
            return False
        named = self.value_after("-p")
        if named:
            return named in ("all", packets.protocol)
        # nft names the protocol without a word before it.
        for protocol in ("icmp", "tcp", "udp"):
            if protocol in self.words:
                return protocol == packets.protocol
        return True

    def fits_ports(self, packets: Packets) -> bool:
        """Return True unless the rule is for other ports: only sshd's end has a known one."""
        known, other = "dport", "sport"
        if packets.is_reply:
            known, other = "sport", "dport"
        if f"--{other}" in self.after or other in self.after:
            return False
        port = self.value_after(f"--{known}", f"--{known}s", known)
        if not port:
            return True
        # One port, or several in one word: "22", "22,80", "{22,ssh}".
        ports = re.findall(r"\w+", port)
        is_ssh = "22" in ports or "ssh" in ports
        return packets.protocol == "tcp" and is_ssh

    def fits_ends(self, packets: Packets) -> bool:
        """Return True unless the rule is for another device, or other addresses."""
        device = self.value_after("-i", "-o", "iifname", "oifname")
        if device and device != packets.nic.device:
            return False
        ends = (packets.peer, str(packets.nic.address.ip))
        for word in ("-s", "-d", "saddr", "daddr"):
            network = self.after.get(word)
            if network is not None and not _network_holds(network, ends):
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
                policies.append(_policy_rule(hook, f"policy of {hook} is drop"))
            continue
        if line.startswith(("chain ", "}")):
            hook = ""
        policy = _POLICY.match(line)
        if policy:
            name = policy["chain"]
            policies.append(_policy_rule(name.lower(), f"policy of {name} is DROP"))
        rule = _iptables_rule(line) or _nft_rule(line, hook)
        if rule:
            yield rule
    yield from policies


def _policy_rule(hook: str, text: str) -> FirewallRule:
    """Return a chain's policy as a rule: it refuses what no rule before it took."""
    return FirewallRule(hook=hook, text=text, is_policy=True)


def _iptables_rule(line: str) -> FirewallRule | None:
    """Return a rule of iptables' INPUT or OUTPUT; None for any other line."""
    match = _IPTABLES.match(line)
    if match is None:
        return None
    _, chain, *_ = match["rule"].split()
    if chain not in ("INPUT", "OUTPUT"):
        return None
    return FirewallRule(
        hook=chain.lower(),
        text=match["rule"],
        accepts=match["verdict"] == "ACCEPT",
    )


def _nft_rule(line: str, hook: str) -> FirewallRule | None:
    """Return a rule of the nft chain that belongs to that hook; None for any other line."""
    match = _NFT_VERDICT.search(line)
    if match is None or hook not in _HOOKS:
        return None
    return FirewallRule(
        hook=hook,
        # Counters differ from moment to moment, and one cause must have one text.
        text=_COUNTERS.sub("", line),
        accepts=match[2] == "accept",
    )
