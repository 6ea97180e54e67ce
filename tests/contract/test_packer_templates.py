"""The real packer reads our templates; a real sh, tar and systemd read what goes into an image."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed
from stacklab.nodes import archive
from stacklab.nodes.archive import Entry
from stacklab.paths.project import PROJECT
from stacklab.process import SubprocessRunner
from stacklab.tools import packer

PACKER = PROJECT / "packer"
SCRIPTS = sorted(
    path
    for path in (
        *PACKER.glob("scripts/*.sh"),
        *PACKER.glob("bootstrap/*.sh"),
        *PACKER.glob("cloud-init/*.sh"),
        *PACKER.glob("openstack/*.sh"),
        *PACKER.glob("openstack/tenant-*"),
        *PACKER.glob("files/*"),
    )
    if path.suffix in ("", ".sh")
)
RUNNER = SubprocessRunner()
needs_packer = pytest.mark.skipif(shutil.which("packer") is None, reason="packer is not installed")


def _variables(directory: Path) -> dict[str, object]:
    key = directory / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=30
    )
    (directory / "disk.raw").touch()
    (directory / "seed").touch()
    return {
        "source": str(directory / "disk.raw"),
        "output": str(directory / "out"),
        "accelerator": "tcg",
        "cpu": "qemu64",
        "private_key": str(key),
        "files": str(PACKER / "files"),
        "scripts": [str(path) for path in sorted((PACKER / "scripts").iterdir())],
        "disk_mib": "49152",
        "memory_mib": 1024,
        "ssh_timeout": "20m",
    }


EXTRA: Mapping[str, Mapping[str, object]] = {
    "disk": {"is_disk": True, "cd_files": []},
    "installer": {
        "is_disk": False,
        "http": "/tmp",
        "boot_command": ["<up><tab> text ks=http://{{ .HTTPIP }}:{{ .HTTPPort }}/a<enter>"],
    },
}


def _validate(directory: Path, variables: Mapping[str, object]) -> None:
    template = directory / "template"
    shutil.copytree(PACKER / "image", template)
    if packer.needs_plugins(packer.parse_version(RUNNER.run(packer.version()).stdout)):
        (template / "plugins.pkr.hcl.in").rename(template / "plugins.pkr.hcl")
        try:
            RUNNER.run(packer.init(template))
        except CommandFailed as error:
            pytest.skip(f"packer's qemu plugin can't be fetched here: {error}")
    var_file = directory / "variables.json"
    var_file.write_text(packer.variables_json(variables))
    RUNNER.run(packer.validate(template, var_file))


@needs_packer
@pytest.mark.parametrize("kind", EXTRA)
def test_packer_accepts_the_template_with_our_variables(kind: str, tmp_path: Path) -> None:
    _validate(tmp_path, {**_variables(tmp_path), **EXTRA[kind]})


@needs_packer
def test_packer_accepts_a_cloud_images_seed(tmp_path: Path) -> None:
    _validate(
        tmp_path, {**_variables(tmp_path), "is_disk": True, "cd_files": [str(tmp_path / "seed")]}
    )


@needs_packer
@pytest.mark.parametrize("kind", EXTRA)
@pytest.mark.parametrize("change", ["less", "more"])
def test_packer_refuses_variables_that_the_template_does_not_name(
    kind: str, change: str, tmp_path: Path
) -> None:
    """So that the tests above can fail, and a renamed variable is found without a build."""
    variables = {**_variables(tmp_path), **EXTRA[kind]}
    if change == "less":
        del variables["cpu"]
    else:
        variables["accelerator"] = "a spoon"
    with pytest.raises(CommandFailed):
        _validate(tmp_path, variables)


@needs_packer
def test_packer_tells_its_version_as_we_read_it() -> None:
    assert packer.parse_version(RUNNER.run(packer.version()).stdout) >= (1, 6)


# --- scripts


def test_there_are_scripts_to_look_at() -> None:
    assert {
        "20-node.sh",
        "customize.sh",
        "in-root.sh",
        "stacklab-late",
        "stacklab-seed",
        "tenant-init",
    } <= {path.name for path in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_sh_can_read_the_script(path: Path) -> None:
    done = subprocess.run(
        ["sh", "-n", path], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
@pytest.mark.parametrize("unit", sorted(path.name for path in PACKER.glob("files/*.service")))
def test_systemd_can_read_the_unit(unit: str, tmp_path: Path) -> None:
    text = (PACKER / "files" / unit).read_text()
    assert "/usr/local/sbin/stacklab-" in text
    copy = tmp_path / unit
    copy.write_text(
        text.replace("/usr/local/sbin", str(PACKER / "files"))
    )  # it is not installed here
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    about_it = [line for line in done.stderr.splitlines() if unit in line]
    assert (done.returncode, about_it) == (0, [])


# --- scripts, run for real on a root of their own


class Machine:
    """A root directory for parts of the scripts, whose absolute paths are led there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.called = root / "called"
        self.bin.mkdir()
        self.called.touch()
        for name in (
            "sleep",
            "update-grub",
            "userdel",
            "systemctl",
            "apt-get",
        ):  # never this machine's own
            fake = self.bin / name
            fake.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.called}\n')
            fake.chmod(0o755)

    def write(self, path: str, text: str = "") -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def run(self, script: str, *, since: str = "") -> None:
        """Run a script, or its part that begins with the line `since`."""
        text = (PACKER / "scripts" / script).read_text()
        text = text[text.index(since) :]
        for top in ("/etc/", "/run/", "/lib/", "/var/", "/boot/"):
            text = text.replace(f" {top}", f" {self.root}{top}").replace(
                f'"{top}', f'"{self.root}{top}'
            )
            text = text.replace(f"={top}", f"={self.root}{top}")
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}"}
        subprocess.run(
            ["sh", "-eu"], input=text, text=True, env=environment, timeout=30, check=True
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("has_more", [False, True], ids=["one file", "a cloud image's grub.d"])
def test_a_kernel_is_told_to_call_its_nics_eth(has_more: bool, machine: Machine) -> None:
    """Debian's cloud image sets its command line in grub.d.

    The NIC was ens2, and no seed's file fitted it.
    """
    theirs = 'GRUB_CMDLINE_LINUX="quiet theirs"\nGRUB_TIMEOUT=5\n'
    machine.write("etc/default/grub", theirs)
    if has_more:
        machine.write("etc/default/grub.d/10_cloud.cfg", theirs)
    machine.run("20-node.sh", since="if [ -f /etc/default/grub ]")
    # as grub-mkconfig reads them
    read = (
        'for f in "$0" "$0".d/*.cfg; do [ ! -e "$f" ] || . "$f"; done;'
        ' echo "$GRUB_TIMEOUT $GRUB_CMDLINE_LINUX"'
    )
    argv = ["sh", "-c", read, str(machine.root / "etc/default/grub")]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout
    assert said == "0 console=tty0 console=ttyS0 net.ifnames=0 biosdevname=0 no_timer_check\n"
    assert machine.called.read_text() == "update-grub \n"


def test_nothing_of_a_cloud_images_network_and_rights_stays(machine: Machine) -> None:
    machine.write("etc/cloud/cloud.cfg")
    machine.write("etc/sudoers.d/50-stack")
    gone = [
        machine.write(path)
        for path in (
            "etc/netplan/50-cloud-init.yaml",
            "etc/netplan/90-default.yaml",
            "etc/network/interfaces.d/50-cloud-init.cfg",
            "etc/sudoers.d/90-cloud-init-users",
        )
    ]
    machine.run("30-lean.sh")
    assert [path for path in gone if path.exists()] == []
    assert (machine.root / "etc/sudoers.d/50-stack").exists()
    assert (machine.root / "etc/cloud/cloud-init.disabled").exists()


@pytest.mark.parametrize(
    ("has_begun", "is_over", "waited"), [(False, False, 0), (True, True, 0), (True, False, 300)]
)
def test_a_build_waits_for_cloud_init_but_not_for_ever(
    has_begun: bool, is_over: bool, waited: int, machine: Machine
) -> None:
    if has_begun:
        machine.write("var/lib/cloud/instance/datasource")
    if is_over:
        machine.write("var/lib/cloud/instance/boot-finished")
    machine.run("10-packages.sh")
    assert machine.called.read_text().splitlines().count("sleep 1") == waited


# --- the seed, run for real on a root of its own


class Seeded:
    """A root directory and a seed disk, and stacklab-seed between them."""

    def __init__(self, directory: Path) -> None:
        self.disk = directory / "vdb"
        self.root = directory / "root"
        self.bin = directory / "bin"
        self.called = directory / "called"
        (self.root / "etc").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("sleep", "hostname"):  # no waiting, and never this machine's own name
            fake = self.bin / name
            fake.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.called}\n')
            fake.chmod(0o755)

    def put(self, content: Mapping[str, Entry]) -> None:
        self.disk.write_bytes(archive.image(content))

    def take(self) -> int:
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "STACKLAB_DISK": str(self.disk),
            "STACKLAB_ROOT": str(self.root),
        }
        script = PACKER / "files" / "stacklab-seed"
        return subprocess.run(["sh", script], env=environment, timeout=30, check=False).returncode

    @property
    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()
        )

    @property
    def marks(self) -> list[str]:
        return [name for name in self.files if name.startswith("var/lib/stacklab/")]


