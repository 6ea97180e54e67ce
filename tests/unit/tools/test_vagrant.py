from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import pytest

from stacklab.errors import ProviderError, ToolNotFound
from stacklab.tools import vagrant

Stream = Callable[[], AbstractContextManager[IO[str]]]


class FakeVagrant:
    """python-vagrant's Vagrant, which runs nothing and remembers what it was asked."""

    made: list[FakeVagrant]
    fails: BaseException | None
    says: bytes

    def __init__(self, *, root: str, env: dict[str, str], out_cm: Stream, err_cm: Stream) -> None:
        self.root, self.env, self.out = root, env, out_cm
        assert err_cm is out_cm
        self.asked: dict[str, object] = {}
        self.made.append(self)

    def up(self, **asked: object) -> None:
        self.asked = asked
        with self.out() as stream:
            os.write(stream.fileno(), self.says)
        if self.fails:
            raise self.fails


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeVagrant]:
    made = type(
        "Fake", (FakeVagrant,), {"made": [], "fails": None, "says": b"Bringing machine up...\n"}
    )
    monkeypatch.setattr(vagrant, "_Vagrant", made)
    return made


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "vagrant.log"


def pattern(fake: type[FakeVagrant], nodes: list[str], log: Path) -> str:
    vagrant.up(log.parent.parent, nodes, log=log)
    return str(fake.made[-1].asked["vm_name"])


def test_one_node_is_asked_for_by_its_name(fake: type[FakeVagrant], log: Path) -> None:
    assert pattern(fake, ["compute-1"], log) == "compute-1"


def test_several_nodes_are_a_pattern_of_whole_names(fake: type[FakeVagrant], log: Path) -> None:
    found = pattern(fake, ["node1", "a-b"], log)
    assert found.startswith("/")
    assert found.endswith("/")
    names = ("node1", "a-b", "node10", "xnode1", "a", "axb")
    assert [name for name in names if re.search(found[1:-1], name)] == ["node1", "a-b"]


def test_vagrant_is_told_its_directory_and_to_keep_quiet(
    fake: type[FakeVagrant], log: Path
) -> None:
    vagrant.up(log.parent.parent, ["a"], log=log)
    made, root = fake.made[0], log.parent.parent
    assert made.asked == {"vm_name": "a", "provider": "libvirt", "no_provision": True}
    assert made.root == str(root)
    assert made.env["VAGRANT_CWD"] == str(root)
    assert made.env["VAGRANT_DOTFILE_PATH"] == str(root / ".vagrant")
    assert made.env["VAGRANT_CHECKPOINT_DISABLE"] == "1"
    assert "PATH" in made.env  # python-vagrant's env replaces the whole environment


def test_what_vagrant_says_is_added_to_the_log(fake: type[FakeVagrant], log: Path) -> None:
    for _ in range(2):
        vagrant.up(log.parent.parent, ["a"], log=log)
    assert log.read_text() == "Bringing machine up...\n" * 2


def test_a_failure_shows_the_end_of_this_run_s_log_alone(
    fake: type[FakeVagrant], log: Path
) -> None:
    log.parent.mkdir()
    log.write_text("of yesterday\n")
    fake.fails = subprocess.CalledProcessError(1, ["vagrant", "up"])
    fake.says = b"".join(f"line {number}\n".encode() for number in range(30)) + b"\xff the cause\n"
    with pytest.raises(ProviderError) as caught:
        vagrant.up(log.parent.parent, ["a"], log=log)
    message = caught.value.message
    assert message.startswith("vagrant up ended with 1\n")
    assert "| \ufffd the cause" in message
    assert "line 29" in message
    assert "line 5\n" not in message
    assert "of yesterday" not in message
    assert f"log: {log}" in message


def test_a_failure_shows_libvirt_s_words_and_not_where_in_ruby_they_were_said(
    fake: type[FakeVagrant], log: Path
) -> None:
    # As vagrant 2.3.4 wrote it.
    where = "/usr/lib/ruby/vendor_ruby/fog/libvirt/requests/compute/vm_action.rb:7:in `create'"
    words = "Call to virDomainCreateWithFlags failed: internal error: Process exited prior to exec"
    text = f"An unexpected error occurred\n\n{words}\n\n" + f"{where}\n" * 40
    fake.says = text.encode()
    fake.fails = subprocess.CalledProcessError(1, ["vagrant", "up"])
    with pytest.raises(ProviderError) as caught:
        vagrant.up(log.parent.parent, ["a"], log=log)
    assert words in caught.value.message
    assert "vm_action.rb" not in caught.value.message


class Vanishing(FakeVagrant):
    """Vagrant while other labs are destroyed: it fails so many times."""

    times = 0

    def up(self, **asked: object) -> None:
        type(self).times -= 1
        self.fails = subprocess.CalledProcessError(1, ["vagrant"]) if self.times >= 0 else None
        super().up(**asked)


