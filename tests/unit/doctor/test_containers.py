from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.doctor import probes
from stacklab.doctor.containers import probes as containers
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeResult, ProbeStatus, raise_for
from stacklab.errors import CommandTimedOut, HostError, ToolNotFound
from stacklab.model.lab import Disk, Impairment, Lab, NetworkMode, NodeKind, Size
from stacklab.model.stack import Installer
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from tests.unit.checks.fake_lab import FakeRunner, late, make_lab
from tests.unit.doctor.fake_machine import RELEASE, make_machine

HOST = HostPaths(Path("/var/lib/stacklab"))
VMS = make_lab()
LAB = VMS.all_as(NodeKind.CONTAINER)
ON_DISK = f"/lib/modules/{RELEASE}/modules.dep"
INSTANCES = "/proc/sys/fs/inotify/max_user_instances"
WATCHES = "/proc/sys/fs/inotify/max_user_watches"
OK = Result(exit_code=0)


def many(count: int) -> Lab:
    """A lab of this many containers."""
    names = tuple(f"n{number}" for number in range(count))
    return make_lab(name="many", nodes=names).all_as(NodeKind.CONTAINER)


def mixed() -> Lab:
    """A lab with one container, compute1."""
    nodes = [
        dataclasses.replace(node, kind=NodeKind.CONTAINER) if node.name == "compute1" else node
        for node in VMS.nodes
    ]
    return dataclasses.replace(VMS, nodes=tuple(nodes))


def answers(program: str, *, code: int = 1, stderr: str = "") -> Callable[[Command], Result]:
    """A host on which one program fails, whoever runs it."""

    def answer(command: Command) -> Result:
        if program in command.argv or f"/usr/bin/{program}" in command.argv:
            return Result(exit_code=code, stderr=stderr)
        return OK

    return answer


def commands(machine: Machine) -> list[tuple[str, ...]]:
    assert isinstance(machine.runner, FakeRunner)
    return [command.argv for command in machine.runner.commands]


def one(results: tuple[ProbeResult, ...], name: str) -> ProbeResult:
    return next(result for result in results if result.name == name)


# --- which labs are probed


def test_a_lab_of_vms_is_asked_for_nothing() -> None:
    machine = make_machine(absent={"systemd-nspawn"}, devices=())
    assert containers.preflight(VMS, HOST, machine) == ()
    assert commands(machine) == []


@pytest.mark.parametrize("lab", [LAB, mixed()])
def test_on_a_healthy_host_all_probes_of_containers_hold(lab: Lab) -> None:
    results = containers.preflight(lab, HOST, make_machine())
    assert {result.status for result in results} == {ProbeStatus.OK}
    names = {result.name for result in results}
    assert {"overlay", "loop", "cgroup2", "namespaces", "storage"} <= names


def test_every_trial_has_a_time_limit() -> None:
    machine = make_machine()
    containers.preflight(late(LAB, 20), HOST, machine)
    assert isinstance(machine.runner, FakeRunner)
    assert len(machine.runner.commands) == 3
    assert all(command.timeout_s == 10 for command in machine.runner.commands)


def test_the_preflight_of_labs_and_the_doctor_run_them() -> None:
    machine = make_machine(devices=())
    before = probes.preflight(LAB, HOST, machine, connect=lambda: None)
    assert one(before, "loop").is_failed
    assert one(probes.full(LAB, HOST, machine, connect=lambda: None), "loop").is_failed


@pytest.mark.parametrize("lab", [None, VMS])
def test_the_doctor_warns_where_no_lab_asks_for_containers(lab: Lab | None) -> None:
    machine = make_machine(absent={"systemd-nspawn"}, devices=(), files={"/proc/filesystems": ""})
    results = containers.full(lab, HOST, machine)
    for name in ("systemd-nspawn", "loop", "overlay"):
        result = one(results, name)
        assert result.status is ProbeStatus.WARNING
        assert "only nodes that are containers need it" in result.sentence
    assert not [result for result in results if result.is_failed]