FIRST = {
    "etc/hostname": Entry(text="compute1\n"),
    "home/stack/.ssh": Entry(text=None, mode=0o700, owner="stack"),
    "home/stack/.ssh/id_ed25519": Entry(text="secret\n", mode=0o600, owner="stack"),
}


@pytest.fixture
def node(tmp_path: Path) -> Seeded:
    return Seeded(tmp_path)


def test_a_node_without_a_seed_waits_a_little_and_goes_on(node: Seeded) -> None:
    assert node.take() == 0
    assert node.files == []
    assert node.called.read_text().splitlines() == ["sleep 0.5"] * 10


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"#!/bin/sh\n", os.urandom(4096)])
def test_a_disk_that_is_no_seed_of_ours_is_left_alone(node: Seeded, content: bytes) -> None:
    node.disk.write_bytes(content)
    assert node.take() == 0
    assert node.files == []


def test_somebody_elses_tar_is_left_alone(node: Seeded) -> None:
    node.disk.write_bytes(archive.tar({"etc/hostname": Entry(text="evil\n")}))
    assert node.take() == 0
    assert node.files == []


def test_a_seed_is_taken_with_its_modes_and_marked(node: Seeded) -> None:
    node.put(FIRST)
    assert node.take() == 0
    assert (node.root / "etc/hostname").read_text() == "compute1\n"
    assert (node.root / "home/stack/.ssh").stat().st_mode & 0o777 == 0o700
    assert (node.root / "home/stack/.ssh/id_ed25519").stat().st_mode & 0o777 == 0o600
    with tarfile.open(node.disk) as archive:
        assert node.marks == [archive.getnames()[0]]
    assert not node.called.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_seeds_files_belong_to_whom_it_says(node: Seeded) -> None:
    node.put(FIRST)
    node.take()
    assert (node.root / "etc/hostname").stat().st_uid == 0
    assert (node.root / "home/stack/.ssh/id_ed25519").stat().st_uid != 0


