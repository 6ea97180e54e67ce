"""The program that makes a node's services debuggable, with a systemctl of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from stacklab.drivers import debug_node
from tests.contract.units_of_a_node import make_node, run_program


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return make_node(tmp_path)


def run(node: Path, *words: str) -> tuple[list[Mapping[str, object]], int]:
    return run_program("debug_node", node, *words)


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


def test_a_file_of_another_source_wins_over_the_packages(node: Path) -> None:
    (node / "mine" / "email").mkdir(parents=True)
    for name in ("__init__.py", "message.py"):
        (node / "mine" / "email" / name).write_text("")
    units = json.loads((node / "units.json").read_text())
    for unit in units:
        unit["Environment"] = f"A=b PYTHONPATH={node}/mine"
    (node / "units.json").write_text(json.dumps(units))
    lines, _ = run(node, "find", "stacklab-nova-compute.service", "email/message.py")
    assert lines[0]["path"] == f"{node}/mine/email/message.py"


@pytest.mark.parametrize(("handler", "is_caught"), [("signal.SIG_DFL", False), ("print", True)])
def test_only_a_process_that_catches_the_signal_is_asked_for_a_report(
    handler: str, is_caught: bool
) -> None:
    text = (
        f"import signal, time; signal.signal(signal.SIGUSR2, {handler}); "
        "print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert debug_node._catches_report_signal(str(process.pid)) is is_caught
        process.kill()


def test_of_a_journal_the_last_report_is_taken() -> None:
    lines = [
        "====",
        "====  Guru Meditation  ====",
        "old",
        "a message",
        "====",
        "==  Guru Meditation  ==",
        "new",
    ]
    assert debug_node._report_of(lines) == ["====", "==  Guru Meditation  ==", "new"]
    assert debug_node._report_of(["a message"]) == []
