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
_NETEM_S_OWN = 1000  # packets that netem holds by default
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
        fastest_bytes_s = _FASTEST_KBIT * 1000 / 8
        return _NETEM_S_OWN + math.ceil(fastest_bytes_s * delay_s / mtu)
    bytes_s = impairment.rate_kbit * 1000 / 8
    on_the_way = math.ceil(bytes_s * delay_s / _SMALLEST)
    queued = math.ceil(bytes_s * _QUEUE_S / mtu)
    return on_the_way + max(_QUEUE_MIN, queued)


def netem(impairment: Impairment, mtu: int) -> str:
    """Return the qdisc in tc's own words."""
    effects = (
        (impairment.delay_ms, f"delay {round(impairment.delay_ms * 1000)}us"),
        (impairment.loss_percent, f"loss {impairment.loss_percent:g}%"),
        (impairment.rate_kbit, f"rate {impairment.rate_kbit}kbit"),
    )
    words = [f"netem limit {limit(impairment, mtu)}", *_declared_effects(effects)]
    return " ".join(words)


def _declared_effects(effects: Iterable[tuple[float, str]]) -> list[str]:
    """Return the words of those effects whose amount is not zero."""
    return [words for amount, words in effects if amount]


def script(nics: Iterable[NIC]) -> str:
    """Return the script that gives each NIC what it declares; for root's sh. SHOW tells the rest.

    The qdisc is replaced each time: `tc qdisc change` keeps a rate that is no longer declared.
    """
    lines = ["PATH=$PATH:/usr/sbin:/sbin", "export LC_ALL=C", "modprobe sch_netem 2>/dev/null"]
    for nic in nics:
        lines += _impair_lines(nic) if nic.impairment else _restore_lines(nic)
    lines.append("")
    return "\n".join(lines)


def _impair_lines(nic: NIC) -> list[str]:
    device = shlex.quote(nic.device)
    qdisc = netem(nic.impairment, nic.mtu)
    return [
        f"tc qdisc del dev {device} root 2>/dev/null",
        f"tc qdisc add dev {device} root handle {HANDLE} {qdisc}",
    ]


def _restore_lines(nic: NIC) -> list[str]:
    """Return the line that removes a qdisc of ours, and nobody else's."""
    device = shlex.quote(nic.device)
    is_ours = f'"$({SHOW} dev {device})" in *"qdisc netem {HANDLE} "*'
    return [f"case {is_ours}) tc qdisc del dev {device} root ;; esac"]


def parse(text: str) -> dict[str, Impairment]:
    """Return what each device's netem does, from `tc qdisc show`; only devices that have one."""
    impairments = {}
    for line in text.splitlines():
        match = _NETEM.match(line.strip())
        if match and match["device"]:
            impairments[match["device"]] = _parse_impairment(match["rest"])
    return impairments


def _parse_impairment(words_of_netem: str) -> Impairment:
    delay_ms = loss_percent = 0.0
    rate_kbit = 0
    delay = _DELAY.search(words_of_netem)
    if delay:
        delay_ms = float(delay[1]) * _MS_PER[delay[2]]
    loss = _LOSS.search(words_of_netem)
    if loss:
        loss_percent = float(loss[1])
    rate = _RATE.search(words_of_netem)
    if rate:
        rate_kbit = round(float(rate[1]) * _KBIT_PER[rate[2].lower()])
    return Impairment(delay_ms=delay_ms, loss_percent=loss_percent, rate_kbit=rate_kbit)


def is_same(declared: Impairment, actual: Impairment | None) -> bool:
    """Return True if netem does what is declared, as exactly as tc shows it; None: no netem."""
    actual = actual or Impairment()
    pairs = (
        (declared.delay_ms, actual.delay_ms),
        (declared.loss_percent, actual.loss_percent),
        (declared.rate_kbit, actual.rate_kbit),
    )
    # tc rounds what it shows, and the kernel keeps a loss as a fraction of 2**32.
    return all(_is_close(wanted, shown) for wanted, shown in pairs)


def _is_close(wanted: float, shown: float) -> bool:
    return math.isclose(wanted, shown, rel_tol=0.02, abs_tol=0.002)


def words(impairment: Impairment | None) -> str:
    """Return an impairment as people write it."""
    if impairment is None:
        return "no netem"
    if not impairment:
        return "nothing"
    effects = (
        (impairment.delay_ms, f"delay {impairment.delay_ms:g} ms"),
        (impairment.loss_percent, f"loss {impairment.loss_percent:g} %"),
        (impairment.rate_kbit, f"rate {rate_words(impairment.rate_kbit)}"),
    )
    return ", ".join(_declared_effects(effects))


def rate_words(kbit: float) -> str:
    """Return a rate with its unit."""
    for unit, kbit_per_unit in (("Gbit/s", 1e6), ("Mbit/s", 1e3)):
        if kbit >= kbit_per_unit:
            return f"{kbit / kbit_per_unit:.3g} {unit}"
    return f"{kbit:.3g} kbit/s"
