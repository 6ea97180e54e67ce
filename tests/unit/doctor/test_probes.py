from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.doctor import probes
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus, raise_for
from stacklab.errors import (
    CommandFailed,
    HostError,
    LabError,
    ProviderError,
    ToolError,
    ToolNotFound,
)
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner, make_lab
from tests.unit.doctor.fake_machine import link, make_machine

HOST = HostPaths(Path("/var/lib/stacklab"))
LAB = make_lab()


def found(
    area: ProbeArea, status: ProbeStatus, sentence: str, *, name: str = "x", fix: str = ""
) -> ProbeResult:
    return ProbeResult(name=name, area=area, status=status, sentence=sentence, fix=fix)


def test_a_healthy_host_passes_before_a_lab_starts_and_only_ip_is_run() -> None:
    machine = make_machine()
    results = probes.preflight(LAB, HOST, machine, connect=lambda: None)
    assert all(result.status is ProbeStatus.OK for result in results)
    assert isinstance(machine.runner, FakeRunner)
    assert {Path(command.argv[0]).name for command in machine.runner.commands} == {"ip"}


def test_everything_that_is_wrong_is_found_at_once() -> None:
    machine = make_machine(
        absent={"virsh"}, available_mib=100, links=[link("eth0", "10.20.0.7/24")]
    )
    results = probes.preflight(LAB, HOST, machine, connect=lambda: "Permission denied")
    assert [result.name for result in results if result.is_failed] == [
        "virsh",
        "libvirtd",
        "memory",
        "network net1",
    ]


def test_doctor_without_a_lab_leaves_the_labs_probes_out() -> None:
    results = probes.full(
        None, HOST, make_machine(), connect=lambda: None, sources={"debian-12": None}
    )
    names = {result.name for result in results}
    assert {"vagrant", "vagrant-libvirt", "libvirtd", "accelerator", "disk", "source"} <= names
    assert not {"memory", "network net0"} & names


def test_doctor_with_a_lab_looks_at_its_memory_and_networks() -> None:
    names = {result.name for result in probes.full(LAB, HOST, make_machine(), connect=lambda: None)}
    assert {"memory", "network net0", "network net1"} <= names


def test_a_host_without_ip_is_warned_of_not_refused() -> None:
    def stub_broken(command: Command) -> Result:
        raise CommandFailed("ip ended with 1")

    results = probes.preflight(LAB, HOST, make_machine(says=stub_broken), connect=lambda: None)
    assert (results[-1].status, results[-1].name) == (ProbeStatus.WARNING, "networks")


def test_warnings_keep_no_lab_from_starting() -> None:
    raise_for(
        [
            found(ProbeArea.HOST, ProbeStatus.WARNING, "slow"),
            found(ProbeArea.TOOL, ProbeStatus.OK, "fine"),
        ]
    )


@pytest.mark.parametrize(
    ("area", "kind", "code"),
    [
        (ProbeArea.TOOL, ToolError, 3),
        (ProbeArea.PROVIDER, ProviderError, 4),
        (ProbeArea.HOST, HostError, 9),
    ],
)
def test_the_first_failure_decides_the_exit_code(
    area: ProbeArea, kind: type[LabError], code: int
) -> None:
    first = found(area, ProbeStatus.FAILED, "first is wrong", fix="do this")
    second = found(ProbeArea.HOST, ProbeStatus.FAILED, "second is wrong", fix="do that")
    with pytest.raises(kind) as caught:
        raise_for([first, second])
    assert caught.value.message == "first is wrong\nsecond is wrong"
    assert (caught.value.hint, caught.value.exit_code) == ("do this", code)


def test_one_missing_program_is_tool_not_found() -> None:
    with pytest.raises(ToolNotFound) as caught:
        raise_for(probes.preflight(LAB, HOST, make_machine(absent={"fping"}), connect=lambda: None))
    assert str(caught.value) == "fping is not installed\n  next: sudo apt-get install fping"


def test_two_missing_programs_are_both_named() -> None:
    with pytest.raises(ToolError, match="qemu-img is not installed\nfping is not installed"):
        raise_for(
            probes.preflight(
                LAB, HOST, make_machine(absent={"fping", "qemu-img"}), connect=lambda: None
            )
        )
