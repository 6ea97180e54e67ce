"""Readers of a spec's values: each takes the text that was written and returns the value.

A reader raises Wrong with what is wrong and what would be right. The `..._reader` functions make
readers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple, TypeVar

from stacklab.model.lab import Size
from stacklab.model.release import plain_name
from stacklab.spec.source import quote
from stacklab.words import suggest

# Patterns of whole texts; the JSON Schema uses them, too, so they are in the syntax that both
# Python and ECMAScript understand.
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

# Both names are in the path of an ssh socket, which the kernel limits to 107 characters.
LAB_NAME_LENGTH = 30
NAME_LENGTH = 20
# Of a network's prefix length; a /29 has room for the host and five nodes.
SMALLEST_PREFIX, LARGEST_PREFIX = 8, 29

# Ranges that no lab can use, and the reason.
_RESERVED = (
    (IPv4Network("0.0.0.0/8"), "means 'this host'"),
    (IPv4Network("127.0.0.0/8"), "is every host's own loopback"),
    (IPv4Network("169.254.0.0/16"), "is for link-local addresses"),
    (IPv4Network("224.0.0.0/4"), "is for multicast"),
    (IPv4Network("240.0.0.0/4"), "is reserved"),
)

LONGEST_DELAY_MS = 10_000
LOWEST_RATE_KBIT, HIGHEST_RATE_KBIT = 32, 10_000_000
LONGEST_COMMAND = 8000
# Milliseconds or kbit in one of each unit.
_MS_PER = {"ms": 1, "s": 1000}
_KBIT_PER = {"kbit": 1, "mbit": 1000, "gbit": 1_000_000}
# For the first letter of a unit that is not one of a spec's, the one that was probably meant.
_UNITS = {"": "MiB", "k": "MiB", "m": "MiB", "g": "GiB", "t": "TiB"}

Word = TypeVar("Word", bound=StrEnum)
Number = TypeVar("Number", int, float)


class Wrong(ValueError):
    """A value that a spec cannot have; `right` says what it could be instead."""

    def __init__(self, wrong: str, right: str = "") -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.right = right


def read_text(value: object) -> str:
    """Return a text; raise Wrong for a list or a mapping."""
    if isinstance(value, str):
        return value
    # Scalars are texts (see source.py), so it can be nothing but one of these.
    kind = "a list" if isinstance(value, list) else "a mapping"
    raise Wrong(f"{kind}, where one value is expected")


def read_line(value: object) -> str:
    """Return one line of text."""
    text = read_text(value).strip()
    if "\n" in text:
        raise Wrong("is more than one line", "one line; comments can say more")
    return text


def read_phrase(value: object) -> str:
    """Return one line of text that is not empty."""
    text = read_line(value)
    if not text:
        raise Wrong("is empty", "write some text, or remove the key")
    return text


def read_command(value: object) -> str:
    """Return a shell command, which may have several lines."""
    text = read_text(value).strip("\n")
    if not text.strip():
        raise Wrong("is empty", "write a command, e.g. systemctl is-active ssh")
    if len(text) > LONGEST_COMMAND:
        raise Wrong(
            f"has {len(text)} characters",
            f"{LONGEST_COMMAND} at most; put a script on the node and call it",
        )
    return text


def read_delay(value: object) -> float:
    """Return for how many milliseconds packets are held back."""
    delay = _read_with_unit(
        value, pattern=DELAY, what="delay", example="20ms or 1.5s", usual_unit="ms"
    )
    delay_ms = delay.amount * _MS_PER[delay.unit]
    if delay_ms > LONGEST_DELAY_MS:
        raise Wrong(f"{delay.text} is out of range", f"0ms to {LONGEST_DELAY_MS // 1000}s")
    return delay_ms


def read_loss(value: object) -> float:
    """Return how many percent of the packets are lost."""
    loss = _read_with_unit(value, pattern=LOSS, what="loss", example="1% or 0.5%", usual_unit="%")
    if loss.amount > 100:
        raise Wrong(f"{loss.text} is out of range", "0% to 100%")
    return loss.amount


def read_rate(value: object) -> int:
    """Return the bandwidth in kbit/s; 0 for `none`, which means that it is not limited."""
    if read_text(value).strip() == "none":
        return 0
    rate = _read_with_unit(
        value,
        pattern=RATE,
        what="rate",
        example="512kbit, 10mbit, 1gbit or none",
        usual_unit="mbit",
    )
    # Rounded: 1.001 times 1000 is 1000.9999999999999 to Python.
    rate_kbit = round(rate.amount * _KBIT_PER[rate.unit], 6)
    if not LOWEST_RATE_KBIT <= rate_kbit <= HIGHEST_RATE_KBIT:
        raise Wrong(
            f"{rate.text} is out of range",
            f"{LOWEST_RATE_KBIT}kbit to {HIGHEST_RATE_KBIT // 1_000_000}gbit",
        )
    # tc takes whole numbers of kbit alone.
    whole_kbit = int(rate_kbit)
    if rate_kbit != whole_kbit:
        raise Wrong(f"{rate.text} is not a whole number of kbit", f"e.g. {whole_kbit}kbit")
    return whole_kbit


class _Amount(NamedTuple):
    """A number with its unit, and the text that was written."""

    amount: float
    unit: str
    text: str


def _read_with_unit(
    value: object, *, pattern: str, what: str, example: str, usual_unit: str
) -> _Amount:
    text = read_text(value).strip()
    if re.fullmatch(_AMOUNT, text):
        raise Wrong(f"{quote(text)} lacks a unit", f"write {text}{usual_unit}")
    if not re.fullmatch(pattern, text):
        raise Wrong(f"{quote(text)} is not a {what}", f"e.g. {example}")
    number = text.rstrip("%abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip()
    return _Amount(amount=float(number), unit=unit, text=text)


def name_problem(name: str, length: int, pattern: str = NAME) -> tuple[str, str] | None:
    """Return what is wrong with a name and what would be right; None for a host name."""
    if len(name) > length:
        return f"{quote(name)} is longer than {length} characters", "shorten it"
    if re.fullmatch(pattern, name):
        return None
    right = "lower-case letters and digits, with - between them"
    if pattern == NODE_NAME and re.fullmatch(NAME, name):
        # inet_aton(3) reads `1` and `0x1f` as addresses: `ping 1` pings 0.0.0.1.
        right = "begin with a letter"
    return f"{quote(name)} is not a host name", right


def name_reader(length: int, pattern: str = NAME) -> Callable[[object], str]:
    """Make a reader of host names that have at most `length` characters."""

    def read(value: object) -> str:
        name = read_text(value)
        problem = name_problem(name, length, pattern)
        if problem:
            raise Wrong(*problem)
        return name

    return read


def pattern_reader(
    pattern: str, what: str, right: str, *, is_shown: bool = True
) -> Callable[[object], str]:
    """Make a reader of texts that match a pattern; `what` names such a text.

    Unless `is_shown`, the error does not repeat the text: it might be a secret.
    """
    article = "an" if what[0] in "aeiou" else "a"

    def read(value: object) -> str:
        text = read_text(value)
        if not re.fullmatch(pattern, text):
            shown = quote(text) if is_shown else "it"
            raise Wrong(f"{shown} is not {article} {what}", right)
        return text

    return read


def word_reader(kind: type[Word]) -> Callable[[object], Word]:
    """Make a reader of an enum's words."""

    def read(value: object) -> Word:
        text = read_text(value)
        try:
            return kind(text)
        except ValueError:
            raise Wrong(f"{quote(text)} is unknown", suggest(text, kind, label="known")) from None

    return read


