"""The program that makes services debuggable, for services that kolla-ansible has in containers.

systemctl, docker and mount are ours; the process in the container is a real one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from stacklab.drivers import node_containers, node_units
from tests.contract.units_of_a_node import make_node, run_program

UNIT = "kolla-nova_api-container.service"
HOOK = "usr/local/lib/stacklab-debug"
# `exec` runs what it is given here, but for what would touch the hook: both places are one here.
DOCKER = """\
#!/usr/bin/env python3
import os, pathlib, subprocess, sys
root = pathlib.Path(os.environ["FAKE_ROOT"])
words = sys.argv[1:]
with (root / "calls").open("a") as calls:
    calls.write("docker " + " ".join(words[:5]) + "\\n")
if words[:2] == ["container", "inspect"]:
    print((root / "container.json").read_text())
elif words[0] == "exec" and words[1] != "-u":
    sys.exit(subprocess.call(words[2:]))
"""
# A mount is a copy here, and what it lies on is beside it.
MOUNT = """\
#!/bin/sh
cp "$2" "$3.over"; mv "$3" "$3.under"; mv "$3.over" "$3"
echo "1 1 0:1 / $3 rw - tmpfs tmpfs rw" >> "$FAKE_ROOT/mounts"
"""
UMOUNT = """\
#!/bin/sh
for path; do :; done
mv "$path.under" "$path"; : > "$FAKE_ROOT/mounts"
"""
COMMAND = "nova-api --config-file /etc/nova/nova.conf"


@contextmanager
def program(name: str) -> Iterator[int]:
    """Run a process whose command begins with that name; yields its number."""
    argv = [name, "-c", "import time; print(1, flush=True); time.sleep(120)"]
    with subprocess.Popen(argv, executable=sys.executable, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def node(tmp_path: Path) -> Path:
    make_node(tmp_path)
    for name, text in {"docker": DOCKER, "mount": MOUNT, "umount": UMOUNT}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    unit = {
        "Id": UNIT,
        "ExecStart": "{ path=x ; argv[]=/usr/bin/docker start -a nova_api ; ignore_errors=no ; }",
        "ActiveState": "active",
    }
    (tmp_path / "units.json").write_text(json.dumps([unit]))
    (tmp_path / "mounts").write_text("")
    config_of(tmp_path).parent.mkdir(parents=True)
    config_of(tmp_path).write_text(json.dumps({"command": COMMAND, "config_files": []}))
    (tmp_path / HOOK).mkdir(parents=True)
    return tmp_path


@contextmanager
def container(node: Path, name: str = "", network: str = "host") -> Iterator[int]:
    """Have the node's container run a process; yields its number."""
    with program(name or sys.executable) as pid:
        source = str(config_of(node).parent)
        mount = {"Source": source, "Destination": "/var/lib/kolla/config_files/"}
        said = {
            "State": {"Pid": pid},
            "HostConfig": {"NetworkMode": network},
            "Mounts": [{"Source": "/x", "Destination": "/y"}, mount],
        }
        (node / "container.json").write_text(json.dumps([said]))
        yield pid


def stop_container(node: Path) -> None:
    said = json.loads((node / "container.json").read_text())
    said[0]["State"]["Pid"] = 0
    (node / "container.json").write_text(json.dumps(said))


def config_of(node: Path) -> Path:
    return node / "etc/kolla/nova-api/config.json"


def command_of(node: Path) -> str:
    return str(json.loads(config_of(node).read_text())["command"])


def drop_in(node: Path) -> Path:
    return node / f"run/systemd/system/{UNIT}.d/stacklab-debug.conf"


def run(node: Path, *words: str) -> tuple[list[Mapping[str, object]], int]:
    return run_program("debug_node", node, *words)


def attach(node: Path, *words: str) -> tuple[list[Mapping[str, object]], int]:
    return run(node, "attach", UNIT, "--limit", "0", *words)


def test_a_service_is_known_by_its_container(node: Path) -> None:
    with container(node):
        (line,), code = run(node, "look", "kolla-")
    assert code == 0
    assert (line["service"], line["unit"], line["kind"]) == ("nova_api", UNIT, "python")
    assert (line["container"], line["engine"]) == ("nova_api", "docker")
    assert line["python"] == sys.executable
    assert not line["hooked"]


@pytest.mark.parametrize("name", ["/usr/sbin/apache2", "bash"])
def test_a_container_without_python_is_not_listed(node: Path, name: str) -> None:
    with container(node, name):
        lines, code = run(node, "look", "kolla-")
    assert (lines, code) == ([], 0)


def test_a_container_that_does_not_start_under_the_debugger_is_listed(node: Path) -> None:
    with container(node):
        attach(node)
    stop_container(node)
    (line,), code = run(node, "look", "kolla-")
    assert (line["service"], line["hooked"], code) == ("nova_api", True, 0)
    assert run(node, "detach", UNIT)[1] == 0
    assert command_of(node) == COMMAND
    assert run(node, "look", "kolla-") == ([], 0)


def test_a_program_that_has_named_itself_is_still_pythons() -> None:
    title = f"neutron-dhcp-agent ({sys.executable} /usr/bin/neutron-dhcp-agent --debug)"
    with program(title) as pid:
        # The kernel has what a process wrote over its words: here the first of four.
        words = node_containers._words(Path(f"/proc/{pid}/cmdline"))
        assert words[0] == title
    assert node_containers._without_title([title]) == [
        sys.executable,
        "/usr/bin/neutron-dhcp-agent",
        "--debug",
    ]
    assert node_containers._without_title(["python3", "a (b)"]) == ["python3", "a (b)"]


