"""`debug.*`: services of the lab's cloud under a debugger, by an IDE or without."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

from stacklab.cli.framework.glue import AsJson, Completes, NameOfLabThatIsUp, Words, task
from stacklab.cli.framework.session import print_lines, session, show, show_json

_Service = Annotated[str, "name of a service, as debug.status lists it: nova-api"]
_OnNode = Annotated[str, "node, where several have such a service", Completes.NODE]


@task("debug.attach", resumes=True)
def attach(
    _c: Any,
    name: NameOfLabThatIsUp,
    service: _Service,
    node: _OnNode = "",
    with_: Annotated[str, "debugger: debugpy (VS Code), pycharm or pydev"] = "debugpy",
    port: Annotated[int, "where the debug server of PyCharm or PyDev listens"] = 5678,
    egg: Annotated[str, "PyCharm's own debug-eggs/pydevd-pycharm.egg, which fits its build"] = "",
    no_patience: Annotated[
        bool, "leave the services alone that call it: they give up after a minute"
    ] = False,
) -> None:
    """Restart a service so that an IDE can debug it; make a tunnel and what the IDE opens."""
    from stacklab import files
    from stacklab.views.hacking import debug as views
    from stacklab.workflow.debug import attaching
    from stacklab.workflow.debug.debuggers import debugger_named

    debugger = debugger_named(with_)
    with session(f"debug.attach {name} {service}") as context:
        attached = attaching.attach(
            context,
            name,
            service,
            node=node,
            is_patient=not no_patience,
            debugger=debugger,
            ide_port=port,
            egg=files.expanded(egg) if egg else None,
        )
    show(*views.attached(name, attached))


@task("debug.detach", resumes=True)
def detach(
    _c: Any,
    name: NameOfLabThatIsUp,
    rest: Annotated[Words, "names of services; if left out: all"] = None,
    node: _OnNode = "",
) -> None:
    """Restart services without the debugger, and put back what was changed for it."""
    from stacklab.workflow.debug import attaching

    with session(f"debug.detach {name}") as context:
        ended = attaching.detach(context, name, rest or (), node=node)
    lines = [f"{each.name} on {each.node} runs without a debugger" for each in ended]
    print_lines(lines, f"no service of {name} has a debugger")


@task("debug.status")
def status(_c: Any, name: NameOfLabThatIsUp, json: AsJson = False) -> None:
    """List the services that can be debugged, and those that are."""
    from stacklab.views.hacking import debug as views
    from stacklab.workflow.debug import attaching

    with session() as context:
        listed = attaching.status(context, name)
    if json:
        show_json(views.as_rows(listed))
    else:
        show(views.status_table(listed))


@task("debug.break")
def break_(
    _c: Any,
    name: NameOfLabThatIsUp,
    service: _Service,
    place: Annotated[str, "FILE:LINE, for instance nova/api/openstack/compute/servers.py:700"],
    expression: Annotated[Words, "expression to show where it stops; may be given again"] = None,
    node: _OnNode = "",
    wait: Annotated[float, "seconds in which a request has to come there"] = 300.0,
    run: Annotated[str, "what the client `openstack` does meanwhile: --run 'server list'"] = "",
) -> None:
    """Wait until a request comes to a line, show stack and values, let it go on; exit code 5."""
    from stacklab.views.hacking import debug as views
    from stacklab.workflow.cloud import client
    from stacklab.workflow.debug import breaking

    with session(f"debug.break {name} {service} {place}") as context:
        hit = breaking.wait_for_hit(
            context,
            name,
            service,
            place,
            node=node,
            expressions=expression or (),
            limit_s=wait,
            meanwhile=client.quietly(context, name, shlex.split(run)) if run else None,
        )
    show(*views.hit(hit))


@task("debug.sources")
def sources(_c: Any, name: NameOfLabThatIsUp, service: _Service, node: _OnNode = "") -> None:
    """Copy the code that a service runs to the folder that an IDE opens; print that."""
    from stacklab.workflow.debug import code

    with session(f"debug.sources {name} {service}") as context:
        folder = code.fetch(context, name, service, node=node)
    print(folder)
