"""Which checks a lab's own list gives, what nodes are asked, and how their answers are judged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab.checks import plan
from stacklab.checks.asking.mesh import Mesh
from stacklab.checks.custom import family as custom
from stacklab.checks.family import Facts
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Selection,
)
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.model.lab import Lab
from stacklab.nodes.protocol import Answer, Said
from stacklab.paths import HostPaths
from tests.unit.checks.fake_lab import make_lab

BOTH = ("controller", "compute1")
COMMAND = CustomCheck(
    name="ssh runs", kind=CustomKind.COMMAND, nodes=BOTH, command="systemctl is-active ssh"
)
PORT = CustomCheck(name="api", kind=CustomKind.PORT, nodes=BOTH, port=8774, host="compute1")
PAGE = CustomCheck(
    name="page", kind=CustomKind.HTTP, nodes=("compute2",), url="http://controller/", text="Log in"
)
PASSED, WARNED, FAILED, ERROR = (
    CheckStatus.PASSED,
    CheckStatus.WARNED,
    CheckStatus.FAILED,
    CheckStatus.ERROR,
)


def lab_with(*checks: CustomCheck) -> Lab:
    lab = make_lab()
    return dataclasses.replace(lab, checks=dataclasses.replace(lab.checks, custom=checks))


def judge(own: CustomCheck, *lines: str, code: int | None = 0) -> CheckResult:
    """The first node's result of a check, after it wrote these lines."""
    lab = lab_with(own)
    check = next(iter(custom.expected(lab)))
    answer = Answer(
        is_begun=True, is_complete=True, said={"custom.0": Said(lines=lines, code=code)}
    )
    (result,) = custom.judge(lab, [check], answer, Facts())
    return result


# --- which


def test_each_of_its_nodes_tries_a_check() -> None:
    assert list(custom.expected(lab_with(COMMAND))) == [
        Check(kind=CheckKind.COMMAND, node=name, subject="ssh runs") for name in BOTH
    ]
    assert [check.title for check in custom.expected(lab_with(PAGE))] == ["compute2: http page"]


def test_a_port_of_a_node_is_on_the_network_of_its_name() -> None:
    first, second = custom.expected(lab_with(PORT))
    assert first.title == "controller eth0 -> compute1 10.10.0.12 (net0): tcp api"
    assert (second.node, second.target, second.address) == ("compute1", "compute1", "10.10.0.12")


def test_a_port_at_an_address_of_the_lab_is_on_its_network() -> None:
    (check, _) = custom.expected(lab_with(dataclasses.replace(PORT, host="10.20.0.13")))
    assert (check.target, check.network, check.device) == ("compute2", "net1", "eth1")


@pytest.mark.parametrize("host", ["", "example.org", "10.10.0.1"])
def test_a_port_elsewhere_or_of_the_node_itself_has_no_network(host: str) -> None:
    (check, _) = custom.expected(lab_with(dataclasses.replace(PORT, host=host)))
    assert check == Check(kind=CheckKind.TCP, node="controller", subject="api")


def test_a_selection_by_network_or_node_takes_the_ports_that_are_there() -> None:
    lab = lab_with(COMMAND, PORT, PAGE)
    for selection, kinds in (
        (Selection(layers=frozenset({Layer.CUSTOM})), ["command", "tcp", "command", "tcp", "http"]),
        (Selection(layers=frozenset({Layer.CUSTOM}), networks=frozenset({"net0"})), ["tcp", "tcp"]),
        (Selection(layers=frozenset({Layer.CUSTOM}), nodes=frozenset({"compute2"})), ["http"]),
    ):
        checks = plan.expected(lab, selection)
        assert [check.kind for check in checks if check.kind is not CheckKind.LOGIN] == kinds


# --- what nodes are asked


def test_a_node_is_asked_for_its_own_checks_alone_and_each_once() -> None:
    lab = lab_with(COMMAND, PORT, PAGE)
    checks = [check for check in custom.expected(lab) if check.node == "controller"]
    parts = list(custom.parts(lab, lab.nodes[0], checks, Facts()))
    assert [part.tag for part in parts] == ["custom.0", "custom.1"]
    (again,) = custom.parts(lab, lab.nodes[0], checks[1:], Facts())
    assert again == parts[1]


