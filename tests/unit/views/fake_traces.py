"""Traces of requests as a cloud would have given them."""

from __future__ import annotations

from stacklab.workflow.trace import steps
from stacklab.workflow.trace.collecting import Clock
from stacklab.workflow.trace.lines import LogLine
from stacklab.workflow.trace.steps import ClientEvent
from stacklab.workflow.trace.tracing import Comparison, Seen, SeenState, Trace

BEGAN = 1_800_000_000.0
REQUEST = "req-11111111-1111-4111-8111-111111111111"
LINES = tuple(
    LogLine(at=BEGAN + at, node=node, service=service, level=level, message=message)
    for at, node, service, level, message in (
        (0.9, "controller", "nova-api", "INFO", '"POST /v2.1/servers HTTP/1.1" status: 202'),
        (1.1, "controller", "nova-scheduler", "DEBUG", "Starting to schedule for instances: x"),
        (1.4, "controller", "nova-scheduler", "DEBUG", "Selected host: (compute1)"),
        (1.6, "compute1", "nova-compute", "DEBUG", "Starting instance... f /x.py:1"),
        (2.0, "controller", "neutron-server", "INFO", '"POST /v2.0/ports HTTP/1.1" status: 201'),
        (3.0, "compute1", "ovn-controller", "INFO", "Claiming lport 1"),
        (4.5, "compute1", "nova-compute", "WARNING", "something odd"),
        (5.6, "compute1", "nova-compute", "INFO", "Took 4.01 seconds to build instance."),
    )
)
EVENTS = (
    ClientEvent(word="token", at=BEGAN, text="POST /v3/auth/tokens", took_s=0.2),
    ClientEvent(word="asked", at=BEGAN + 0.3, text=f"POST /servers: 202, {REQUEST}", took_s=0.6),
    ClientEvent(word="active", at=BEGAN + 5.8, text="status ACTIVE"),
)


def boot(*, lines: tuple[LogLine, ...] = LINES, failed: str = "", kind: str = "boot") -> Trace:
    """A boot whose services logged these lines; of an unknown kind: a request without steps."""
    states = (
        SeenState(
            at=BEGAN + 0.9,
            words={"status": "BUILD", "vm_state": "building", "task_state": "scheduling"},
        ),
        SeenState(
            at=BEGAN + 5.8, words={"status": "ACTIVE", "vm_state": "active", "task_state": "None"}
        ),
    )
    return Trace(
        title=f"boot of {REQUEST} on openstack-3node",
        began=BEGAN,
        ended=BEGAN + 8,
        seen=Seen(words=(REQUEST,), events=EVENTS, states=states if kind else (), failed=failed),
        steps=steps.find(steps.steps_of(kind), lines, EVENTS) if kind else (),
        lines=lines,
        clocks=(
            Clock(node="controller", ahead_s=0.0, error_s=0.0),
            Clock(node="compute1", ahead_s=-0.031, error_s=0.012),
        ),
        silent={},
        left_out=0,
        comparisons=(
            Comparison(what="nova-compute on compute1: build", by_lines_s=4.0, by_service_s=4.01),
        ),
    )
