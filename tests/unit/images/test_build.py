from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import locks
from stacklab.errors import CommandFailed, CommandTimedOut, ImageError, ToolError
from stacklab.images import build, download, store
from stacklab.images.build import Builder
from stacklab.images.catalogue import DISK, SourceKind
from stacklab.images.store import StoredImage
from stacklab.paths import PROJECT, HostPaths
from stacklab.process import Command, Result
from stacklab.progress import Progress
from tests.conftest import FakeRunner
from tests.unit.images.fake_images import FakeBuild, make_image

IMAGE = make_image()
PACKER = ("setpriv", "--pdeathsig", "TERM", "packer")
STEPS: list[tuple[str, ...]] = [
    ("ssh-keygen",),
    ("setpriv", "--pdeathsig", "KILL"),
    ("install",),
    ("sfdisk",),
    ("mke2fs",),
    ("unshare",),
    ("packer", "version"),
    PACKER,
    ("qemu-img", "info"),
]


class SayingListener:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, row: str, stage: str) -> None:
        pass

    def said(self, row: str, text: str) -> None:
        self.lines.append(f"{row}: {text}")

    def noted(self, row: str, text: str) -> None:
        self.lines.append(f"{row}: {text}")

    def ended(self, row: str, stage: str, elapsed_s: float, error: BaseException | None) -> None:
        pass


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBuild:
    return FakeBuild(tmp_path, monkeypatch)


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "downloaded.img"
    path.write_bytes(b"a disk")

    def fetch(_url: str, _digest: str, _directory: Path, *, say: Callable[[str], None]) -> Path:
        say("downloaded")
        return path

    monkeypatch.setattr(download, "fetch", fetch)
    return path


def test_a_built_image_is_in_the_store_with_its_kernel_and_nothing_else_is_left(
    fake: FakeBuild,
) -> None:
    stored = fake.builder().build(IMAGE)
    assert stored.path.read_bytes() == b"first build"
    assert stored.path.with_suffix(".vmlinuz").read_text() == "kernel"
    assert fake.images == [f"{stored.key}.{suffix}" for suffix in ("json", "qcow2", "vmlinuz")]
    assert fake.works == []


def test_its_stages_are_timed_in_order(fake: FakeBuild) -> None:
    fake.builder().build(IMAGE)
    assert [timing.stage for timing in fake.progress.timings] == [
        "bootstrap",
        "accelerator",
        "packer",
        "store",
    ]
    assert {timing.row for timing in fake.progress.timings} == {"image debian-12"}


