"""The hook that has a service listen for a debugger, in real processes, with a real debugpy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.drivers.debug_node import DIRECTORY
from stacklab.process.runner import SubprocessRunner
from stacklab.progress import Progress
from stacklab.tools.dap import DapError, Debugger
from stacklab.workflow.debug import node_program
from stacklab.workflow.debug.debuggers import DEBUGPY, PYCHARM, PYDEV, DebuggerKind, files_of
from tests.debug_server import DebugServer

SERVICE = """\
import os, sys, time

def answer(number):
    secret = number * 2
    return secret

print("ready", os.environ.get("PYTHONPATH"), os.environ.get("STACKLAB_DEBUG_PORT"), flush=True)
for number in range(1000):
    answer(number)
    time.sleep(0.1)
"""
LINE = 5  # of `return secret`
FORKS = SERVICE.replace("import os, sys, time\n", "import os, sys, time\nif os.fork(): os.wait()\n")


def place(root: Path, kind: DebuggerKind) -> Path:
    """Place the hook and a debugger below a directory, as on a node."""
    files = files_of(SubprocessRunner(), Progress(), kind)
    for name, entry in node_program.entries(kind, files).items():
        path = root / name
        if entry.text is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            assert isinstance(entry.text, bytes)
            path.write_bytes(entry.text)
    return root / DIRECTORY[1:]


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory as it lies on a node, with debugpy."""
    return place(tmp_path_factory.mktemp("node"), DEBUGPY)


@pytest.fixture(scope="module", params=[PYDEV, PYCHARM], ids=lambda kind: kind.name)
def calling(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, DebuggerKind]:
    """The directory with a debugger that calls, and that."""
    kind: DebuggerKind = request.param
    return place(tmp_path_factory.mktemp("calling"), kind), kind


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Service:
    """A service under the hook."""

    def __init__(
        self,
        directory: Path,
        hook: Path,
        port: int,
        name: str,
        text: str,
        kind: DebuggerKind = DEBUGPY,
    ) -> None:
        self.program = directory / name
        self.program.write_text(text)
        self.records = directory / "records"
        self.records.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(hook),
            "STACKLAB_DEBUG_WITH": kind.name,
            "STACKLAB_DEBUG_PORT": str(port),
            "STACKLAB_DEBUG_RECORDS": str(self.records),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(self.program)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def said(self, count: int = 1) -> list[dict[str, object]]:
        """What its processes have written of themselves, once there are so many."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = [json.loads(path.read_text()) for path in self.records.glob("*.json")]
            if len(found) >= count:
                return found
            time.sleep(0.1)
        pytest.fail(f"only {found}; {self.process.poll()}")

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def started(tmp_path: Path, hook: Path, port: int) -> Iterator[list[Service]]:
    """Services that are ended with the test."""
    services: list[Service] = []
    yield services
    for service in services:
        service.end()


def hit(port: int, path: Path, line: int, *expressions: str) -> tuple[str, dict[str, str]]:
    with Debugger(port) as debugger:
        debugger.attach()
        debugger.set_breakpoint(str(path), line)
        thread = debugger.stopped(60)
        assert thread is not None
        stop = debugger.look(thread, expressions)
        debugger.go_on(thread)
    return stop.frames[0].function, dict(stop.values)


def test_a_breakpoint_is_hit_again_and_again_and_the_service_goes_on(
    tmp_path: Path, hook: Path, port: int, started: list[Service]
) -> None:
    service = Service(tmp_path, hook, port, "nova-compute", SERVICE)
    started.append(service)
    (said,) = service.said()
    assert said["port"] == port
    assert said["pid"] == service.process.pid
    assert said["program"] == "nova-compute"
    for _ in range(2):
        function, values = hit(
            port, service.program, LINE, "secret - number", "number == secret / 2"
        )
        assert function == "answer"
        assert values["number == secret / 2"] == "True"
        # An expression that fails is told, and is no end.
    _, values = hit(port, service.program, LINE, "no_such_name")
    assert "no_such_name" in values["no_such_name"]
    assert service.process.poll() is None


def test_what_the_service_starts_does_not_listen_too(
    tmp_path: Path, hook: Path, port: int, started: list[Service]
) -> None:
    """debugpy's adapter is such a program: each would start the next one, without end."""
    service = Service(tmp_path, hook, port, "nova-compute", SERVICE)
    started.append(service)
    service.said()
    assert service.process.stdout is not None
    assert service.process.stdout.readline() == "ready None None\n"
    time.sleep(2)
    # The service, and its adapter; that may have left the session. What Python has started on
    # its way may not have ended yet.
    deadline = time.monotonic() + 30
    while len(running := session_of(service)) > 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(running) <= 2, running
    assert len(service.said()) == 1


