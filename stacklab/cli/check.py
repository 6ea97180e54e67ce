"""`lab.check`, `lab.fault`, `lab.logs` and `doctor`: what works, what does not, and why."""

from __future__ import annotations

from typing import Annotated, Any

from stacklab.cli.framework.glue import Completes, NameOfLabThatIsUp, Words, task
from stacklab.cli.framework.lab_words import lab_file
from stacklab.cli.framework.session import load, print_lines, session, show


@task("lab.check")
def check(
    _c: Any,
    name: NameOfLabThatIsUp,
    layer: Annotated[
        str,
        "only these layers: nodes, pairs, isolation, host, outside, impairments, custom, services, "
        "cloud",
        Completes.LAYER,
    ] = "",
    node: Annotated[str, "only checks by these nodes and of these nodes", Completes.NODE] = "",
    network: Annotated[str, "only checks on these networks", Completes.NETWORK] = "",
    wait: Annotated[str, "try again what fails, for this many seconds"] = "",
    watch: Annotated[bool, "check again and again, and print changes (Ctrl-C ends it)"] = False,
    expect: Annotated[bool, "expect what lab.fault has cut to fail, and all else to work"] = False,
    strict: Annotated[bool, "end with 7 where all passed and some gave a warning"] = False,
    json: Annotated[str, "write the results to this file as JSON"] = "",
    junit: Annotated[str, "write the results to this file as JUnit XML"] = "",
    html: Annotated[str, "write the results to this file as a web page"] = "",
) -> None:
    """Check a running lab against its spec; exit code 5: failed, 6: no answer."""
    from stacklab.views.checks import run as views
    from stacklab.workflow.check import checking

    reports = views.Reports(json=json, junit=junit, html=html)
    reports.check_writable()
    with session(f"lab.check {name}") as context:
        request = checking.request(
            context,
            name,
            layers=layer,
            nodes=node,
            networks=network,
            wait=wait,
            expect=expect,
            strict=strict,
        )
        if watch:
            views.print_changes(checking.watch(context, request), reports)
        outcome = checking.run(context, request)
    show(*views.outcome_groups(outcome))
    reports.conclude(outcome)


@task("lab.fault", resumes=True)
def fault(
    _c: Any,
    name: NameOfLabThatIsUp,
    rest: Annotated[
        Words, "the fault; if left out: list the faults there are", Completes.FAULT
    ] = None,
    undo: Annotated[bool, "undo the fault that is named, or all faults"] = False,
) -> None:
    """Cause a fault: link-down|unplug NODE NIC, pause|power-off NODE, partition NETWORK NODES."""
    from stacklab.workflow.context import running_lab
    from stacklab.workflow.faults import faults

    with session(f"lab.fault {name}") as context:
        lab, paths = running_lab(context, name)
        if undo:
            verb, done = "undone: ", faults.undo(context, lab, paths, rest or ())
        elif rest:
            verb, done = "made: ", (faults.apply(context, lab, paths, faults.parse(lab, rest)),)
        else:
            verb, done = "", faults.listed(paths)
    print_lines([f"{verb}{one}" for one in done], "no fault")


@task("lab.logs")
def logs(
    _c: Any,
    name: NameOfLabThatIsUp,
    out: Annotated[
        str, "a directory, or a file that ends in .tar.gz; if left out: NAME-logs.tar.gz here"
    ] = "",
    request: Annotated[
        Words, "id of a request: add what services have logged about it; may be given again"
    ] = None,
) -> None:
    """Collect the logs of this host and of the nodes, secrets masked, with an index page."""
    from stacklab.views import logs as views
    from stacklab.workflow.logs import logs

    with session(f"lab.logs {name}") as context:
        written = logs.collect(context, name, out, index=views.index_page, requests=request or ())
    print_lines(list(views.summary_lines(written)))


@task("doctor")
def doctor(
    _c: Any,
    rest: Annotated[Words, "a lab's name: probe for what it needs, too", Completes.LAB] = None,
) -> None:
    """Test every assumption about this host, and say how to fix what does not hold."""
    from stacklab.doctor import raise_for
    from stacklab.views import host
    from stacklab.workflow import diagnose

    lab = load(lab_file(rest[0])) if rest else None
    with session() as context:
        results = diagnose.full(context, lab)
    show(host.probes_table(results))
    raise_for(results)
