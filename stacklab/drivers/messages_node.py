"""List a broker's exchanges and queues, or watch the messages that services send over it.

Runs on the node that has RabbitMQ as root, in one piece with `node_units`. To watch it needs
`amqp`, which OpenStack's services have: this Python's, or that of the units PREFIX*.service:

    python3 - list
    python3 - watch --for SECONDS [--prefix PREFIX]

`list` writes a line of JSON for each exchange, queue and binding: `row`, as rabbitmqctl lists it,
`list`, which of these it is, and `vhost`, where it is: DevStack's cell has a virtual host of its
own. `watch` looks at all of them. It has RabbitMQ copy every message that is published (its
firehose), and writes a line of JSON for each: what kind it is, where it goes, by whom, for which
request, and the name of what it asks for. Its content is left out: tokens and passwords are in it.
A first line {"watching": true} comes when the firehose is on, a last one has `left_out`.

The firehose is switched off at the end. Whoever starts `watch` also sees to it that this happens
when it is killed: see `workflow.trace.messages`.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import importlib
import json
import re
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stacklab.drivers.node_calls import WORDS_MAX, NodeError, call, write
from stacklab.drivers.node_units import units

_RABBITMQCTL = "/usr/sbin/rabbitmqctl"
_RABBITMQCTL_S = 120
_NOVA_CONF = Path("/etc/nova/nova.conf")
_FIREHOSE = "amq.rabbitmq.trace"
_LOOK_S = 1.0  # between two looks whether anybody still listens
_MORE_S = 0.01  # until the next message of a connection that has just had one
_AT_ONCE = 100  # messages of one connection, before the others get their turn
_QUEUE_MAX = 5000  # messages that wait for us; the oldest go
_LISTED = {
    "exchanges": ("list_exchanges", "name", "type", "durable", "auto_delete"),
    "queues": ("list_queues", "name", "type", "durable", "messages", "consumers"),
    "bindings": ("list_bindings", "source_name", "destination_name", "routing_key"),
}
_PROGRAM = re.compile(r'"?connection_name"?\W+(?:longstr\W+)?"?([\w.-]+):(\d+):')


def list_all() -> None:
    """Write what the broker has, a line for each."""
    for vhost in vhosts():
        for word, (order, *columns) in _LISTED.items():
            for row in rabbitmqctl(order, "--vhost", vhost, *columns):
                write(list=word, vhost=vhost, row=row)


def vhosts() -> list[str]:
    """Return the broker's virtual hosts."""
    return [str(row["name"]) for row in rabbitmqctl("list_vhosts", "name") if "name" in row]


def watch(seconds: float, most: int, prefix: str) -> None:
    """Write a line for each message that is published from now on."""
    amqp = _import_amqp(prefix)
    programs = dict(_programs())
    counts = {"told": 0, "left_out": 0}

    def take(message: Any) -> None:  # noqa: ANN401  amqp's
        if counts["told"] >= most:
            counts["left_out"] += 1
            return
        counts["told"] += 1
        write(**describe(message.headers, message.body, programs))

    connections: dict[str, Any] = {}
    refused = []
    for vhost in vhosts():
        # One that somebody has added, nova's user may not enter.
        try:
            connections[vhost] = _consume(amqp, vhost, take)
        except Exception as error:  # amqp's own
            refused.append(error)
    if not connections:
        raise refused[0] if refused else NodeError("the broker has no virtual host")
    try:
        for vhost in connections:
            run_rabbitmqctl("trace_on", "--vhost", vhost)
        write(watching=True)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and is_heard():
            _drain(connections.values())
    finally:
        for vhost in connections:
            with contextlib.suppress(NodeError):  # the others have theirs, too
                run_rabbitmqctl("trace_off", "--vhost", vhost)
    write(left_out=counts["left_out"])


def _consume(amqp: Any, vhost: str, take: Callable[[Any], None]) -> Any:  # noqa: ANN401  amqp's
    """Return a connection by which all messages of a virtual host's firehose are taken."""
    connection = _connect(amqp, vhost)
    channel = connection.channel()
    limits = {"x-max-length": _QUEUE_MAX, "x-overflow": "drop-head"}
    queue, _, _ = channel.queue_declare(exclusive=True, auto_delete=True, arguments=limits)
    channel.queue_bind(queue, exchange=_FIREHOSE, routing_key="publish.#")
    channel.basic_consume(queue, no_ack=True, callback=take)
    return connection


def _drain(connections: Iterable[Any]) -> None:
    """Take what has come over any of them, and wait for it a while."""
    sockets = {connection.sock: connection for connection in connections}
    ready, _, _ = select.select(list(sockets), (), (), _LOOK_S)
    for socket in ready:
        with contextlib.suppress(TimeoutError):
            for _ in range(_AT_ONCE):
                sockets[socket].drain_events(timeout=_MORE_S)


