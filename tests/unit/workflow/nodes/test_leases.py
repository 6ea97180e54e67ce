from __future__ import annotations

from pathlib import Path

from stacklab.dev.simulated import simulate
from stacklab.errors import CommandTimedOut
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from stacklab.workflow.nodes import leases
from tests.unit.checks.fake_lab import FakeRunner, make_lab

LAB = make_lab()
PATHS = HostPaths(Path("/var/lib/stacklab")).lab("trio")


def test_each_node_renews_the_lease_of_its_first_nic_whatever_others_do() -> None:
    def answer(command: Command) -> Result:
        if simulate.node_of(command) == "compute1":
            raise CommandTimedOut("no end after 20 s: ssh")
        return Result(exit_code=0)

    runner = FakeRunner(answer)
    leases.renew(runner, PATHS, LAB.nodes)
    asked = {simulate.node_of(command): command.stdin or b"" for command in runner.commands}
    assert set(asked) == {"controller", "compute1", "compute2"}
    assert all(b"networkctl renew eth0" in script for script in asked.values())
