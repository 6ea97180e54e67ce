"""Use tc: render the lines that impair a node's NICs, and parse `tc qdisc show`. Pure."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable

from stacklab.model.lab import NIC, Impairment

# Marks our own qdiscs: somebody else's, on a NIC that declares no impairment, is left alone.
HANDLE = "51ab:"
SHOW = "tc qdisc show"

_SMALLEST = 64  # bytes of a frame
_QUEUE_S = 0.5  # how much of what comes faster than the rate waits
_QUEUE_MIN = 100  # packets
_FASTEST_KBIT = 10_000_000  # of a NIC that declares no rate
_NETEM = re.compile(
    r"qdisc netem (?P<handle>\S+) (?:dev (?P<device>\S+) )?root\b(?P<rest>.*)", re.ASCII
)
# A bounded count of digits: a hostile node's number must not become infinite.
_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)"
_DELAY = re.compile(rf"\bdelay {_NUMBER}(us|ms|s)\b", re.ASCII)
_LOSS = re.compile(rf"\bloss (?:random )?{_NUMBER}%", re.ASCII)
_RATE = re.compile(rf"\brate {_NUMBER}([KMGT]?)bit\b", re.ASCII | re.IGNORECASE)
_MS_PER = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_KBIT_PER = {"": 0.001, "k": 1.0, "m": 1e3, "g": 1e6, "t": 1e9}


def limit(impairment: Impairment, mtu: int) -> int:
    """Return how many packets netem may hold; its own limit of 1000 drops what is only delayed.

    All that is on its way at the declared rate, be it in the smallest frames, and a
    queue of half a second; where no rate is declared, full frames at 10 Gbit/s.
    """
    delay_s = impairment.delay_ms / 1000
    if not impairment.rate_kbit:
        return 1000 + math.ceil(_FASTEST_KBIT * 1000 / 8 * delay_s / mtu)
    bytes_s = impairment.rate_kbit * 1000 / 8
    return math.ceil(bytes_s * delay_s / _SMALLEST) + max(
        _QUEUE_MIN, math.ceil(bytes_s * _QUEUE_S / mtu)
    )


def netem(impairment: Impairment, mtu: int) -> str:
    """Return the qdisc in tc's own words."""
    words = [f"netem limit {limit(impairment, mtu)}"]
    if impairment.delay_ms:
        words.append(f"delay {round(impairment.delay_ms * 1000)}us")
    if impairment.loss_percent:
        words.append(f"loss {impairment.loss_percent:g}%")
    if impairment.rate_kbit:
        words.append(f"rate {impairment.rate_kbit}kbit")
    return " ".join(words)


def script(nics: Iterable[NIC]) -> str:
    """Return the script that gives each NIC what it declares; for root's sh. SHOW tells the rest.

    The qdisc is replaced each time: `tc qdisc change` keeps a rate that is no longer declared.
    """
    lines = ["PATH=$PATH:/usr/sbin:/sbin", "export LC_ALL=C", "modprobe sch_netem 2>/dev/null"]
    for nic in nics:
        device = shlex.quote(nic.device)
        if nic.impairment:
            lines += [
                f"tc qdisc del dev {device} root 2>/dev/null",
                f"tc qdisc add dev {device} root handle {HANDLE} {netem(nic.impairment, nic.mtu)}",
            ]
        else:
            lines += [
                f"""case "$({SHOW} dev {device})" in *"qdisc netem {HANDLE} "*)"""
                f" tc qdisc del dev {device} root ;; esac"
            ]
    return "\n".join([*lines, ""])


def parse(text: str) -> dict[str, Impairment]:
    """Return what each device's netem does, from `tc qdisc show`; only devices that have one."""
    impairments = {}
    for line in text.splitlines():
        match = _NETEM.match(line.strip())
        if match and match["device"]:
            impairments[match["device"]] = _impairment(match["rest"])
    return impairments


def _impairment(words_of_netem: str) -> Impairment:
    delay = _DELAY.search(words_of_netem)
    loss = _LOSS.search(words_of_netem)
    rate = _RATE.search(words_of_netem)
    return Impairment(
        delay_ms=float(delay[1]) * _MS_PER[delay[2]] if delay else 0.0,
        loss_percent=float(loss[1]) if loss else 0.0,
        rate_kbit=round(float(rate[1]) * _KBIT_PER[rate[2].lower()]) if rate else 0,
    )


def is_same(declared: Impairment, actual: Impairment | None) -> bool:
    """Return True if netem does what is declared, as exactly as tc shows it; None: no netem."""
    actual = actual or Impairment()
    pairs = (
        (declared.delay_ms, actual.delay_ms),
        (declared.loss_percent, actual.loss_percent),
        (declared.rate_kbit, actual.rate_kbit),
    )
    # tc rounds what it shows, and the kernel keeps a loss as a fraction of 2**32.
    return all(math.isclose(a, b, rel_tol=0.02, abs_tol=0.002) for a, b in pairs)


def words(impairment: Impairment | None) -> str:
    """Return an impairment as people write it."""
    if impairment is None:
        return "no netem"
    if not impairment:
        return "nothing"
    effects = []
    if impairment.delay_ms:
        effects.append(f"delay {impairment.delay_ms:g} ms")
    if impairment.loss_percent:
        effects.append(f"loss {impairment.loss_percent:g} %")
    if impairment.rate_kbit:
        effects.append(f"rate {rate_words(impairment.rate_kbit)}")
    return ", ".join(effects)


def rate_words(kbit: float) -> str:
    """Return a rate with its unit."""
    for unit, per in (("Gbit/s", 1e6), ("Mbit/s", 1e3)):
        if kbit >= per:
            return f"{kbit / per:.3g} {unit}"
    return f"{kbit:.3g} kbit/s"