def is_heard() -> bool:
    """Return False once nobody reads our output any more."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return not poll.poll(0)


def describe(
    headers: dict[str, Any], body: str | bytes, programs: dict[str, str]
) -> dict[str, object]:
    """Return what a message is, without what it holds."""
    inner = read_body(body)
    exchange = str(headers.get("exchange_name", ""))
    keys = headers.get("routing_keys") or [""]
    connection = str(headers.get("connection", ""))
    context = {word: inner.get(f"_context_{word}") for word in ("request_id", "global_request_id")}
    args = inner.get("args")
    return {
        "at": time.time(),
        "kind": kind_of(exchange, str(keys[0]), inner),
        "exchange": exchange,
        "key": str(keys[0]),
        "method": str(inner.get("method") or inner.get("event_type") or ""),
        "object": _object_of(args if isinstance(args, dict) else {}),
        "id": str(inner.get("_msg_id") or inner.get("_unique_id") or ""),
        "sender": programs.get(connection, ""),
        "from": connection.partition(":")[0],
        "bytes": len(body),
        **{word: value if isinstance(value, str) else "" for word, value in context.items()},
    }


def read_body(body: str | bytes) -> dict[str, Any]:
    """Return the message within oslo.messaging's envelope; {} for what is none."""
    try:
        outer = json.loads(body)
        inner = json.loads(outer["oslo.message"]) if "oslo.message" in outer else outer
    except (ValueError, KeyError, TypeError):
        return {}
    return inner if isinstance(inner, dict) else {}


def kind_of(exchange: str, key: str, inner: dict[str, Any]) -> str:
    """Return CALL, CAST, FANOUT, REPLY or NOTIFY; "" for what is not oslo.messaging's."""
    if not inner:
        return ""
    if "event_type" in inner:
        return "NOTIFY"
    if "_reply_q" in inner:
        return "CALL"
    if key.startswith("reply_") or exchange.startswith("reply_"):
        return "REPLY"
    if exchange.endswith("_fanout"):
        return "FANOUT"
    return "CAST" if "method" in inner else ""


def _object_of(args: dict[str, Any]) -> str:
    """Return what an object's method is called by: `Instance.save` for nova's object_action."""
    instance = args.get("objinst")
    name = args.get("objname")
    if not name and isinstance(instance, dict):
        name = instance.get("nova_object.name")
    method = args.get("objmethod", "")
    return f"{name}.{method}" if isinstance(name, str) and name and method else ""


def _programs() -> Iterator[tuple[str, str]]:
    """Yield each connection's name, and the program that made it."""
    for each in rabbitmqctl("list_connections", "name", "client_properties"):
        found = _PROGRAM.search(json.dumps(each.get("client_properties", "")))
        if found:
            yield str(each.get("name", "")), found[1]


def _connect(amqp: Any, vhost: str) -> Any:  # noqa: ANN401  amqp's
    """Return a connection to a virtual host, by the credentials that nova's services have."""
    config = configparser.RawConfigParser(strict=False)
    config.read(_NOVA_CONF)
    url = urlsplit(config.get("DEFAULT", "transport_url").split(",")[0])
    connection = amqp.Connection(
        host=f"{url.hostname}:{url.port or 5672}",
        userid=unquote(url.username or ""),
        password=unquote(url.password or ""),
        virtual_host=vhost,
        connect_timeout=_RABBITMQCTL_S,
    )
    connection.connect()
    return connection


def _import_amqp(prefix: str) -> Any:  # noqa: ANN401  amqp's
    """Import it from this Python, or from a venv that a service runs in."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for unit in units(f"{prefix}*.service") if prefix else ():
        packages = Path(unit.python).parent.parent / "lib" / version / "site-packages"
        if unit.python and str(packages) not in sys.path:
            sys.path.append(str(packages))
    try:
        return importlib.import_module("amqp")
    except ImportError as error:
        raise NodeError(f"{sys.executable} has no amqp, by which messages could be read") from error


def rabbitmqctl(*words: str) -> list[dict[str, Any]]:
    """Return what rabbitmqctl lists."""
    listed = json.loads(run_rabbitmqctl(*words, "--formatter", "json"))
    return listed if isinstance(listed, list) else []


def run_rabbitmqctl(*words: str) -> str:
    """Return what rabbitmqctl wrote; raises NodeError if it fails."""
    return call(_RABBITMQCTL, "--silent", *words, limit_s=_RABBITMQCTL_S)


def main(argv: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("order", choices=("list", "watch"))
    parser.add_argument("--for", dest="seconds", type=float, default=30.0)
    parser.add_argument("--most", type=int, default=3000)
    parser.add_argument("--prefix", default="")
    chosen = parser.parse_args(argv)
    try:
        if chosen.order == "list":
            list_all()
        else:
            watch(chosen.seconds, chosen.most, chosen.prefix)
    except Exception as error:  # amqp has errors of its own, and may not be there
        kind = "" if isinstance(error, NodeError) else f"{type(error).__name__}: "
        write(failed=f"{kind}{error}"[:WORDS_MAX])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
