"""`trace.messages`: what services send to each other over RabbitMQ, and where it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stacklab.errors import LabError, NotChecked
from stacklab.foreign import number, one_line
from stacklab.model.lab import Lab
from stacklab.nodes import programs
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.tools import bounded, ssh
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.debug.service import prefix_of_units

_TAG = "messages"
_LIST_S = 300.0  # rabbitmqctl starts an Erlang for each list
_BEGIN_S = 300.0
_UNIT = "stacklab-messages"
# For each virtual host: systemd reads $$ as $.
_OFF = (
    "-/bin/sh -c 'rabbitmqctl -s list_vhosts | "
    'while read -r v; do rabbitmqctl trace_off --vhost "$$v" </dev/null; done\''
)
# A watch that has just ended still has its unit for a moment; another's is told by systemd-run.
_ONCE_IT_IS_FREE = (
    f'n=0; until [ "$(systemctl show -p ActiveState --value {_UNIT})" = inactive ] '
    '|| [ $n = 40 ]; do sleep 0.25; n=$((n + 1)); done; exec "$@"'
)
_VHOST = "vhost"
_KINDS = ("CALL", "CAST", "FANOUT", "REPLY", "NOTIFY")
_WORDS = (
    *("kind", "exchange", "key", "method", "object", "id", "sender", "from"),
    *("request_id", "global_request_id"),
)
_ON_SEVERAL = ("neutron-dhcp-agent", "neutron-l3-agent")
# Who takes messages out of the queue of a topic.
_TAKERS = {
    "conductor": "nova-conductor",
    "scheduler": "nova-scheduler",
    "compute": "nova-compute",
    "q-plugin": "neutron-server",
    "q-server-resource-versions": "neutron-server",
    "q-reports-plugin": "neutron-server",
    "q-l3-plugin": "neutron-server",
    "dhcp_agent": "neutron-dhcp-agent",
    "l3_agent": "neutron-l3-agent",
    "cinder-scheduler": "cinder-scheduler",
    "cinder-volume": "cinder-volume",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue: how many messages wait in it, and how many consumers take them out."""

    vhost: str
    name: str
    type: str
    messages: int
    consumers: int
    bindings: tuple[str, ...]  # exchange and key, from which it gets messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange; services that send need to know no more than its name."""

    vhost: str
    name: str
    type: str
    is_durable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What a broker has."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that was sent; of its content only the name of what it asks for."""

    at: float  # seconds since 1970, by the broker's node
    kind: str  # CALL, CAST, FANOUT, REPLY, NOTIFY
    exchange: str
    key: str
    method: str  # of a reply: that of its call, if that was seen
    sender: str  # nova-compute on compute1; "": nobody knows
    receiver: str  # the same, as far as the key says it, or else the key
    request_id: str
    global_id: str
    size: int  # bytes
    id: str


def look(context: Context, name: str) -> Topology:
    """List the exchanges and queues of a lab's cloud.

    Raises LabError for a lab that is not up, and where RabbitMQ does not answer.
    """
    lab, paths = running_lab(context, name)
    with context.progress.stage(lab.controller.name, "list exchanges and queues"):
        said = _run(context.runner, lab, paths, ("python3", "-", "list"), limit_s=_LIST_S)
    bindings: dict[tuple[str, str], list[str]] = {}
    for row in _rows(said, "bindings"):
        # Every queue is bound to the exchange without a name.
        if row["source_name"]:
            words = f"{row['source_name']} {row['routing_key']}".strip()
            bindings.setdefault((row[_VHOST], row["destination_name"]), []).append(words)
    exchanges = tuple(
        Exchange(
            vhost=row[_VHOST],
            name=row["name"],
            type=row["type"],
            is_durable=row["durable"] == "True",
        )
        for row in _rows(said, "exchanges")
        if row["name"]
    )
    queues = tuple(
        Queue(
            vhost=row[_VHOST],
            name=row["name"],
            type=row["type"],
            messages=_count(row["messages"]),
            consumers=_count(row["consumers"]),
            bindings=tuple(bindings.get((row[_VHOST], row["name"]), ())),
        )
        for row in _rows(said, "queues")
    )
    return Topology(
        exchanges=tuple(sorted(exchanges, key=lambda each: (each.vhost, each.name))),
        queues=tuple(sorted(queues, key=lambda each: (each.vhost, each.name))),
    )


def watch(
    context: Context,
    name: str,
    *,
    seconds: float,
    heard: Callable[[Message], None] = lambda _message: None,
    meanwhile: Callable[[], object] | None = None,
) -> tuple[Message, ...]:
    """Have RabbitMQ copy every message for so long, and return what was sent.

    With `meanwhile`, that is called once all messages are seen, and its end ends the watching.
    `heard` gets each message when it comes. Raises LabError where messages can't be watched.
    """
    lab, paths = running_lab(context, name)
    watching = _Watching(context, lab, paths, prefix_of_units(lab, "trace.messages"), heard)
    watching.run(seconds, meanwhile)
    if watching.left_out:
        context.progress.note(
            "host", f"{watching.left_out} messages beyond the limit were not shown"
        )
    return tuple(watching.messages)


@dataclass(frozen=True, slots=True)
class _PendingCall:
    """What a reply does not say of the call that it belongs to."""

    method: str
    sender: str
    request_id: str
    global_id: str


