"""The program that lists a broker's queues and watches its messages, with a broker of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stacklab.drivers import messages_node
from stacklab.nodes import programs

RABBITMQCTL = """\
#!/usr/bin/env python3
import os, pathlib, sys
root = pathlib.Path(os.environ["FAKE_ROOT"])
words = sys.argv[2:]
with (root / "calls").open("a") as calls:
    vhost = words[words.index("--vhost") + 1] if "--vhost" in words else ""
    calls.write(f"{words[0]} {vhost}".strip() + "\\n")
if words[0] == "list_connections" and not (root / "broken").exists():
    print(
        '[{"name": "10.0.0.11:40000 -> 10.0.0.10:5672",'
        ' "client_properties": [["connection_name", "longstr", "nova-compute:12:ab-cd"]]}]'
    )
elif (root / "broken").exists():
    sys.exit("no node")
elif words[0] == "list_vhosts":
    more = ', {"name": "another"}' if (root / "more").exists() else ""
    print('[{"name": "/"}, {"name": "nova_cell1"}' + more + "]")
elif words[0].startswith("list_"):
    print('[{"name": "nova", "type": "topic"}]')
"""
AMQP = """\
import json, os, pathlib, socket
root = pathlib.Path(os.environ["FAKE_ROOT"])
class Message:
    def __init__(self, headers, body):
        self.headers, self.body = headers, body
class Channel:
    def queue_declare(self, **_options):
        return "ours", 0, 0
    def queue_bind(self, *_words, **options):
        assert options == {"exchange": "amq.rabbitmq.trace", "routing_key": "publish.#"}
    def basic_consume(self, _queue, no_ack, callback):
        assert no_ack
        self.callback = callback
class Connection:
    def __init__(self, **options):
        with (root / "logins").open("a") as logins:
            logins.write(json.dumps(options) + "\\n")
        # Those of the cell are in its own virtual host.
        self.vhost = vhost = options["virtual_host"].strip("/")
        file = root / f"messages{vhost}"
        self.messages = json.loads(file.read_text()) if file.exists() else []
        self.sock, self.end = socket.socketpair()
        self.end.send(b"." * len(self.messages))
    def connect(self):
        if "another" in self.vhost:
            raise ConnectionError("access refused")
    def channel(self):
        self.only = Channel()
        return self.only
    def drain_events(self, timeout):
        if not self.messages:
            raise TimeoutError
        self.sock.recv(1)
        self.only.callback(Message(*self.messages.pop(0)))
