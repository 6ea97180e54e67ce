"""The program that makes a node's services debuggable, with a systemctl of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from stacklab.nodes import programs

SYSTEMCTL = """\
#!/usr/bin/env python3
import json, os, pathlib, sys
root = pathlib.Path(os.environ["FAKE_ROOT"])
units = json.loads((root / "units.json").read_text())
words = sys.argv[1:]
with (root / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
if words[0] == "show":
    import fnmatch
    blocks = [u for u in units if fnmatch.fnmatch(u["Id"], words[-1])]
    print("\\n\\n".join("\\n".join(f"{k}={v}" for k, v in u.items()) for u in blocks))
"""
ENVIRONMENT = "EVENTLET_NO_GREENDNS=yes"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A directory that stands for a node's file system and its systemd."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "systemctl": SYSTEMCTL,
        "journalctl": "#!/bin/sh\necho 'ImportError: no module named nova'\n",
        "nova-compute": f"#!{sys.executable}\n",
        "by-env": "#!/usr/bin/env python3\n",
        "mariadbd": "\x7fELF",
        "uwsgi_python3": "\x7fELF",
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    arguments = {
        "nova-compute": f"{programs}/nova-compute --config-file=/etc/nova/nova.conf",
        "by-env": f"{programs}/by-env",
        "mariadb": f"{programs}/mariadbd",
        "keystone": f"{programs}/uwsgi_python3 --ini /etc/k$e%y.ini",
    }
    units = [
        {
            "Id": f"stacklab-{name}.service",
            "ExecStart": f"{{ path=x ; argv[]={words} ; ignore_errors=no ; pid=0 }}",
            "Environment": ENVIRONMENT,
            "User": "root",
            "ActiveState": "active",
        }
        for name, words in arguments.items()
    ]
    (tmp_path / "units.json").write_text(json.dumps(units))
    return tmp_path


def run(node: Path, *words: str) -> tuple[list[Mapping[str, object]], int]:
    """Run the program, with its places below the node's directory."""
    text = programs.source_of("debug_node").decode()
    for place in (
        '"/run/systemd/system"',
        '"/run/stacklab-debug"',
        '"/usr/local/lib/stacklab-debug"',
    ):
        assert place in text
        text = text.replace(place, f'"{node}{place[1:]}')
    done = subprocess.run(
        [sys.executable, "-", *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{node}/bin:{os.environ['PATH']}", "FAKE_ROOT": str(node)},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def drop_in(node: Path, service: str, name: str = "stacklab-debug.conf") -> Path:
    return node / f"run/systemd/system/stacklab-{service}.service.d/{name}"


def test_services_that_run_python_are_listed(node: Path) -> None:
    lines, code = run(node, "look", "stacklab-")
    assert code == 0
    assert [(line["service"], line["kind"]) for line in lines] == [
        ("nova-compute", "python"),
        ("by-env", "python"),
        ("keystone", "uwsgi"),
    ]
    assert lines[0]["python"] == sys.executable
    assert not any(line["hooked"] or line["given"] for line in lines)


def test_a_program_is_given_the_hook_by_its_environment(node: Path) -> None:
    lines, code = run(
        node, "attach", "stacklab-nova-compute.service", "--limit", "0", "--set", "OS_A__B=0"
    )
    # Nothing starts here, so that nothing listens.
    assert code == 1
    assert "ImportError: no module named nova" in str(lines[-1]["failed"])
    text = drop_in(node, "nova-compute").read_text()
    assert f'"PYTHONPATH={node}/usr/local/lib/stacklab-debug"' in text
    assert '"STACKLAB_DEBUG_PORT=5678"' in text
    assert '"OS_A__B=0"' in text
    assert "ExecStart" not in text
    calls = (node / "calls").read_text()
    assert "daemon-reload" in calls
    assert "restart --no-block stacklab-nova-compute.service" in calls


def test_uwsgi_is_told_to_import_it_in_its_only_process(node: Path) -> None:
    run(node, "attach", "stacklab-keystone.service", "--limit", "0")
    text = drop_in(node, "keystone").read_text()
    assert "\nExecStart=\nExecStart=" in text
    assert '"--processes" "1" "--threads" "1"' in text
    assert text.rstrip().endswith('"--import" "stacklab_debug_worker"')
    # What systemd would expand stays what it was.
    assert '"/etc/k$$e%%y.ini"' in text
    assert "PYTHONPATH" not in text


def test_each_unit_has_ports_of_its_own_and_keeps_them(node: Path) -> None:
    for _ in range(2):
        run(node, "attach", "stacklab-nova-compute.service", "--limit", "0")
        run(node, "attach", "stacklab-keystone.service", "--limit", "0")
    assert "STACKLAB_DEBUG_PORT=5678" in drop_in(node, "nova-compute").read_text()
    assert "STACKLAB_DEBUG_PORT=5688" in drop_in(node, "keystone").read_text()


def test_a_program_that_is_not_python_is_refused(node: Path) -> None:
    lines, code = run(node, "attach", "stacklab-mariadb.service")
    assert code == 1
    assert "does not run a Python program" in str(lines[-1]["failed"])
    assert not drop_in(node, "mariadb").exists()


def test_an_unknown_unit_is_refused(node: Path) -> None:
    lines, code = run(node, "attach", "stacklab-nova-compote.service")
    assert code == 1
    assert lines[-1]["failed"] == "stacklab-nova-compote.service is not a unit of this node"


def test_units_that_wait_are_restarted_once(node: Path) -> None:
    names = ("stacklab-nova-compute.service", "stacklab-by-env.service")
    for _ in range(2):
        _, code = run(node, "give", *names, "--set", "OS_DEFAULT__RPC_RESPONSE_TIMEOUT=3600")
        assert code == 0
    assert (node / "calls").read_text().count("restart") == 1
    text = drop_in(node, "by-env", "stacklab-debug-calm.conf").read_text()
    assert '"OS_DEFAULT__RPC_RESPONSE_TIMEOUT=3600"' in text


def test_what_a_unit_was_given_for_one_purpose_is_taken_alone(node: Path) -> None:
    unit = "stacklab-keystone.service"
    run(node, "give", unit, "--for", "detail", "--set", "OS_DEFAULT__DEBUG=true")
    run(node, "give", unit, "--for", "patience", "--set", "A=B")
    lines, _ = run(node, "look", "stacklab-keystone")
    assert lines[0]["given"] == ["patience", "detail"]
    run(node, "take", unit, "--for", "detail")
    lines, _ = run(node, "look", "stacklab-keystone")
    assert lines[0]["given"] == ["patience"]


def test_all_of_it_is_undone_and_twice_is_no_error(node: Path) -> None:
    run(node, "attach", "stacklab-keystone.service", "--limit", "0")
    run(node, "give", "stacklab-keystone.service", "--set", "A=B")
    for restarts in (3, 3):
        _, code = run(node, "detach", "stacklab-keystone.service")
        assert code == 0
        assert (node / "calls").read_text().count("restart") == restarts
    left = [path for path in (node / "run").rglob("*") if path.is_file()]
    assert left == []


def test_a_file_is_found_as_the_units_python_finds_it(node: Path) -> None:
    unit = "stacklab-nova-compute.service"
    lines, code = run(node, "find", unit, "email/mime/text.py")
    assert code == 0
    assert Path(str(lines[0]["path"])).name == "text.py"
    (package,), _ = run(node, "find", unit, "email")
    assert Path(str(package["path"])).is_dir()
    for wrong in ("email/no_such.py", "no_such_package/x.py", "/no/such/file.py", "../x.py"):
        lines, code = run(node, "find", unit, wrong)
        assert code == 1
        assert f"finds no {wrong}" in str(lines[0]["failed"])


def test_processes_are_those_of_the_unit_that_live(node: Path) -> None:
    unit = "stacklab-nova-compute.service"
    records = node / "run/stacklab-debug" / unit
    records.mkdir(parents=True)
    for pid in (os.getpid(), 2**22 + 1):
        (records / f"{pid}.json").write_text(json.dumps({"pid": pid, "port": 5678}))
    (records / "half.json").write_text("{")
    (records / "list.json").write_text("[]")
    lines, _ = run(node, "look", unit.removesuffix("compute.service"))
    # This test's process is in no unit of that name, and the other is not there.
    assert lines[0]["processes"] == []
