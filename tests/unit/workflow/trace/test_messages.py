"""Messages as a broker's node tells them, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from xml.etree import ElementTree

import pytest
from rich.console import Console

from stacklab import spec
from stacklab.errors import LabError
from stacklab.nodes.programs import Ended
from stacklab.nodes.protocol import Said
from stacklab.paths.project import LABS
from stacklab.views.hacking import messages as views
from stacklab.workflow.trace import messages
from stacklab.workflow.trace.messages import Message
from tests.hostile.test_tasks import EVERYTHING
from tests.unit.workflow.fake_host import FakeHost

REQUEST = "req-11111111-1111-4111-8111-111111111111"
LAB = spec.load(LABS / "openstack-3node.yaml")
CONTROLLER, COMPUTE = "192.168.170.10", "192.168.170.11"
TOLD: tuple[dict[str, object], ...] = (
    {"watching": True},
    {
        **{"at": 10.0, "kind": "CALL", "exchange": "nova", "key": "conductor", "id": "m1"},
        **{"method": "object_action", "object": "Instance.save", "sender": "nova-compute"},
        **{"from": COMPUTE, "request_id": REQUEST, "global_request_id": "", "bytes": 700},
    },
    {
        **{"at": 10.2, "kind": "REPLY", "exchange": "", "key": "reply_1", "id": "m1"},
        **{"method": "", "object": "", "sender": "nova-conductor", "from": CONTROLLER},
        **{"request_id": "", "global_request_id": "", "bytes": 90},
    },
    {
        **{"at": 10.3, "kind": "CAST", "exchange": "nova", "key": "compute.compute1", "id": "u"},
        **{"method": "build_and_run_instance", "object": "", "sender": "nova-conductor"},
        **{"from": CONTROLLER, "request_id": REQUEST, "global_request_id": "", "bytes": 5000},
    },
    {"kind": "GOSSIP"},
    {"left_out": 0},
)


def taken(host: FakeHost, told: Iterable[object] = TOLD) -> list[Message]:
    watching = messages._Watching(
        host.context, LAB, host.lab(LAB.name), "stacklab-", lambda _message: None
    )
    for each in told:
        watching._take(json.dumps(each))
    return watching.messages


def text_of(*parts: object) -> str:
    console = Console(width=220)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get()


def test_who_sends_and_who_takes_a_message(host: FakeHost) -> None:
    call, reply, cast = taken(host)
    assert (call.sender, call.receiver) == (
        "nova-compute on compute1",
        "nova-conductor on controller",
    )
    assert (call.kind, call.method) == ("CALL", "Instance.save")
    # A reply names neither what it answers nor for whom: the call does.
    assert (reply.sender, reply.receiver) == ("nova-conductor on controller", call.sender)
    assert (reply.method, reply.request_id) == ("Instance.save", REQUEST)
    assert cast.receiver == "nova-compute on compute1"


def test_a_fanout_is_for_all_of_a_kind_and_an_unknown_key_is_shown_as_it_is(host: FakeHost) -> None:
    fanout = {**TOLD[1], "kind": "FANOUT", "exchange": "compute_fanout", "key": ""}
    unknown = {**TOLD[1], "key": "my-own-topic.x"}
    assert [each.receiver for each in taken(host, [fanout, unknown])] == [
        "nova-compute",
        "my-own-topic.x",
    ]


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "CALL"},
        {"kind": "CALL", "at": "late", "bytes": "9" * 5000, "key": None, "from": 7},
        {"kind": "REPLY", "id": ["m1"]},
        {"kind": "CAST", "at": 10**400, "method": "a\n12:00:00 CALL forged"},
        {"kind": ["CALL"]},
    ],
)
def test_a_node_that_lies_costs_no_more_than_a_row(host: FakeHost, told: object) -> None:
    assert len(taken(host, [told])) <= 1


def test_words_of_a_node_stay_words(host: FakeHost) -> None:
    hostile = dict.fromkeys(TOLD[1], EVERYTHING) | {"kind": "CAST", "at": 1.0, "bytes": 1}
    sent = taken(host, [hostile])
    for text in (text_of(*views.listed(sent, 0.0)), views.line(sent[0])):
        assert "\x1b" not in text
        assert "\u202e" not in text
    for name in ("a.svg", "a.mmd"):
        assert "<script" not in views.drawing(sent, 0.0, name)


def test_a_table_and_a_line_tell_the_same(host: FakeHost) -> None:
    sent = taken(host)
    text = text_of(*views.listed(sent, 10.0))
    assert "+0.200" in text
    assert "3 messages: 1 CALL, 1 REPLY, 1 CAST" in text
    assert "CALL   nova-compute on compute1 -> nova-conductor on controller: Instance.save" in (
        views.line(sent[0])
    )


def test_the_drawing_has_a_column_for_each_and_an_arrow_for_each_message(host: FakeHost) -> None:
    sent = taken(host)
    drawn = ElementTree.fromstring(views.drawing(sent, 10.0, "boot.svg"))
    names = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "nova-conductor on controller" in names
    assert "REPLY Instance.save" in names
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}polygon"))) == 3
    lines = views.drawing(sent, 10.0, "boot.mmd").splitlines()
    assert lines[0] == "sequenceDiagram"
    assert "    p1-->>p0: +0.200 s REPLY Instance.save" in lines


def test_a_file_that_is_no_drawing_is_refused_before_anything_is_done() -> None:
    with pytest.raises(LabError, match=r"drawn as .svg or .mmd"):
        views.check_drawing("boot.png")
    views.check_drawing("")


def test_queues_have_what_they_are_bound_to(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    told = {
        "exchanges": [
            {"name": "", "type": "direct", "durable": True},
            {"name": "nova", "type": "topic", "durable": False},
        ],
        "queues": [
            {"name": "conductor", "type": "classic", "messages": 3, "consumers": 0},
            {"name": "x", "messages": "many"},
        ],
        "bindings": [
            {"source_name": "", "destination_name": "conductor", "routing_key": "conductor"},
            {"source_name": "nova", "destination_name": "conductor", "routing_key": "conductor"},
        ],
    }
    lines = [{"list": word, "row": row} for word, rows in told.items() for row in rows]
    ended = Ended(said=Said(lines=tuple(map(json.dumps, lines)), code=0), why="")
    monkeypatch.setattr(messages.programs, "run", lambda *_args, **_options: ended)
    found = messages.look(host.context, LAB.name)
    assert [each.name for each in found.exchanges] == ["nova"]
    assert found.queues[0].bindings == ("nova conductor",)
    assert (found.queues[0].messages, found.queues[1].messages) == (3, 0)
    text = text_of(*views.topology(found))
    assert "1 exchange, 2 queues, 3 messages that nobody has taken yet" in text


def test_where_there_are_several_virtual_hosts_each_row_names_its_own(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    lines = []
    for vhost in ("/", "nova_cell1"):
        binding = {"source_name": vhost, "destination_name": "compute", "routing_key": "k"}
        lines.append({"list": "queues", "vhost": vhost, "row": {"name": "compute"}})
        lines.append({"list": "bindings", "vhost": vhost, "row": binding})
    ended = Ended(said=Said(lines=tuple(map(json.dumps, lines)), code=0), why="")
    monkeypatch.setattr(messages.programs, "run", lambda *_args, **_options: ended)
    found = messages.look(host.context, LAB.name)
    assert [each.bindings for each in found.queues] == [("/ k",), ("nova_cell1 k",)]
    text = text_of(*views.topology(found))
    assert "/: compute" in text
    assert "nova_cell1: compute" in text


def test_why_messages_cannot_be_seen(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    ended = Ended(said=Said(lines=('{"failed": "no broker here"}',), code=1), why="it failed")
    monkeypatch.setattr(messages.programs, "run", lambda *_args, **_options: ended)
    with pytest.raises(LabError, match="controller: messages can't be seen: no broker here"):
        messages.watch(host.context, LAB.name, seconds=1.0)
