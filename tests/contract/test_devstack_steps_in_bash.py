"""Steps around DevStack, as bash runs them: with programs that record what they were asked for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stacklab.installers import rendering as answers
from stacklab.installers.rendering import Step
from tests.unit.installers.devstack import devstack_labs as labs

SHARED = "/opt/stack/data/glance"
# What a node has beside bash; `mount` and curl leave their marks below $WORLD.
STUBS = {
    "apt-get": "exit 0",
    "service": 'echo "service $*" >> "$WORLD/calls"; exit ${NO_SERVICE:-0}',
    "systemctl": 'echo "systemctl $*" >> "$WORLD/calls"',
    "exportfs": "exit 0",
    "mountpoint": 'test -e "$WORLD/mounted"',
    "mount": 'echo "mount $*" >> "$WORLD/calls"; test -n "${NO_SERVER-}" || touch "$WORLD/mounted"',
    "curl": 'while [ "$1" != -o ]; do shift; done; echo "# (version $VERSION)" | sed "s/(/pip &/"'
    ' > "$2"',
}


class World:
    """A node's directories below another root, and a PATH of those programs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("bin", "etc", "opt/stack/devstack/files", "opt/stack/devstack/tools"):
            (root / name).mkdir(parents=True)
        for name, body in STUBS.items():
            (root / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
            (root / "bin" / name).chmod(0o755)

    def run(self, command: str, **env: str) -> int:
        """The exit code of a command whose files are this world's."""
        for folder in ("/etc/fstab", "/etc/exports"):
            command = command.replace(folder, f"{self.root}{folder}")
        command = command.replace("cd /opt", f"cd {self.root}/opt").replace(
            f"mkdir -p {SHARED}", f"mkdir -p {self.root}{SHARED}"
        )
        path = f"{self.root}/bin:/usr/bin:/bin"
        done = subprocess.run(
            ["bash", "-c", command],
            env={"PATH": path, "WORLD": str(self.root), **env},
            check=False,
            timeout=20,
        )
        return done.returncode

    def read(self, name: str) -> list[str]:
        return (self.root / name).read_text().splitlines()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


def step(directory: Path, title: str, node: str, **stack: object) -> Step:
    steps = answers.steps(labs.load(directory, **stack))
    (found,) = (each for each in steps if each.node == node and each.title.startswith(title))
    return found


def with_images(tmp_path: Path, title: str, node: str) -> Step:
    return step(tmp_path, title, node, release="mitaka", glance={"direct_copy": "true"})


def test_glances_images_are_in_fstab_once_however_often(world: World, tmp_path: Path) -> None:
    found = with_images(tmp_path, "see glance's images", "compute1")
    (world.root / "etc/fstab").write_text(
        f"/dev/vda / ext4 defaults 0 1\n10.9.9.9:{SHARED} {SHARED} nfs ro 0 0\n"
    )
    assert world.run(found.done) != 0
    for _ in range(2):
        assert world.run(found.command) == 0
        assert world.run(found.done) == 0
    assert world.read("etc/fstab") == [
        "/dev/vda / ext4 defaults 0 1",
        f"10.170.0.11:{SHARED} {SHARED} nfs ro,bg,nofail 0 0",
    ]
    assert world.read("calls") == [f"mount {SHARED}"]


def test_a_mount_that_went_into_the_background_is_a_failed_step(
    world: World, tmp_path: Path
) -> None:
    found = with_images(tmp_path, "see glance's images", "compute1")
    (world.root / "etc/fstab").touch()
    assert world.run(found.command, NO_SERVER="yes") != 0
    assert world.run(found.done) != 0


@pytest.mark.parametrize(
    ("no_service", "calls"),
    [
        ("0", ["service nfs-kernel-server restart"]),
        (
            "1",
            [
                "service nfs-kernel-server restart",
                "systemctl enable nfs-server",
                "systemctl restart nfs-server",
            ],
        ),
    ],
)
def test_the_server_of_glances_images_comes_up_at_boot(
    world: World, tmp_path: Path, no_service: str, calls: list[str]
) -> None:
    found = with_images(tmp_path, "share glance's images", "controller")
    (world.root / "etc/exports").write_text(f"/home 10.0.0.0/8(rw)\n{SHARED} 10.9.9.0/24(ro)\n")
    for _ in range(2):
        assert world.run(found.command, NO_SERVICE=no_service) == 0
    assert world.read("etc/exports") == [
        "/home 10.0.0.0/8(rw)",
        f"{SHARED} 10.170.0.0/24(ro,no_subtree_check)",
    ]
    assert world.read("calls") == calls * 2


@pytest.mark.parametrize(
    ("release", "version", "cap"),
    [
        ("havana", "9.0.3", ""),
        ("kilo", "9.0.3", ""),
        ("liberty", "20.3.4", "pip<10"),
        ("mitaka", "20.3.4", "pip<10"),
    ],
)
def test_the_get_pip_of_its_time_replaces_todays(
    world: World, tmp_path: Path, release: str, version: str, cap: str
) -> None:
    # As stack.sh left it when it ran without the step: today's, with the mark that it may be
    # fetched anew.
    found = step(tmp_path, "work around get-pip", "compute1", release=release)
    files = world.root / "opt/stack/devstack/files"
    (files / "get-pip.py").write_text("# an entire copy of pip (version 26.1.1).\n")
    (files / "get-pip.py.downloaded").touch()
    assert world.run(found.done) != 0
    assert world.run(found.command, VERSION=version) == 0
    assert world.run(found.done) == 0
    if cap:
        assert world.read("opt/stack/devstack/tools/cap-pip.txt") == [cap]
        (files / "get-pip.py.downloaded").touch()
        assert world.run(found.done) != 0


def test_newtons_pip_is_capped_where_its_get_pip_is_named_by_a_variable(
    world: World, tmp_path: Path
) -> None:
    found = step(tmp_path, "work around get-pip", "compute1", release="newton")
    (world.root / "opt/stack/devstack/tools/cap-pip.txt").write_text("pip!=8\n")
    assert world.run(found.done) != 0
    assert world.run(found.command) == 0
    assert world.run(found.done) == 0