def session_of(service: Service) -> list[str]:
    """The processes that a service has in its session, itself included."""
    argv = ["ps", "-o", "args=", "-s", str(service.process.pid)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def test_of_a_program_that_forks_its_workers_the_workers_listen(
    tmp_path: Path, hook: Path, port: int, started: list[Service]
) -> None:
    service = Service(tmp_path, hook, port, "nova-api", FORKS)
    started.append(service)
    (said,) = service.said()
    assert said["pid"] != service.process.pid
    function, _ = hit(port, service.program, LINE + 1)
    assert function == "answer"


def test_each_process_has_a_port_of_its_own(
    tmp_path: Path, hook: Path, port: int, started: list[Service]
) -> None:
    for name in ("a", "b"):
        started.append(Service(tmp_path, hook, port, name, SERVICE))
    ports = {said["port"] for said in started[0].said(2)}
    assert ports == {port, port + 1}


def test_a_port_that_is_taken_does_not_keep_the_service_from_its_work(
    tmp_path: Path, hook: Path, port: int, started: list[Service]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        service = Service(tmp_path, hook, port, "nova-compute", SERVICE)
        started.append(service)
        (said,) = service.said()
        assert "port" not in said
        assert said["error"]
        assert service.process.stdout is not None
        assert any(line.startswith("ready") for line in service.process.stdout)


PATCHES = """\
import _thread, queue, select, socket, subprocess, sys, threading, time
sleep = time.sleep

def refuse(*words, **more):
    raise RuntimeError("this is patched")

for module, names in (
    (threading, ("Lock", "Event", "Condition", "Thread", "current_thread")),
    (_thread, ("start_new_thread",)),
    (time, ("sleep",)),
    (queue, ("Queue",)),
    (select, ("select", "poll")),
    (socket, ("socket", "create_connection")),
    (subprocess, ("Popen",)),
):
    for name in names:
        setattr(module, name, refuse)

def answer(number):
    secret = number * 2
    return secret

for number in range(1000):
    answer(number)
    sleep(0.1)
"""


@pytest.mark.parametrize("name", ["nova-compute", "nova-api"])
def test_the_debugger_does_not_care_what_the_service_patches(
    name: str, tmp_path: Path, hook: Path, port: int, started: list[Service]
) -> None:
    """As eventlet does, in place, and also in a child that begins to listen after that."""
    text = PATCHES
    if name == "nova-api":
        text = PATCHES.replace("def answer", "import os\nif os.fork(): os.wait()\n\ndef answer")
    service = Service(tmp_path, hook, port, name, text)
    started.append(service)
    (said,) = service.said()
    assert "port" in said, said
    line = text.splitlines().index("    return secret") + 1
    for _ in range(2):
        function, values = hit(port, service.program, line, "time.sleep is refuse")
        assert function == "answer"
        assert values == {"time.sleep is refuse": "True"}


def test_what_is_no_debugger_is_told(port: int) -> None:
    with pytest.raises(DapError, match="nobody answers"):
        Debugger(port)


def test_a_program_that_calls_a_debug_server_stops_at_its_breakpoints(
    tmp_path: Path, calling: tuple[Path, DebuggerKind], started: list[Service]
) -> None:
    hook, kind = calling
    with DebugServer(is_pycharm=kind is PYCHARM) as server:
        service = Service(tmp_path, hook, server.port, "nova-compute", SERVICE, kind)
        started.append(service)
        called = server.wait()
        called.run(str(service.program), LINE)
        for _ in range(2):
            function, file, line, values = called.stopped()
            assert (function, file, line) == ("answer", str(service.program), LINE)
            assert {"number", "secret"} <= set(values)
        (said,) = service.said()
        assert said["port"] == server.port
        assert said["pid"] == service.process.pid
        called.end()
    # It goes on without its debug server.
    time.sleep(1)
    assert service.process.poll() is None


def test_one_that_patches_its_threads_stops_as_well(
    tmp_path: Path, calling: tuple[Path, DebuggerKind], started: list[Service]
) -> None:
    hook, kind = calling
    with DebugServer(is_pycharm=kind is PYCHARM) as server:
        service = Service(tmp_path, hook, server.port, "nova-compute", PATCHES, kind)
        started.append(service)
        called = server.wait()
        called.run(str(service.program), PATCHES.splitlines().index("    return secret") + 1)
        assert called.stopped()[0] == "answer"
        called.end()


def test_each_worker_that_is_forked_calls(
    tmp_path: Path, calling: tuple[Path, DebuggerKind], started: list[Service]
) -> None:
    hook, kind = calling
    with DebugServer(is_pycharm=kind is PYCHARM) as server:
        service = Service(tmp_path, hook, server.port, "nova-api", FORKS, kind)
        started.append(service)
        called = server.wait()
        called.run(str(service.program), LINE + 1)
        assert called.stopped()[0] == "answer"
        (said,) = service.said()
        assert said["pid"] != service.process.pid


def with_setting(hook: Path, directory: Path, before: str, after: str) -> Path:
    """A copy of the hook in which one of its settings is another."""
    directory.mkdir()
    for path in hook.iterdir():
        (directory / path.name).symlink_to(path)
    module = directory / "stacklab_debug.py"
    text = module.read_text()
    module.unlink()
    assert before in text
    module.write_text(text.replace(before, after))
    return directory


@pytest.mark.parametrize(
    "how", ["nobody listens", "it ends", "it ends, seen late", "it says nothing"]
)
def test_without_a_debug_server_a_service_does_its_work(
    how: str,
    tmp_path: Path,
    calling: tuple[Path, DebuggerKind],
    started: list[Service],
    port: int,
) -> None:
    hook, kind = calling
    if how == "it ends, seen late":
        # Once a second, as on a busy node.
        hook = with_setting(hook, tmp_path / "hook", "_LOOK_S = 0.1", "_LOOK_S = 1.0")
    if how == "it says nothing":
        hook = with_setting(hook, tmp_path / "hook", "_ANSWER_S = 10.0", "_ANSWER_S = 2.0")
    with DebugServer() as server:
        listens = how != "nobody listens"
        called_port = server.port if listens else port
        service = Service(tmp_path, hook, called_port, "nova-compute", SERVICE, kind)
        started.append(service)
        if listens:
            called = server.wait()
        if how.startswith("it ends"):
            called.end()
        (said,) = service.said()
        assert said["error"]
        assert service.process.stdout is not None
        assert any(line.startswith("ready") for line in service.process.stdout)
