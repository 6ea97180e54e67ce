"""Services of a real cloud under a debugger: stopped at a line, let go on, and all of it undone."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.debug_server import Called, DebugServer
from tests.live.labs import CLOUD, HOME
from tests.live.typed import Run, Stacklab, flat

pytestmark = pytest.mark.live

BACK_S = "240"
# CI does without what the others show in part: it has no more time.
of_all_services = pytest.mark.skipif(
    not os.environ.get("STACKLAB_EVERY_STEP"), reason="only with STACKLAB_EVERY_STEP=1"
)


def listed(stacklab: Stacklab) -> dict[tuple[str, str], dict[str, Any]]:
    """What debug.status says, by service and node."""
    rows = json.loads(stacklab.ok("debug.status", CLOUD, "--json").out)
    return {(row["service"], row["node"]): row for row in rows}


def line_of(stacklab: Stacklab, file: str, text: str, node: str = "controller") -> str:
    """A file of the node's packages and the number of its first line with this text."""
    place = f"/usr/lib/python3/dist-packages/{file}"
    found = stacklab.on(CLOUD, node, f"grep -nF -m 1 -- {text!r} {place}")
    return f"{file}:{found.partition(':')[0]}"


def run_callers(
    server: DebugServer, attaching: subprocess.Popen[str], file: str, line: int
) -> list[Called]:
    """Let all programs run that call while a service is being attached, with a breakpoint."""
    callers: list[Called] = []
    while attaching.poll() is None:
        with contextlib.suppress(TimeoutError):
            callers.append(server.wait(1))
            callers[-1].run(file, line)
    assert callers, attaching.communicate()
    return callers


def first_stop(callers: list[Called]) -> tuple[str, str, int, dict[str, str]]:
    """What the first of them says that stops; it goes on."""
    stops: queue.Queue[tuple[str, str, int, dict[str, str]]] = queue.Queue()

    def wait(called: Called) -> None:
        # The others end with their connection.
        with contextlib.suppress(AssertionError, OSError, ValueError):
            stops.put(called.stopped())

    for called in callers:
        threading.Thread(target=wait, args=(called,), daemon=True).start()
    return stops.get(timeout=120)


def assert_undone(stacklab: Stacklab) -> None:
    rows = listed(stacklab)
    assert not [
        key for key, row in rows.items() if row["debugged"] or row["patient"] or row["ports"]
    ]
    stacklab.check(CLOUD, "--layer", "services", "--wait", BACK_S)
    for node in ("controller", "compute1"):
        files = stacklab.on(
            CLOUD, node, "find /run/systemd/system /run/stacklab-debug -type f || true"
        )
        assert "debug" not in files


@pytest.mark.parametrize(
    ("service", "file", "text", "request_words", "function"),
    [
        (
            "keystone",
            "keystone/api/projects.py",
            "filters = ('domain_id', 'enabled', 'name'",
            "project list",
            "_list_projects",
        ),
        pytest.param(
            "nova-api",
            "nova/api/openstack/compute/servers.py",
            "search_opts.update(req.GET)",
            "server list",
            "_get_servers",
            marks=of_all_services,
        ),
        pytest.param(
            "neutron-server",
            "neutron/plugins/ml2/plugin.py",
            "nets_db = super(Ml2Plugin, self)._get_networks(",
            "network list",
            "get_networks",
            marks=of_all_services,
        ),
    ],
)
def test_a_request_stops_at_a_line_and_goes_on(
    service: str,
    file: str,
    text: str,
    request_words: str,
    function: str,
    stacklab: Stacklab,
    cloud: Run,
) -> None:
    place = line_of(stacklab, file, text)
    words = ("--run", request_words, "--expression", "1 + 1", "--wait", "120")
    run = stacklab.ok("debug.break", CLOUD, service, place, *words)
    assert f"{service} on controller has stopped at" in flat(run.out)
    assert function in run.out
    # What came there was let go on.
    stacklab.ok("lab.cloud", CLOUD, "--", *request_words.split())
    # A place that nobody comes to is no success, and the service does not stand still.
    run = stacklab.run("debug.break", CLOUD, service, place, "--wait", "3")
    assert run.code == 5
    stacklab.ok("lab.cloud", CLOUD, "--", *request_words.split())
    stacklab.ok("debug.detach", CLOUD)
    assert_undone(stacklab)


@of_all_services
def test_a_compute_stands_at_a_line_while_a_vm_is_built(stacklab: Stacklab, cloud: Run) -> None:
    stacklab.ok("debug.attach", CLOUD, "nova-compute", "--node", "compute1")
    rows = listed(stacklab)
    assert rows["nova-compute", "compute1"]["debugged"]
    # Those that wait for it wait longer, on all nodes.
    for key in (("nova-api", "controller"), ("nova-conductor", "controller")):
        assert rows[key]["patient"]
    place = line_of(
        stacklab, "nova/compute/manager.py", "LOG.debug('Starting instance...'", "compute1"
    )
    words = ("--node", "compute1", "--expression", "instance.uuid")
    began = time.monotonic()
    breaking = stacklab.start("debug.break", CLOUD, "nova-compute", place, *words)
    stacklab.ok("cloud.smoke", CLOUD)
    run = stacklab.end_of(breaking, ("debug.break",), began)
    assert run.code == 0
    assert "nova-compute on compute1 has stopped at" in flat(run.out)
    stacklab.ok("debug.sources", CLOUD, "nova-compute", "--node", "compute1")
    stacklab.ok("debug.detach", CLOUD)
    assert_undone(stacklab)


