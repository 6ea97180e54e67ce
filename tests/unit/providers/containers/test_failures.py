from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut, LabError, ProviderError, ToolNotFound
from stacklab.images.root import RootDisk
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from stacklab.providers.containers import failures
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.machines import Machines
from stacklab.providers.containers.plans import ContainerPlan
from tests.unit.checks.fake_lab import FakeRunner

DENIED = "mount: /h/labs/trio/containers/n1/base: permission denied.\n"
NOT_PERMITTED = "unshare: unshare failed: Operation not permitted\n"
CONSOLE = "\x1b[0;32mOK\x1b[0m booting\nmount: base: failed to setup loop device for /h/x.raw.\n"
PLAN = ContainerPlan(name="n1", cpus="0", memory_bytes=1024, devices=(), nics=())
HOME = Path("/h")
DISK = RootDisk(
    path=Path("/h/x.raw"), offset=0, filesystem="ext4", sha256="", size_bytes=0, mtime_ns=0
)


def system(root: Path, *, apparmor: str = "", enforce: str = "") -> Path:
    """A /sys of a host with AppArmor, SELinux, or neither."""
    for name, text in (
        ("module/apparmor/parameters/enabled", apparmor),
        ("fs/selinux/enforce", enforce),
    ):
        if text:
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text(text)
    return root


def machines(root: Path, answer: Callable[[Command], Result]) -> Machines:
    return Machines(FakeRunner(answer), HostPaths(root).lab("trio"), root=root / "cgroup")


def container(root: Path) -> Container:
    return Container(name="n1", machine="sl00000000", directory=root / "n1", seed=root / "seed")


def fails_with(result: Result | LabError) -> Callable[[Command], Result]:
    def answer(command: Command) -> Result:
        if isinstance(result, LabError):
            raise result
        assert result.exit_code in command.ok_codes, "the runner would raise its own error"
        return result

    return answer


def start_error(root: Path, result: Result | LabError) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        machines(root, fails_with(result)).start(container(root), PLAN, DISK)
    return caught.value


def test_a_failed_start_is_a_sentence_the_consoles_end_and_the_next_step(tmp_path: Path) -> None:
    error = start_error(tmp_path, Result(exit_code=1, stderr=CONSOLE))
    assert str(error) == (
        "n1: its container could not be started\n"
        "  | OK booting\n"
        "  | mount: base: failed to setup loop device for /h/x.raw.\n"
        "  next: ./invoke doctor trio, then ./invoke lab.up trio"
    )


def test_programs_are_asked_for_english_in_which_they_are_read(tmp_path: Path) -> None:
    def answer(command: Command) -> Result:
        assert "LC_ALL=C" in command.argv
        return Result(exit_code=0)

    machines(tmp_path, answer).freeze(container(tmp_path))


@pytest.mark.parametrize("code", [2, 127, 255, -9])
def test_whatever_code_it_ends_with_no_command_line_is_shown(tmp_path: Path, code: int) -> None:
    error = start_error(tmp_path, Result(exit_code=code, stderr="wrong\n"))
    assert error.message == "n1: its container could not be started\n  | wrong"


def test_a_start_that_takes_too_long_says_so_without_its_command_line(tmp_path: Path) -> None:
    error = start_error(tmp_path, CommandTimedOut("n1: env had no end after 60 s\n  env A=b sh"))
    assert error.message == "n1: its container could not be started: it takes longer than 60 s"


def test_a_missing_sudo_and_a_command_that_cannot_be_started_keep_their_words(
    tmp_path: Path,
) -> None:
    missing = start_error(tmp_path, ToolNotFound("sudo"))
    assert (missing.message, missing.hint) == ("sudo is not installed", "./invoke doctor")
    failed = start_error(tmp_path, CommandFailed("n1: sh cannot be started\n  env A=b sh"))
    assert failed.message == "n1: sh cannot be started"


def test_another_action_is_named_and_leads_to_the_labs_status(tmp_path: Path) -> None:
    result = Result(exit_code=1, stderr='Cannot find device "sl00000000-1"\n')
    with pytest.raises(ProviderError) as caught:
        machines(tmp_path, fails_with(result)).set_link(
            container(tmp_path), "sl00000000-1", is_up=False
        )
    assert caught.value.message == (
        'n1: its container could not lose the link of a NIC\n  | Cannot find device "sl00000000-1"'
    )
    assert caught.value.hint == "./invoke lab.status trio"


