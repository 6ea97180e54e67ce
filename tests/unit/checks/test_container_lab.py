"""A whole lab of simulated containers."""

from __future__ import annotations

import pytest

from stacklab.checks.result import CheckKind, CheckResult, CheckStatus
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.model.lab import NodeKind
from tests.unit.checks.fake_lab import make_lab
from tests.unit.checks.mesh_runs import FakeSleep, check

LAB = make_lab(retries=0).all_as(NodeKind.CONTAINER)
OF_THE_HOST = {CheckKind.MEMORY, CheckKind.DISK, CheckKind.SWAP}


def run(changes: dict[str, str]) -> tuple[CheckResult, ...]:
    """The checks of a lab of simulated containers, of which compute1 says something else."""

    def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        if node == "compute1" and tag == "nodes.look":
            for old, new in changes.items():
                assert any(old in line for line in lines), old
                lines = [line.replace(old, new) for line in lines]
        return lines, code

    return check(LAB, SimulatedNodes(LAB, spoil), sleep=FakeSleep())


def test_a_simulated_lab_of_containers_passes_all_its_checks() -> None:
    results = run({})
    assert {result.status for result in results} == {CheckStatus.PASSED}
    assert not OF_THE_HOST & {result.check.kind for result in results}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"allowed 0": "allowed 0-1"}, CheckKind.CPUS),
        ({"began 9000000": "ended 9000000"}, CheckKind.UPTIME),
        ({"rw,relatime": "ro,relatime"}, CheckKind.ROOT),
        ({"52:54:00:00:01:01 1500": "52:54:00:00:01:01 9000"}, CheckKind.NIC),
        ({"default via": "blackhole via"}, CheckKind.ROUTES),
    ],
)
def test_a_changed_line_fails_its_check_and_no_other(
    changes: dict[str, str], kind: CheckKind
) -> None:
    failed = [result.check for result in run(changes) if not result.is_passed]
    assert [(one.node, one.kind) for one in failed] == [("compute1", kind)]
