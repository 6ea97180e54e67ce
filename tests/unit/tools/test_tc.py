from __future__ import annotations

import dataclasses
import shlex
from ipaddress import IPv4Interface

import pytest

from stacklab.model.lab import NIC, NO_IMPAIRMENT, Impairment
from stacklab.tools.network import tc

NIC1 = NIC(
    network="wan",
    device="eth1",
    address=IPv4Interface("10.1.0.11/24"),
    mac="52:54:00:00:00:01",
    mtu=1500,
)
SLOW = Impairment(delay_ms=20, loss_percent=1, rate_kbit=10_000)


def test_netem_is_told_units_that_every_tc_knows() -> None:
    assert tc.netem(SLOW, 1500).split(" ", 3)[3] == "delay 20000us loss 1% rate 10000kbit"
    assert tc.netem(Impairment(loss_percent=0.05), 1500) == "netem limit 1000 loss 0.05%"
    assert "delay 1500000us" in tc.netem(Impairment(delay_ms=1500), 1500)
    assert "delay 500us" in tc.netem(Impairment(delay_ms=0.5), 1500)


@pytest.mark.parametrize("rate_kbit", [64, 512, 10_000, 1_000_000])
@pytest.mark.parametrize("delay_ms", [0.0, 20.0, 1500.0])
def test_the_limit_holds_all_that_is_on_its_way_and_a_queue_of_half_a_second(
    rate_kbit: int, delay_ms: float
) -> None:
    limit = tc.limit(Impairment(delay_ms=delay_ms, rate_kbit=rate_kbit), 1500)
    bytes_s = rate_kbit * 125
    assert limit * 64 >= bytes_s * delay_ms / 1000  # be it in the smallest frames
    assert limit >= 100
    assert limit * 1500 >= bytes_s * 0.5


def test_the_limit_of_what_is_only_delayed_is_not_netem_s_thousand() -> None:
    assert tc.limit(Impairment(delay_ms=100), 1500) * 1500 >= 10e9 / 8 * 0.1


def test_a_nic_that_declares_nothing_loses_only_what_we_put_there() -> None:
    (line,) = [line for line in tc.script([NIC1]).splitlines() if "eth1" in line]
    assert line.startswith('case "$(tc qdisc show dev eth1)" in *"qdisc netem 51ab: "*)')
    assert "qdisc add" not in line


def test_a_nic_is_impaired_anew_for_a_changed_qdisc_keeps_its_rate() -> None:
    lines = tc.script([dataclasses.replace(NIC1, impairment=SLOW)]).splitlines()
    first, second = [shlex.split(line) for line in lines if "eth1" in line]
    assert first[:6] == ["tc", "qdisc", "del", "dev", "eth1", "root"]
    assert second[:8] == ["tc", "qdisc", "add", "dev", "eth1", "root", "handle", "51ab:"]


# As iproute2 6.1, 3.12 (Ubuntu 14.04) and 4.11 (CentOS 7) write it.
SHOWN = """\
qdisc noqueue 0: dev lo root refcnt 2
qdisc netem 51ab: dev eth1 root refcnt 2 limit 808 delay 20ms loss 1% rate 10Mbit
qdisc netem 8001: dev eth2 root refcnt 2 limit 1000 delay 1.5s  10.0ms loss 0.5% 25% rate 512Kbit \
seed 17
qdisc netem 8002: dev eth3 root refcnt 2 limit 1000 delay 500us rate 1000000Kbit
qdisc pfifo_fast 0: dev eth4 root refcnt 2 bands 3 priomap  1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1
qdisc netem 10: dev eth5 parent 1:1 limit 1000 delay 9.0ms
"""


def test_what_tc_shows_is_read_per_device() -> None:
    assert tc.parse(SHOWN) == {
        "eth1": Impairment(delay_ms=20, loss_percent=1, rate_kbit=10_000),
        "eth2": Impairment(delay_ms=1500, loss_percent=0.5, rate_kbit=512),
        "eth3": Impairment(delay_ms=0.5, rate_kbit=1_000_000),
    }
    assert tc.parse("bash: tc: command not found\n\x00") == {}


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (SLOW, True),
        (dataclasses.replace(SLOW, loss_percent=0.999), True),
        (dataclasses.replace(SLOW, delay_ms=21), False),
        (dataclasses.replace(SLOW, rate_kbit=5000), False),
        (dataclasses.replace(SLOW, loss_percent=0), False),
        (None, False),
    ],
)
def test_the_same_is_as_exact_as_tc_shows_it(found: Impairment | None, same: bool) -> None:
    assert tc.is_same(SLOW, found) is same
    assert tc.is_same(NO_IMPAIRMENT, None)


def test_impairments_have_words() -> None:
    assert tc.words(SLOW) == "delay 20 ms, loss 1 %, rate 10 Mbit/s"
    assert tc.words(None) == "no netem"
    assert tc.rate_words(1_000_000) == "1 Gbit/s"
    assert tc.rate_words(512) == "512 kbit/s"