"""
TOKEN = "gAAAAAB-a-token-that-nobody-may-see"
REQUEST = "req-11111111-1111-4111-8111-111111111111"
FROM_COMPUTE = "10.0.0.11:40000 -> 10.0.0.10:5672"


def message(exchange: str, key: str, **inner: object) -> list[object]:
    headers = {"exchange_name": exchange, "routing_keys": [key], "connection": FROM_COMPUTE}
    body = {"oslo.version": "2.0", "oslo.message": json.dumps(inner)}
    return [headers, json.dumps(body)]


@pytest.fixture
def node(tmp_path: Path) -> Path:
    ctl = tmp_path / "rabbitmqctl"
    ctl.write_text(RABBITMQCTL)
    ctl.chmod(0o755)
    (tmp_path / "amqp.py").write_text(AMQP)
    (tmp_path / "nova.conf").write_text(
        "[DEFAULT]\ntransport_url = rabbit://openstack:pa%2Fss@10.0.0.10:5673/\n"
    )
    (tmp_path / "messages").write_text("[]")
    return tmp_path


def run(node: Path, *words: str) -> tuple[list[Mapping[str, Any]], int]:
    text = programs.source_of("messages_node").decode()
    for place, ours in (
        ("/usr/sbin/rabbitmqctl", "rabbitmqctl"),
        ("/etc/nova/nova.conf", "nova.conf"),
    ):
        assert place in text
        text = text.replace(place, str(node / ours))
    done = subprocess.run(
        [sys.executable, "-", *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(node), "FAKE_ROOT": str(node)},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def calls(node: Path) -> list[str]:
    return (node / "calls").read_text().splitlines()


def test_all_that_the_broker_has_is_listed(node: Path) -> None:
    lines, code = run(node, "list")
    assert code == 0
    words = ("exchanges", "queues", "bindings")
    assert [(line["vhost"], line["list"]) for line in lines] == [
        (vhost, word) for vhost in ("/", "nova_cell1") for word in words
    ]
    assert lines[1]["row"] == {"name": "nova", "type": "topic"}


def test_messages_are_named_and_their_content_is_left_out(node: Path) -> None:
    context = {"_context_request_id": REQUEST, "_context_auth_token": TOKEN}
    args = {"admin_pass": "secret-of-a-vm", "objinst": {"nova_object.name": "Instance"}}
    sent = [
        message(
            "nova",
            "conductor",
            method="object_action",
            args={**args, "objmethod": "save"},
            _msg_id="m1",
            _reply_q="reply_1",
            **context,
        ),
        message("", "reply_1", _msg_id="m1", result={"password": "secret-of-a-vm"}),
    ]
    (node / "messages").write_text(json.dumps(sent))
    lines, code = run(node, "watch", "--for", "0.3")
    assert code == 0
    assert lines[0] == {"watching": True}
    call, reply, end = lines[1:]
    assert call["kind"] == "CALL"
    assert (call["method"], call["object"]) == ("object_action", "Instance.save")
    assert (call["sender"], call["from"]) == ("nova-compute", "10.0.0.11")
    assert (call["request_id"], call["id"]) == (REQUEST, "m1")
    assert (reply["kind"], reply["id"]) == ("REPLY", "m1")
    assert end == {"left_out": 0}
    whole = json.dumps(lines)
    assert TOKEN not in whole
    assert "secret-of-a-vm" not in whole


def test_the_firehose_is_off_at_the_end(node: Path) -> None:
    run(node, "watch", "--for", "0")
    assert calls(node) == [
        "list_connections",
        "list_vhosts",
        "trace_on /",
        "trace_on nova_cell1",
        "trace_off /",
        "trace_off nova_cell1",
    ]


def test_messages_of_every_virtual_host_are_seen(node: Path) -> None:
    for file, method in (("messages", "ping"), ("messagesnova_cell1", "build_and_run_instance")):
        (node / file).write_text(json.dumps([message("nova", "compute.c1", method=method)]))
    lines, _ = run(node, "watch", "--for", "0.3")
    assert {line["method"] for line in lines[1:-1]} == {"ping", "build_and_run_instance"}


def test_a_virtual_host_that_nova_may_not_enter_is_left_out(node: Path) -> None:
    (node / "more").touch()
    lines, code = run(node, "watch", "--for", "0")
    assert (lines[0], code) == ({"watching": True}, 0)
    assert "trace_on another" not in calls(node)
    assert "trace_off nova_cell1" in calls(node)


def test_it_ends_and_is_off_once_nobody_listens(node: Path) -> None:
    text = programs.source_of("messages_node").decode()
    text = text.replace("/usr/sbin/rabbitmqctl", str(node / "rabbitmqctl"))
    text = text.replace("/etc/nova/nova.conf", str(node / "nova.conf"))
    process = subprocess.Popen(
        [sys.executable, "-c", text, "watch", "--for", "60"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(node), "FAKE_ROOT": str(node)},
    )
    assert process.stdout is not None
    assert b"watching" in process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=20)
    assert calls(node)[-2:] == ["trace_off /", "trace_off nova_cell1"]


def test_the_password_is_that_of_novas_services(node: Path) -> None:
    run(node, "watch", "--for", "0")
    login, cell = map(json.loads, (node / "logins").read_text().splitlines())
    assert login["host"] == "10.0.0.10:5673"
    assert (login["userid"], login["password"]) == ("openstack", "pa/ss")
    assert (login["virtual_host"], cell["virtual_host"]) == ("/", "nova_cell1")


def test_what_is_too_much_is_counted(node: Path) -> None:
    sent = [message("nova", "conductor", method="ping") for _ in range(5)]
    (node / "messages").write_text(json.dumps(sent))
    lines, _ = run(node, "watch", "--for", "0.3", "--most", "2")
    assert lines[-1] == {"left_out": 3}
    assert len(lines) == 4


def test_a_broker_that_does_not_answer_is_told_with_its_own_words(node: Path) -> None:
    (node / "broken").touch()
    lines, code = run(node, "list")
    assert code == 1
    assert lines == [{"failed": f"{node}/rabbitmqctl --silent list_vhosts name: no node"}]


@pytest.mark.parametrize(
    ("exchange", "key", "inner", "kind"),
    [
        ("nova", "scheduler", {"method": "x", "_reply_q": "reply_a"}, "CALL"),
        ("nova", "compute.c1", {"method": "x"}, "CAST"),
        ("compute_fanout", "", {"method": "x"}, "FANOUT"),
        ("", "reply_abc", {"result": None}, "REPLY"),
        ("reply_abc", "reply_abc", {"result": None}, "REPLY"),
        ("nova", "notifications.info", {"event_type": "instance.create.end"}, "NOTIFY"),
        ("x", "y", {"hello": 1}, ""),
        ("x", "y", {}, ""),
    ],
)
def test_kinds_of_messages(exchange: str, key: str, inner: dict[str, Any], kind: str) -> None:
    assert messages_node.kind_of(exchange, key, inner) == kind


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"oslo.message": 3}', b"\xff", "null", "7"])
def test_bodies_that_are_not_oslos(body: bytes | str) -> None:
    assert messages_node.read_body(body) == {}
    assert messages_node.describe({}, body, {})["kind"] == ""
