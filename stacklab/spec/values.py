"""The words of a spec: text in, value out, or what is wrong and what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from stacklab import releases
from stacklab.model.lab import Size
from stacklab.spec.source import quote
from stacklab.words import suggest

NAME = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
NODE_NAME = r"[a-z]([a-z0-9-]*[a-z0-9])?"
SIZE = r"[0-9]{1,6}(\.[0-9]{1,6})? ?(MiB|GiB|TiB)"
CIDR = r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}"
ADDRESS = r"[0-9]{1,3}(\.[0-9]{1,3}){3}"
IMAGE = r"[a-z0-9][a-z0-9._-]{0,59}"
BRIDGE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}"  # IFNAMSIZ is 16, with the final NUL
BRANCH = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}"
_AMOUNT = r"[0-9]{1,9}(\.[0-9]{1,6})?"
DELAY = rf"{_AMOUNT} ?(ms|s)"
LOSS = rf"{_AMOUNT} ?%"
RATE = rf"({_AMOUNT} ?(kbit|mbit|gbit)|none)"

LAB_NAME_LENGTH = 30
NAME_LENGTH = 20
SMALLEST_PREFIX, LARGEST_PREFIX = 8, 29

# Ranges that no lab can use, and why.
_TAKEN = (
    (IPv4Network("0.0.0.0/8"), "means 'this host'"),
    (IPv4Network("127.0.0.0/8"), "is every host's own loopback"),
    (IPv4Network("169.254.0.0/16"), "is for link-local addresses"),
    (IPv4Network("224.0.0.0/4"), "is for multicast"),
    (IPv4Network("240.0.0.0/4"), "is reserved"),
)
LONGEST_DELAY_MS = 10_000
LOWEST_RATE_KBIT, HIGHEST_RATE_KBIT = 32, 10_000_000
LONGEST_COMMAND = 8000
_MS_PER = {"ms": 1, "s": 1000}
_KBIT_PER = {"kbit": 1, "mbit": 1000, "gbit": 1_000_000}
_UNITS = {"": "MiB", "k": "MiB", "m": "MiB", "g": "GiB", "t": "TiB"}

Word = TypeVar("Word", bound=StrEnum)
Number = TypeVar("Number", int, float)


class Wrong(ValueError):
    """A value that cannot be."""

    def __init__(self, wrong: str, right: str = "") -> None:
        """Say what is wrong, and what would be right."""
        super().__init__(wrong)
        self.wrong = wrong
        self.right = right


def text(value: object) -> str:
    """Any text; raises Wrong for a list or a mapping."""
    if isinstance(value, str):
        return value
    kind = "a list" if isinstance(value, list) else "a mapping"
    raise Wrong(f"{kind}, where one value is expected")


def line(value: object) -> str:
    """One line of text."""
    found = text(value).strip()
    if "\n" in found:
        raise Wrong("is more than one line", "one line; comments can say more")
    return found


def phrase(value: object) -> str:
    """One line of text that is not empty."""
    found = line(value)
    if not found:
        raise Wrong("is empty", "write some text, or remove the key")
    return found


def command(value: object) -> str:
    """A shell's command, of any number of lines."""
    found = text(value).strip("\n")
    if not found.strip():
        raise Wrong("is empty", "write a command, e.g. systemctl is-active ssh")
    if len(found) > LONGEST_COMMAND:
        raise Wrong(
            f"has {len(found)} characters",
            f"{LONGEST_COMMAND} at most; put a script on the node and call it",
        )
    return found


def delay(value: object) -> float:
    """How long packets are held back, in ms."""
    amount, unit, found = _with_unit(value, DELAY, "delay", "20ms or 1.5s", "ms")
    ms = amount * _MS_PER[unit]
    if ms > LONGEST_DELAY_MS:
        raise Wrong(f"{found} is out of range", f"0ms to {LONGEST_DELAY_MS // 1000}s")
    return ms


