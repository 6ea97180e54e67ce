from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.doctor.containers import probes as containers
from stacklab.doctor.containers import storage
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeResult, ProbeStatus
from stacklab.model.lab import Lab, NodeKind
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner, make_lab
from tests.unit.doctor.fake_machine import CONTAINER_FILES, make_machine

HOST = HostPaths(Path("/h/a b"))
VMS = make_lab()
MOUNTS = (
    CONTAINER_FILES["/proc/self/mountinfo"]
    + "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    + "21 20 0:33 / /h/a\\040b rw shared:7 - overlay overlay rw,lowerdir=/x\n"
    + "22 20 0:34 / /h/a rw - tmpfs tmpfs rw\n"
)
WHY = "mount: /h/volumes/.trial-x/root: wrong fs type, bad option, bad superblock.\n"


def lab(*, is_privileged: bool) -> Lab:
    nodes = tuple(
        dataclasses.replace(node, kind=NodeKind.CONTAINER, is_privileged=is_privileged)
        for node in VMS.nodes
    )
    return dataclasses.replace(VMS, nodes=nodes)


def refuses(*kinds: str) -> Callable[[Command], Result]:
    """A file system on which these kinds (yes: privileged, no: not) can't be."""

    def answer(command: Command) -> Result:
        is_trial = any(word.endswith("try_storage.sh") for word in command.argv)
        if is_trial and command.argv[-2] in kinds:
            return Result(exit_code=32, stderr=WHY)
        return Result(exit_code=0)

    return answer


def machine(*kinds: str) -> Machine:
    return make_machine(says=refuses(*kinds), files={"/proc/self/mountinfo": MOUNTS})


def tried(machine: Machine) -> list[str]:
    assert isinstance(machine.runner, FakeRunner)
    return [command.argv[-2] for command in machine.runner.commands]


def only(results: tuple[ProbeResult, ...]) -> ProbeResult:
    (result,) = results
    return result


@pytest.mark.parametrize(("is_privileged", "word"), [(True, "yes"), (False, "no")])
def test_the_kind_of_the_labs_nodes_is_tried_where_they_will_write(
    is_privileged: bool, word: str
) -> None:
    host = machine()
    result = only(storage.probe(lab(is_privileged=is_privileged), HOST, host))
    assert result.status is ProbeStatus.OK
    assert isinstance(host.runner, FakeRunner)
    (command,) = host.runner.commands
    assert command.argv[-3:] == ("/h/a b/volumes", word, sys.executable)
    assert command.timeout_s == 10


def test_a_lab_of_vms_tries_nothing() -> None:
    host = machine("yes", "no")
    assert storage.probe(VMS, HOST, host) == ()
    assert tried(host) == []


@pytest.mark.parametrize("is_privileged", [True, False])
def test_an_overlay_is_refused_by_name_with_what_would_do(is_privileged: bool) -> None:
    result = only(storage.probe(lab(is_privileged=is_privileged), HOST, machine("yes", "no")))
    assert result.is_failed
    assert result.sentence == (
        "/h/a b/volumes, whose file system is overlay, can't hold what containers write: "
        + WHY.strip()
    )
    assert result.fix == "set STACKLAB_HOME to a directory on ext4, xfs, btrfs or tmpfs"


def test_where_only_privileged_ones_can_be_that_is_a_way_out() -> None:
    result = only(storage.probe(lab(is_privileged=False), HOST, machine("no")))
    assert "can't hold what containers that are not privileged write" in result.sentence
    assert "privileged: true in the spec" in result.fix


def test_the_preflight_fails_and_the_doctor_without_a_lab_warns() -> None:
    results = containers.preflight(lab(is_privileged=False), HOST, machine("yes", "no"))
    assert [result.name for result in results if result.is_failed] == ["storage"]
    results = containers.full(None, HOST, machine("yes", "no"))
    (result,) = [result for result in results if result.name == "storage"]
    assert result.status is ProbeStatus.WARNING


def test_where_root_may_mount_nothing_the_disk_is_not_blamed() -> None:
    host = make_machine(devices=(), says=refuses("yes", "no"))
    results = containers.preflight(lab(is_privileged=False), HOST, host)
    assert "storage" not in {result.name for result in results}


@pytest.mark.parametrize(
    ("path", "filesystem"),
    [
        ("/h/a b/volumes", "overlay"),
        ("/h/a/volumes", "tmpfs"),
        ("/h/ab/volumes", "ext4"),
        ("/", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, filesystem: str) -> None:
    assert storage.filesystem_of(Path(path), MOUNTS) == filesystem


def test_of_two_mounts_at_one_place_the_later_counts() -> None:
    later = "23 21 0:35 / /h/a\\040b rw - xfs /dev/vdb rw\n"
    assert storage.filesystem_of(Path("/h/a b/x"), MOUNTS + later) == "xfs"


def test_mounts_that_cannot_be_read_are_no_reason_to_fail() -> None:
    assert storage.filesystem_of(Path("/h"), "nonsense\n") == "not known"