class _Watching:
    """One look at a broker's messages: a unit of its node, whatever ends it, stops the copying."""

    def __init__(
        self,
        context: Context,
        lab: Lab,
        paths: LabPaths,
        prefix: str,
        heard: Callable[[Message], None],
    ) -> None:
        self._prefix = prefix  # of the services' units
        self._context = context
        self._lab = lab
        self._paths = paths
        self._heard = heard
        self._calls: dict[str, _PendingCall] = {}  # by their ids
        self._nodes = {str(nic.address.ip): node.name for node in lab.nodes for nic in node.nics}
        self._has_begun = threading.Event()
        self._has_ended = threading.Event()
        self._is_ended_by_us = False
        self.messages: list[Message] = []
        self.left_out = 0

    def run(self, seconds: float, meanwhile: Callable[[], object] | None) -> None:
        functions: list[Callable[[], object]] = [lambda: self._watch(seconds)]
        if meanwhile is not None:
            functions.append(lambda: self._act(meanwhile))
        bounded.together(functions, name="messages")

    def _watch(self, seconds: float) -> None:
        unit = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={_UNIT}"]
        # Systemd does it even if the program was killed, or the lab's host was.
        unit += [f"--property=ExecStopPost={_OFF}"]
        unit += [f"--property=RuntimeMaxSec={seconds + _BEGIN_S:.0f}"]
        program = ("python3", "-", "watch", "--for", f"{seconds:g}", "--prefix", self._prefix)
        argv = ["sh", "-c", _ONCE_IT_IS_FREE, "sh", *unit, *program]
        limit_s = seconds + _BEGIN_S
        try:
            _run(
                self._context.runner,
                self._lab,
                self._paths,
                argv,
                limit_s=limit_s,
                heard=self._take,
                # A unit that was stopped has told all that it knew.
                may_fail=lambda: self._is_ended_by_us,
            )
        finally:
            self._has_ended.set()
            self._has_begun.set()

    def _act(self, meanwhile: Callable[[], object]) -> None:
        has_begun = self._has_begun.wait(_BEGIN_S)
        if self._has_ended.is_set():
            return  # why, says what ended it
        try:
            if not has_begun:
                raise NotChecked(
                    f"{self._lab.controller.name} shows no messages after {_BEGIN_S:.0f} s",
                    hint=f"./invoke trace.messages {self._lab.name}",
                )
            meanwhile()
        finally:
            self._is_ended_by_us = True
            command = f"systemctl stop {_UNIT}.service"
            stop = ssh.root_command(self._paths, self._lab.controller.name, command, what="end it")
            self._context.runner.run(stop)

    def _take(self, text: str) -> None:
        for said in programs.read_json([text]):
            if said.get("watching") is True:
                self._context.progress.note(self._lab.controller.name, "sees all messages")
                self._has_begun.set()
            elif "left_out" in said:
                self.left_out = _count(said["left_out"])
            elif said.get("kind") in _KINDS:
                message = self._read(said)
                self.messages.append(message)
                self._heard(message)

    def _read(self, said: Mapping[str, Any]) -> Message:
        words = {word: one_line(str(said.get(word, ""))) for word in _WORDS}
        method = words["object"] or words["method"]
        request_id, global_id = words["request_id"], words["global_request_id"]
        sender = self._place(words["sender"], words["from"])
        receiver = self._taker(words["exchange"], words["key"])
        if words["kind"] == "CALL":
            self._calls[words["id"]] = _PendingCall(method, sender, request_id, global_id)
        call = self._calls.get(words["id"])
        if words["kind"] == "REPLY" and call is not None:
            method, receiver = call.method, call.sender
            request_id, global_id = call.request_id, call.global_id
        return Message(
            at=number(said.get("at")),
            kind=words["kind"],
            exchange=words["exchange"],
            key=words["key"],
            method=method,
            sender=sender,
            receiver=receiver,
            request_id=request_id,
            global_id=global_id,
            size=_count(said.get("bytes")),
            id=words["id"],
        )

    def _place(self, program: str, address: str) -> str:
        """Return a program and the node whose address its connection comes from."""
        node = self._nodes.get(address, "")
        return f"{program} on {node}" if program and node else program

    def _taker(self, exchange: str, key: str) -> str:
        """Return who takes a message of this key, `compute.compute1`; or else the key."""
        topic, _, host = (key or exchange.removesuffix("_fanout")).partition(".")
        taker = _TAKERS.get(topic)
        if taker is None:
            return key or exchange
        if host in self._nodes.values():
            return f"{taker} on {host}"
        # Those of the controller are there once; a message to all of a kind names no node.
        is_alone = taker not in ("nova-compute", *_ON_SEVERAL)
        return f"{taker} on {self._lab.controller.name}" if is_alone else taker


def _run(
    runner: Conversing,
    lab: Lab,
    paths: LabPaths,
    argv: Sequence[str],
    *,
    limit_s: float,
    heard: Callable[[str], None] = lambda _line: None,
    may_fail: Callable[[], bool] = lambda: False,
) -> Sequence[Mapping[str, Any]]:
    node = lab.controller.name
    program = programs.source_of("messages_node")
    ended = programs.run(runner, paths, node, argv, program, tag=_TAG, limit_s=limit_s, heard=heard)
    why = ended.failed or ended.why
    if why and not may_fail():
        raise LabError(
            f"{node}: messages can't be seen: {why}",
            hint=f"./invoke lab.check {lab.name} --layer services",
        )
    return ended.objects


def _rows(said: Iterable[Mapping[str, Any]], word: str) -> Iterable[Mapping[str, str]]:
    """Yield the rows of a list of rabbitmqctl's, each column a printable word; and their vhost."""
    for line in said:
        row = line.get("row")
        if line.get("list") == word and isinstance(row, dict):
            columns = {**row, _VHOST: line.get("vhost", "")}
            yield _Row({key: one_line(str(value)) for key, value in columns.items()})


class _Row(dict[str, str]):
    """A row that has "" in every other column."""

    def __missing__(self, _key: str) -> str:
        return ""


def _count(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
