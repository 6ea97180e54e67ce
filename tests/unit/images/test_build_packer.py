"""What Packer is given, and what is told of it."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut, ImageError, ToolError
from stacklab.images import catalogue
from stacklab.images.build import Builder
from stacklab.images.catalogue import ImageSourceKind
from stacklab.paths.project import PROJECT
from stacklab.process import Command, Result
from stacklab.progress import Progress
from tests.unit.images.builds import IMAGE, PACKER, SayingListener
from tests.unit.images.fake_images import FakeBuild, make_image
from tests.unit.workflow.snapshots.fake_bundles import disk


def test_packer_gets_all_its_template_asks_for(fake: FakeBuild) -> None:
    fake.builder().build(IMAGE)
    template = (PROJECT / "packer" / "image" / "main.pkr.hcl").read_text()
    variables = dict(
        re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', template, re.MULTILINE | re.DOTALL)
    )
    assert set(fake.variables) == {
        name for name, text in variables.items() if "default" not in text
    }
    assert fake.variables["is_disk"] is True
    assert (fake.variables["accelerator"], fake.variables["cpu"]) == ("tcg", "qemu64")
    assert fake.variables["disk_mib"] == "49152"


def test_every_script_runs_in_the_order_of_its_name(fake: FakeBuild) -> None:
    fake.builder().build(IMAGE)
    scripts = [Path(str(path)) for path in fake.variables["scripts"]]  # type: ignore[attr-defined]
    assert [path.name for path in scripts] == sorted(
        p.name for p in (PROJECT / "packer" / "scripts").iterdir()
    )
    assert scripts[0].name == "10-packages.sh"
    assert all(path.is_file() for path in scripts)


def test_a_bake_s_own_script_runs_before_the_machine_is_sealed(fake: FakeBuild) -> None:
    fake.builder().build(catalogue.load()["debian-12-cloud-init"])
    *others, lean, after, seal = (Path(str(path)) for path in fake.variables["scripts"])  # type: ignore[attr-defined]
    assert others
    assert (lean.name, seal.name) == ("30-lean.sh", "90-seal.sh")
    assert after == PROJECT / "packer" / "cloud-init" / "after.sh"
    assert after.is_file()


def test_a_bake_without_a_script_of_its_own_adds_none(fake: FakeBuild) -> None:
    fake.builder().build(dataclasses.replace(IMAGE, bake="openstack"))
    names = [Path(str(path)).name for path in fake.variables["scripts"]]  # type: ignore[attr-defined]
    assert "after.sh" not in names


def test_an_image_that_names_its_cpu_gets_it(fake: FakeBuild) -> None:
    fake.builder().build(dataclasses.replace(IMAGE, cpu="max"))
    assert fake.variables["cpu"] == "max"


def test_a_cloud_image_gets_a_seed_that_lets_packer_in(
    fake: FakeBuild, downloaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: dict[str, str] = {}

    def answer(command: Command) -> Result:
        result = fake._packer(command)
        seeds.update(
            {Path(path).name: Path(path).read_text() for path in fake.variables["cd_files"]}
        )  # type: ignore[attr-defined]
        return result

    fake.runner.on(*PACKER, answer=answer)
    stored = fake.builder().build(make_image("cloudy", ImageSourceKind.CLOUD))
    assert fake.variables["source"] == str(downloaded)
    assert set(seeds) == {"user-data", "meta-data"}
    assert seeds["user-data"].startswith("#cloud-config\n")
    assert "ssh_authorized_keys: ['ssh-ed25519 AAAA build']" in seeds["user-data"]
    assert not stored.path.with_suffix(".vmlinuz").exists()
    assert downloaded.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (disk("/etc/shadow", 1 << 20), "it lies on another file"),
        (disk("", 1 << 20, incompatible=4), "its content is in another file"),
        (b"a raw disk" * 100, "it is not a qcow2"),
        (b'# Disk DescriptorFile\nRW 1 FLAT "/etc/shadow" 0\n' * 9, "it is not a qcow2"),
        (b"", "it is not a qcow2"),
    ],
)
def test_a_downloaded_disk_that_names_a_file_of_this_host_never_reaches_qemu(
    fake: FakeBuild, downloaded: Path, content: bytes, why: str
) -> None:
    downloaded.write_bytes(content)
    with pytest.raises(ImageError, match=why) as refused:
        fake.builder().build(make_image("cloudy", ImageSourceKind.CLOUD))
    assert "packer/catalogue.yaml" in (refused.value.hint or "")
    assert not any(argv[0] in ("packer", "setpriv", "qemu-img") for argv in fake.runner.argvs)


def test_an_installer_gets_its_answers_by_http(fake: FakeBuild, downloaded: Path) -> None:
    answers: list[str] = []

    def answer(command: Command) -> Result:
        result = fake._packer(command)
        answers.append((Path(str(fake.variables["http"])) / "answers").read_text())
        return result

    fake.runner.on(*PACKER, answer=answer)
    fake.builder().build(make_image("old", ImageSourceKind.INSTALLER))
    assert 'sshkey --username=stack "ssh-ed25519 AAAA build"' in answers[0]
    assert fake.variables["boot_command"] == ["<enter>"]
    assert fake.variables["source"] == str(downloaded)


def test_a_new_packer_is_given_its_plugin_first(fake: FakeBuild) -> None:
    present: list[bool] = []

    def init(command: Command) -> Result:
        assert command.cwd is not None
        present.append((command.cwd / "plugins.pkr.hcl").is_file())
        return Result(exit_code=0)

    fake.runner.on("packer", "version", stdout="Packer v1.11.2\n").on("packer", "init", answer=init)
    fake.builder().build(IMAGE)
    assert present == [True]


def test_what_packer_says_is_told_while_it_runs(fake: FakeBuild, downloaded: Path) -> None:
    """Of a downloaded image nothing else has written to the log before Packer."""
    listener = SayingListener()

    def answer(command: Command) -> Result:
        assert command.log is not None
        with command.log.open("a") as log:
            deadline = time.monotonic() + 60
            for piece in ("1,,ui,say,==> qemu.di", "sk: Waiting for SSH\n2,,artifact,x\n"):
                log.write(piece)
                log.flush()
                time.sleep(0.7)
            while (
                not any("packer: " in line for line in listener.lines)
                and time.monotonic() < deadline
            ):
                time.sleep(0.01)
        return fake._packer(command)

    fake.runner.on(*PACKER, answer=answer)
    builder: Builder = dataclasses.replace(fake.builder(), progress=Progress(listener))
    builder.build(make_image("cloudy", ImageSourceKind.CLOUD))
    assert [line for line in listener.lines if "packer: " in line] == [
        "image cloudy: packer: Waiting for SSH"
    ]
    assert "image cloudy: packer boots it (TCG)" in listener.lines


def test_packer_s_wait_for_ssh_tells_its_limit_and_what_the_console_says(
    fake: FakeBuild, downloaded: Path
) -> None:
    listener = SayingListener()
    wanted = "image cloudy: packer waits for ssh, 20m at most; console: [  3.1] Mounting root"

    def answer(command: Command) -> Result:
        assert command.log is not None
        console_of(command).write_text("[  3.1] Mounting root\n")
        with command.log.open("a") as log:
            log.write("1,,ui,say,==> qemu.disk: Waiting for SSH to become available...\n")
        deadline = time.monotonic() + 60
        while wanted not in listener.lines and time.monotonic() < deadline:
            time.sleep(0.01)
        return fake._packer(command)

    fake.runner.on(*PACKER, answer=answer)
    dataclasses.replace(fake.builder(), progress=Progress(listener)).build(
        make_image("cloudy", ImageSourceKind.CLOUD)
    )
    assert wanted in listener.lines


@pytest.mark.parametrize("kind", [CommandFailed, CommandTimedOut])
def test_a_build_that_fails_tells_the_end_of_its_machine_s_console(
    fake: FakeBuild, downloaded: Path, kind: type[ToolError]
) -> None:
    def answer(command: Command) -> Result:
        console_of(command).write_text("Kernel panic\n")
        raise kind("building the image with packer: Timeout waiting for SSH.")

    fake.runner.on(*PACKER, answer=answer)
    with pytest.raises(kind) as caught:
        fake.builder().build(make_image("cloudy", ImageSourceKind.CLOUD))
    end = "Timeout waiting for SSH.\n  the machine's console ends with:\n  | Kernel panic"
    assert caught.value.message.endswith(end)
    assert caught.value.hint is not None
    assert "image.cloudy.log" in caught.value.hint


def console_of(command: Command) -> Path:
    """Where packer/image has its machine's serial line go."""
    assert command.cwd is not None
    return command.cwd.parent / "out.console.log"


def test_the_log_is_of_the_last_build_alone(fake: FakeBuild) -> None:
    log = fake.paths.root / "logs" / "image.debian-12.log"
    log.parent.mkdir(parents=True)
    log.write_text("Failed to fetch, last year\n")
    fake.runner.on("setpriv", "--pdeathsig", "KILL", answer=CommandFailed("today's failure"))
    with pytest.raises(CommandFailed, match="today's failure"):
        fake.builder().build(IMAGE)
    assert log.read_text() == ""