def read_flag(value: object) -> bool:
    """Return True for `true` and False for `false`."""
    text = read_text(value)
    if text not in ("true", "false"):
        raise Wrong(f"{quote(text)} is neither true nor false", "true or false")
    return text == "true"


_read_branch = pattern_reader(BRANCH, "release", "e.g. mitaka or 2026.1")


def read_release(value: object) -> str:
    """Return a release by its name, or by a branch or tag: stable/mitaka or mitaka-eol."""
    return plain_name(_read_branch(value))


def number_reader(
    kind: type[Number], low: int, high: int, unit: str = ""
) -> Callable[[object], Number]:
    """Make a reader of numbers from `low` to `high`."""
    pattern, what = _AMOUNT, "number"
    if kind is int:
        pattern, what = r"[0-9]{1,9}", "whole number"
    right = f"{low} to {high}"
    if unit:
        what += f" of {unit}"
        right += f" {unit}"

    def read(value: object) -> Number:
        text = read_text(value)
        if not re.fullmatch(pattern, text):
            raise Wrong(f"{quote(text)} is not a {what}", right)
        _refuse_leading_zeros(text, _plain_number(text))
        number = kind(text)
        if not low <= number <= high:
            raise Wrong(f"{text} is out of range", right)
        return number

    return read


def _refuse_leading_zeros(text: str, plain: str) -> None:
    """Raise Wrong if a number was written otherwise than `plain`, without zeros in front."""
    if plain != text:
        raise Wrong(
            f"{text} has a number that begins with 0, which some programs take for octal",
            f"write {plain}",
        )


