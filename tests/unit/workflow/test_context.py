from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stacklab import locks, record
from stacklab.errors import AlreadyRunning, CommandFailed, HostError, LabError, ProviderError
from stacklab.model.lab_json import to_json
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from stacklab.progress import Progress
from stacklab.providers import registry
from stacklab.providers.libvirt.provider import LibvirtProvider
from stacklab.tools import vagrant
from stacklab.workflow.context import Context, last_resolved, read_own
from stacklab.workflow.snapshots import recovery
from tests.conftest import FakeRunner
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt, make_provider


def make(root: Path, runner: FakeRunner | None = None, **more: object) -> Context:
    return Context(
        host=HostPaths(root),
        runner=runner or FakeRunner(),
        progress=Progress(),
        finish_snapshot=recovery.finish,
        **more,
    )  # type: ignore[arg-type]


def put(
    context: Context, name: str, *, checkout: Path | None = None, resolved: bool = True
) -> None:
    """A lab on record."""
    paths, lab = context.host.lab(name), make_lab(name=name)
    kept = registry.new_record(lab, paths, image="debian-12-abc", passed_over={}, now=0)
    record.write(paths, dataclasses.replace(kept, checkout=checkout) if checkout else kept)
    if resolved:
        paths.resolved.write_text(to_json(lab))


def checkout(path: Path) -> Path:
    path.mkdir()
    (path / "tasks.py").touch()
    return path


# --- providers


def test_a_provider_is_made_once_by_the_word_in_the_record(tmp_path: Path) -> None:
    context = make(tmp_path)
    put(context, "trio")
    kept = registry.read(context.host.lab("trio"))
    assert context.providers == {}
    assert context.provider(kept) is context.provider()
    assert isinstance(context.provider(), LibvirtProvider)


def test_a_word_that_is_not_a_provider_lists_those_there_are(tmp_path: Path) -> None:
    known = r"'tin' is not a provider \(there are: containers, libvirt\)"
    with pytest.raises(ProviderError, match=known):
        make(tmp_path, provider_of_new_labs="tin").provider()


def test_connections_are_ended(tmp_path: Path) -> None:
    context, libvirt = make(tmp_path), FakeLibvirt()
    context.providers["libvirt"] = make_provider(context.host, libvirt, Progress())
    context.close()
    assert libvirt.calls == [("close",)]


# --- labs on record


def test_the_other_labs_are_those_on_record_but_for_this_one(tmp_path: Path) -> None:
    context = make(tmp_path)
    for name in ("one", "two", "three"):
        put(context, name)
    put(context, "unresolved", resolved=False)
    assert [lab.name for lab in context.other_labs("two")] == ["one", "three"]
    assert {lab.name for lab in context.other_labs("")} == {"one", "two", "three"}


def test_a_damaged_lab_is_no_other_lab_s_trouble(tmp_path: Path) -> None:
    context = make(tmp_path)
    for name in ("one", "two"):
        put(context, name)
    context.host.lab("one").resolved.write_text("{")
    assert [lab.name for lab in context.other_labs("mine")] == ["two"]


def test_a_lab_that_was_never_brought_up_has_no_last_state(tmp_path: Path) -> None:
    assert last_resolved(HostPaths(tmp_path).lab("trio")) is None


@pytest.mark.parametrize("text", ["", "null", "{}", "[1]", '{"name": 1}', "\udcff"])
def test_a_damaged_last_state_names_its_lab_and_its_file(tmp_path: Path, text: str) -> None:
    context = make(tmp_path)
    put(context, "trio")
    paths = context.host.lab("trio")
    paths.resolved.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(LabError, match=r"lab trio: .*resolved\.json: ") as caught:
        last_resolved(paths)
    assert caught.value.hint == "./invoke lab.destroy trio"
    assert "next:" not in caught.value.message


def test_a_last_state_that_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).lab("trio")
    paths.resolved.mkdir(parents=True)
    with pytest.raises(LabError, match="Is a directory"):
        last_resolved(paths)


def test_our_own_record_is_read(tmp_path: Path) -> None:
    context = make(tmp_path)
    put(context, "trio")
    found = read_own(context.host.lab("trio"))
    assert found is not None
    assert found.name == "trio"
    assert read_own(context.host.lab("nobody")) is None


def test_the_record_of_another_checkout_is_refused_while_that_exists(tmp_path: Path) -> None:
    context = make(tmp_path)
    other = checkout(tmp_path / "other")
    put(context, "trio", checkout=other)
    with pytest.raises(AlreadyRunning, match=f"lab trio belongs to another checkout: {other}"):
        read_own(context.host.lab("trio"))


