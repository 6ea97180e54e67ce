from __future__ import annotations

import errno

import pytest

from stacklab import errors
from stacklab.errors import LabError, Problem, SpecError, ToolNotFound


def _family() -> list[type[LabError]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, LabError)
    ]


@pytest.mark.parametrize("kind", _family(), ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree(kind: type[LabError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


def test_each_branch_of_the_family_has_its_own_exit_code() -> None:
    branches = [LabError, *(kind for kind in _family() if LabError in kind.__bases__)]
    codes = [kind.exit_code for kind in branches]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 256 for code in codes)


def test_a_leaf_ends_with_its_branchs_exit_code() -> None:
    assert ToolNotFound("packer").exit_code == errors.ToolError.exit_code == 3


def test_an_error_shows_its_cause_and_then_the_next_step() -> None:
    assert (
        str(LabError("no lab 'x'", hint="./invoke lab.list"))
        == "no lab 'x'\n  next: ./invoke lab.list"
    )
    assert str(LabError("no lab 'x'")) == "no lab 'x'"


def test_a_missing_tool_is_named_and_points_at_the_doctor() -> None:
    assert str(ToolNotFound("packer")) == "packer is not installed\n  next: ./invoke doctor"


def test_what_the_host_refused_is_told_in_its_words() -> None:
    told = errors.of_host(
        PermissionError(errno.EACCES, "Permission denied", "/var/lib/stacklab/labs")
    )
    assert told is not None
    assert str(told) == (
        "/var/lib/stacklab/labs: Permission denied\n"
        "  next: ls -ld /var/lib/stacklab/labs, or set STACKLAB_HOME to a directory of your own"
    )
    assert str(errors.of_host(OSError(errno.ENOSPC, "No space left on device"))).startswith(
        "No space left on device"
    )


def test_what_may_be_a_bug_keeps_its_traceback() -> None:
    assert errors.of_host(FileNotFoundError(errno.ENOENT, "No such file or directory", "x")) is None
    assert errors.of_host(OSError("no number")) is None


def test_a_problem_reads_as_place_path_wrong_and_right() -> None:
    problem = Problem("labs/a.yaml", 14, 9, "nodes.a", "no network 'mgnt'", "declared: mgmt")
    assert str(problem) == "labs/a.yaml:14:9: nodes.a: no network 'mgnt' (declared: mgmt)"


def test_a_problem_without_path_or_remedy_leaves_no_gap() -> None:
    assert str(Problem("a.yaml", 1, 1, "", "it is empty")) == "a.yaml:1:1: it is empty"


def test_a_spec_error_lists_each_problem_once_in_the_order_of_the_file() -> None:
    late, early = Problem("a.yaml", 10, 1, "b", "late"), Problem("a.yaml", 9, 5, "a", "early")
    error = SpecError([late, early, late])
    assert error.problems == (early, late)
    assert str(error) == "a.yaml:9:5: a: early\na.yaml:10:1: b: late"


def test_a_full_disk_is_shown_by_where_the_file_would_be() -> None:
    error = errors.of_host(OSError(errno.ENOSPC, "No space left on device", "/h a/labs/x.json"))
    assert error is not None
    assert error.message == "/h a/labs/x.json: No space left on device"
    assert error.hint == "df -h '/h a/labs', then ./invoke image.prune"