def _plain_number(text: str) -> str:
    return re.sub(r"^0+(?=[0-9])", "", text)


def _plain_address(text: str) -> str:
    """Return an address, with or without a prefix length, whose numbers have no zeros in front."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", text)


def size_reader(
    smallest: Size, reason: str, *, largest: Size | None = None, why_largest: str = ""
) -> Callable[[object], Size]:
    """Make a reader of sizes of memory or disks; `reason` says why `smallest` is the least."""

    def read(value: object) -> Size:
        text = read_text(value).strip()
        if not re.fullmatch(SIZE, text):
            raise Wrong(f"{quote(text)} is not a size", f"write {_likely_size(text)}")
        try:
            size = Size.parse(text)
        except ValueError:
            raise Wrong(
                f"{quote(text)} is not a whole, positive number of MiB", "e.g. 512MiB or 1.5GiB"
            ) from None
        if size < smallest:
            raise Wrong(f"{text} is less than {smallest}", reason)
        if largest is not None and size > largest:
            raise Wrong(f"{text} is more than {largest}", why_largest)
        return size

    return read


def _likely_size(text: str) -> str:
    """Return the size that was probably meant, with the right unit."""
    # As others write it: 512m, 2GB, 1 gib, 16.
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*([kmgt]?)i?b?", text.lower())
    if match is None:
        return "a number and MiB, GiB or TiB: 512MiB"
    number, unit_letter = match.groups()
    # Without a unit, 512 and 2048 are meant as MiB, but 2 and 16 as GiB.
    if not unit_letter and float(number) < 64:
        return f"{number}GiB"
    return number + _UNITS[unit_letter]


def read_cidr(value: object) -> IPv4Network:
    """Return an address range that a lab's network can have."""
    return _read_range(value, "the host and nodes", f"/{LARGEST_PREFIX} at least; /24 is usual")


def read_pool(value: object) -> IPv4Network:
    """Return a range of addresses that a cloud gives out by itself."""
    return _read_range(value, "a cloud to give addresses from", f"/{LARGEST_PREFIX} at least")


def _read_range(value: object, user: str, right: str) -> IPv4Network:
    text = read_text(value)
    network = _parse_network(text)
    # Compared as text: 192.168.150.1/24 was read without its host bits.
    if str(network.network_address) != text.partition("/")[0]:
        raise Wrong(f"{text} has host bits set", f"write {network}")
    if network.prefixlen < SMALLEST_PREFIX:
        # 10.0.0.0/8 is the widest range that anybody can have for private use.
        raise Wrong(f"{text} is too wide", f"/{SMALLEST_PREFIX} at most; /24 holds 253 nodes")
    if network.prefixlen > LARGEST_PREFIX:
        raise Wrong(f"{text} is too small for {user}", right)
    for reserved, reason in _RESERVED:
        if network.overlaps(reserved):
            raise Wrong(
                f"{text} lies in {reserved}, which {reason}",
                "e.g. 192.168.150.0/24 or 10.150.0.0/24",
            )
    return network


def _parse_network(text: str) -> IPv4Network:
    if re.fullmatch(ADDRESS, _plain_address(text)):
        raise Wrong(f"{quote(text)} lacks a prefix length", f"write {_plain_address(text)}/24")
    example = "e.g. 192.168.150.0/24"
    if ":" in text:
        raise Wrong(f"{quote(text)} is not IPv4", f"IPv6 networks are not supported; {example}")
    # IPv4Network would take 10.0.0.0/255.0.0.0 and other forms that the JSON Schema refuses.
    if re.fullmatch(CIDR, text):
        with contextlib.suppress(ValueError):
            return IPv4Network(text, strict=False)
    if _is_range(_plain_address(text)):
        _refuse_leading_zeros(text, _plain_address(text))
    raise Wrong(f"{quote(text)} is not an address range", example)


def _is_range(text: str) -> bool:
    try:
        IPv4Network(text, strict=False)
    except ValueError:
        return False
    return True


def read_address(value: object) -> IPv4Address:
    """Return an address, which is written without a prefix length: its network has that."""
    text = read_text(value)
    bare, slash, _ = text.partition("/")
    try:
        address = IPv4Address(bare)
    except ValueError:
        if _is_range(_plain_address(bare)):
            _refuse_leading_zeros(bare, _plain_address(bare))
        raise Wrong(f"{quote(text)} is not an IPv4 address", "e.g. 192.168.150.10") from None
    if slash:
        raise Wrong(f"{quote(text)} has a prefix length, which only networks have", f"write {bare}")
    return address
