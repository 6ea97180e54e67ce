from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from stacklab.checks import host, plan
from stacklab.checks.family import Facts, Tried
from stacklab.checks.reach import isolation, outside_family
from stacklab.checks.result import (
    HOST,
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Selection,
)
from stacklab.errors import CommandFailed, ToolNotFound
from stacklab.model.stack import Mirrors
from stacklab.process import Result
from tests.conftest import FakeRunner
from tests.unit.checks.fake_lab import late, make_lab
from tests.unit.checks.reach.apart_labs import make_apart, make_closed

LAB = make_apart()
APART = Check(kind=CheckKind.HOST_APART, node=HOST, network="net2", device="sl-trio2")
NOBODY = "10.30.0.12 : -\n10.30.0.13 : -\n"


class FakeDial:
    """Everything answers but `lost`; remembers what was tried, call by call."""

    def __init__(self, *lost: str) -> None:
        self.lost = lost
        self.calls: list[list[str]] = []

    def __call__(self, places: Iterable[str]) -> Mapping[str, Tried]:
        self.calls.append(list(places))
        return {
            place: Tried(why_not="refused") if place in self.lost else Tried(address="203.0.113.7")
            for place in self.calls[-1]
        }


def gathered(
    lab: object, layer: Layer, dial: FakeDial, root: Path, runner: FakeRunner | None = None
) -> Facts:
    assert isinstance(lab, type(LAB))
    checks = plan.expected(lab, Selection(layers=frozenset({layer})))
    return host.gather(plan.FAMILIES, lab, checks, runner or FakeRunner(), dial=dial, root=root)


def test_nothing_is_tried_that_no_check_needs(tmp_path: Path) -> None:
    dial = FakeDial()
    assert gathered(LAB, Layer.PAIRS, dial, tmp_path) == Facts()
    assert dial.calls == []


def test_isolation_needs_sshd_s_and_the_outside_and_who_is_alive(tmp_path: Path) -> None:
    dial, runner = FakeDial(), FakeRunner()
    runner.on("fping", answer=Result(exit_code=1, stderr="10.20.0.11 : 0.4\n10.20.0.12 : -\n"))
    facts = gathered(LAB, Layer.ISOLATION, dial, tmp_path, runner)
    assert len(dial.calls) == 1
    assert set(isolation.candidates(LAB)) <= set(dial.calls[0])
    assert facts.alive == {"10.20.0.11"}
    assert not any(word.startswith("10.30.") for word in runner.argvs[0])


def test_a_host_without_fping_sees_nobody_alive_and_goes_on(tmp_path: Path) -> None:
    facts = gathered(
        LAB,
        Layer.ISOLATION,
        FakeDial(),
        tmp_path,
        FakeRunner().on("fping", answer=ToolNotFound("fping")),
    )
    assert facts.alive == frozenset()


def test_the_outside_is_the_host_s_mirrors_and_what_the_spec_needs(tmp_path: Path) -> None:
    sources = tmp_path / "etc" / "apt" / "sources.list.d"
    sources.mkdir(parents=True)
    (sources / "a.sources").write_text(
        "Types: deb\nURIs: https://apt.example.org/debian\nSuites: x\n"
    )
    (sources.parent / "sources.list").write_text(
        "# deb http://old.example.org/ x main\ndeb [arch=amd64]"
        " http://apt.example.org:8080/debian x main\n"
    )
    dial = FakeDial("apt.example.org:8080")
    facts = gathered(make_closed(), Layer.OUTSIDE, dial, tmp_path)
    assert dial.calls == [["apt.example.org:8080", "apt.example.org:443"]]
    assert [tried.is_open for tried in facts.tried.values()] == [False, True]


def test_a_place_that_nobody_thought_of_is_tried_once_and_is_no_control(tmp_path: Path) -> None:
    dial = FakeDial()
    facts = gathered(make_lab(), Layer.OUTSIDE, dial, tmp_path)
    found = facts.of("other.example.org:80")
    assert found is not None
    assert found.is_open
    facts.of("other.example.org:80")
    assert dial.calls == [[], ["other.example.org:80"]]
    assert "other.example.org:80" not in list(facts.tried)
    assert Facts().of("other.example.org:80") is None


