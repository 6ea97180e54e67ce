"""Messages between services, and the broker's queues, for people and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.errors import LabError
from stacklab.views.drawing import sequence
from stacklab.views.tables import table
from stacklab.words import plural

if TYPE_CHECKING:
    from stacklab.workflow.trace.messages import Exchange, Message, Queue, Topology

_MOST_BINDINGS = 3
_DRAWINGS = {".svg": sequence.svg, ".mmd": sequence.mermaid}


def topology(found: Topology) -> list[Table | Text]:
    """Return a broker's exchanges and queues as tables."""
    vhosts = {each.vhost for each in found.exchanges} | {each.vhost for each in found.queues}
    several = len(vhosts) > 1
    exchanges = [
        (_name(each, several), each.type, "durable" if each.is_durable else "")
        for each in found.exchanges
    ]
    queues = []
    for queue in found.queues:
        bindings = ", ".join(queue.bindings[:_MOST_BINDINGS])
        more = len(queue.bindings) - _MOST_BINDINGS
        waits = Text(str(queue.messages), style="yellow" if queue.messages else "")
        taken = Text(str(queue.consumers), style="" if queue.consumers else "yellow")
        words = f"{bindings} and {more} more" if more > 0 else bindings
        queues.append((_name(queue, several), queue.type, waits, taken, words))
    waiting = sum(queue.messages for queue in found.queues)
    return [
        table(("exchange", "type", ""), exchanges),
        Text(""),
        table(("queue", "type", "messages", "consumers", "bound to"), queues),
        Text(
            f"\n{plural(len(found.exchanges), 'exchange')}, {plural(len(found.queues), 'queue')}, "
            f"{plural(waiting, 'message')} that nobody has taken yet"
        ),
    ]


def _name(each: Exchange | Queue, several: bool) -> str:
    """Return a name, with the virtual host that it is in where there are several."""
    return f"{each.vhost}: {each.name}" if several else each.name


def topology_json(found: Topology) -> dict[str, object]:
    """Return the same for programs."""
    return dataclasses.asdict(found)


def line(message: Message) -> str:
    """Return a message as one line, for who watches."""
    when = datetime.fromtimestamp(message.at).strftime("%H:%M:%S.%f")[:-3]
    way = f"{message.sender or '?'} -> {message.receiver or '?'}"
    where = f"{message.exchange} {message.key}".strip()
    return f"{when} {message.kind:6} {way}: {message.method or '-'} ({where}) {message.request_id}"


def print_line(message: Message) -> None:
    """Print a message at once, also into a pipe."""
    print(line(message), flush=True)


def listed(messages: Sequence[Message], began: float) -> list[Table | Text]:
    """Return messages as a table, with their counts."""
    rows = [
        (
            f"{message.at - began:+.3f}",
            message.kind,
            message.sender,
            message.receiver,
            message.method,
            f"{message.exchange} {message.key}".strip(),
            str(message.size),
        )
        for message in messages
    ]
    header = ("at s", "kind", "from", "to", "method", "exchange and key", "bytes")
    return [table(header, rows), Text(f"\n{counts_text(messages)}")]


def counts_text(messages: Sequence[Message]) -> str:
    """Return how many messages of each kind there were."""
    counts: dict[str, int] = {}
    for message in messages:
        counts[message.kind] = counts.get(message.kind, 0) + 1
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"{plural(len(messages), 'message')}: {words}" if words else "no message"


def messages_json(messages: Sequence[Message]) -> list[dict[str, object]]:
    """Return messages for programs."""
    return [dataclasses.asdict(message) for message in messages]


def check_drawing(out: str) -> None:
    """Raise LabError for a file whose ending names no drawing."""
    if out and PurePath(out).suffix not in _DRAWINGS:
        raise LabError(
            f"--out {out}: messages are drawn as {' or '.join(_DRAWINGS)}",
            hint="--out boot.svg",
        )


def drawing(messages: Sequence[Message], began: float, out: str) -> str:
    """Return messages as the drawing that the ending of `out` names."""
    return _DRAWINGS[PurePath(out).suffix](messages, began)