def test_many_checks_are_tried_a_few_at_once() -> None:
    many = [dataclasses.replace(COMMAND, name=f"number {number}") for number in range(30)]
    lab = lab_with(*many)
    checks = [check for check in custom.expected(lab) if check.node == "controller"]
    parts = list(custom.parts(lab, lab.nodes[0], checks, Facts()))
    assert len(parts) == 4
    assert sum(part.shell.count("\nattempt ") for part in parts) == 30
    assert all(part.limit_s >= 7 * COMMAND.timeout_s for part in parts)


def test_a_part_has_the_time_of_all_its_tries() -> None:
    lab = lab_with(dataclasses.replace(COMMAND, retries=4, interval_s=30, timeout_s=20))
    (part,) = custom.parts(lab, lab.nodes[0], list(custom.expected(lab))[:1], Facts())
    # Its number, tries, seconds between two of them, and seconds for one.
    assert "\nattempt 0 5 30 20 " in part.shell
    assert part.limit_s >= 5 * 20 + 4 * 30
    assert part.limit_s < 400


def test_a_port_is_asked_of_the_address_or_of_what_is_written() -> None:
    for host, asked in (
        ("compute1", "10.10.0.12"),
        ("example.org", "example.org"),
        ("", "127.0.0.1"),
    ):
        own = dataclasses.replace(PORT, host=host)
        lab = lab_with(own)
        (part,) = custom.parts(lab, lab.nodes[0], list(custom.expected(lab))[:1], Facts())
        assert f"/dev/tcp/{asked}/8774" in part.shell


# --- how it is judged


@pytest.mark.parametrize(
    ("own", "lines", "status", "reason", "fact"),
    [
        (COMMAND, ["0 ended yes 1 0 0"], PASSED, Reason.OK, "0"),
        (COMMAND, ["0 ended yes 2 0 0"], PASSED, Reason.OK, "2 of 3"),
        (
            COMMAND,
            ["0 ended no 3 7 0", "0 | first", "0 | off"],
            FAILED,
            Reason.WRONG_CODE,
            "off (try 3 of 3)",
        ),
        (COMMAND, ["0 ended no 1 7 0"], FAILED, Reason.WRONG_CODE, "7"),
        (COMMAND, ["0 ended text 1 0 0", "0 | inactive"], FAILED, Reason.NO_TEXT, "`active`"),
        (COMMAND, ["0 ended no 1 - 124", "0 | begun"], FAILED, Reason.TIMED_OUT, "10 s"),
        (COMMAND, ["sh: 12: Killed", "0 ended no 1 - 137"], FAILED, Reason.TIMED_OUT, "10 s"),
        (
            COMMAND,
            ["0 ended no 1 - 127", "0 | sh: timeout: not found"],
            ERROR,
            Reason.PROGRAM_MISSING,
            "sh: timeout: not found",
        ),
        (COMMAND, ["0 ended"], ERROR, Reason.UNREADABLE, ""),
        (COMMAND, ["0 ended yes x 0 0"], ERROR, Reason.UNREADABLE, ""),
        (COMMAND, [], ERROR, Reason.UNREADABLE, ""),
        (PORT, ["0 ended yes 1 0 0"], PASSED, Reason.OK, ""),
        (
            PORT,
            [
                "0 ended no 1 1 0",
                "0 | bash: connect: Connection refused",
                "0 | bash: /dev/tcp/: Connection refused",
            ],
            FAILED,
            Reason.REFUSED,
            "",
        ),
        (
            PORT,
            ["0 ended no 1 1 0", "0 | bash: connect: No route to host"],
            FAILED,
            Reason.UNREACHABLE,
            "",
        ),
        (PORT, ["0 ended no 1 - 124"], FAILED, Reason.TIMED_OUT, "10 s"),
        (PAGE, ["0 ended yes 1 0 0"], PASSED, Reason.OK, "200"),
        (
            PAGE,
            ["0 ended no 1 1 0", "0 | status 503, not 200", "0 | busy"],
            FAILED,
            Reason.WRONG_PAGE,
            "503",
        ),
        (
            PAGE,
            ["0 ended no 1 127 0", "0 | bash: not found"],
            ERROR,
            Reason.PROGRAM_MISSING,
            "python3",
        ),
        (
            PAGE,
            ["0 ended no 1 1 0", "0 | Traceback (most", "0 | ImportError: No module named 'ssl'"],
            ERROR,
            Reason.PROGRAM_FAILED,
            "ImportError: No module named 'ssl'",
        ),
        (PAGE, ["0 ended no 1 - 124"], FAILED, Reason.TIMED_OUT, "10 s"),
    ],
)
def test_an_answer_is_judged_by_its_kind(
    own: CustomCheck, lines: list[str], status: CheckStatus, reason: Reason, fact: str
) -> None:
    own = dataclasses.replace(own, retries=2, text=own.text or "active")
    result = judge(own, *lines)
    assert (result.status, result.reason) == (status, reason)
    assert fact in result.detail


