"""Steps that are known beforehand, found among lines; and what is said where there is no line."""

from __future__ import annotations

import pytest

from stacklab.workflow.trace import steps
from stacklab.workflow.trace.lines import LogLine
from stacklab.workflow.trace.steps import ClientEvent, FoundStep

BOOT = steps.steps_of("boot")


def line(at: float, service: str, message: str, level: str = "INFO", node: str = "c") -> LogLine:
    return LogLine(at=at, node=node, service=service, level=level, message=message)


def found(title: str, *lines: LogLine, events: tuple[ClientEvent, ...] = ()) -> FoundStep:
    (one,) = [each for each in steps.find(BOOT, lines, events) if each.step.title == title]
    return one


def test_every_step_says_by_what_it_is_known() -> None:
    for kind in ("boot", "volume", "volume_from_image"):
        for step in steps.steps_of(kind):
            ways = [bool(step.client), bool(step.silent), bool(step.services and step.line)]
            assert ways.count(True) == 1, step.title


def test_the_classic_28_are_all_there() -> None:
    numbers: set[int] = set()
    for step in BOOT:
        if step.seed:
            first, _, last = step.seed.partition("-")
            numbers |= set(range(int(first), int(last or first) + 1))
    assert numbers == set(range(1, 29))


def test_a_step_is_its_first_line_and_ends_with_another_of_the_same_place() -> None:
    begin = line(10.0, "nova-compute", "Starting instance... foo /a/b.py:7", "DEBUG")
    elsewhere = line(11.0, "nova-compute", "Took 1.00 seconds to build instance.", node="other")
    end = line(14.5, "nova-compute", "Took 4.50 seconds to build instance.")
    step = found("nova-compute begins to build it", begin, elsewhere, end)
    assert (step.at, step.node, step.service) == (10.0, "c", "nova-compute")
    assert step.took_s == 4.5
    assert step.evidence.startswith("Starting instance...")


@pytest.mark.parametrize(
    ("title", "service", "message"),
    [
        (
            "nova-api answers the client",
            "nova-api",
            '192.168.1.1 "POST /v2.1/servers HTTP/1.1" status: 202 len: 764 time: 0.9',
        ),
        (
            "nova-api answers the client",
            "n-api",
            'X "POST /compute/v2.1/servers" status: 202 len: 764 microversion: 2.1 time: 0.9',
        ),
        (
            "the conductor tells the host to build it",
            "nova-conductor",
            "CAST unique_id: 9f exchange 'nova' topic 'compute.compute1' _send /x.py:1",
        ),
        (
            "placement lists hosts that have room",
            "placement-api",
            '1 "GET /placement/allocation_candidates?limit=1000" status: 200 len: 385',
        ),
        (
            "the network's agent finds the NIC",
            "ovn-controller",
            "Claiming lport 1 for this chassis.",
        ),
        (
            "glance sends the image",
            "glance",
            "[pid: 1] GET /v2/images/11111111-1111-4111-8111-111111111111/file => generated",
        ),
        ("the guest runs", "n-cpu", "VM Started (Lifecycle Event)"),
    ],
)
def test_lines_of_real_services(title: str, service: str, message: str) -> None:
    assert found(title, line(1.0, service, message)).at == 1.0


def test_one_service_does_not_stand_for_another() -> None:
    other = line(1.0, "nova-api", "VM Started (Lifecycle Event)")
    step = found("the guest runs", other)
    assert (step.at, step.why_not) == (None, "no line")


def test_why_there_is_no_line() -> None:
    title = "nova-compute begins to build it"
    assert found(title).why_not == "written at level DEBUG only"
    talks = line(1.0, "nova-compute", "something else", "DEBUG")
    assert found(title, talks).why_not == "no line"
    assert "middleware" in found("nova-api checks the token with keystone").why_not
    assert found("the client asks nova for a VM").why_not == "the client did not get that far"


def test_what_the_client_did_has_the_clients_times() -> None:
    event = ClientEvent(word="asked", at=5.0, text="POST /servers: 202", took_s=0.5)
    step = found("the client asks nova for a VM", events=(event,))
    assert (step.at, step.took_s, step.service) == (5.0, 0.5, "client")


IMAGE = "cb3c3a5e-2f0e-4a3e-9a5e-0c2f9a3a5b11"
FETCHED = line(3.0, "cinder-volume", "Image download 16.00 MB at 80.0 MB/s")
SENT = line(
    2.0, "glance", f"192.168.170.10 GET /v2/images/{IMAGE}/file => generated 16777216 bytes"
)


def sends(*lines: LogLine) -> FoundStep:
    table = steps.steps_of("volume_from_image")
    all_of_them = steps.find(table, lines, ())
    return next(each for each in all_of_them if each.step.title == "glance sends the image")


def test_an_image_that_glance_did_not_send_was_copied() -> None:
    assert sends(SENT, FETCHED).evidence == SENT.message
    assert "copies the file itself" in sends(FETCHED).why_not


def test_nothing_is_said_of_a_request_that_did_not_get_that_far() -> None:
    assert sends(line(1.0, "cinder", "Create volume request issued")).why_not == "no line"