def loss(value: object) -> float:
    """How many packets are lost, in percent."""
    amount, _, found = _with_unit(value, LOSS, "loss", "1% or 0.5%", "%")
    if amount > 100:
        raise Wrong(f"{found} is out of range", "0% to 100%")
    return amount


def rate(value: object) -> int:
    """How much goes through, in kbit/s; 0 for `none`."""
    if text(value).strip() == "none":
        return 0
    amount, unit, found = _with_unit(value, RATE, "rate", "512kbit, 10mbit, 1gbit or none", "mbit")
    kbit = round(amount * _KBIT_PER[unit], 6)
    if not LOWEST_RATE_KBIT <= kbit <= HIGHEST_RATE_KBIT:
        raise Wrong(
            f"{found} is out of range",
            f"{LOWEST_RATE_KBIT}kbit to {HIGHEST_RATE_KBIT // 1_000_000}gbit",
        )
    if kbit != int(kbit):
        raise Wrong(f"{found} is no whole number of kbit", f"e.g. {int(kbit)}kbit")
    return int(kbit)


def _with_unit(
    value: object, pattern: str, what: str, example: str, usual: str
) -> tuple[float, str, str]:
    """The number, its unit, and what was written."""
    found = text(value).strip()
    if re.fullmatch(_AMOUNT, found):
        raise Wrong(f"{quote(found)} has no unit", f"write {found}{usual}")
    if not re.fullmatch(pattern, found):
        raise Wrong(f"{quote(found)} is no {what}", f"e.g. {example}")
    number = found.rstrip("%abcdefghijklmnopqrstuvwxyz ")
    return float(number), found[len(number) :].strip(), found


def name_problem(name: str, length: int, pattern: str = NAME) -> tuple[str, str] | None:
    """What is wrong with a name, and what would be right; None when it is a host name."""
    if len(name) > length:
        return f"{quote(name)} is longer than {length} characters", "shorten it"
    if re.fullmatch(pattern, name):
        return None
    if pattern == NODE_NAME and re.fullmatch(NAME, name):
        # inet_aton(3) reads `1` and `0x1f` as addresses: `ping 1` pings 0.0.0.1.
        return f"{quote(name)} is no host name", "begin with a letter"
    return (
        f"{quote(name)} is no host name",
        "lower-case letters, digits and -, neither first nor last",
    )


def name(length: int, pattern: str = NAME) -> Callable[[object], str]:
    """A reader of names that can be host names."""

    def read(value: object) -> str:
        name = text(value)
        if problem := name_problem(name, length, pattern):
            raise Wrong(*problem)
        return name

    return read


def matching(
    pattern: str, what: str, right: str, *, is_shown: bool = True
) -> Callable[[object], str]:
    """A reader of text of one form; `what` names the form. What is not shown is left out of errors."""

    def read(value: object) -> str:
        found = text(value)
        if not re.fullmatch(pattern, found):
            raise Wrong(f"{quote(found) if is_shown else 'it'} is no {what}", right)
        return found

    return read


def word(kind: type[Word]) -> Callable[[object], Word]:
    """A reader of one of an enum's words."""

    def read(value: object) -> Word:
        found = text(value)
        try:
            return kind(found)
        except ValueError:
            raise Wrong(f"{quote(found)} is unknown", suggest(found, kind, label="known")) from None

    return read


def flag(value: object) -> bool:
    """`true` or `false`."""
    found = text(value)
    if found not in ("true", "false"):
        raise Wrong(f"{quote(found)} is neither true nor false", "true or false")
    return found == "true"


def release(value: object) -> str:
    """A release by its name, or by its branch or tag: mitaka, stable/mitaka or mitaka-eol."""
    return releases.plain_name(matching(BRANCH, "release", "e.g. mitaka or 2026.1")(value))


