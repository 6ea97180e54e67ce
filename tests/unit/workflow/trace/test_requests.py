"""Requests that are traced: what a client says of its own, and what is looked for then."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stacklab import spec
from stacklab.errors import CheckFailed, LabError, NotChecked
from stacklab.paths.project import LABS
from stacklab.process.command import Command, Result
from stacklab.workflow.cloud import client
from stacklab.workflow.trace import collecting, requests, tracing
from stacklab.workflow.trace.collecting import Clock, Collected
from stacklab.workflow.trace.lines import LogLine
from tests.hostile.test_tasks import EVERYTHING
from tests.unit.workflow.fake_host import FakeHost

LAB = spec.load(LABS / "openstack-3node.yaml")
REQUEST = "req-11111111-1111-4111-8111-111111111111"
OTHER = "req-22222222-2222-4222-8222-222222222222"
VM = "33333333-3333-4333-8333-333333333333"
PORT = "44444444-4444-4444-8444-444444444444"
TOLD = (
    {"begins": "boot a VM"},
    {"event": "token", "at": 100.0, "text": "POST /v3/auth/tokens", "took_s": 0.2},
    {"event": "asked", "at": 100.3, "text": f"POST /servers: 202, {OTHER}", "took_s": 0.5},
    {"ids": [OTHER]},
    {"ids": [VM]},
    {"at": 101.0, "state": {"status": "BUILD", "vm_state": "building", "task_state": None}},
    {"event": "active", "at": 105.0, "text": "status ACTIVE", "took_s": None},
    {"ids": [PORT]},
    {"actions": [{"name": "compute__do_build", "host": "compute1", "start": "s", "finish": "f"}]},
    {"begins": "delete it again"},
)


def line(
    service: str, message: str, *, at: float = 101.0, own_id: str = "", instance: str = ""
) -> LogLine:
    return LogLine(
        at=at, node="n", service=service, message=message, own_id=own_id, instance=instance
    )


class FakeCollector:
    """Has lines by the words that they are found by, and notes what it is asked for."""

    def __init__(self, by_word: dict[str, LogLine]) -> None:
        self.by_word = by_word
        self.asked: list[tuple[str, ...]] = []

    def compare_clocks(self) -> None:
        pass

    def collect(self, words: Sequence[str], _since: float, _until: float) -> Collected:
        self.asked.append(tuple(words))
        lines = tuple(self.by_word[word] for word in words if word in self.by_word)
        clock = Clock(node="n", ahead_s=0.0, error_s=0.0)
        return Collected(lines=lines, clocks=(clock,), silent={}, left_out=0)


@pytest.fixture
def cloud(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    monkeypatch.setattr(client, "prepare_venv", lambda _context: None)
    monkeypatch.setattr(requests.tenant, "extract", lambda *_arguments: {})
    return host


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> FakeCollector:
    made = FakeCollector({})
    monkeypatch.setattr(tracing, "Collector", lambda *_arguments: made)
    return made


def driver(host: FakeHost, told: Sequence[object], code: int = 0) -> None:
    def answer(_command: Command) -> Result:
        return Result(exit_code=code, stdout="".join(json.dumps(each) + "\n" for each in told))

    host.runner.on(str(client.VENV.python), answer=answer)


def test_what_the_client_saw_is_part_of_the_trace(
    cloud: FakeHost, collector: FakeCollector
) -> None:
    driver(cloud, TOLD)
    trace = requests.make(cloud.context, LAB.name, "boot")
    assert trace.began == 100.0
    assert trace.seen.words[1:] == (OTHER, VM, PORT)
    assert trace.seen.words[0].startswith("req-")
    assert collector.asked[0] == trace.seen.words
    assert [state.words["status"] for state in trace.seen.states] == ["BUILD"]
    assert trace.seen.actions[0].host == "compute1"
    assert trace.seen.failed == ""


def test_a_request_that_fails_is_a_trace_all_the_same(
    cloud: FakeHost, collector: FakeCollector
) -> None:
    driver(cloud, [*TOLD[:6], {"failed": "No valid host"}], code=1)
    assert requests.make(cloud.context, LAB.name, "boot").seen.failed == "No valid host"


def test_a_cloud_that_does_not_answer_is_no_trace(
    cloud: FakeHost, collector: FakeCollector
) -> None:
    driver(cloud, [{"begins": "log in"}, {"failed": "ConnectFailure: no route"}], code=1)
    with pytest.raises(NotChecked, match="does not answer: ConnectFailure"):
        requests.make(cloud.context, LAB.name, "boot")


@pytest.mark.parametrize(
    "told",
    [
        {"event": 7, "at": "now"},
        {"ids": ["x; reboot", 3, None]},
        {"actions": [{}]},
        {"at": 1.0, "state": {}},
        {"failed": EVERYTHING},
        "word",
    ],
)
def test_odd_words_of_a_cloud_are_no_more_than_words(
    told: object, cloud: FakeHost, collector: FakeCollector
) -> None:
    driver(cloud, [*TOLD, told])
    trace = requests.make(cloud.context, LAB.name, "boot")
    assert "x; reboot" not in trace.seen.words
    assert "\x1b" not in trace.seen.failed


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda context: requests.make(context, LAB.name, "volume"), "has no cinder"),
        (lambda context: requests.make(context, LAB.name, "boot", host="compute3"), "no node"),
        (
            lambda context: requests.known(context, LAB.name, "req-1", since_minutes=1),
            "is not the id of a request",
        ),
        (
            lambda context: requests.known(context, LAB.name, REQUEST, since_minutes=1),
            "has logged anything of",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    ask: Callable[[Any], object], words: str, cloud: FakeHost, collector: FakeCollector
) -> None:
    with pytest.raises(LabError, match=words):
        ask(cloud.context)


def test_services_under_ids_of_their_own_are_found_by_what_they_work_on(
    cloud: FakeHost, collector: FakeCollector
) -> None:
    collector.by_word = {
        REQUEST: line("nova-compute", "Starting instance...", instance=VM),
        VM: line("nova-compute", f"Preparing: network-vif-plugged-{PORT}", at=102.0),
        PORT: line("neutron-server", f"revision of {PORT} (type: ports) to 1", own_id=OTHER),
        OTHER: line("neutron-server", '"POST /v2.0/ports HTTP/1.1" status: 201', own_id=OTHER),
    }
    trace = requests.known(cloud.context, LAB.name, REQUEST, since_minutes=5)
    assert collector.asked == [(REQUEST,), (VM,)]
    assert len(trace.lines) == 2
    # With the port known from the beginning, as trace.boot has it.
    collector.asked = []
    collector.by_word[REQUEST] = dataclasses.replace(
        collector.by_word[REQUEST], message=f"Successfully created port: {PORT}"
    )
    trace = requests.known(cloud.context, LAB.name, REQUEST, since_minutes=5)
    assert collector.asked == [(REQUEST,), (VM, PORT), (OTHER,)]
    assert [each.service for each in trace.lines].count("neutron-server") == 2


def test_requests_of_a_typed_command_are_found_in_what_the_client_says(
    cloud: FakeHost, collector: FakeCollector
) -> None:
    printed = io.StringIO()
    said = f"GET call to compute for http://x/servers used request id {REQUEST}\n"
    openstack = str(client.VENV.program("openstack"))
    cloud.runner.on(
        openstack, answer=lambda _command: Result(exit_code=0, stdout="ID\n", stderr=said)
    )
    trace = requests.typed(cloud.context, LAB.name, ("server", "list"), follow_s=0.0, out=printed)
    assert collector.asked[0] == (REQUEST,)
    assert trace.seen.events[0].text == f"GET compute http://x/servers: {REQUEST}"
    assert printed.getvalue() == "ID\n"
    assert trace.seen.failed == ""


def test_why_a_typed_command_failed_is_part_of_its_trace(
    cloud: FakeHost, collector: FakeCollector
) -> None:
    said = f"GET call to compute for http://x used request id {REQUEST}\nNo server named x\x1b[2J\n"
    openstack = str(client.VENV.program("openstack"))
    cloud.runner.on(openstack, answer=lambda _command: Result(exit_code=1, stderr=said))
    words = ("server", "show", "x")
    trace = requests.typed(cloud.context, LAB.name, words, follow_s=0.0, out=io.StringIO())
    assert trace.seen.failed == "the client ended with 1: No server named x"


def test_a_command_that_asks_nothing_is_no_trace(cloud: FakeHost, collector: FakeCollector) -> None:
    openstack = str(client.VENV.program("openstack"))
    cloud.runner.on(openstack, answer=lambda _command: Result(exit_code=0, stdout="usage\n"))
    with pytest.raises(CheckFailed, match="made no request"):
        requests.typed(cloud.context, LAB.name, ("--help",), follow_s=0.0, out=io.StringIO())


def test_passwords_and_tokens_do_not_leave_the_logs(cloud: FakeHost) -> None:
    paths = cloud.lab(LAB.name)
    password = json.loads(paths.secrets.read_text())["admin_password"]
    collector = collecting.Collector(cloud.context, LAB, paths, "stacklab-")
    masked = collector._masked(
        line("nova-api", f"password {password}, token gAAAAABmZXJuZXQtdG9rZW4tb2Yta2V5c3RvbmU=")
    )
    assert password not in masked.message
    assert "gAAAAA" not in masked.message