def test_the_same_seed_is_not_taken_twice(node: Seeded) -> None:
    node.put(FIRST)
    node.take()
    (node.root / "etc/hostname").write_text("renamed by its user\n")
    assert node.take() == 0
    assert (node.root / "etc/hostname").read_text() == "renamed by its user\n"


def test_a_changed_seed_is_taken_and_only_its_mark_stays(node: Seeded) -> None:
    node.put(FIRST)
    node.take()
    before = node.marks
    node.put({**FIRST, "etc/hostname": Entry(text="compute2\n")})
    assert node.take() == 0
    assert (node.root / "etc/hostname").read_text() == "compute2\n"
    assert len(node.marks) == 1
    assert node.marks != before


def test_a_seed_that_was_taken_by_half_is_taken_again(node: Seeded) -> None:
    node.put(FIRST)
    whole = node.disk.read_bytes()
    node.disk.write_bytes(whole[: 5 * 512])  # it ends with the head of the last file
    assert node.take() != 0
    assert node.marks == []
    node.disk.write_bytes(whole)
    assert node.take() == 0
    assert (node.root / "home/stack/.ssh/id_ed25519").read_text() == "secret\n"


def test_a_directory_of_the_image_keeps_its_own_mode(node: Seeded) -> None:
    (node.root / "home/stack/.ssh").mkdir(parents=True, mode=0o750)
    node.put(FIRST)
    node.take()
    assert (node.root / "home/stack/.ssh").stat().st_mode & 0o777 == 0o750


def test_a_link_in_the_image_gives_way_to_the_seeds_file(node: Seeded, tmp_path: Path) -> None:
    """As Ubuntu's /etc/resolv.conf, which points into /run."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("stub\n")
    (node.root / "etc/hostname").symlink_to(elsewhere)
    node.put(FIRST)
    node.take()
    assert (node.root / "etc/hostname").read_text() == "compute1\n"
    assert elsewhere.read_text() == "stub\n"


def test_the_machine_s_screen_is_open_to_nobody_without_a_password() -> None:
    text = (PACKER / "image" / "main.pkr.hcl").read_text()
    assert re.search(r"^  disable_vnc +=.*var\.is_disk$", text, re.MULTILINE)
    assert re.search(r"^  vnc_use_password +=.*!var\.is_disk$", text, re.MULTILINE)
    assert '[for has_none in [var.is_disk] : ["-vnc", "none"] if has_none]' in text


def test_packer_s_plugin_is_one_version_and_no_other() -> None:
    text = (PACKER / "image" / "plugins.pkr.hcl.in").read_text()
    assert re.findall(r"^ *version = (.*)$", text, re.MULTILINE) == ['"= 1.1.0"']
