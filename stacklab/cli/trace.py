"""`trace.*`: a request's way through the services of the lab's cloud."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from stacklab.cli.framework.glue import (
    AsJson,
    Completes,
    NameOfLabThatIsUp,
    Words,
    command_line,
    task,
)
from stacklab.cli.framework.session import print_lines, session, show, show_json

if TYPE_CHECKING:
    from stacklab.workflow.trace.tracing import Trace

_Out = Annotated[str, "write a page with the timeline to this file"]
_Keep = Annotated[bool, "leave what was made; the next trace deletes it"]


@task("trace.boot")
def boot(
    _c: Any,
    name: NameOfLabThatIsUp,
    node: Annotated[str, "compute that has to boot the VM", Completes.NODE] = "",
    keep: _Keep = False,
    out: _Out = "",
    json: AsJson = False,
) -> None:
    """Boot a VM, and show its way through every service and node, step by step; exit code 5."""
    from stacklab.workflow.trace import requests

    with session(f"trace.boot {name}") as context:
        trace = requests.make(context, name, "boot", host=node, is_kept=keep)
    _show(trace, name, out, json)


@task("trace.volume")
def volume(
    _c: Any,
    name: NameOfLabThatIsUp,
    from_image: Annotated[bool, "make it from an image, which is uploaded first"] = False,
    keep: _Keep = False,
    out: _Out = "",
    json: AsJson = False,
) -> None:
    """Make a volume, and show its way through cinder's services; exit code 5."""
    from stacklab.workflow.trace import requests

    with session(f"trace.volume {name}") as context:
        trace = requests.make(
            context, name, "volume_from_image" if from_image else "volume", is_kept=keep
        )
    _show(trace, name, out, json)


@task("trace.request")
def request(
    _c: Any,
    name: NameOfLabThatIsUp,
    request_id: Annotated[str, "id of a request: req-UUID"],
    since: Annotated[float, "minutes: how far back to look"] = 60.0,
    out: _Out = "",
    json: AsJson = False,
) -> None:
    """Show what all services have logged about a request."""
    from stacklab.workflow.trace import requests

    with session() as context:
        trace = requests.known(context, name, request_id, since_minutes=since)
    _show(trace, name, out, json)


@task("trace.run")
def run(
    _c: Any,
    name: NameOfLabThatIsUp,
    follow: Annotated[float, "seconds for which services are watched after the client's end"] = 5.0,
    out: _Out = "",
    json: AsJson = False,
    rest: Annotated[Words, "nothing: what the client shall do stands behind `--`"] = None,
) -> None:
    """Run the client `openstack`, and show its requests' way: trace.run LAB -- server list."""
    from stacklab.workflow.trace import requests

    words = command_line(f"./invoke trace.run {name}", rest or (), example="server list")
    with session(f"trace.run {name}") as context:
        # JSON is alone on stdout.
        printed = sys.stderr if json else sys.stdout
        trace = requests.typed(context, name, words, follow_s=follow, out=printed)
    _show(trace, name, out, json)


@task("trace.detail")
def detail(
    _c: Any,
    name: NameOfLabThatIsUp,
    off: Annotated[bool, "have them log as usual again"] = False,
) -> None:
    """Restart nova's, neutron's and cinder's services to log all steps, until their node boots."""
    from stacklab.workflow.trace import detail

    with session(f"trace.detail {name}") as context:
        changed = detail.switch(context, name, is_on=not off)
    ending = "logs as usual" if off else "logs all that it does"
    lines = [f"{each.name} on {each.node} {ending}" for each in changed]
    print_lines(lines, f"all services of {name} did so already")


@task("trace.messages")
def messages(
    _c: Any,
    name: NameOfLabThatIsUp,
    live: Annotated[bool, "show each message when it is sent"] = False,
    for_: Annotated[float, "seconds for which --live watches"] = 30.0,
    boot: Annotated[bool, "boot a VM, and show the messages that this takes"] = False,
    out: Annotated[str, "with --boot: draw them into this file, .svg or .mmd"] = "",
    json: AsJson = False,
) -> None:
    """List RabbitMQ's exchanges and queues, or watch what services send to each other."""
    from pathlib import Path

    from stacklab import files
    from stacklab.views.hacking import messages as views
    from stacklab.workflow.trace import booted, messages

    views.check_drawing(out)
    if boot:
        with session(f"trace.messages {name} --boot") as context:
            sent = booted.messages_of_a_boot(context, name)
        if out:
            files.write(Path(out), views.drawing(sent.messages, sent.began, out))
        if json:
            show_json(views.messages_json(sent.messages))
        else:
            show(*views.listed(sent.messages, sent.began))
    elif live:
        with session(f"trace.messages {name} --live") as context:
            seen = messages.watch(
                context,
                name,
                seconds=for_,
                heard=_say_nothing if json else views.print_line,
            )
        if json:
            show_json(views.messages_json(seen))
        else:
            print(views.counts_text(seen))
    else:
        with session() as context:
            topology = messages.look(context, name)
        if json:
            show_json(views.topology_json(topology))
        else:
            show(*views.topology(topology))


def _say_nothing(_message: object) -> None:
    """Show all messages at the end, as JSON."""


def _show(trace: Trace, name: str, out: str, as_json: bool) -> None:
    """Show a trace, write its page, and raise CheckFailed for what failed."""
    from pathlib import Path

    from stacklab import files
    from stacklab.errors import CheckFailed
    from stacklab.views.hacking import trace as views
    from stacklab.views.page import trace as page

    if as_json:
        show_json(views.as_json(trace))
    else:
        show(*views.shown(trace, name))
    if out:
        files.write(Path(out), page.page(trace))
    if trace.seen.failed:
        raise CheckFailed(
            f"{trace.title} failed: {trace.seen.failed}",
            hint=f"read the table above from its end; ./invoke cloud.smoke {name}",
        )
