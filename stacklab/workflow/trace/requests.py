"""Requests that are traced: made here, typed by somebody, or known by their ids."""

from __future__ import annotations

import dataclasses
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from stacklab import locks
from stacklab.errors import CheckFailed, LabError, NotChecked
from stacklab.foreign import number, one_line, printable
from stacklab.model.lab import Lab, NodeKind
from stacklab.nodes.programs import read_json
from stacklab.paths import LabPaths
from stacklab.stages.stage import MINUTE_S
from stacklab.words import suggest
from stacklab.workflow.cloud import client, tenant
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.trace.lines import is_request_id, is_uuid
from stacklab.workflow.trace.steps import ClientEvent
from stacklab.workflow.trace.tracing import Action, Seen, SeenState, Trace, Tracing

_DRIVER = "stacklab.drivers.cloud_trace"
_PREFIX = "stacklab-trace"
_ROW = "cloud"  # of the progress
_WAIT_S = 5.0
_LIMIT_S = 3 * MINUTE_S
_EMULATED_LIMIT_S = 25 * MINUTE_S
_POLL_S = 0.25
_EMULATED_POLL_S = 3.0
_SETTLED_S = 2.0
_STATE_WORDS = ("status", "vm_state", "task_state")
_MOST_IDS = 20
_MOST_SEEN = 500
# keystoneauth's, at level DEBUG.
_CALL = re.compile(r"(\w+) call to ([\w-]+) for (\S+) used request id (req-[0-9a-f-]{36})")


def make(context: Context, name: str, what: str, *, host: str = "", is_kept: bool = False) -> Trace:
    """Boot a VM, or make a volume, and trace that.

    `what` is boot, volume or volume_from_image.

    What was made is deleted. Raises LabError for a cloud without what is needed, NotChecked if no
    request came about.
    """
    lab, paths = running_lab(context, name)
    if what != "boot" and not client.access_of(lab).has_volumes:
        raise LabError(
            f"the cloud of {name} has no cinder",
            hint="volume_types in the spec's stack; containers can't have LVM",
        )
    if host and host not in [node.name for node in lab.nodes]:
        raise LabError(
            f"lab {name} has no node {host!r}",
            hint=suggest(host, [node.name for node in lab.nodes], label="nodes"),
        )
    client.prepare_venv(context)
    tracing = Tracing(context, lab, paths)
    tracing.prepare()
    orders = _orders(context, lab, paths, what)
    orders |= {"host": host, "keep": is_kept}
    with locks.held(
        paths.cloud / "trace.lock", f"trace.{what.partition('_')[0]} {name}", wait_s=_WAIT_S
    ):
        heard = _run(context, lab, orders)
        asked = next((event for event in heard.events if event.word == "token"), None)
        if asked is None:
            raise NotChecked(
                f"the cloud of {name} does not answer: {heard.failed}",
                hint=f"./invoke lab.cloud {name} -- token issue",
            )
    words = (str(orders["request_id"]), *heard.words)
    seen = dataclasses.replace(heard.seen(), words=words)
    title = f"{what.replace('_', ' ')} of {orders['request_id']} on {name}"
    return tracing.trace(title, what, seen, asked.at, heard.over_at)


def known(context: Context, name: str, request_id: str, *, since_minutes: float) -> Trace:
    """Trace a request by its id: any that services of the cloud know it by.

    Raises LabError for what is not an id, and where no service has a line of it.
    """
    if not is_request_id(request_id):
        raise LabError(
            f"{request_id!r} is not the id of a request",
            hint="req-, and a UUID: `openstack --debug` shows it, and services' logs do",
        )
    lab, paths = running_lab(context, name)
    now = time.time()
    tracing = Tracing(context, lab, paths)
    seen = Seen(words=(request_id,))
    trace = tracing.trace(f"{request_id} on {name}", "", seen, now - since_minutes * 60, now)
    first, last = trace.lines[0].at, trace.lines[-1].at
    return dataclasses.replace(trace, began=first, ended=last)