def test_every_action_of_machines_has_its_words(tmp_path: Path) -> None:
    """Each call that can fail is made, and none ends in a KeyError."""
    failing = machines(tmp_path, fails_with(Result(exit_code=1)))
    one = container(tmp_path)
    calls: list[Callable[[], None]] = [
        lambda: failing.stop(one),
        lambda: failing.kill(one),
        lambda: failing.remove(one),
        lambda: failing.freeze(one),
        lambda: failing.thaw(one),
        lambda: failing.set_link(one, "e", is_up=True),
        lambda: failing.set_link(one, "e", is_up=False),
        lambda: failing.unplug(one, "e"),
    ]
    for call in calls:
        with pytest.raises(ProviderError, match="n1: its container could not"):
            call()
    assert set(failures._FAILED) == {
        *("start", "stop", "kill", "remove", "freeze", "thaw"),
        *("link-up", "link-down", "plug", "unplug"),
        *("set-aside", "take-back"),
    }


def test_of_much_output_the_end_is_shown() -> None:
    error = failures.error(
        "n1", "start", "".join(f"{n}\n" for n in range(50)), lab="trio", home=HOME
    )
    assert error.message.splitlines()[1:] == [f"  | {n}" for n in range(40, 50)]


@pytest.mark.parametrize("output", [DENIED, NOT_PERMITTED, f"first\n{DENIED}last\n"])
def test_apparmor_in_the_way_of_a_mount_is_told_with_what_to_do(
    tmp_path: Path, output: str
) -> None:
    host = system(tmp_path, apparmor="Y\n")
    hint = failures.error("n1", "start", output, lab="trio", home=HOME, system=host).hint or ""
    assert hint.startswith("AppArmor may forbid it.")
    assert "aa-complain" in hint
    assert hint.endswith("then ./invoke lab.up trio")


@pytest.mark.parametrize("output", [DENIED, NOT_PERMITTED])
def test_selinux_in_the_way_of_a_mount_is_told_with_what_to_do(tmp_path: Path, output: str) -> None:
    host = system(tmp_path, enforce="1")
    hint = failures.error("n1", "start", output, lab="trio", home=HOME, system=host).hint or ""
    assert hint.startswith("SELinux may forbid it.")
    assert "ausearch" in hint


@pytest.mark.parametrize(
    ("apparmor", "enforce", "output"),
    [("", "", DENIED), ("N", "0", DENIED), ("Y", "1", CONSOLE), ("Y", "1", "sh: denied\n")],
)
def test_neither_is_blamed_for_what_it_does_not_forbid(
    tmp_path: Path, apparmor: str, enforce: str, output: str
) -> None:
    host = system(tmp_path, apparmor=apparmor, enforce=enforce)
    hint = failures.error("n1", "start", output, lab="trio", home=HOME, system=host).hint
    assert hint == "./invoke doctor trio, then ./invoke lab.up trio"


@pytest.mark.parametrize("action", ["start", "remove", "freeze"])
def test_a_sudo_that_asks_leads_to_visudo_and_not_to_the_lab(action: str) -> None:
    error = failures.error("n1", action, "sudo: a password is required\n", lab="trio", home=HOME)
    assert error.message.endswith("\n  | sudo: a password is required")
    assert error.hint is not None
    assert error.hint.startswith("use sudo without a password (sudo visudo), or be root")


def test_what_a_node_prints_is_not_taken_for_sudo() -> None:
    error = failures.error(
        "n1", "start", "booting\nsudo: a password is required\n", lab="trio", home=HOME
    )
    assert error.hint == "./invoke doctor trio, then ./invoke lab.up trio"


def test_a_sudo_that_only_wonders_is_not_the_cause() -> None:
    output = "sudo: unable to resolve host h: Name or service not known\nmount: wrong\n"
    error = failures.error("n1", "remove", output, lab="trio", home=HOME)
    assert error.hint == "./invoke lab.status trio"


def test_sudo_speaks_english_too(tmp_path: Path) -> None:
    def answer(command: Command) -> Result:
        assert command.env["LC_ALL"] == "C"
        return Result(exit_code=0)

    machines(tmp_path, answer).freeze(container(tmp_path))


@pytest.mark.parametrize("action", ["start", "plug"])
def test_a_full_disk_is_told_by_its_place_with_how_to_look(action: str) -> None:
    output = "install: error copying '/h/seed' to '/h a/n1/seed': No space left on device\n"
    error = failures.error("n1", action, output, lab="trio", home=Path("/h a"))
    assert error.message.startswith("n1: its container could not ")
    assert error.message.partition("\n")[0].endswith(": the disk under /h a is full")
    assert error.hint == "df -h '/h a'; make room there; then the same command again"