def test_what_passed_takes_no_memory_and_what_failed_says_how_to_try_it() -> None:
    result = judge(COMMAND, "0 ended yes 1 0 0")
    assert (result.command, result.output, result.evidence) == ("", "", "")
    result = judge(COMMAND, "0 ended no 1 1 0", "0 | no")
    assert (result.command, result.output) == ("systemctl is-active ssh", "no")
    result = judge(PORT, "0 ended no 1 1 0", "0 | refused")
    assert result.command == "timeout 10 bash -c 'exec 3<>/dev/tcp/10.10.0.12/8774'"
    assert "urlopen" in judge(PAGE, "0 ended no 1 1 0", "0 | refused").command


def test_a_warning_fails_softly_but_is_no_answer_where_there_is_none() -> None:
    own = dataclasses.replace(COMMAND, is_warning=True)
    assert judge(own, "0 ended no 1 1 0").status is WARNED
    assert judge(own, "0 ended yes 1 0 0").status is PASSED
    assert judge(own, code=None).status is ERROR


def test_what_was_cut_off_has_no_answer_and_what_was_said_before_counts() -> None:
    own = [
        dataclasses.replace(COMMAND, name=f"{number}", nodes=("controller",)) for number in range(5)
    ]
    lab = lab_with(*own)
    said = {"custom.0": Said(lines=("0 ended no 1 7 0",), code=None)}  # of 0 and 4
    answer = Answer(is_begun=True, said=said, why_cut="the node is off")
    results = list(custom.judge(lab, list(custom.expected(lab)), answer, Facts()))
    assert (results[0].status, results[0].reason) == (FAILED, Reason.WRONG_CODE)
    assert {(result.status, result.reason) for result in results[1:]} == {
        (ERROR, Reason.SESSION_ENDED)
    }


def test_a_detail_is_one_printable_line_of_bounded_length() -> None:
    detail = judge(COMMAND, "0 ended no 1 1 0", f"0 | \x1b[31m{'x' * 3000}\x00").detail
    assert detail.isprintable()
    assert len(detail) < 300


def test_they_are_tried_with_the_rest_in_one_session_per_node() -> None:
    lab = lab_with(COMMAND, PORT, PAGE)
    nodes = SimulatedNodes(lab)
    mesh = Mesh(
        families=plan.FAMILIES, lab=lab, paths=HostPaths(Path("/nowhere")).lab("trio"), runner=nodes
    )
    results = mesh.check(plan.expected(lab, Selection(layers=frozenset({Layer.CUSTOM}))))
    own = [result for result in results if result.check.kind is not CheckKind.LOGIN]
    assert [result.status for result in own] == [PASSED] * 5
    assert sorted(nodes.asked) == ["compute1", "compute2", "controller"]


def test_names_with_anything_in_them_are_told_apart() -> None:
    names = ("a", "A", "a b", "it's /v2.1 (api)")
    lab = lab_with(
        *(dataclasses.replace(COMMAND, name=name, nodes=("controller",)) for name in names)
    )
    checks = list(custom.expected(lab))
    said = Said(lines=tuple(f"{number} ended no 1 {number} 0" for number in range(4)), code=0)
    answer = Answer(said={f"custom.{number}": said for number in range(4)})
    results = list(custom.judge(lab, checks[::-1], answer, Facts()))
    by_name = {result.check.subject: result for result in results}
    for number, name in enumerate(names):
        assert f"{number}," in by_name[name].detail