def test_the_host_tries_its_own_mirror_in_the_place_of_what_it_stands_for(tmp_path: Path) -> None:
    lab = make_lab()
    stack = dataclasses.replace(lab.stack, installer="kolla", release="2025.2")
    lab = dataclasses.replace(lab, stack=stack)
    dial = FakeDial()
    mirrors = Mirrors(pip="http://pip.example.org/simple")
    host.gather(
        plan.FAMILIES,
        lab,
        tuple(outside_family.expected(lab)),
        FakeRunner(),
        mirrors,
        dial=dial,
        root=tmp_path,
    )
    assert dial.calls == [["pip.example.org:80"]]


def judged(runner: FakeRunner) -> CheckResult:
    (result,) = host.judge(plan.FAMILIES, LAB, [APART], runner)
    assert result.check == APART
    return result


def runner(*, addresses: str = "", pings: str = NOBODY, device: str = "eth0") -> FakeRunner:
    found = (
        FakeRunner()
        .on("ip", "-o", "addr", stdout=addresses)
        .on("fping", answer=Result(exit_code=1, stderr=pings))
    )
    return found.on(
        "ip",
        "-o",
        "route",
        stdout=f"10.30.0.12 via 192.0.2.1 dev {device} src 192.0.2.2 \\    cache\n",
    )


def test_what_is_declared_to_be_late_is_waited_for() -> None:
    """It was not: with a delay of 2 s a node was no witness, and a way into its network none."""
    lab = late(LAB, 2000)
    for made, patience in ((LAB, "800"), (lab, "4800")):
        asked = runner()
        list(host.judge(plan.FAMILIES, made, [APART], asked))
        (argv,) = [argv for argv in asked.argvs if argv[0] == "fping"]
        assert argv[argv.index("-t") + 1] == patience


def test_a_host_with_no_address_and_no_way_is_apart() -> None:
    result = judged(runner())
    assert (result.status, result.detail) == (CheckStatus.PASSED, "no address, no way to 2 nodes")
    assert (result.command, result.output) == ("", "")


@pytest.mark.parametrize(
    "address", ["inet 10.30.0.1/24 scope global", "inet6 fe80::1/64 scope link"]
)
def test_any_address_on_the_bridge_fails(address: str) -> None:
    result = judged(runner(addresses=f"7: sl-trio2    {address} sl-trio2\n"))
    assert result.status is CheckStatus.FAILED
    assert result.detail == f"the host has {address.split()[1]} on sl-trio2"
    assert result.command == "ip -o addr show dev sl-trio2"


def test_a_way_by_one_of_the_lab_s_bridges_fails() -> None:
    result = judged(runner(pings="10.30.0.12 : 0.4\n10.30.0.13 : -\n", device="sl-trio0"))
    assert result.status is CheckStatus.FAILED
    assert result.detail == "the host reaches compute1 10.30.0.12 by sl-trio0"


def test_who_has_the_same_address_elsewhere_is_a_warning() -> None:
    result = judged(runner(pings="10.30.0.12 : 0.4\n10.30.0.13 : -\n"))
    assert (result.status, "by eth0" in result.detail) == (CheckStatus.WARNED, True)


def test_what_could_not_be_looked_at_has_no_answer() -> None:
    broken = runner()
    broken.on("ip", "-o", "addr", answer=CommandFailed('Device "sl-trio2" does not exist.'))
    assert judged(broken).status is CheckStatus.ERROR
    assert judged(runner(pings="10.30.0.12 : -\n")).status is CheckStatus.ERROR
    assert judged(runner().on("fping", answer=ToolNotFound("fping"))).status is CheckStatus.ERROR


def test_the_host_judges_only_what_is_its_own() -> None:
    assert list(host.judge(plan.FAMILIES, LAB, (), FakeRunner())) == []
