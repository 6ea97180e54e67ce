"""The messages that the boot of a VM takes."""

from __future__ import annotations

from dataclasses import dataclass

from stacklab.errors import CheckFailed, NotChecked
from stacklab.workflow.context import Context
from stacklab.workflow.trace import messages, requests
from stacklab.workflow.trace.messages import Message
from stacklab.workflow.trace.tracing import Trace

_LIMIT_S = 1800.0  # the end of the boot ends it


@dataclass(frozen=True, slots=True, kw_only=True)
class BootMessages:
    """Messages for one request, and when that was made: seconds since 1970."""

    began: float
    messages: tuple[Message, ...]


def messages_of_a_boot(context: Context, name: str) -> BootMessages:
    """Boot a VM, delete it, and return the messages that services sent for its boot.

    Raises CheckFailed if the VM did not boot, LabError where messages can't be watched.
    """
    traces: list[Trace] = []
    sent = messages.watch(
        context,
        name,
        seconds=_LIMIT_S,
        meanwhile=lambda: traces.append(requests.make(context, name, "boot")),
    )
    if not traces:
        raise NotChecked("no VM was booted", hint=f"./invoke trace.boot {name}")
    trace = traces[0]
    if trace.seen.failed:
        raise CheckFailed(
            f"the VM did not boot: {trace.seen.failed}", hint=f"./invoke trace.boot {name}"
        )
    ids = set(trace.seen.words)
    ours = [each for each in sent if {each.request_id, each.global_id} & ids]
    asked = next((event.at for event in trace.seen.events if event.word == "asked"), trace.began)
    return BootMessages(began=asked, messages=tuple(ours))
