from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.doctor import programs
from stacklab.doctor.result import ProbeStatus
from stacklab.errors import CommandTimedOut
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner
from tests.unit.doctor.fake_machine import VERSIONS, gems_dir, make_machine


def test_a_host_with_everything_misses_nothing_and_runs_nothing() -> None:
    machine = make_machine()
    assert programs.missing(machine) == ()
    assert isinstance(machine.runner, FakeRunner)
    assert machine.runner.commands == []


def test_a_missing_program_is_named_with_the_package_to_install() -> None:
    (result,) = programs.missing(make_machine(absent={"qemu-img"}))
    assert (result.sentence, result.fix) == (
        "qemu-img is not installed",
        "sudo apt-get install qemu-utils",
    )


def test_on_a_host_with_dnf_the_fix_is_dnfs() -> None:
    (result,) = programs.missing(make_machine(absent={"ssh", "apt-get"}))
    assert result.fix == "sudo dnf install openssh-clients"


def test_where_no_known_package_manager_is_the_package_is_named() -> None:
    (result,) = programs.missing(make_machine(absent={"fping", "apt-get", "dnf"}))
    assert result.fix == "install fping by this host's package manager"


def test_what_only_makes_images_is_not_missed_when_the_image_is_there() -> None:
    machine = make_machine(absent={"packer", "mmdebstrap", "extlinux"})
    assert programs.missing(machine, builds_image=False) == ()
    assert len(programs.missing(machine)) == 3


def test_what_only_some_faults_want_keeps_no_lab_down_but_doctor_tells() -> None:
    machine = make_machine(absent={"ebtables"})
    assert programs.missing(machine) == ()
    found = next(result for result in programs.probe_all(machine) if result.name == "ebtables")
    assert found.status is ProbeStatus.WARNING
    assert found.sentence == "ebtables is not installed: needed by lab.fault partition"
    assert found.fix == "sudo apt-get install iptables"


def test_every_program_tells_its_version() -> None:
    results = {result.name: result for result in programs.probe_all(make_machine())}
    assert all(result.status is ProbeStatus.OK for result in results.values())
    # Only containers need that one: see test_containers.py.
    assert set(VERSIONS) - {"systemd-nspawn"} < set(results)
    assert results["ssh"].sentence == "ssh 9.2"
    assert results["packer"].sentence == "packer 1.6.6"


def test_a_version_older_than_the_tested_is_a_warning() -> None:
    def stub_old(command: Command) -> Result:
        return Result(exit_code=0, stdout="1.2.3")

    results = {result.name: result for result in programs.probe_all(make_machine(says=stub_old))}
    assert results["virsh"].status is ProbeStatus.WARNING
    assert results["virsh"].sentence == "virsh 1.2.3 is older than 9.0, the oldest that is tested"


def test_a_program_that_hangs_fails_with_the_reason() -> None:
    def stub_hang(command: Command) -> Result:
        raise CommandTimedOut("no end after 20 s")

    result = programs.probe_all(make_machine(says=stub_hang))[0]
    assert result.is_failed
    assert "does not run: no end after 20 s" in result.sentence


def test_the_plugin_is_found_in_the_users_own_list() -> None:
    plugins = '{"version":"1","installed":{"vagrant-libvirt":{"ruby_version":"3.1.2"}}}'
    machine = make_machine(files={"/home/me/.vagrant.d/plugins.json": plugins})
    machine = dataclasses.replace(machine, list_dir=gems_dir())
    assert not programs.probe_plugin(machine).is_failed


@pytest.mark.parametrize(
    "name", ["vagrant-libvirtual-1.0.gemspec", "vagrant-2.3.4.gemspec", "vagrant-libvirt-0.1.txt"]
)
def test_another_gem_is_not_taken_for_the_plugin(name: str) -> None:
    result = programs.probe_plugin(dataclasses.replace(make_machine(), list_dir=gems_dir(name)))
    assert result.is_failed
    assert "vagrant-libvirt" in result.fix


@pytest.mark.parametrize(
    ("version", "floor", "older"),
    [("9.0", "10.0", True), ("10.0", "9.0", False), ("7.2", "7.2", False)],
)
def test_versions_are_compared_as_numbers(version: str, floor: str, older: bool) -> None:
    assert programs.is_older(version, floor) is older


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text())
def test_whatever_a_program_says_its_version_can_be_compared(text: str) -> None:
    version = programs.parse_version(text)
    assert not version or programs.is_older(version, "1.0") in {True, False}
