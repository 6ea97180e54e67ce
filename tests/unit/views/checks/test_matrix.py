"""What lab.check prints, as a terminal of 80 columns shows it."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from stacklab.checks.expect import Fault, FaultKind
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Layer
from stacklab.model.cause import Cause, CauseKind
from stacklab.views.checks import matrix, run
from tests.unit.checks.fake_lab import make_lab
from tests.unit.views.fake_results import (
    count_of_layer,
    dead,
    down,
    expecting,
    failed,
    is_way,
    many,
    of_each_kind,
    off,
    ran,
)


def shown(found: Outcome, width: int = 80, *, colour: bool = False) -> list[str]:
    console = Console(
        file=io.StringIO(),
        width=width,
        soft_wrap=True,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    console.print(run.results_group(found.lab, found.results, width=width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_a_healthy_lab_is_its_matrices_and_its_layers() -> None:
    found = ran()
    nodes, pairs = (count_of_layer(found, layer) for layer in (Layer.NODES, Layer.PAIRS))
    assert shown(found) == [
        "net0 10.10.0.0/24: 6 of 6 ways fine, slowest 12.0 ms compute1 -> compute2",
        "from        controller  compute1  compute2",
        "controller           -       1.4       2.6",
        "compute1           2.6         -     12.0*",
        "compute2           4.9      12.0         -",
        "",
        "net1 10.20.0.0/24: 6 of 6 ways fine, slowest 12.0 ms compute2 -> controller",
        "from        controller  compute1  compute2",
        "controller           -       2.6       4.9",
        "compute1           4.9         -       0.3",
        "compute2         12.0*       0.3         -",
        "",
        f"nodes           {nodes} of {nodes} passed",
        f"pairs           {pairs} of {pairs} passed",
        "isolation        1 of 1 passed",
    ]


def test_what_fails_is_in_the_matrix_by_a_word_and_below_with_what_to_type() -> None:
    found = ran(spoil=of_each_kind)
    lines = shown(found)
    assert "controller           -       1.4  41.5 some lost" in lines
    assert "compute2           4.9  12.0 ssh               -" in lines
    assert "controller           -      lost       4.9" in lines
    assert "compute1           4.9         -   0.3 mtu" in lines
    nodes = count_of_layer(found, Layer.NODES)
    counts = f"{nodes - 3} of {nodes} passed, 1 with a warning, 3 without an answer"
    assert f"nodes           {counts}" in lines
    at = lines.index("did not pass")
    assert lines[at + 4 : at + 11] == [
        "failed    controller eth1 -> compute1 10.20.0.12 (net1): ping",
        "          no reply to 3 pings",
        "          $ ./invoke lab.exec trio --node controller -- 'fping -C 3 10.20.0.12'",
        "          | 10.20.0.12 : - - -",
        "          | route  10.20.0.12 dev eth1 src 10.20.0.11",
        "          | arp    10.20.0.12 dev eth1 FAILED",
        "          | host   vnet5 is up",
    ]
    assert lines[-6:] == [
        "",
        "warnings",
        "warned    compute1 (net0): disk",
        "          the root file system is 94% full",
        "          $ ./invoke lab.exec trio --node compute1 -- 'df -h /'",
        "          | /dev/vda1  48G  44G  3G  94% /",
    ]


def test_failing_cells_are_red_and_the_slowest_way_has_a_star() -> None:
    lines = "\n".join(shown(ran(spoil=of_each_kind), colour=True))
    assert "\x1b[1;31mlost" in lines
    assert "\x1b[1m12.0*" in lines
    assert "\x1b[33mwarned" in lines
    assert "\x1b[35mno answer" in lines


@pytest.mark.parametrize("count", [3, 8, 20, 21, 40, 90])
@pytest.mark.parametrize("spoil", [of_each_kind, off("compute2")], ids=["of each kind", "off"])
def test_nothing_but_commands_is_wider_than_80_columns_nor_longer_than_a_few_screens(
    count: int, spoil: object
) -> None:
    lines = shown(ran(many(count), spoil))  # type: ignore[arg-type]
    wide = [line for line in lines if len(line) > 80 and not line.lstrip().startswith("$ ")]
    assert [line for line in wide if "ways fine" not in line] == []
    assert len(lines) < 120


def test_twenty_nodes_fit_and_are_numbered() -> None:
    lines = shown(ran(many(20)))
    assert lines[1].split() == ["from", *map(str, range(1, 21))]
    assert lines[21].split()[:3] == ["20", "compute19", "5"]
    assert max(map(len, lines)) <= 80
    assert any("12*" in line for line in lines)


def test_of_many_nodes_only_rows_that_fail_are_shown_a_character_per_cell() -> None:
    lines = shown(ran(many(40), of_each_kind))
    assert lines[1:4] == [
        "            123456789|123456789|123456789|123456789|",
        "controller  -.X.....................................",
        "compute2    .X-.....................................",
    ]


def test_a_healthy_matrix_of_many_nodes_is_a_line() -> None:
    lines = shown(ran(many(60)))
    assert len(lines) == 7
    ways = 60 * 59
    assert lines[0].startswith(f"net0 10.10.0.0/16: {ways} of {ways} ways fine, slowest ")


def test_a_dead_node_among_many_is_told_once() -> None:
    found = ran(many(90), off("compute7"))
    own = [r for r in found.results if r.check.node == "compute7" and not r.is_passed]
    unanswered = sum(r.status is CheckStatus.ERROR for r in own)
    lines = shown(found)
    assert lines[1:3] == ["  reach nobody: compute7", "  are reached by nobody: compute7"]
    kinds = "hostname, disk, nic, clock, ping, mtu, source,"
    assert f"no answer compute7: {unanswered} checks ({kinds}" in lines
    told = [
        line
        for line in lines
        if line.startswith("failed    89 nodes -> compute7 10.10.0.18 (net0): ping")
    ]
    assert len(told) == 1


def test_where_a_row_does_not_fit_its_failures_are_words() -> None:
    def spoil(result: CheckResult) -> CheckResult:
        bad = (
            result.check.node == "compute9"
            and result.check.kind is CheckKind.PING
            and "9" in result.check.target
        )
        return failed(result, "no reply") if bad else result

    lines = shown(ran(many(90), spoil))
    (line,) = [line for line in lines[:3] if "compute9 ->" in line]
    assert line.startswith("  compute9 -> compute19 lost, compute29 lost, ")
    assert line.endswith("more")


def test_no_list_is_endless() -> None:
    def spoil(result: CheckResult) -> CheckResult:
        # each on its own, so that nothing can be told together
        return failed(result, f"{result.check.title} broke", output="x\n" * 500)

    lines = shown(ran(many(6), spoil))
    assert len(lines) < 20 * 16 + 40
    assert any(line.startswith("and ") and "--html FILE" in line for line in lines)
    assert "          | ... 489 more lines" in lines


def test_long_evidence_is_wrapped_and_indented() -> None:
    def spoil(result: CheckResult) -> CheckResult:
        is_one = is_way(result, "controller", "compute1", "net0", CheckKind.PING)
        return failed(result, "lost", clues="word " * 40 + "\x1b[31m\x07red") if is_one else result

    lines = [line for line in shown(ran(spoil=spoil)) if line.startswith("          | ")]
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "          |     word red"


def test_what_was_not_tried_is_blank_and_a_network_without_pairs_has_no_matrix() -> None:
    found = ran()
    some = [r for r in found.results if is_way(r, "controller", "compute1", "net1", CheckKind.PING)]
    lines = shown(dataclasses.replace(found, results=tuple(some)))
    assert lines == [
        "net1 10.20.0.0/24: 1 of 1 ways fine, slowest 2.6 ms controller -> compute1",
        "from        controller  compute1",
        "controller           -      2.6*",
        "compute1                       -",
        "",
        "pairs            1 of 1 passed",
    ]
    assert matrix.draw_results(make_lab(), [], 80) == []


def test_a_warning_in_a_cell_is_no_failure() -> None:
    def spoil(result: CheckResult) -> CheckResult:
        is_one = is_way(result, "controller", "compute1", "net0", CheckKind.MTU)
        return (
            dataclasses.replace(result, status=CheckStatus.WARNED, detail="smaller")
            if is_one
            else result
        )

    lines = shown(ran(spoil=spoil))
    assert "6 of 6 ways fine" in lines[0]
    assert "1.4 mtu" in lines[2]
    assert "did not pass" not in lines
    assert "warnings" in lines


def test_a_cause_is_told_once_with_all_that_it_explains() -> None:
    lines = shown(ran(spoil=down("compute1", "net1", "eth1")))
    at = lines.index("what is wrong")
    assert lines[at + 1 : at + 9] == [
        "cause     eth1 is down on compute1",
        "          12 checks: ping, mtu, port on net1; compute1 <-> controller,",
        "          compute2",
        "          $ ./invoke lab.exec trio --node controller -- 'fping -C 3 10.20.0.12'",
        "          | compute1: eth1 is down, no address",
        "          | compute1, from the host: NIC eth1: 52:54:00:00:00:01 on net1, tap",
        "          |     vnet3; tap on a bridge, up",
        "          | controller: eth1 is up, 10.20.0.1/24",
    ]
    assert "did not pass" not in lines
    assert len(lines) <= 40
    evidence = [line for line in lines if line.startswith("          | ")]
    assert len(evidence) == len(set(evidence))


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("count", [3, 20, 90])
def test_the_evidence_of_a_cause_is_cut_off(count: int, width: int) -> None:
    lines = shown(ran(many(count), dead("compute2")), width)
    told = lines[lines.index("what is wrong") :]
    assert told[-1].startswith("          | ... ") is (count > 3)
    assert len(told) <= 24
    assert max(map(len, told)) <= width


def test_what_has_no_cause_stands_behind_the_causes() -> None:
    def spoil(result: CheckResult) -> CheckResult:
        hit = down("compute1", "net1", "eth1")(result)
        return hit if not hit.is_passed else of_each_kind(result)

    lines = shown(ran(spoil=spoil))
    heads = ["what is wrong", "did not pass, cause unknown", "warnings"]
    assert [line for line in lines if line in heads] == heads
    told = lines[lines.index(heads[1]) : lines.index(heads[2])]
    assert [line for line in told if "net1" in line] == []


def test_many_causes_are_cut_with_their_number() -> None:
    def spoil(result: CheckResult) -> CheckResult:
        return failed(result, "x").explained(
            Cause(CauseKind.NIC_DOWN, f"{result.check.title} broke"), []
        )

    lines = shown(ran(spoil=spoil))
    assert len([line for line in lines if line.startswith("cause ")]) == 10
    assert lines[-1] == "and 81 more (all of them: --html FILE, --json FILE)"


def test_what_is_cut_as_expected_is_in_the_matrix() -> None:
    fault = Fault(kind=FaultKind.LINK_DOWN, node="compute1", device="eth1", network="net1")
    lines = shown(ran(spoil=expecting(make_lab(), fault)))
    assert "controller           -       cut       4.9" in lines
    assert "compute1           cut         -       cut" in lines
    assert lines[-1] == "isolation        1 of 1 passed"
    lab = many(20)
    lines = shown(ran(lab, expecting(lab, fault)))
    row = next(line for line in reversed(lines) if " compute1 " in line)
    assert row.split() == ["2", "compute1", "c", "-", *"c" * 18]
