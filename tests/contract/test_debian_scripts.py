"""The scripts that the debian kit places on nodes, by real shells."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.installers import rendering as answers
from stacklab.installers.debian.answers.files import FOLDER
from stacklab.paths.project import PROJECT

_LAB = spec.load(PROJECT / "labs" / "openstack-3node.yaml")
# With cinder, which the lab itself leaves to its user.
_STACK = dataclasses.replace(_LAB.stack, volume_types=("lvm",))
FILES = answers.preview(dataclasses.replace(_LAB, stack=_STACK))
SCRIPTS = {
    f"{node}:{path.name}": text
    for node in ("controller", "compute1")
    for path, text in FILES[node].items()
    if text.startswith(("#!/bin/sh", "#!/bin/bash"))
}
LAUNCHERS = {"nova-api": "nova.cmd.api", "cinder-volume": "cinder.cmd.volume"}
# As oslo.service and the programs of nova and cinder have it, where the launcher cares.
FAKE_OSLO = """\
class ProcessLauncher:
    def __init__(self, conf, wait_interval=0.01, restart_method="reload"):
        print(conf, wait_interval, restart_method)
"""
FAKE_PROGRAM = """\
from oslo_service import service
def main():
    service.ProcessLauncher("conf", restart_method="mutate")
    return 7
"""
UNIT = "stacklab-nova-api.service"
SYSTEMCTL = """#!/bin/sh
case $* in
"show --property=ActiveState,NRestarts stacklab-nova-api.service")
    state=active
    [ -e "$WORLD/active" ] || { touch "$WORLD/looked-at"; state=activating; }
    printf 'NRestarts=%s\nActiveState=%s\n' "$(cat "$WORLD/restarts")" "$state"
    ;;
*) exit 1 ;;
esac
"""
JOURNALCTL = "#!/bin/sh\necho 'no such option: my_ipp'\n"


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck")
def test_shellcheck_finds_nothing(name: str) -> None:
    done = subprocess.run(
        ("shellcheck", "-"), input=SCRIPTS[name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_launcher_runs_the_package_s_program_and_its_parent_rests(
    name: str, tmp_path: Path
) -> None:
    for module, text in ((LAUNCHERS[name], FAKE_PROGRAM), ("oslo_service.service", FAKE_OSLO)):
        path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (text,) = [text for path, text in FILES["controller"].items() if path.name == name]
    done = subprocess.run(
        (sys.executable, "-"),
        input=text,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "conf 1.0 mutate\n"), done.stderr


@pytest.fixture
def world(tmp_path: Path) -> Path:
    for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "restarts").write_text("0\n")
    (tmp_path / "wait").write_text(FILES["controller"][FOLDER / "usr/local/sbin/stacklab-wait"])
    return tmp_path


def wait(world: Path, *words: str, limit_s: float = 30) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{world}:{os.environ['PATH']}", "WORLD": str(world)}
    return subprocess.run(
        ("timeout", str(limit_s), "bash", str(world / "wait"), *words),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


class Answering(BaseHTTPRequestHandler):
    status = 300

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_answers_is_not_waited_for(world: Path, port: int) -> None:
    done = wait(world, f"tcp:127.0.0.1:{port}", f"http:127.0.0.1:{port}")
    assert done.returncode == 0, done.stderr


def test_an_api_that_is_broken_is_waited_for(
    world: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "status", 503)
    assert wait(world, f"http:127.0.0.1:{port}", limit_s=2).returncode == 124


def test_a_port_that_nobody_listens_on_is_waited_for(world: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"tcp:127.0.0.1:{unused.getsockname()[1]}"
        assert wait(world, place, limit_s=2).returncode == 124


def test_a_unit_has_to_run_as_well(world: Path, port: int) -> None:
    place = f"tcp:127.0.0.1:{port}"
    assert wait(world, "--unit", UNIT, place, limit_s=2).returncode == 124
    (world / "active").touch()
    assert wait(world, "--unit", UNIT, place).returncode == 0
    assert wait(world, "--unit", UNIT).returncode == 0


def test_a_unit_that_runs_after_a_while_is_a_success(world: Path) -> None:
    with subprocess.Popen(
        ("sh", "-c", 'until [ -e "$0/looked-at" ]; do sleep 0.1; done; touch "$0/active"', world)
    ):
        done = wait(world, "--unit", UNIT)
    assert done.returncode == 0, done.stderr


def test_a_unit_that_ends_again_and_again_is_given_up_with_its_last_words(world: Path) -> None:
    (world / "restarts").write_text("6\n")
    done = wait(world, "--unit", UNIT)
    assert done.returncode == 1
    assert UNIT in done.stdout
    assert "no such option: my_ipp" in done.stdout


LVM = """#!/bin/sh
# A machine with loop devices and LVM, as far as stacklab-volumes asks: files in $WORLD.
name=${0##*/}
echo "$name $*" >> "$WORLD/calls"
case "$name $*" in
losetup*--associated*) cat "$WORLD/device" 2>/dev/null || : ;;
losetup*--find*) echo /dev/loop7 | tee "$WORLD/device" ;;
vgs*) [ -e "$WORLD/group" ] ;;
vgcreate*) touch "$WORLD/group" ;;
esac
"""


def set_up_volumes(world: Path) -> list[str]:
    """Run the script that sets volume groups up, and return what it did."""
    (world / "calls").write_text("")
    script = FILES["controller"][FOLDER / "usr/local/sbin/stacklab-volumes"]
    subprocess.run(
        ("sh", "-c", script.replace("/var/lib/cinder", str(world))),
        env={**os.environ, "PATH": f"{world}:{os.environ['PATH']}", "WORLD": str(world)},
        check=True,
    )
    return (world / "calls").read_text().splitlines()


def test_a_volume_group_is_made_once_and_set_up_at_each_boot(world: Path) -> None:
    for name in ("losetup", "vgs", "vgcreate", "vgchange"):
        (world / name).write_text(LVM)
        (world / name).chmod(0o755)
    assert "vgcreate --yes cinder-lvm /dev/loop7" in set_up_volumes(world)
    assert (world / "lvm.img").stat().st_size == 8 * 1024**3
    (world / "device").unlink()  # a reboot forgets loop devices
    booted = set_up_volumes(world)
    assert f"losetup --find --show {world}/lvm.img" in booted
    assert booted[-1] == "vgchange --activate y cinder-lvm"
    again = set_up_volumes(world)
    for calls in (booted, again):
        assert not [call for call in calls if call.startswith("vgcreate")]
    assert not [call for call in again if "--find" in call]


def test_cinder_runs_its_commands_as_they_are(tmp_path: Path) -> None:
    script = tmp_path / "cinder-rootwrap"
    script.write_text(FILES["controller"][FOLDER / "usr/local/sbin/cinder-rootwrap"])
    argv = ("sh", str(script), "/etc/cinder/rootwrap.conf", "printf", "%s|", "a b", "c")
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "a b|c|"


def test_rabbitmqs_arguments_are_the_words_that_erlang_expects() -> None:
    text = FILES["controller"][FOLDER / "etc/rabbitmq/rabbitmq-env.conf"]
    done = subprocess.run(
        ("sh", "-euc", f'{text}\nprintf "%s\\n" $SERVER_ADDITIONAL_ERL_ARGS'),
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    assert words[:3] == ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
    assert words[-2] == "-eval"
    assert words[-1].startswith("spawn(")
    assert words[-1].endswith("end)end,F(F)end).")