def typed(
    context: Context, name: str, words: Sequence[str], *, follow_s: float, out: TextIO
) -> Trace:
    """Run the client `openstack` with these words, and trace all requests that it makes.

    What services do for `follow_s` seconds behind its end is part of it. What the client prints
    goes to `out`. Raises CheckFailed if no request was made.
    """
    lab, paths = running_lab(context, name)
    tracing = Tracing(context, lab, paths)
    command = client.command(context, name, ("--debug", *words))
    tracing.prepare()
    calls: list[tuple[str, str]] = []  # what was asked for, and the id that it got
    last_words = [""]

    def take_error(line: bytes) -> None:
        text = line.decode(errors="replace")
        last_words[0] = text.strip() or last_words[0]
        call = _CALL.search(text)
        if call is not None and len(calls) < _MOST_IDS:
            calls.append((f"{call[1]} {call[2]} {call[3]}", call[4]))

    def take_output(line: bytes) -> None:
        out.write(printable(line.decode(errors="replace"), indent=""))

    began = time.time()
    result = context.runner.stream(command, out=take_output, err=take_error)
    out.flush()
    failed = ""
    if result.exit_code != 0:
        failed = f"the client ended with {result.exit_code}: {one_line(last_words[0][-500:])}"
    ended = time.time()
    if not calls:
        raise CheckFailed(
            failed or f"`openstack {' '.join(words)}` made no request that a service gave an id",
            hint=f"./invoke lab.cloud {name} -- {' '.join(words)}",
        )
    time.sleep(follow_s)
    asked = [
        ClientEvent(word="asked", at=began, text=one_line(f"{what}: {own_id}"))
        for what, own_id in calls
    ]
    ids = tuple(own_id for _, own_id in calls)
    seen = Seen(words=ids, events=tuple(asked), failed=failed)
    return tracing.trace(
        f"openstack {' '.join(words)} on {name}", "", seen, began, ended + follow_s
    )


def _orders(context: Context, lab: Lab, paths: LabPaths, what: str) -> dict[str, Any]:
    paths.cloud.mkdir(mode=0o700, exist_ok=True)
    public_key = client.public_key(paths)
    is_emulated = any(node.kind is NodeKind.VM for node in lab.nodes)
    return {
        "auth": client.login(lab, paths),
        "prefix": _PREFIX,
        "what": what,
        "request_id": f"req-{uuid.uuid4()}",
        "tenant": tenant.extract(context, paths, public_key) if what != "volume" else {},
        "public_key": public_key,
        "has_volumes": client.access_of(lab).has_volumes,
        "limit_s": _EMULATED_LIMIT_S if is_emulated else _LIMIT_S,
        "poll_s": _EMULATED_POLL_S if is_emulated else _POLL_S,
    }


def _run(context: Context, lab: Lab, orders: Mapping[str, Any]) -> _Heard:
    heard = _Heard(context)
    limit_s = orders["limit_s"] + 10 * MINUTE_S
    command = client.driver_command(
        lab, _DRIVER, orders, what="the request to the cloud", timeout_s=limit_s
    )
    result = context.runner.converse(command, heard=heard.take)
    context.progress.say(_ROW, "")
    if result.exit_code != 0 and not heard.failed:
        heard.failed = printable(result.stderr[-500:].strip())
    return heard


class _Heard:
    """What the driver wrote; all words of the cloud's are made printable."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.words: list[str] = []
        self.events: list[ClientEvent] = []
        self.states: list[SeenState] = []
        self.actions: list[Action] = []
        self.failed = ""
        self.over_at = 0.0  # when the request was over, and all services had told of it

    def seen(self) -> Seen:
        """Return it as a value."""
        return Seen(
            words=tuple(self.words),
            events=tuple(self.events),
            states=tuple(self.states),
            actions=tuple(self.actions),
            failed=self.failed,
        )

    def take(self, line: str, at: float) -> None:
        """Take one line; others than the driver's are warnings of a library."""
        for said in read_json([line]):
            if len(self.events) + len(self.states) <= _MOST_SEEN:
                self._take_object(said, at)

    def _take_object(self, said: Mapping[str, Any], at: float) -> None:
        if "begins" in said:
            self._context.progress.say(_ROW, printable(str(said["begins"])))
            return
        if "left" not in said:
            self.over_at = max(self.over_at, at + _SETTLED_S)
        if "ids" in said:
            self.words += [str(word) for word in said["ids"] if _is_id(word)][:_MOST_IDS]
        elif "event" in said:
            self.events.append(_event_of(said))
        elif "state" in said:
            state = {word: one_line(str(said["state"].get(word))) for word in _STATE_WORDS}
            self.states.append(SeenState(at=number(said["at"]), words=state))
        elif "actions" in said:
            self.actions += [_action_of(action) for action in said["actions"][:_MOST_IDS]]
        elif "failed" in said:
            self.failed = printable(str(said["failed"]))
        elif "left" in said:
            self._context.progress.note(_ROW, one_line(str(said["left"])))


def _is_id(word: object) -> bool:
    return isinstance(word, str) and (is_request_id(word) or is_uuid(word))


def _event_of(said: Mapping[str, Any]) -> ClientEvent:
    took_s = said.get("took_s")
    return ClientEvent(
        word=str(said["event"]),
        at=number(said["at"]),
        text=one_line(str(said.get("text", ""))),
        took_s=number(took_s) if took_s is not None else None,
    )


def _action_of(said: Mapping[str, Any]) -> Action:
    words = ("name", "host", "start", "finish", "result")
    return Action(**{word: one_line(str(said.get(word))) for word in words})