def test_its_program_is_given_the_hook_by_its_command(node: Path) -> None:
    with container(node):
        lines, code = attach(node, "--set", "OS_A__B=0")
    # Nothing starts here, so that nothing listens.
    assert code == 1
    assert "no process of" in str(lines[-1]["failed"])
    words = command_of(node).split()
    assert words[0] == "env"
    assert words[-3:] == COMMAND.split()
    assert f"PYTHONPATH={node}/{HOOK}" in words
    assert f"STACKLAB_DEBUG_RECORDS={node}/{HOOK}/records" in words
    assert "OS_A__B=0" in words
    assert "ExecStart" not in drop_in(node).read_text()
    calls = (node / "calls").read_text()
    assert f"docker cp {node}/{HOOK} nova_api:" in calls
    assert f"restart --no-block {UNIT}" in calls


def test_uwsgi_gets_arguments_behind_its_own(node: Path) -> None:
    with container(node, "/var/lib/kolla/venv/bin/uwsgi"):
        attach(node)
    command = command_of(node)
    assert f"{COMMAND} --processes 1 --threads 1 --pythonpath" in command
    assert command.endswith("--import stacklab_debug_worker")
    assert " PYTHONPATH=" not in command


def test_all_of_it_is_undone_and_twice_is_no_error(node: Path) -> None:
    before = config_of(node).read_bytes()
    with container(node):
        attach(node)
        run(node, "give", UNIT, "--set", "OS_DEFAULT__RPC_RESPONSE_TIMEOUT=3600")
        assert "RPC_RESPONSE_TIMEOUT=3600" in command_of(node)
        assert "STACKLAB_DEBUG_WITH" in command_of(node)
        for restarts in (3, 3):
            assert run(node, "detach", UNIT)[1] == 0
            assert (node / "calls").read_text().count("restart") == restarts
    assert config_of(node).read_bytes() == before
    assert [path for path in (node / "run").rglob("*") if path.is_file()] == []


def test_what_an_order_that_was_cut_off_has_left_is_seen_and_undone(node: Path) -> None:
    with container(node):
        attach(node)
        drop_in(node).unlink()
        (line,), _ = run(node, "look", "kolla-")
        assert line["hooked"]
        assert run(node, "detach", UNIT)[1] == 0
        (line,), _ = run(node, "look", "kolla-")
        assert not line["hooked"]
    assert command_of(node) == COMMAND


def test_a_process_is_told_by_its_number_on_the_node(node: Path) -> None:
    with container(node) as pid:
        records = node / HOOK / "records"
        records.mkdir()
        begun = node_units.started(pid)
        # The second is gone, and of the third another process has the number by now.
        for number, started in ((pid, begun), (2**22 + 1, begun), (pid, "1")):
            said = {"pid": number, "started": started, "port": 5678, "program": "nova-api"}
            (records / f"{number}-{started}.json").write_text(json.dumps(said))
        (line,), _ = run(node, "look", "kolla-")
    (process,) = line["processes"]  # type: ignore[misc]
    assert (process["pid"], process["started"]) == (pid, begun)
    # A process listens, whatever has become of its drop-in.
    assert line["hooked"]


@pytest.mark.parametrize(
    ("network", "variable", "words"),
    [
        ("bridge", "A=B", "does not have the node's network"),
        ("host", "A=B C", "can't be given a value with blanks: A=B C"),
    ],
)
def test_what_a_container_can_not_have_is_told(
    node: Path, network: str, variable: str, words: str
) -> None:
    with container(node, network=network):
        lines, code = attach(node, "--set", variable)
    assert code == 1
    assert words in str(lines[-1]["failed"])
    assert command_of(node) == COMMAND


def test_what_is_on_stays_where_more_can_not_be_given(node: Path) -> None:
    with container(node):
        attach(node)
        _, code = run(node, "give", UNIT, "--set", "A=B C")
    assert code == 1
    assert "STACKLAB_DEBUG_WITH" in command_of(node)


def test_a_unit_whose_container_is_gone_does_not_hide_the_others(node: Path) -> None:
    docker = node / "bin/docker"
    docker.write_text("#!/bin/sh\necho 'Error: No such container' >&2; exit 1\n")
    assert run(node, "look", "kolla-") == ([], 0)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"command": ["nova-api"]}'])
def test_a_config_that_names_no_command_is_told(node: Path, text: str) -> None:
    with container(node):
        config_of(node).write_text(text)
        lines, code = attach(node)
    assert code == 1
    assert "config.json" in str(lines[-1]["failed"])
    assert config_of(node).read_text() == text
    assert not drop_in(node).exists()


def test_a_file_is_found_as_the_containers_python_finds_it(node: Path) -> None:
    with container(node):
        (line,), code = run(node, "find", UNIT, "email/mime/text.py")
        assert code == 0
        assert Path(str(line["path"])).name == "text.py"
        assert run(node, "find", UNIT, "/no/such/file.py")[1] == 1
        assert run(node, "find", UNIT, str(config_of(node)))[1] == 0
