"""Delay, loss and rate, and networks without the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import SpecError
from stacklab.model import lab_json
from stacklab.model.lab import NO_IMPAIRMENT, Impairment, Lab
from stacklab.spec.form import quantities
from stacklab.spec.form.values import Wrong

LAB = """\
image: debian-12
networks:
  mgmt: {cidr: 10.0.0.0/24, mode: nat}
  wan: {cidr: 10.0.1.0/24, mode: isolated%s}
nodes: {node: {nics: [{network: mgmt}, {network: wan%s}]}}
"""


def load(directory: Path, network: str = "", nic: str = "") -> Lab:
    path = directory / "lab.yaml"
    path.write_text(LAB % (network, nic))
    return spec.load(path)


@pytest.mark.parametrize(
    ("written", "ms"),
    [("0ms", 0), ("20ms", 20), ("20 ms", 20), ("0.5ms", 0.5), ("1.5s", 1500), ("10s", 10000)],
)
def test_a_delay_has_its_unit(written: str, ms: float) -> None:
    assert quantities.read_delay(written) == ms


@pytest.mark.parametrize(
    ("written", "percent"), [("0%", 0), ("1%", 1), ("0.25%", 0.25), ("100 %", 100)]
)
def test_a_loss_is_a_percentage(written: str, percent: float) -> None:
    assert quantities.read_loss(written) == percent


@pytest.mark.parametrize(
    ("written", "kbit"),
    [
        ("none", 0),
        ("32kbit", 32),
        ("512kbit", 512),
        ("1.5mbit", 1500),
        ("10mbit", 10_000),
        ("10gbit", 10_000_000),
        ("0.1mbit", 100),
        ("2.3mbit", 2300),
    ],
)
def test_a_rate_is_in_kbit(written: str, kbit: int) -> None:
    assert quantities.read_rate(written) == kbit


@pytest.mark.parametrize(
    "written", ["", "ms", "1", "1 m", "1ms2", "-1ms", "1e3ms", "1,5s", "\u0661ms"]
)
def test_what_is_no_delay_is_refused(written: str) -> None:
    with pytest.raises(Wrong):
        quantities.read_delay(written)


@pytest.mark.parametrize(
    "written", ["31kbit", "10.1gbit", "10Mbit", "10mb", "0mbit", "none of it", "32.5kbit"]
)
def test_what_is_no_rate_is_refused(written: str) -> None:
    with pytest.raises(Wrong):
        quantities.read_rate(written)


def test_nothing_said_is_nothing_done(tmp_path: Path) -> None:
    lab = load(tmp_path)
    assert [nic.impairment for nic in lab.nodes[0].nics] == [NO_IMPAIRMENT, NO_IMPAIRMENT]
    assert [network.has_host for network in lab.networks] == [True, True]


def test_a_network_gives_its_impairment_to_its_nics_alone(tmp_path: Path) -> None:
    lab = load(tmp_path, ", delay: 20ms, loss: 1%, rate: 10mbit")
    expected = Impairment(delay_ms=20, loss_percent=1, rate_kbit=10_000)
    assert [nic.impairment for nic in lab.nodes[0].nics] == [NO_IMPAIRMENT, expected]


def test_a_nics_own_comes_first_key_by_key(tmp_path: Path) -> None:
    lab = load(tmp_path, ", delay: 20ms, loss: 1%, rate: 10mbit", ", rate: none, loss: 0%")
    assert lab.nodes[0].nics[1].impairment == Impairment(delay_ms=20)
    lab = load(tmp_path, ", delay: 20ms", ", delay: 1s")
    assert lab.nodes[0].nics[1].impairment == Impairment(delay_ms=1000)


def test_a_network_may_be_without_the_host(tmp_path: Path) -> None:
    assert [network.has_host for network in load(tmp_path, ", host: false").networks] == [
        True,
        False,
    ]


def test_nobody_is_logged_in_over_a_nic_that_loses_all(tmp_path: Path) -> None:
    assert load(tmp_path, ", loss: 100%").nodes[0].nics[1].impairment.loss_percent == 100
    path = tmp_path / "lab.yaml"
    path.write_text((LAB % ("", "")).replace("mode: nat", "mode: nat, loss: 100%"))
    with pytest.raises(SpecError, match=r"nics\[0\].network: the first NIC loses all"):
        spec.load(path)


def test_a_lab_on_record_from_before_has_the_host_and_no_impairment(tmp_path: Path) -> None:
    lab = load(tmp_path)
    resolved = lab_json.to_dict(lab)
    for network in resolved["networks"]:  # type: ignore[union-attr]
        del network["has_host"]  # type: ignore[index, union-attr, arg-type]
    for node in resolved["nodes"]:  # type: ignore[union-attr]
        for nic in node["nics"]:  # type: ignore[index, union-attr, call-overload]
            del nic["impairment"]
    del resolved["checks"]["custom"]  # type: ignore[union-attr, index, arg-type, call-overload]
    assert lab_json.from_dict(resolved) == lab