def test_the_record_of_a_checkout_that_is_gone_is_ours(tmp_path: Path) -> None:
    context = make(tmp_path)
    put(context, "trio", checkout=tmp_path / "gone")
    assert read_own(context.host.lab("trio")) is not None


# --- the lock and the host's directory


def test_a_lab_that_is_held_is_refused_after_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacklab.workflow.context._WAIT_FOR_LOCK_S", 0.01)
    one, two = make(tmp_path), make(tmp_path)
    with (
        one.lab_lock("trio"),
        pytest.raises(AlreadyRunning, match="lab trio is in use"),
        two.lab_lock("trio"),
    ):
        pass


def test_two_labs_may_be_held_side_by_side(tmp_path: Path) -> None:
    context = make(tmp_path)
    with context.lab_lock("one") as one, context.lab_lock("two") as two:
        assert (one.name, two.name) == ("one", "two")


def test_what_all_labs_share_is_made(tmp_path: Path) -> None:
    context = make(tmp_path / "home")
    for _ in range(2):
        context.prepare_root()
    assert {path.name for path in (tmp_path / "home").iterdir()} == {
        "labs",
        "images",
        "building",
        "downloads",
        "volumes",
        "snapshots",
        "locks",
        "logs",
    }


def test_what_all_labs_share_is_for_the_whole_group(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o2775)
    make(home).prepare_root()
    modes = {path.name: path.stat().st_mode & 0o7777 for path in home.iterdir()}
    assert set(modes.values()) == {0o2775}, modes


def test_who_is_not_root_asks_sudo_for_a_home_that_is_not_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_runner: FakeRunner
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path)
    make(tmp_path / "home", fake_runner.on("sudo")).prepare_root()
    assert fake_runner.argvs == [
        (
            "sudo",
            "-n",
            "install",
            "-d",
            "-m",
            "2775",
            "-o",
            "1000",
            "-g",
            "libvirt",
            str(tmp_path / "home"),
        )
    ]


def test_sudo_that_asks_for_a_password_is_told_with_the_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_runner: FakeRunner
) -> None:
    def refuse(_command: Command) -> Result:
        raise CommandFailed("sudo: a password is required")

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path)
    with pytest.raises(HostError, match="a password is required") as caught:
        make(tmp_path / "home", fake_runner.on("sudo", answer=refuse)).prepare_root()
    assert "STACKLAB_HOME" in str(caught.value.hint)


def test_the_lock_of_a_lab_of_which_there_is_nothing_is_not_left(tmp_path: Path) -> None:
    context = make(tmp_path)
    with pytest.raises(LabError), context.lab_lock("nobody"):
        raise LabError("too little memory")
    put(context, "trio")
    with context.lab_lock("trio") as paths:
        pass
    assert list(context.host.locks.iterdir()) == [paths.lock]


def test_a_killed_command_s_vagrant_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacklab.workflow.context._WAIT_FOR_LOCK_S", 0.01)
    context = make(tmp_path)
    put(context, "trio")
    lock = vagrant.lock(context.host.lab("trio").root)
    with locks.held(lock, "vagrant"):
        with (
            pytest.raises(AlreadyRunning, match="killed is still at work") as caught,
            context.lab_lock("trio"),
        ):
            pass
        assert "vagrant.log" in str(caught.value.hint)
    with context.lab_lock("trio"), locks.held(lock, "vagrant"):
        pass  # ours may take it


def test_a_home_that_others_keep_shut_is_told_with_how_to_open_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make(tmp_path / "home")
    context.prepare_root()
    monkeypatch.setattr("os.access", lambda path, _mode: Path(path).name != "locks")
    with pytest.raises(HostError, match=r"no right to write in \S*home/locks") as caught:
        context.prepare_root()
    hint = str(caught.value.hint)
    # Not -R: keys and memory below it are nobody else's.
    assert f"chgrp libvirt {tmp_path}/home/locks && sudo chmod 2775" in hint


def test_a_home_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match=r"file.*: Not a directory") as caught:
        make(tmp_path / "file" / "home").prepare_root()
    assert "STACKLAB_HOME" in str(caught.value.hint)


def test_asking_for_states_starts_no_libvirtd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stacklab.tools.libvirt.daemon.ensure", lambda *_args: pytest.fail("it was started")
    )
    lab = make_lab()
    kept = registry.new_record(
        lab, HostPaths(tmp_path).lab(lab.name), image="x", passed_over={}, now=0
    )
    context = make(tmp_path)
    context.providers["libvirt"] = make_provider(context.host, None, Progress())
    assert context.states(kept) == {}