def number(kind: type[Number], low: int, high: int, unit: str = "") -> Callable[[object], Number]:
    """A reader of numbers from `low` to `high`."""
    pattern = r"[0-9]{1,9}" if kind is int else r"[0-9]{1,9}(\.[0-9]{1,6})?"
    right = f"{low} to {high}" + (f" {unit}" if unit else "")

    def read(value: object) -> Number:
        found = text(value)
        if not re.fullmatch(pattern, found):
            whole = "whole number" if kind is int else "number"
            raise Wrong(f"{quote(found)} is no {whole}" + (f" of {unit}" if unit else ""), right)
        if not low <= kind(found) <= high:
            raise Wrong(f"{found} is out of range", right)
        return kind(found)

    return read


def size(smallest: Size, why: str) -> Callable[[object], Size]:
    """A reader of amounts of memory or disk, of at least `smallest`; `why` says why not less."""

    def read(value: object) -> Size:
        found = text(value).strip()
        if not re.fullmatch(SIZE, found):
            raise Wrong(f"{quote(found)} is no size", f"write {_right_size(found)}")
        try:
            amount = Size.parse(found)
        except ValueError:
            raise Wrong(
                f"{quote(found)} is not a whole, positive number of MiB", "e.g. 512MiB or 1.5GiB"
            ) from None
        if amount < smallest:
            raise Wrong(f"{found} is less than {smallest}", why)
        return amount

    return read


def _right_size(found: str) -> str:
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*([kmgt]?)i?b?", found.lower())
    if match is None:
        return "a number and MiB, GiB or TiB: 512MiB"
    # "512" and "2048" are megabytes to whoever writes them, "2" is gigabytes.
    unit = "GiB" if not match[2] and float(match[1]) < 64 else _UNITS[match[2]]
    return match[1] + unit


def cidr(value: object) -> IPv4Network:
    """An address range that a lab's network can have."""
    return _range(value, "the host and nodes", f"/{LARGEST_PREFIX} at least; /24 is usual")


def pool(value: object) -> IPv4Network:
    """A range of addresses that a cloud gives out itself."""
    return _range(value, "a cloud to give addresses from", f"/{LARGEST_PREFIX} at least")


def _range(value: object, user: str, right: str) -> IPv4Network:
    found = text(value)
    if re.fullmatch(ADDRESS, found):
        raise Wrong(f"{quote(found)} has no prefix length", f"write {found}/24")
    if ":" in found:
        raise Wrong(
            f"{quote(found)} is not IPv4", "IPv6 networks are not supported; e.g. 192.168.150.0/24"
        )
    try:
        if not re.fullmatch(CIDR, found):
            raise ValueError
        network = IPv4Network(found, strict=False)
    except ValueError:
        raise Wrong(f"{quote(found)} is no address range", "e.g. 192.168.150.0/24") from None
    if str(network.network_address) != found.partition("/")[0]:
        raise Wrong(f"{found} has host bits set", f"write {network}")
    if not network.prefixlen >= SMALLEST_PREFIX:
        raise Wrong(f"{found} is too wide", f"/{SMALLEST_PREFIX} at most; /24 holds 253 nodes")
    if network.prefixlen > LARGEST_PREFIX:
        raise Wrong(f"{found} is too small for {user}", right)
    for taken, why in _TAKEN:
        if network.overlaps(taken):
            raise Wrong(
                f"{found} lies in {taken}, which {why}", "e.g. 192.168.150.0/24 or 10.150.0.0/24"
            )
    return network


def address(value: object) -> IPv4Address:
    """An address, without a prefix length: that is the network's."""
    found = text(value)
    bare, slash, _ = found.partition("/")
    try:
        parsed = IPv4Address(bare)
    except ValueError:
        raise Wrong(f"{quote(found)} is no IPv4 address", "e.g. 192.168.150.10") from None
    if slash:
        raise Wrong(f"{quote(found)} has a prefix length, which is the network's", f"write {bare}")
    return parsed
