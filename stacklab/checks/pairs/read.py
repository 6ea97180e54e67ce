"""What nodes wrote for the checks of layer `pairs`, taken apart; nothing here raises, whatever it is given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from stacklab.tools import fping

KEY = "ssh-ed25519"
_DIGITS = 6  # more are no number that we sent
# fping's words without -C, and why its own kernel did not let a packet out.
_FOUND = re.compile(r"(?P<target>\S{1,64}) is (?P<found>alive|unreachable)", re.ASCII)
_UNSENT = re.compile(r"(?P<target>\S{1,64}): error while sending ping: (?P<why>.{1,200})")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)


@dataclass(slots=True)
class Pings:
    """What PINGS said: round trips by address, who had a reply to packets of which size, and who was sent none."""

    own: dict[str, fping.Ping] = field(default_factory=dict)
    tried: dict[int, set[str]] = field(default_factory=dict)
    passed: dict[int, set[str]] = field(default_factory=dict)
    unsent: dict[tuple[int, str], str] = field(default_factory=dict)  # why the kernel refused

    @classmethod
    def read(cls, lines: Iterable[str]) -> Pings:
        """Read the lines of that part."""
        found, size = cls(), 0
        for line in lines:
            if line.startswith("size "):
                word = line[5:].strip()
                size = int(word) if _is_number(word) else -1
            elif (ping := fping.parse_line(line)) is not None:
                if size == 0:
                    found.own[ping.target] = ping
                else:
                    found._take(size, ping.target, has_passed=ping.received > 0)
            elif match := _UNSENT.fullmatch(line):
                found.unsent[size, match["target"]] = match["why"]
                found._take(size, match["target"], has_passed=False)
            elif match := _FOUND.fullmatch(line):
                found._take(size, match["target"], has_passed=match["found"] == "alive")
        return found

    def _take(self, size: int, target: str, *, has_passed: bool) -> None:
        self.tried.setdefault(size, set()).add(target)
        if has_passed:
            self.passed.setdefault(size, set()).add(target)


@dataclass(slots=True)
class Names:
    """What NAMES said: forward and exit codes by the number of the peer, backward by address."""

    forward: dict[int, list[str]] = field(default_factory=dict)
    backward: dict[str, list[str]] = field(default_factory=dict)
    codes: dict[int, tuple[int, int]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, lines: Iterable[str]) -> Names:
        """Read the lines of that part."""
        found, number, is_back = cls(), -1, False
        for line in lines:
            first, *words = line.split()
            if first == "codes":
                number, is_back = -1, False
                numbers = [int(word) for word in words if _is_number(word)]
                if len(numbers) > 2 and len(numbers) == len(words):
                    found.codes.update(dict.fromkeys(numbers[2:], (numbers[0], numbers[1])))
            elif first == "back" and not words:
                is_back = True
            elif not is_address(first):
                found.others.append(line)
            elif is_back:
                found.backward.setdefault(first, []).extend(words)
            elif first.startswith("0.0."):
                _, _, high, low = map(int, first.split("."))
                number = high * 256 + low
            elif number >= 0 and first not in found.forward.setdefault(number, []):
                found.forward[number].append(first)
        return found


@dataclass(slots=True)
class Logins:
    """What LOGINS said: keys that the node knows and keys that were shown, by address; logins, by peer."""

    known: dict[str, set[str]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    greeted: set[str] = field(default_factory=set)
    silent: dict[str, tuple[int, str]] = field(default_factory=dict)
    logins: dict[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: Iterable[str]) -> Logins:
        """Read the lines of that part."""
        found, is_known = cls(), False
        for line in lines:
            words = line.split()
            if words in (["known"], ["shown"]):
                is_known = words == ["known"]
            elif is_known:
                if len(words) > 2 and words[1] == KEY:
                    for name in words[0].split(","):
                        found.known.setdefault(name, set()).add(words[2])
            elif words[0] in ("login", "silent") and len(words) > 2 and _is_number(words[2]):
                into = found.logins if words[0] == "login" else found.silent
                into[words[1]] = (int(words[2]), " ".join(words[3:]))
            elif words[0] == "#" and len(words) > 1:
                found.greeted.add(words[1].partition(":")[0])
            elif len(words) > 2 and words[1] == KEY:
                found.shown[words[0]] = words[2]
        return found

    def reached(self, peer: str) -> str:
        """The address at which a login found its peer; "" where none did."""
        code, text = self.logins.get(peer, (1, ""))
        words = text.split()
        return words[-2] if code == 0 and len(words) > 4 and words[-5] == "reached" else ""


def sources(lines: Iterable[str]) -> dict[str, str]:
    """The kernel's answer by address, as `ip -o route get` writes it."""
    found = {}
    for line in lines:
        if line.startswith("mac "):
            continue
        # "local" and the like may stand before the address
        for word in line.split()[:2]:
            if is_address(word):
                found[word] = line
                break
    return found


def macs(lines: Iterable[str]) -> dict[str, str]:
    """The MAC of each of the node's devices, by its name."""
    words = (line.split() for line in lines if line.startswith("mac "))
    return {each[1]: each[2].lower() for each in words if len(each) == 3}


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS


def is_address(word: str) -> bool:
    """Whether a word has the look of an IPv4 address."""
    return _ADDRESS.fullmatch(word) is not None
