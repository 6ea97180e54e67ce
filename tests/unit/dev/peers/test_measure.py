"""Rounds of peers: their order, and that nothing is left of them, whatever fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.dev.peers import measure
from stacklab.dev.peers.race import Start
from stacklab.errors import CommandFailed, LabError, ProviderError
from stacklab.model.lab import Lab, NodeKind
from stacklab.paths.project import LABS
from stacklab.process.runner import SubprocessRunner
from tests.unit.dev.peers.fake_peers import FakePeer, FakeThings, make_site, racing
from tests.unit.workflow.fake_host import FakeHost, host

__all__ = ["host"]

LAB = spec.load(LABS / "contrail-3node.yaml")
OTHERS = ["somebody", "slpeer-kc-lab_controller"]  # the second one is a node of a lab


@pytest.fixture
def things() -> FakeThings:
    return FakeThings(domains=[*OTHERS])


def assert_nothing_left(host: FakeHost, things: FakeThings) -> None:
    assert things.domains == OTHERS
    assert not (host.paths.root / "bench-peers").exists()


def test_peers_take_turns_in_each_round(host: FakeHost, things: FakeThings) -> None:
    site = make_site(host, things)
    one = FakePeer(site, things, "one", "kc", restores=True)
    two = FakePeer(site, things, "two", "vl")
    order: list[str] = []
    result = measure.race_all(site, [one, two], racing(order), rounds=2)
    assert order == ["one up", "one restore", "two up"] * 2
    assert one.done == ["clean", "prepare", *["up", "keep", "restore", "down"] * 2, "clean"]
    assert [row.seconds for row in result.rows] == [[10.0, 10.0]] * 3
    assert_nothing_left(host, things)


@pytest.mark.parametrize("word", ["prepare", "up", "down"])
def test_a_peer_that_fails_is_cleaned_at_once_and_its_rows_say_why(
    host: FakeHost, things: FakeThings, word: str
) -> None:
    site = make_site(host, things)
    error = CommandFailed("it ended with 1\n  | long output")
    one = FakePeer(site, things, "one", "kc", restores=True, fails_at=word, error=error)
    two = FakePeer(site, things, "two", "vl")
    left: list[list[str]] = []
    race = racing([], lambda _start: left.append([*things.domains]))
    result = measure.race_all(site, [one, two], race, rounds=2)
    rows = {row.what: row for row in result.rows}
    when = "preparing" if word == "prepare" else "round 1"
    assert rows["one up"].why_failed == f"{when}: it ended with 1"
    assert rows["one restore"].why_failed == f"{when}: it ended with 1"
    assert rows["two up"].seconds == [10.0, 10.0]
    # When the other peer was timed, nothing of the first one ran beside it.
    assert left[-1] == [*OTHERS, "slpeer-vl-controller"]
    assert_nothing_left(host, things)


def test_a_peer_whose_restore_fails_goes_on_without_it(host: FakeHost, things: FakeThings) -> None:
    site = make_site(host, things)
    one = FakePeer(
        site, things, "one", "kc", restores=True, fails_at="keep", error=LabError("no snapshot")
    )
    result = measure.race_all(site, [one], racing([]), rounds=2)
    rows = {row.what: row for row in result.rows}
    assert rows["one up"].seconds == [10.0, 10.0]
    assert (rows["one restore"].seconds, rows["one restore"].why_failed) == (
        [],
        "round 1: no snapshot",
    )
    assert one.done.count("keep") == 1
    assert_nothing_left(host, things)


def test_nodes_that_never_answer_are_a_failure_of_their_peer(
    host: FakeHost, things: FakeThings
) -> None:
    site = make_site(host, things)

    def never(start: Start) -> None:
        if start.command.argv[0] == "one":
            raise LabError("no ssh within 600 s: 10.0.0.1 (no answer)")

    peers = [FakePeer(site, things, "one", "kc"), FakePeer(site, things, "two", "vl")]
    result = measure.race_all(site, peers, racing([], never), rounds=1)
    assert "no ssh within 600 s" in result.row("one up").why_failed
    assert result.row("two up").seconds == [10.0]
    assert_nothing_left(host, things)


@pytest.mark.parametrize("word", ["prepare", "up", "keep", "restore", "down"])
def test_nothing_is_left_after_ctrl_c(host: FakeHost, things: FakeThings, word: str) -> None:
    site = make_site(host, things)
    one = FakePeer(
        site, things, "one", "kc", restores=True, fails_at=word, error=KeyboardInterrupt()
    )
    with pytest.raises(KeyboardInterrupt):
        measure.race_all(site, [one], racing([]), rounds=1)
    assert one.done[-1] == "clean"
    assert_nothing_left(host, things)


def test_what_a_killed_bench_left_is_removed_first(host: FakeHost, things: FakeThings) -> None:
    site = make_site(host, things)
    things.domains.append("slpeer-kc-compute1")
    (site.work / "one" / "pool").mkdir(parents=True)
    measure.race_all(site, [FakePeer(site, things, "one", "kc")], racing([]), rounds=1)
    notes = " ".join(text for _, text in host.listener.heard)
    assert "removed what a killed bench had left: slpeer-kc-compute1" in notes
    assert_nothing_left(host, things)


def test_all_peers_are_cleaned_even_if_one_of_them_can_t_be(
    host: FakeHost, things: FakeThings
) -> None:
    site = make_site(host, things)
    one, two = FakePeer(site, things, "one", "kc"), FakePeer(site, things, "two", "vl")

    def break_down(_start: Start) -> None:
        things.fails = ProviderError("libvirtd does not answer")

    with pytest.raises(LabError, match=r"one: libvirtd does not answer(.|\n)*two: libvirtd"):
        measure.race_all(site, [one, two], racing([], break_down), rounds=1)
    assert one.done[-1] == two.done[-1] == "clean"


# --- what is refused


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("", ("stacklab", "vagrant", "kcli", "virt-lightning")),
        ("kcli", ("kcli",)),
        ("virt-lightning, stacklab", ("stacklab", "virt-lightning")),
    ],
)
def test_peers_are_chosen_by_name(only: str, names: tuple[str, ...]) -> None:
    assert measure.chosen_names(only) == names


@pytest.mark.parametrize("only", ["kclii", "kcli,terraform", "KCLI"])
def test_a_name_of_no_peer_is_refused_with_those_there_are(only: str) -> None:
    known = re.escape("(there are: stacklab, vagrant, kcli, virt-lightning)")
    with pytest.raises(LabError, match=known):
        measure.chosen_names(only)


def test_what_can_t_be_compared_is_refused_before_anything_is_touched(host: FakeHost) -> None:
    def refused(lab: Lab, rounds: int = 1) -> str:
        with pytest.raises(LabError) as caught:
            measure.measure(
                host.context,
                lab,
                SubprocessRunner(),
                rounds=rounds,
                names=("vagrant",),
            )
        return caught.value.message

    assert "--rounds 0 measures nothing" in refused(LAB, rounds=0)
    assert "has containers" in refused(LAB.all_as(NodeKind.CONTAINER))
    assert "installs a cloud" in refused(spec.load(LABS / "openstack-3node.yaml"))
    host.stock("debian-12")
    host.up(LAB, with_stack=False)
    assert "is up" in refused(LAB)
    assert not Path(host.paths.root / "bench-peers").exists()