def test_the_doctor_fails_where_a_lab_on_record_has_containers() -> None:
    machine = make_machine(devices=())
    assert one(containers.full(None, HOST, machine, [VMS, mixed()]), "loop").is_failed
    assert not one(containers.full(VMS, HOST, machine, [mixed()]), "loop").is_failed


def test_the_doctor_tells_the_version_and_the_kernels_features() -> None:
    results = containers.full(None, HOST, make_machine(kernel_config="CONFIG_GENEVE=y\n"))
    assert one(results, "systemd-nspawn").sentence == "systemd-nspawn 252.39"
    assert one(results, "openvswitch").status is ProbeStatus.INFO


# --- the host


def test_systemd_nspawn_that_is_missing_is_told_with_its_package() -> None:
    with pytest.raises(ToolNotFound) as caught:
        raise_for(containers.preflight(LAB, HOST, make_machine(absent={"systemd-nspawn"})))
    assert caught.value.hint == "sudo apt-get install systemd-container"


def test_an_overlay_that_the_first_mount_loads_is_all_well() -> None:
    machine = make_machine(
        files={"/proc/filesystems": "nodev\tproc\n", ON_DISK: "kernel/fs/overlayfs/overlay.ko:\n"}
    )
    result = one(containers.preflight(LAB, HOST, machine), "overlay")
    assert (result.status, "which the first mount loads" in result.sentence) == (
        ProbeStatus.OK,
        True,
    )


@pytest.mark.parametrize(
    ("config", "fix"),
    [
        ("CONFIG_X=y\n", "boot a kernel with CONFIG_OVERLAY_FS, or make the nodes VMs"),
        ("", "sudo modprobe overlay, or make the nodes VMs"),
    ],
)
def test_a_kernel_without_overlay_is_refused(config: str, fix: str) -> None:
    machine = make_machine(files={"/proc/filesystems": "nodev\tproc\n"}, kernel_config=config)
    result = one(containers.preflight(LAB, HOST, machine), "overlay")
    assert result.is_failed
    assert result.fix.startswith(fix)


def test_loop_that_is_not_loaded_is_refused_with_the_command_that_loads_it() -> None:
    machine = make_machine(devices=(), files={ON_DISK: "kernel/drivers/block/loop.ko:\n"})
    result = one(containers.preflight(LAB, HOST, machine), "loop")
    assert result.is_failed
    assert result.fix.startswith("sudo modprobe loop")


def test_cgroup_version_2_that_is_not_mounted_is_refused_with_the_mount() -> None:
    version_1 = "33 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    machine = make_machine(files={"/proc/self/mountinfo": version_1})
    result = one(containers.preflight(LAB, HOST, machine), "cgroup2")
    assert result.is_failed
    assert "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified" in result.fix


