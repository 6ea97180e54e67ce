"""Readers of values with a unit: sizes of memory and disks, delays, losses and rates."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from stacklab.model.lab import Size
from stacklab.spec.form.values import AMOUNT, Wrong, read_text
from stacklab.spec.mistakes import quote

# Patterns of whole texts, as those of `values`: the JSON Schema uses them, too.
SIZE = r"[0-9]{1,6}(\.[0-9]{1,6})? ?(MiB|GiB|TiB)"
DELAY = rf"{AMOUNT} ?(ms|s)"
LOSS = rf"{AMOUNT} ?%"
RATE = rf"({AMOUNT} ?(kbit|mbit|gbit)|none)"

LONGEST_DELAY_MS = 10_000
LOWEST_RATE_KBIT, HIGHEST_RATE_KBIT = 32, 10_000_000
# Milliseconds or kbit in one of each unit.
_MS_PER = {"ms": 1, "s": 1000}
_KBIT_PER = {"kbit": 1, "mbit": 1000, "gbit": 1_000_000}
# For the first letter of a unit that is not one of a spec's, the one that was probably meant.
_UNITS = {"": "MiB", "k": "MiB", "m": "MiB", "g": "GiB", "t": "TiB"}


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
    if re.fullmatch(AMOUNT, text):
        raise Wrong(f"{quote(text)} lacks a unit", f"write {text}{usual_unit}")
    if not re.fullmatch(pattern, text):
        raise Wrong(f"{quote(text)} is not a {what}", f"e.g. {example}")
    number = text.rstrip("%abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip()
    return _Amount(amount=float(number), unit=unit, text=text)


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
