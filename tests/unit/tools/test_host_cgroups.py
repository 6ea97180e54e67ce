"""What a container does, told by the files of its cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.model.state import NodeState
from stacklab.tools.host import cgroups

V2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "30 23 0:27 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
    "31 30 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n"
    "32 30 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory\n"
)
V1 = "32 30 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory\n"
# A cgroup that is bound somewhere is not the whole tree.
BOUND = "33 30 0:28 /user.slice /mnt/part rw shared:10 - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        (V2, "/sys/fs/cgroup"),
        (HYBRID, "/sys/fs/cgroup/unified"),
        (V1, None),
        (BOUND, None),
        (BOUND + V2, "/sys/fs/cgroup"),
        ("", None),
    ],
    ids=["v2", "hybrid", "v1", "a part", "a part and all", "nothing"],
)
def test_version_2_is_found_where_it_is_mounted(
    tmp_path: Path, mounts: str, expected: str | None
) -> None:
    file = tmp_path / "mountinfo"
    file.write_text(mounts)
    found = cgroups.root(file)
    assert found == (Path(expected) if expected else None)


def write(group: Path, populated: bool, frozen: bool = False) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.events").write_text(f"populated {int(populated)}\nfrozen {int(frozen)}\n")


@pytest.mark.parametrize(
    ("with_processes", "is_frozen", "expected"),
    [
        (("keeper", "net", "run"), False, NodeState.RUNNING),
        (("keeper", "net", "run"), True, NodeState.PAUSED),
        (("net", "run"), False, NodeState.RUNNING),  # its keeper was killed: it runs on
        (("keeper", "net"), False, NodeState.RUNNING),  # it reboots
        (("net",), False, NodeState.OFF),  # only its network is held
        (("net",), True, NodeState.OFF),
        ((), False, NodeState.OFF),
    ],
)
def test_a_node_s_state_is_that_of_its_processes(
    tmp_path: Path, with_processes: tuple[str, ...], is_frozen: bool, expected: NodeState
) -> None:
    group = cgroups.group_of("sl0000000a", tmp_path)
    assert group == tmp_path / "stacklab" / "sl0000000a"
    write(group, bool(with_processes), is_frozen)
    for name in ("keeper", "net", "run"):
        write(group / name, name in with_processes)
    assert cgroups.state(group) is expected


def test_what_has_no_cgroup_is_off(tmp_path: Path) -> None:
    assert cgroups.state(tmp_path / "stacklab" / "sl0000000a") is NodeState.OFF


@pytest.mark.parametrize(
    ("mounts", "of_version_2", "expected"),
    [
        (V2, "cpuset cpu io memory hugetlb pids rdma misc\n", {"cpu", "memory", "pids"}),
        (V2, "cpu pids\n", {"cpu", "pids"}),
        (V2, "", set()),
        (HYBRID, "", {"memory"}),
        (HYBRID, "pids\n", {"memory", "pids"}),
        (
            "32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
            "",
            {"cpu"},
        ),
        # machine.sh looks nowhere else.
        ("32 30 0:29 / /mnt/memory rw - cgroup cgroup rw,memory\n", "", set()),
        ("32 30 0:29 /part /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "", set()),
    ],
)
def test_controllers_are_those_of_both_versions(
    mounts: str, of_version_2: str, expected: set[str]
) -> None:
    assert cgroups.controllers(mounts, of_version_2) == expected