@pytest.mark.parametrize(("times", "is_up"), [(0, True), (2, True), (3, False)])
def test_another_labs_network_may_go_meanwhile(
    log: Path, monkeypatch: pytest.MonkeyPatch, *, times: int, is_up: bool
) -> None:
    words = b"Call to virNetworkGetXMLDesc failed: Network not found: no network with matching uuid"
    fake = type("Fake", (Vanishing,), {"made": [], "times": times, "says": words + b"\n"})
    monkeypatch.setattr(vagrant, "_Vagrant", fake)
    if is_up:
        vagrant.up(log.parent.parent, ["a"], log=log)
        assert len(fake.made) == times + 1
    else:
        with pytest.raises(ProviderError, match="Network not found"):
            vagrant.up(log.parent.parent, ["a"], log=log)


def test_a_failure_before_the_first_word_does_not_show_yesterday_s(
    fake: type[FakeVagrant], log: Path
) -> None:
    log.parent.mkdir()
    log.write_text("of yesterday\n")
    fake.fails, fake.says = subprocess.CalledProcessError(2, ["vagrant"]), b""
    with pytest.raises(ProviderError) as caught:
        vagrant.up(log.parent.parent, ["a"], log=log)
    assert "of yesterday" not in caught.value.message


def test_no_vagrant_on_the_path_is_a_missing_tool(fake: type[FakeVagrant], log: Path) -> None:
    fake.fails = RuntimeError("The Vagrant executable cannot be found. ")
    with pytest.raises(ToolNotFound, match="vagrant is not installed"):
        vagrant.up(log.parent.parent, ["a"], log=log)


def test_vagrant_dies_with_us() -> None:
    machine = vagrant._Vagrant.__new__(vagrant._Vagrant)
    machine._vagrant_exe, machine.root = "/usr/bin/vagrant", "/labs/trio"
    command = machine._make_vagrant_command(["up", None, "--provider=libvirt"])
    assert command[:3] == ["flock", "--no-fork", "/labs/trio/vagrant.lock"]
    assert command[3:6] == ["setpriv", "--pdeathsig", "INT"]
    assert command[-2:] == ["up", "--provider=libvirt"]


# --- the index of all machines of a user, as Vagrant 2.3.4 left it


def entry(directory: str, name: str) -> dict[str, object]:
    return {
        "local_data_path": f"{directory}/.vagrant",
        "name": name,
        "provider": "libvirt",
        "state": "running",
        "vagrantfile_name": None,
        "vagrantfile_path": directory,
        "updated_at": None,
        "extra_data": {"box": {"name": None, "provider": "libvirt", "architecture": None}},
    }


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    path = tmp_path / "vagrant.d" / "data" / "machine-index" / "index"
    path.parent.mkdir(parents=True)
    machines = {
        "a" * 32: entry("/var/lib/stacklab/labs/trio", "controller"),
        "b" * 32: entry("/var/lib/stacklab/labs/trio", "compute1"),
        "c" * 32: entry("/var/lib/stacklab/labs/trio2", "controller"),
        "d" * 32: entry("/home/me/var/lib/stacklab/labs/trio", "default"),
        "e" * 32: entry("/var/lib/stacklab/labs", "default"),
        "f" * 32: {"name": "odd"},
    }
    path.write_text(json.dumps({"version": 1, "machines": machines}))
    for key in machines:
        path.with_name(f"{key}.lock").touch()
    return path


def test_only_entries_of_exactly_our_directory_are_forgotten(index: Path) -> None:
    before = json.loads(index.read_text())
    vagrant.forget(Path("/var/lib/stacklab/labs/trio"))
    after = json.loads(index.read_text())
    assert after["version"] == 1
    assert after["machines"] == {
        key: entry for key, entry in before["machines"].items() if key[0] in "cdef"
    }
    assert sorted(path.name[0] for path in index.parent.glob("*.lock")) == ["c", "d", "e", "f", "i"]


def test_forgetting_twice_touches_nothing_the_second_time(index: Path) -> None:
    vagrant.forget(Path("/var/lib/stacklab/labs/trio"))
    inode = index.stat().st_ino
    vagrant.forget(Path("/var/lib/stacklab/labs/trio"))
    assert index.stat().st_ino == inode


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"machines": []}',
        '{"machines": null}',
        '{"machines": {"a": 1}}',
        "\x00\xff",
    ],
)
def test_a_damaged_index_is_left_alone(index: Path, text: str) -> None:
    index.write_bytes(text.encode("latin-1"))
    vagrant.forget(Path("/var/lib/stacklab/labs/trio"))
    assert index.read_bytes() == text.encode("latin-1")


def test_where_vagrant_never_ran_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "none"))
    vagrant.forget(Path("/var/lib/stacklab/labs/trio"))
    assert list(tmp_path.iterdir()) == []
