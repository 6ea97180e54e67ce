from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.model.lab import NO_IMPAIRMENT, Impairment, Lab
from stacklab.process import Command, Result
from stacklab.tools.network import tc
from stacklab.workflow.nodes.impair import impair
from tests.unit.checks.fake_lab import make_lab
from tests.unit.nodes import fake_session
from tests.unit.workflow.fake_host import FakeHost

SLOW = Impairment(delay_ms=20, loss_percent=1, rate_kbit=10_000)
SHOWN = "qdisc netem 51ab: dev eth1 root refcnt 2 limit 808 delay 20ms loss 1% rate 10Mbit\n"


def impaired(**of: Impairment) -> Lab:
    """A lab whose nodes' second NICs are impaired, by node."""
    lab = make_lab()
    nodes = tuple(
        dataclasses.replace(
            n,
            nics=(
                n.nics[0],
                dataclasses.replace(n.nics[1], impairment=of.get(n.name, NO_IMPAIRMENT)),
            ),
        )
        for n in lab.nodes
    )
    return dataclasses.replace(lab, nodes=nodes)


def sessions(host: FakeHost) -> dict[str, str]:
    """What was sent to which node."""
    found = {
        c.argv[c.argv.index("--") + 1]: fake_session.parts_of(c)["impair.set"]
        for c in host.ran("ssh")
        if c.stdin
    }
    host.runner.commands.clear()
    return found


def showing(text: str, said: str = "") -> Callable[[Command], Result]:
    """Nodes whose tc shows this, and that said that while they were impaired."""
    return fake_session.answering({"impair.set": said, "impair.show": text})


def kept(host: FakeHost) -> list[str]:
    path = host.lab().root / "impaired.json"
    return list(json.loads(path.read_text())) if path.exists() else []


@pytest.fixture
def slow(host: FakeHost) -> FakeHost:
    """Nodes whose eth1 is what we told it to be."""
    host.lab().root.mkdir(parents=True)
    host.runner.on("ssh", answer=showing(SHOWN))
    return host


def test_a_lab_without_impairments_costs_nothing(slow: FakeHost) -> None:
    impair(slow.context, make_lab(), slow.lab())
    assert slow.runner.commands == []
    assert kept(slow) == []


def test_one_session_to_each_node_that_has_any_as_root(slow: FakeHost) -> None:
    lab = impaired(compute1=SLOW)
    impair(slow.context, lab, slow.lab())
    (command,) = slow.ran("ssh")
    assert command.argv[-2:] == ("compute1", "sh -s")
    script = tc.script(lab.node("compute1").nics)
    assert fake_session.parts_of(command)["impair.set"] == f"sudo -n sh -c {shlex.quote(script)}"
    assert kept(slow) == ["compute1"]


def test_the_same_again_is_done_again_for_a_node_may_have_booted(slow: FakeHost) -> None:
    for _ in range(2):
        impair(slow.context, impaired(compute1=SLOW, compute2=SLOW), slow.lab())
        assert set(sessions(slow)) == {"compute1", "compute2"}


def test_what_is_declared_no_more_is_taken_away_once(slow: FakeHost) -> None:
    impair(slow.context, impaired(compute1=SLOW, compute2=SLOW), slow.lab())
    sessions(slow)
    impair(slow.context, impaired(compute2=SLOW), slow.lab())
    assert "qdisc add" not in sessions(slow)["compute1"]
    assert kept(slow) == ["compute2"]
    impair(slow.context, make_lab(), slow.lab())
    assert set(sessions(slow)) == {"compute2"}
    assert kept(slow) == []
    impair(slow.context, make_lab(), slow.lab())
    assert sessions(slow) == {}


def test_it_is_on_record_before_it_is_done(slow: FakeHost) -> None:
    seen: list[list[str]] = []

    def look(command: Command) -> Result:
        seen.append(kept(slow))
        return showing(SHOWN)(command)

    slow.runner.on("ssh", answer=look)
    impair(slow.context, impaired(compute1=SLOW), slow.lab())
    assert seen == [["compute1"]]