@pytest.mark.parametrize(
    ("debugger", "service", "file", "text", "request_words", "function"),
    [
        pytest.param(
            "pydev",
            "keystone",
            "keystone/api/projects.py",
            "filters = ('domain_id', 'enabled', 'name'",
            "project list",
            "_list_projects",
            id="pydev",
        ),
        pytest.param(
            "pycharm",
            "nova-api",
            "nova/api/openstack/compute/servers.py",
            "search_opts.update(req.GET)",
            "server list",
            "_get_servers",
            marks=of_all_services,
            id="pycharm",
        ),
    ],
)
def test_a_service_calls_the_debug_server_of_an_ide(
    debugger: str,
    service: str,
    file: str,
    text: str,
    request_words: str,
    function: str,
    stacklab: Stacklab,
    cloud: Run,
) -> None:
    place = line_of(stacklab, file, text)
    path, _, line = place.partition(":")
    with DebugServer(is_pycharm=debugger == "pycharm") as server:
        words = (service, "--with", debugger, "--port", str(server.port))
        attaching = stacklab.start("debug.attach", CLOUD, *words)
        here = str(HOME / "labs" / CLOUD / "debug" / "controller" / service / path)
        there = f"/usr/lib/python3/dist-packages/{path}"
        # PyDev asks for files as they are here, PyCharm as they are on the node.
        file = here if debugger == "pydev" else there
        callers = run_callers(server, attaching, file, int(line))
        run = stacklab.end_of(attaching, ("debug.attach",), time.monotonic())
        assert run.code == 0, run.err
        rows = listed(stacklab)
        assert rows[service, "controller"]["debugger"] == debugger
        assert rows[service, "controller"]["ports"] == [server.port]
        began = time.monotonic()
        asking = stacklab.start("lab.cloud", CLOUD, "--", *request_words.split())
        stopped, file_there, line_there, _ = first_stop(callers)
        asked = stacklab.end_of(asking, ("lab.cloud",), began)
        assert asked.code == 0, asked.err
        assert (stopped, line_there) == (function, int(line))
        assert file_there.endswith(path)
    # Its debug server is gone now, and it does its work.
    stacklab.ok("lab.cloud", CLOUD, "--", *request_words.split())
    stacklab.ok("debug.attach", CLOUD, service)
    assert listed(stacklab)[service, "controller"]["debugger"] == "debugpy"
    stacklab.ok("debug.detach", CLOUD)
    assert_undone(stacklab)


@pytest.mark.parametrize(
    "pause_s",
    [
        4.0,
        pytest.param(1.5, marks=of_all_services),
        pytest.param(8.0, marks=of_all_services),
    ],
)
def test_what_a_killed_command_has_left_is_found_and_undone(
    pause_s: float, stacklab: Stacklab, cloud: Run
) -> None:
    attaching = stacklab.start("debug.attach", CLOUD, "nova-scheduler")
    time.sleep(pause_s)
    attaching.kill()
    attaching.communicate()
    stacklab.ok("debug.detach", CLOUD)
    assert_undone(stacklab)


@of_all_services
def test_a_reboot_undoes_it(stacklab: Stacklab, cloud: Run) -> None:
    stacklab.ok("debug.attach", CLOUD, "nova-compute", "--node", "compute2", "--no-patience")
    reboot = "nohup sh -c 'sleep 1; sudo systemctl reboot' >/dev/null 2>&1 </dev/null &"
    stacklab.on(CLOUD, "compute2", reboot)
    time.sleep(5)
    stacklab.check(CLOUD, "--wait", BACK_S)
    assert not listed(stacklab)["nova-compute", "compute2"]["debugged"]
    stacklab.ok("debug.detach", CLOUD)


def test_a_service_reports_what_it_does_and_goes_on(
    stacklab: Stacklab, cloud: Run, tmp_path: Path
) -> None:
    main_process = "systemctl show -p MainPID --value stacklab-nova-scheduler"
    before = stacklab.on(CLOUD, "controller", main_process)
    text = stacklab.ok("cloud.report", CLOUD, "nova-scheduler").out
    for word in ("Guru Meditation", "Green Threads", "Configuration", "service_down_time"):
        assert word in text
    password = next(line for line in text.splitlines() if line.strip().startswith("password ="))
    assert password.split("=")[1].strip() == "***"
    assert stacklab.on(CLOUD, "controller", main_process) == before
    run = stacklab.run("cloud.report", CLOUD, "placement")
    assert run.code != 0
    assert "does not write reports" in flat(run.err) or "has written no report" in flat(run.err)


def test_what_is_wrong_is_said_before_anything_is_restarted(stacklab: Stacklab, cloud: Run) -> None:
    for words, text in (
        (("nova-compte", "nova/x.py:1"), "did you mean nova-compute?"),
        (("nova-compute", "nova/x.py:1"), "nova-compute is on several nodes"),
        (("keystone", "keystone/x.py"), "is not a place in a source file"),
        (("keystone", "keystone/no_such.py:1"), "finds no keystone/no_such.py"),
    ):
        run = stacklab.run("debug.break", CLOUD, *words)
        assert run.code != 0
        assert text in flat(run.err)
    assert_undone(stacklab)


def test_no_tunnel_outlives_its_lab(stacklab: Stacklab, cloud: Run) -> None:
    """The last test with this cloud."""
    stacklab.ok("debug.attach", CLOUD, "keystone", "--no-patience")
    stacklab.ok("lab.down", CLOUD)
    found = subprocess.run(
        ["pgrep", "-af", "debug/tunnels"], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