def test_cgroup_version_2_beside_version_1_is_found() -> None:
    hybrid = (
        "33 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    )
    machine = make_machine(files={"/proc/self/mountinfo": hybrid})
    result = one(containers.preflight(LAB, HOST, machine), "cgroup2")
    assert result.sentence == "cgroup version 2 is at /sys/fs/cgroup/unified"


COSTS = {
    "memory": ("all memory of this host", "cgroup_enable=memory"),
    "cpu": ("gets more of the time", "CONFIG_CGROUP_SCHED"),
    "pids": ("as a fork bomb does", "CONFIG_CGROUP_PIDS"),
}
CONTROLLERS = "/sys/fs/cgroup/cgroup.controllers"


@pytest.mark.parametrize("name", list(COSTS))
def test_a_controller_that_is_missing_is_said_with_what_that_costs(name: str) -> None:
    others = " ".join(other for other in COSTS if other != name)
    machine = make_machine(files={CONTROLLERS: f"{others}\n"})
    result = one(containers.preflight(LAB, HOST, machine), "cgroups")
    assert (result.status, result.is_said) == (ProbeStatus.WARNING, True)
    assert result.sentence.startswith(f"this host has no cgroup controller {name}: ")
    cost, fix = COSTS[name]
    assert cost in result.sentence
    assert fix in result.fix
    assert "mount" not in result.fix
    raise_for(containers.preflight(LAB, HOST, machine))
    found = one(containers.full(None, HOST, machine), "cgroups")
    assert (found.status, found.is_said) == (ProbeStatus.WARNING, False)


def test_each_of_several_is_named() -> None:
    machine = make_machine(files={CONTROLLERS: ""})
    results = containers.preflight(LAB, HOST, machine)
    named = [result.sentence.split(":")[0].split()[-1] for result in results if result.is_said]
    assert named == list(COSTS)


def test_beside_version_1_the_mount_may_be_all_that_is_missing() -> None:
    hybrid = (
        "33 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "34 30 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    )
    machine = make_machine(files={"/proc/self/mountinfo": hybrid})
    result = one(containers.preflight(LAB, HOST, machine), "cgroups")
    assert "no cgroup controller pids" in result.sentence
    assert "sudo mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids" in result.fix


def test_who_is_not_root_tries_by_sudo_which_must_not_ask() -> None:
    machine = dataclasses.replace(make_machine(), is_root=False)
    assert one(containers.preflight(LAB, HOST, machine), "namespaces").status is ProbeStatus.OK
    assert commands(machine)[0] == ("sudo", "-n", "true")
    assert all(argv[:2] == ("sudo", "-n") for argv in commands(machine))


def test_root_asks_nobody() -> None:
    machine = make_machine()
    containers.preflight(LAB, HOST, machine)
    assert [argv[0] for argv in commands(machine)] == ["unshare", "env"]


def test_a_sudo_that_asks_for_a_password_is_refused_and_nothing_else_is_tried() -> None:
    machine = make_machine(says=answers("true", stderr="sudo: a password is required\n"))
    machine = dataclasses.replace(machine, is_root=False)
    result = one(containers.preflight(LAB, HOST, machine), "root")
    assert result.is_failed
    assert "me is not root without a password" in result.sentence
    assert "sudo: a password is required" in result.sentence
    assert len(commands(machine)) == 1


def test_a_host_without_sudo_is_told_so() -> None:
    def stub_absent(command: Command) -> Result:
        raise ToolNotFound("sudo")

    machine = dataclasses.replace(make_machine(says=stub_absent), is_root=False)
    result = one(containers.preflight(LAB, HOST, machine), "root")
    assert result.sentence.endswith("only root starts containers: sudo is not installed")


@pytest.mark.parametrize(
    "said",
    [
        "unshare: unshare failed: Operation not permitted\n",
        "mount: /run: permission denied.\n       dmesg(1) may have more information.\n",
    ],
)
def test_a_host_that_forbids_mounts_or_namespaces_is_refused(said: str) -> None:
    result = one(
        containers.preflight(LAB, HOST, make_machine(says=answers("unshare", stderr=said))),
        "namespaces",
    )
    assert result.is_failed
    assert result.sentence.endswith(f"as in a container: {said.splitlines()[0]}")
    assert "--privileged" in result.fix


def test_a_trial_that_does_not_end_is_a_failure_in_one_line() -> None:
    def stub_hanging(command: Command) -> Result:
        raise CommandTimedOut("trying unshare as root: unshare had no end after 10 s\n  unshare x")

    result = one(containers.preflight(LAB, HOST, make_machine(says=stub_hanging)), "namespaces")
    assert result.sentence.endswith("unshare had no end after 10 s")


# --- inotify


@pytest.mark.parametrize(
    ("own", "instances", "status"),
    [
        (12, 128, ProbeStatus.OK),
        (13, 128, ProbeStatus.WARNING),
        (21, 128, ProbeStatus.WARNING),
        (22, 128, ProbeStatus.FAILED),
        (13, 78, ProbeStatus.WARNING),
        (13, 77, ProbeStatus.FAILED),
        (20, 192, ProbeStatus.OK),
    ],
)
def test_inotify_instances_must_do_for_all_containers_of_the_lab(
    own: int, instances: int, status: ProbeStatus
) -> None:
    machine = make_machine(files={INSTANCES: f"{instances}\n"})
    result = one(containers.preflight(many(own), HOST, machine), "fs.inotify.max_user_instances")
    assert result.status is status
    if status is not ProbeStatus.OK:
        assert result.fix == "sudo sysctl -w fs.inotify.max_user_instances=1024"
        assert f"this lab has {own}" in result.sentence


def test_containers_of_other_labs_count_and_vms_do_not() -> None:
    machine = make_machine(files={INSTANCES: "128\n"})
    name = "fs.inotify.max_user_instances"
    assert one(containers.preflight(LAB, HOST, machine, [VMS] * 9), name).status is ProbeStatus.OK
    result = one(containers.preflight(LAB, HOST, machine, [many(30)]), name)
    # They may be down: then this lab boots.
    assert result.status is ProbeStatus.WARNING
    assert "this lab has 3, the others on this host 30" in result.sentence
    assert result.is_said


def test_a_lab_that_wants_more_than_is_usual_gets_a_limit_that_does() -> None:
    machine = make_machine(files={INSTANCES: "128\n"})
    result = one(containers.preflight(many(200), HOST, machine), "fs.inotify.max_user_instances")
    assert result.fix.endswith(f"={2 * (200 * 8 + 32)}")


def test_watches_are_counted_too() -> None:
    machine = make_machine(files={WATCHES: "59\n"})
    result = one(containers.preflight(LAB, HOST, machine), "fs.inotify.max_user_watches")
    assert result.is_failed
    assert result.fix == "sudo sysctl -w fs.inotify.max_user_watches=131072"


@pytest.mark.parametrize("text", ["", "many\n"])
def test_a_limit_that_cannot_be_read_is_a_warning(text: str) -> None:
    machine = make_machine(files={INSTANCES: text})
    result = one(containers.preflight(LAB, HOST, machine), "fs.inotify.max_user_instances")
    assert result.status is ProbeStatus.WARNING


def test_the_doctor_counts_the_containers_of_the_labs_on_record() -> None:
    machine = make_machine(files={INSTANCES: "128\n"})
    result = one(containers.full(None, HOST, machine, [many(30)]), "fs.inotify.max_user_instances")
    assert (result.status, result.is_said) == (ProbeStatus.WARNING, False)


# --- what a container can't be

UNKNOWN_QDISC = "Error: Specified qdisc kind is unknown.\n"


def impaired() -> Lab:
    """A lab whose container compute1 loses on eth1 what it does not hold back on eth0."""
    lab = late(mixed(), 20)
    nodes = []
    for node in lab.nodes:
        loss = Impairment(loss_percent=2, rate_kbit=500)
        second = dataclasses.replace(node.nics[1], impairment=loss)
        nodes.append(dataclasses.replace(node, nics=(node.nics[0], second)))
    return dataclasses.replace(lab, nodes=tuple(nodes))


def test_impairments_that_the_kernel_cannot_make_are_refused_by_name() -> None:
    machine = make_machine(says=answers("tc", code=2, stderr=UNKNOWN_QDISC))
    result = one(containers.preflight(impaired(), HOST, machine), "impairments")
    assert result.is_failed
    assert "(delay of compute1's eth0; loss, rate of compute1's eth1)" in result.sentence
    assert result.sentence.endswith("Specified qdisc kind is unknown.")
    assert "kind: vm in labs/trio.yaml" in result.fix
    with pytest.raises(HostError, match="can't impair containers"):
        raise_for(containers.preflight(impaired(), HOST, machine))


def test_macvtap_of_vms_that_are_to_be_containers_is_refused_by_name() -> None:
    first, *others = VMS.networks
    networks = (dataclasses.replace(first, mode=NetworkMode.MACVTAP), *others)
    lab = dataclasses.replace(VMS, networks=networks).all_as(NodeKind.CONTAINER)
    result = one(containers.preflight(lab, HOST, make_machine()), "networks")
    assert result.is_failed
    assert "mode macvtap: controller, compute1" in result.sentence


def test_further_disks_of_vms_that_are_to_be_containers_are_refused_by_name() -> None:
    disk = Disk(name="disk1", size=Size(1024), serial="disk1")
    nodes = (dataclasses.replace(VMS.nodes[0], disks=(disk,)), *VMS.nodes[1:])
    lab = dataclasses.replace(VMS, nodes=nodes)
    assert containers.preflight(lab, HOST, make_machine()) == ()
    result = one(
        containers.preflight(lab.all_as(NodeKind.CONTAINER), HOST, make_machine()), "disks"
    )
    assert result.is_failed
    assert "no disks of its own, and controller" in result.sentence
    assert "leave out --as containers" in result.fix


def test_impairments_that_the_kernel_makes_are_tried_in_a_network_of_their_own() -> None:
    machine = make_machine()
    results = containers.preflight(impaired(), HOST, machine)
    assert not [result for result in results if result.name == "impairments"]
    assert commands(machine)[-1][:3] == ("unshare", "--net", "/usr/bin/tc")


def test_impairments_of_vms_are_their_own_kernels() -> None:
    machine = make_machine(says=answers("tc", code=2, stderr=UNKNOWN_QDISC))
    lab = late(VMS, 20)
    nodes = (lab.nodes[0], lab.nodes[1], mixed().nodes[1])
    results = containers.preflight(dataclasses.replace(lab, nodes=nodes), HOST, machine)
    assert not [result for result in results if result.name == "impairments"]


def test_a_netem_that_is_not_loaded_has_the_command_that_loads_it() -> None:
    machine = make_machine(
        says=answers("tc", code=2, stderr=UNKNOWN_QDISC),
        files={ON_DISK: "kernel/net/sched/sch_netem.ko:\n"},
    )
    result = one(containers.preflight(impaired(), HOST, machine), "impairments")
    assert result.fix.startswith("sudo modprobe sch_netem, or give these nodes kind: vm")


@pytest.mark.parametrize("installer", [Installer.CONTRAIL, Installer.OPENSDN])
def test_an_installer_with_a_kernel_module_of_its_own_is_told_not_refused(
    installer: Installer,
) -> None:
    stack = dataclasses.replace(LAB.stack, installer=installer)
    results = containers.preflight(dataclasses.replace(LAB, stack=stack), HOST, make_machine())
    result = one(results, "kernel module")
    assert (result.status, result.is_said) == (ProbeStatus.INFO, True)
    assert result.sentence.startswith(f"{installer} builds a kernel module (vrouter)")
    assert result.sentence.endswith("controller, compute1, compute2")
    raise_for(results)


def test_devstack_has_no_kernel_module_of_its_own() -> None:
    stack = dataclasses.replace(LAB.stack, installer=Installer.DEVSTACK)
    results = containers.preflight(dataclasses.replace(LAB, stack=stack), HOST, make_machine())
    assert not [result for result in results if result.name == "kernel module"]


def test_nodes_with_more_cpus_than_the_host_are_told_in_one_note() -> None:
    nodes = tuple(
        dataclasses.replace(node, cpus=cpus)
        for node, cpus in zip(LAB.nodes, (4, 5, 64), strict=True)
    )
    results = containers.preflight(dataclasses.replace(LAB, nodes=nodes), HOST, make_machine())
    (result,) = [result for result in results if result.name == "cpus"]
    assert (result.status, result.is_said) == (ProbeStatus.INFO, True)
    assert "this host has 4 CPUs" in result.sentence
    assert result.sentence.endswith("of compute1 (5), compute2 (64)")
