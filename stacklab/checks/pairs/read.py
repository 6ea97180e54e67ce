"""Readers of what nodes wrote for the checks of layer `pairs`.

Nothing here raises, whatever it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stacklab.tools.network import fping

KEY = "ssh-ed25519"
_DIGITS = 6  # a longer number is not one that we sent
# fping's words without -C, and why its own kernel did not let a packet out.
_FOUND = re.compile(r"(?P<target>\S{1,64}) is (?P<found>alive|unreachable)", re.ASCII)
_UNSENT = re.compile(r"(?P<target>\S{1,64}): error while sending ping: (?P<why>.{1,200})")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)


@dataclass(slots=True)
class PingAnswers:
    """The answers to PINGS.

    They are the round trips by address (`own`), the addresses that were tried with packets of
    a size, those of them with a reply, and those that the kernel refused to send to.
    """

    own: dict[str, fping.Ping] = field(default_factory=dict)
    tried: dict[int, set[str]] = field(default_factory=dict)
    passed: dict[int, set[str]] = field(default_factory=dict)
    unsent: dict[tuple[int, str], str] = field(default_factory=dict)  # why the kernel refused

    @classmethod
    def read(cls, lines: Iterable[str]) -> PingAnswers:
        """Read the lines of that part."""
        answers = cls()
        size = 0  # of fping's own packets, until the first line that names another
        for line in lines:
            if line.startswith("size "):
                word = line.removeprefix("size ").strip()
                # Nobody asks for -1: what follows a broken line counts for no size.
                size = int(word) if _is_number(word) else -1
            else:
                answers._take_line(size, line)
        return answers

    def _take_line(self, size: int, line: str) -> None:
        """Take one of fping's lines, of a packet of that size."""
        ping = fping.parse_line(line)
        if ping is not None and size == 0:
            self.own[ping.target] = ping
            return
        if ping is not None:
            self._take_ping(size, ping.target, has_passed=ping.received > 0)
            return
        unsent = _UNSENT.fullmatch(line)
        if unsent:
            self.unsent[size, unsent["target"]] = unsent["why"]
            self._take_ping(size, unsent["target"], has_passed=False)
            return
        # Without -C, fping tells only who is there.
        answer = _FOUND.fullmatch(line)
        if answer:
            self._take_ping(size, answer["target"], has_passed=answer["found"] == "alive")

    def _take_ping(self, size: int, target: str, *, has_passed: bool) -> None:
        """Note that an address was tried with packets of that size, and if one came back."""
        self.tried.setdefault(size, set()).add(target)
        if has_passed:
            self.passed.setdefault(size, set()).add(target)


@dataclass(slots=True)
class NameAnswers:
    """The answers to NAMES: by the number of the peer, and backward by its address."""

    forward: dict[int, list[str]] = field(default_factory=dict)
    backward: dict[str, list[str]] = field(default_factory=dict)
    codes: dict[int, tuple[int, int]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, lines: Iterable[str]) -> NameAnswers:
        """Read the lines of that part."""
        answers = cls()
        number = -1  # of the name whose addresses follow
        is_back = False  # the lines are of addresses, not of names
        for line in lines:
            first, *words = line.split()
            if first == "codes":
                number, is_back = -1, False
                answers._take_codes(words)
            elif first == "back" and not words:
                is_back = True
            elif not is_address(first):
                answers.others.append(line)
            elif is_back:
                answers.backward.setdefault(first, []).extend(words)
            elif first.startswith("0.0."):
                # The mark that we sent before each name: 0.0.X.Y is its number.
                _, _, high, low = map(int, first.split("."))
                number = high * 256 + low
            elif number >= 0:
                answers._take_address(number, first)
        return answers

    def _take_codes(self, words: Sequence[str]) -> None:
        """Take the line that ends a handful of names: two exit codes, then their numbers."""
        numbers = [int(word) for word in words if _is_number(word)]
        if len(numbers) < 3 or len(numbers) < len(words):
            return
        forward, backward, *peers = numbers
        self.codes.update(dict.fromkeys(peers, (forward, backward)))

    def _take_address(self, number: int, address: str) -> None:
        """Note an address of a name; getent names each once per kind of socket."""
        addresses = self.forward.setdefault(number, [])
        if address not in addresses:
            addresses.append(address)


@dataclass(slots=True)
class LoginAnswers:
    """The answers to LOGINS: keys known and keys shown, by address; logins, by peer."""

    known: dict[str, set[str]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    greeted: set[str] = field(default_factory=set)  # addresses of sshds that said who they are
    # With the exit code, and what was written.
    silent: dict[str, tuple[int, str]] = field(default_factory=dict)
    logins: dict[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: Iterable[str]) -> LoginAnswers:
        """Read the lines of that part."""
        answers = cls()
        is_known = False  # the lines are of the node's own list of keys
        for line in lines:
            words = line.split()
            if words in (["known"], ["shown"]):
                is_known = words == ["known"]
            elif is_known:
                answers._take_known_key(words)
            else:
                answers._take_words(words)
        return answers

    def _take_known_key(self, words: Sequence[str]) -> None:
        """Take a line of known_hosts: `NAME,ADDRESS ssh-ed25519 KEY`."""
        if len(words) <= 2 or words[1] != KEY:
            return
        names, _, key, *_ = words
        for name in names.split(","):
            self.known.setdefault(name, set()).add(key)

    def _take_words(self, words: Sequence[str]) -> None:
        """Take a line about a login, or about an sshd that was asked for its key."""
        if words[0] in ("login", "silent"):
            self._take_outcome(words)
        elif words[0] == "#" and len(words) > 1:
            # ssh-keyscan's comment on an sshd that greeted it: `# 10.0.0.2:22 SSH-2.0-...`
            address, _, _ = words[1].partition(":")
            self.greeted.add(address)
        elif len(words) > 2 and words[1] == KEY:
            self.shown[words[0]] = words[2]

    def _take_outcome(self, words: Sequence[str]) -> None:
        """Take how a login, or a connection to a silent sshd, ended: `login PEER CODE TEXT`."""
        if len(words) < 3 or not _is_number(words[2]):
            return
        kind, peer, code, *text = words
        outcomes = self.logins if kind == "login" else self.silent
        outcomes[peer] = (int(code), " ".join(text))

    def reached(self, peer: str) -> str:
        """Return the address at which a login found its peer; "" where none did."""
        code, text = self.logins.get(peer, (1, ""))
        words = text.split()
        # `reached` and the four words of $SSH_CONNECTION come last, behind the peer's greeting.
        if code == 0 and len(words) > 4 and words[-5] == "reached":
            return words[-2]
        return ""


def read_sources(lines: Iterable[str]) -> dict[str, str]:
    """Return the kernel's answer by address, as `ip -o route get` writes it."""
    answers: dict[str, str] = {}
    for line in lines:
        if line.startswith("mac "):
            continue
        # "local" and the like may stand before the address
        addresses = [word for word in line.split()[:2] if is_address(word)]
        if addresses:
            answers[addresses[0]] = line
    return answers


def read_macs(lines: Iterable[str]) -> dict[str, str]:
    """Return the MAC of each of the node's devices, by its name."""
    macs: dict[str, str] = {}
    for line in lines:
        words = line.split()
        if line.startswith("mac ") and len(words) == 3:
            _, device, mac = words
            macs[device] = mac.lower()
    return macs


def _is_number(word: str) -> bool:
    """Return True for a whole number that we may have sent; never for digits of other scripts."""
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS


def is_address(word: str) -> bool:
    """Return True if a word has the look of an IPv4 address."""
    return _ADDRESS.fullmatch(word) is not None
