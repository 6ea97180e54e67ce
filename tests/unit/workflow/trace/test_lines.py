"""Lines of services' logs, in each form in which they come."""

from __future__ import annotations

import pytest

from stacklab.workflow.trace.lines import LogLine, is_request_id, read_line
from tests.hostile.test_tasks import EVERYTHING

OWN = "req-11111111-1111-4111-8111-111111111111"
GLOBAL = "req-22222222-2222-4222-8222-222222222222"
VM = "33333333-3333-4333-8333-333333333333"


def read(text: str, source: str = "stacklab-nova-compute.service") -> LogLine:
    line = read_line(
        {"from": source, "at": 1000.5, "text": text}, "compute1", prefix="stacklab-", ahead_s=0.25
    )
    assert line is not None
    return line


def test_todays_form_has_both_ids_and_the_instance() -> None:
    line = read(
        f"1503 INFO nova.compute.manager [{GLOBAL} {OWN} 5aab 77fe - - default default] "
        f"[instance: {VM}] Took 4.03 seconds to build instance."
    )
    assert line == LogLine(
        at=1000.25,
        node="compute1",
        service="nova-compute",
        level="INFO",
        logger="nova.compute.manager",
        own_id=OWN,
        global_id=GLOBAL,
        instance=VM,
        message="Took 4.03 seconds to build instance.",
    )


@pytest.mark.parametrize(
    ("ids", "own_id", "global_id"),
    [
        (f"{OWN} user project - - -", OWN, ""),  # before oslo.log 5
        (f"None {OWN} demo admin", OWN, ""),  # DevStack's
        ("-", "", ""),
        ("None None - - - - - -", "", ""),
    ],
)
def test_other_forms_of_ids(ids: str, own_id: str, global_id: str) -> None:
    line = read(f"DEBUG nova.api [{ids}] a message")
    assert (line.own_id, line.global_id, line.message) == (own_id, global_id, "a message")


def test_devstacks_units_keep_their_short_names() -> None:
    said = {"from": "devstack@n-cpu.service", "at": 1.0, "text": "INFO nova.x [-] y"}
    line = read_line(said, "n", prefix="devstack@", ahead_s=0.0)
    assert line is not None
    assert (line.service, line.level) == ("n-cpu", "INFO")


def test_ovns_own_log() -> None:
    line = read(
        "00042|binding|INFO|Claiming lport x for this chassis.", "/var/log/ovn/ovn-controller.log"
    )
    assert (line.service, line.level, line.logger) == ("ovn-controller", "INFO", "binding")
    assert line.message == "Claiming lport x for this chassis."


def test_what_only_looks_like_an_instance_is_none() -> None:
    assert read(f"INFO a.b [-] [instance: {'-' * 36}] x").instance == ""


def test_a_message_stays_on_one_line() -> None:
    assert read("INFO a.b [-] one\n::error::two").message == "one : :error::two"


def test_a_line_of_no_known_form_is_kept_as_it_is() -> None:
    text = "[pid: 7|app: 0|req: 1/1] 10.0.0.1 () GET /v2/images/x/file => generated 3 bytes"
    line = read(text, "stacklab-glance.service")
    assert (line.service, line.level, line.message) == ("glance", "", text)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"from": 1, "at": 1.0, "text": "x"},
        {"from": "u", "at": "1", "text": "x"},
        {"from": "u", "at": float("nan"), "text": "x"},
        {"from": "u", "at": 10**400, "text": "x"},
        {"from": "u", "at": 1e300, "text": "x"},
        {"from": "u", "at": -1e300, "text": "x"},
        {"from": "u", "at": 1.0, "text": None},
    ],
)
def test_what_has_not_the_form_is_no_line(said: dict[str, object]) -> None:
    assert read_line(said, "n", prefix="", ahead_s=0.0) is None


def test_words_of_a_node_stay_words() -> None:
    said = {"from": EVERYTHING, "at": 1.0, "text": f"INFO a.b [-] {EVERYTHING}"}
    line = read_line(said, "n", prefix="", ahead_s=0.0)
    assert line is not None
    for text in (line.message, line.service):
        assert "\x1b" not in text
        assert "\u202e" not in text


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (OWN, True),
        (VM, False),
        (OWN.upper(), False),
        (f"{OWN}\n", False),
        (f"{OWN};reboot", False),
        ("req-", False),
    ],
)
def test_what_is_the_id_of_a_request(text: str, is_one: bool) -> None:
    assert is_request_id(text) is is_one