def test_only_these_nodes_if_any_are_named(slow: FakeHost) -> None:
    impair(
        slow.context, impaired(compute1=SLOW, compute2=SLOW), slow.lab(), {"compute1", "controller"}
    )
    assert set(sessions(slow)) == {"compute1"}
    assert kept(slow) == ["compute1", "compute2"]


def test_a_kernel_without_netem_is_told_with_what_to_do(slow: FakeHost) -> None:
    said = "Error: Specified qdisc kind is unknown."
    slow.runner.on("ssh", answer=showing("qdisc fq_codel 0: dev eth1 root", said))
    with pytest.raises(CommandFailed) as caught:
        impair(slow.context, impaired(compute1=SLOW, compute2=SLOW), slow.lab())
    for name in ("compute1", "compute2"):
        wrong = "eth1 (net1) has no netem, declared: delay 20 ms, loss 1 %, rate 10 Mbit/s"
        assert (
            f"node {name} does not take its impairments: {wrong}\n  tc says: {said}"
            in caught.value.message
        )
    assert "./invoke lab.exec trio -- sudo modprobe sch_netem" in str(caught.value.hint)
    assert "linux-modules-extra" in str(caught.value.hint)


@pytest.mark.parametrize(
    "answer",
    [
        Result(exit_code=255, stderr="Connection refused"),
        CommandTimedOut("ssh had no end after 60 s"),
    ],
    ids=["refused", "timed out"],
)
def test_a_node_that_can_t_be_reached_is_named(
    slow: FakeHost, answer: Result | BaseException
) -> None:
    slow.runner.on("ssh", answer=answer)
    with pytest.raises(CommandFailed, match="compute1 can't be reached to impair its NICs: "):
        impair(slow.context, impaired(compute1=SLOW), slow.lab())
    assert kept(slow) == ["compute1"]


def test_a_session_that_was_cut_off_is_no_kernel_without_netem(slow: FakeHost) -> None:
    script = fake_session.answering({"impair.set": ""})

    def cut(command: Command) -> Result:
        head, _, _ = script(command).stdout.partition(" impair.show")
        return Result(exit_code=255, stdout=head + "\n", stderr="Connection reset by peer")

    slow.runner.on("ssh", answer=cut)
    with pytest.raises(CommandFailed, match=r"compute1 can't be reached .*: connection closed"):
        impair(slow.context, impaired(compute1=SLOW), slow.lab())


def test_what_a_node_says_forges_no_line_and_moves_no_cursor(slow: FakeHost) -> None:
    said = "no\x1b[2J\x1b]0;owned\x07\n::error::forged\u202e"
    slow.runner.on("ssh", answer=showing("", said))
    with pytest.raises(CommandFailed) as caught:
        impair(slow.context, impaired(compute1=SLOW), slow.lab())
    assert caught.value.message.endswith("\n  tc says: no\n    : :error::forged")


def test_a_rate_of_four_hundred_digits_stops_nothing(slow: FakeHost) -> None:
    slow.runner.on("ssh", answer=showing(SHOWN.replace("10Mbit", "9" * 400 + "Gbit")))
    with pytest.raises(CommandFailed, match="does not take its impairments"):
        impair(slow.context, impaired(compute1=SLOW), slow.lab())


@pytest.mark.parametrize("text", ["", "{", "7", '{"a": 1}', "[1, null]"])
def test_a_list_that_can_t_be_read_stops_nothing(slow: FakeHost, text: str) -> None:
    (slow.lab().root / "impaired.json").write_text(text)
    impair(slow.context, impaired(compute1=SLOW), slow.lab())
    assert set(sessions(slow)) == {"compute1"}


def test_up_impairs_after_boot(host: FakeHost) -> None:
    host.runner.on("ssh", answer=showing(SHOWN))
    host.up(impaired(compute1=SLOW))
    assert set(sessions(host)) == {"compute1"}
    heard = [text for _, text in host.listener.heard]
    assert heard.index("boot ended") < heard.index("impairments")