def test_a_second_build_builds_nothing(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    count = len(fake.runner.commands)
    assert fake.builder().build(IMAGE) == first
    assert len(fake.runner.commands) == count


def test_a_changed_input_is_built_anew_beside_the_old(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    second = fake.builder().build(dataclasses.replace(IMAGE, packages=("less",)))
    assert first.address != second.address
    assert set(store.everything(fake.paths)) == {first, second}


def test_a_forced_build_leaves_alone_what_overlays_lie_on(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    fake.content = b"second build"
    second = fake.builder().build(IMAGE, force=True)
    store.verify(first)
    assert first.path.read_bytes() == b"first build"
    assert second.path.read_bytes() == b"second build"
    assert fake.builder().build(IMAGE) == second


def test_a_changed_base_is_refused_and_a_forced_build_gets_over_it(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    first.path.chmod(0o644)
    first.path.write_bytes(b"changed!")
    with pytest.raises(ImageError, match=first.key):
        fake.builder().build(IMAGE)
    fake.content = b"second build"
    second = fake.builder().build(IMAGE, force=True)
    assert fake.builder().build(IMAGE) == second


def test_an_image_whose_file_is_gone_is_built_again(fake: FakeBuild) -> None:
    first = fake.builder().build(IMAGE)
    first.path.unlink()
    second = fake.builder().build(IMAGE)
    assert second.path.is_file()
    assert fake.builder().build(IMAGE) == second


@pytest.mark.parametrize(
    "error", [CommandFailed("it ended with 1"), KeyboardInterrupt()], ids=["fails", "interrupted"]
)
@pytest.mark.parametrize("step", STEPS, ids=" ".join)
def test_a_build_that_ends_early_leaves_nothing(
    fake: FakeBuild, step: tuple[str, ...], error: BaseException
) -> None:
    fake.runner.on(*step, answer=error)
    with pytest.raises(type(error)):
        fake.builder().build(IMAGE)
    assert (fake.images, fake.works) == ([], [])


def test_a_build_that_ends_early_while_it_is_stored_leaves_nothing(
    fake: FakeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_path: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "sha256", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fake.builder().build(IMAGE)
    assert (fake.images, fake.works) == ([], [])


def test_a_failed_build_lets_go_of_its_lock(fake: FakeBuild) -> None:
    fake.runner.on(*PACKER, answer=CommandFailed("once"))
    with pytest.raises(CommandFailed):
        fake.builder().build(IMAGE)
    with locks.held(fake.paths.locks / "image.debian-12.lock", "it"):
        pass


@pytest.mark.parametrize(
    "told",
    [
        f'{{"format": "raw", "virtual-size": {DISK.bytes}}}',
        '{"format": "qcow2", "virtual-size": 1024}',
        f'{{"format": "qcow2", "virtual-size": {DISK.bytes}, "full-backing-filename": "/x"}}',
    ],
    ids=["format", "size", "backing"],
)
def test_what_is_no_standalone_qcow2_of_the_right_size_is_not_stored(
    fake: FakeBuild, told: str
) -> None:
    fake.runner.on("qemu-img", "info", stdout=told)
    with pytest.raises(ImageError, match="not a standalone qcow2 of 48GiB"):
        fake.builder().build(IMAGE)
    assert (fake.images, fake.works) == ([], [])


def test_who_waits_for_another_build_takes_its_result(fake: FakeBuild) -> None:
    listener = SayingListener()
    waiter = dataclasses.replace(fake.builder(), progress=Progress(listener), runner=FakeRunner())
    results: list[StoredImage] = []
    other = threading.Thread(target=lambda: results.append(waiter.build(IMAGE)))

    def answer(command: Command) -> Result:
        other.start()
        deadline = time.monotonic() + 5
        while not listener.lines and time.monotonic() < deadline:
            time.sleep(0.01)
        return fake._packer(command)

    fake.runner.on(*PACKER, answer=answer)
    built = fake.builder().build(IMAGE)
    other.join(5)
    assert results == [built]
    assert (
        "waiting for process" in listener.lines[0]
    )  # and its runner has no answer for any command


def test_who_has_the_image_does_not_wait_for_a_forced_build(
    fake: FakeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_WAIT_FOR_OTHER_BUILD_S", 0.0)
    stored = fake.builder().build(IMAGE)
    with locks.held(fake.paths.locks / "image.debian-12.lock", "a forced build"):
        assert fake.builder().build(IMAGE) == stored


def test_what_a_killed_build_left_goes_with_the_next_one(fake: FakeBuild) -> None:
    left = fake.paths.building / "debian-12_abc"
    other = fake.paths.building / "debian-12-cloud_abc"
    half = fake.paths.images / f"debian-12-{'0' * 12}-{'1' * 8}.qcow2"
    for path in (left / "root", other / "root", fake.paths.images):
        path.mkdir(parents=True)
    half.touch()
    fake.builder().build(IMAGE)
    assert fake.works == [other]
    assert not half.exists()


def test_no_two_builds_share_a_directory(fake: FakeBuild) -> None:
    """What a killed one left running writes where nobody looks."""
    fake.builder().build(IMAGE)
    first = fake.variables["output"]
    fake.builder().build(IMAGE, force=True)
    assert fake.variables["output"] != first


def test_clean_up_leaves_a_running_build_alone(fake: FakeBuild) -> None:
    running, left = (
        fake.paths.building / f"{name}_abc_d" for name in ("debian-12", "ubuntu-14.04")
    )
    for path in (running, left):
        path.mkdir(parents=True)
    with locks.held(fake.paths.locks / "image.debian-12.lock", "it"):
        build.clean_up(fake.paths, fake.runner)
    assert fake.works == [running]
    build.clean_up(fake.paths, fake.runner)
    assert fake.works == []


def test_clean_up_of_a_host_without_builds_does_nothing(
    tmp_path: Path, fake_runner: FakeRunner
) -> None:
    build.clean_up(HostPaths(tmp_path / "none"), fake_runner)
    assert list(tmp_path.iterdir()) == []


def test_what_only_root_can_remove_is_removed_by_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeBuild(tmp_path, monkeypatch, euid=1000)
    removed: list[str] = []

    def remove(command: Command) -> Result:
        removed.append(command.argv[-1])
        return Result(exit_code=0)

    monkeypatch.setattr("shutil.rmtree", lambda _path, ignore_errors: None)
    fake.runner.on("sudo", "-n", "rm", answer=remove)
    fake.builder().build(IMAGE)
    assert removed == [str(work) for work in fake.works]
    assert len(removed) == 1


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
    stored = fake.builder().build(make_image("cloudy", SourceKind.CLOUD))
    assert fake.variables["source"] == str(downloaded)
    assert set(seeds) == {"user-data", "meta-data"}
    assert seeds["user-data"].startswith("#cloud-config\n")
    assert "ssh_authorized_keys: ['ssh-ed25519 AAAA build']" in seeds["user-data"]
    assert not stored.path.with_suffix(".vmlinuz").exists()
    assert downloaded.exists()


def test_an_installer_gets_its_answers_by_http(fake: FakeBuild, downloaded: Path) -> None:
    answers: list[str] = []

    def answer(command: Command) -> Result:
        result = fake._packer(command)
        answers.append((Path(str(fake.variables["http"])) / "answers").read_text())
        return result

    fake.runner.on(*PACKER, answer=answer)
    fake.builder().build(make_image("old", SourceKind.INSTALLER))
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
            deadline = time.monotonic() + 5
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
    builder.build(make_image("cloudy", SourceKind.CLOUD))
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
        _console(command).write_text("[  3.1] Mounting root\n")
        with command.log.open("a") as log:
            log.write("1,,ui,say,==> qemu.disk: Waiting for SSH to become available...\n")
        deadline = time.monotonic() + 5
        while wanted not in listener.lines and time.monotonic() < deadline:
            time.sleep(0.01)
        return fake._packer(command)

    fake.runner.on(*PACKER, answer=answer)
    dataclasses.replace(fake.builder(), progress=Progress(listener)).build(
        make_image("cloudy", SourceKind.CLOUD)
    )
    assert wanted in listener.lines


@pytest.mark.parametrize("kind", [CommandFailed, CommandTimedOut])
def test_a_build_that_fails_tells_the_end_of_its_machine_s_console(
    fake: FakeBuild, downloaded: Path, kind: type[ToolError]
) -> None:
    def answer(command: Command) -> Result:
        _console(command).write_text("Kernel panic\n")
        raise kind("building the image with packer: Timeout waiting for SSH.")

    fake.runner.on(*PACKER, answer=answer)
    with pytest.raises(kind) as caught:
        fake.builder().build(make_image("cloudy", SourceKind.CLOUD))
    end = "Timeout waiting for SSH.\n  the machine's console ends with:\n  | Kernel panic"
    assert caught.value.message.endswith(end)
    assert caught.value.hint is not None
    assert "image.cloudy.log" in caught.value.hint


def _console(command: Command) -> Path:
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
