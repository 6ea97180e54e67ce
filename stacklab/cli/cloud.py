"""`lab.cloud`, `lab.openrc`, `cloud.*`: use the cloud on a lab, and prove that it works."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any

from stacklab.cli.framework.glue import Completes, NameOfLabThatIsUp, Words, command_line, task
from stacklab.cli.framework.session import print_lines, session, show


@task("lab.cloud")
def cloud(
    _c: Any,
    name: NameOfLabThatIsUp,
    rest: Annotated[Words, "nothing: what the client shall do stands behind `--`"] = None,
) -> None:
    """Run the client `openstack` as the cloud's admin: ./invoke lab.cloud LAB -- server list."""
    from stacklab.workflow.cloud import client

    words = command_line(f"./invoke lab.cloud {name}", rest or (), example="server list")
    with session() as context:
        sys.exit(client.run(context, name, words))


@task("lab.openrc")
def openrc(_c: Any, name: NameOfLabThatIsUp) -> None:
    """Print the variables of the cloud's clients: eval "$(./invoke lab.openrc LAB)"."""
    from stacklab.workflow.cloud import client

    with session() as context:
        variables = client.write_clouds_yaml(context, name)
    for key, value in variables.items():
        print(f"unset {key}" if value is None else f"export {key}={shlex.quote(value)}")


@task("cloud.forget", resumes=True)
def forget(
    _c: Any,
    name: NameOfLabThatIsUp,
    node: Annotated[str, "name of a compute node that the lab does not have any more"],
) -> None:
    """Remove what the cloud lists of a compute that is gone: service, agents, provider, VMs."""
    from stacklab.workflow.cloud import departed

    with session(f"cloud.forget {name} {node}") as context:
        removed = departed.forget_named(context, name, node)
    print_lines([f"removed {words}" for words in removed], f"the cloud of {name} has nothing of it")


@task("cloud.report")
def report(
    _c: Any,
    name: NameOfLabThatIsUp,
    service: Annotated[str, "name of a service, as debug.status lists it: nova-compute"],
    node: Annotated[str, "node, where several have such a service", Completes.NODE] = "",
    out: Annotated[str, "write the report to this file"] = "",
) -> None:
    """Show what a service does now: its threads, greenlets and options; it goes on meanwhile."""
    from pathlib import Path

    from stacklab import files
    from stacklab.workflow.debug import report

    with session(f"cloud.report {name} {service}") as context:
        text = report.fetch(context, name, service, node=node)
    if out:
        files.write(Path(out), text + "\n", mode=0o600)
    else:
        print(text)


@task("cloud.smoke")
def smoke(
    _c: Any,
    name: NameOfLabThatIsUp,
    keep: Annotated[bool, "leave the VMs and networks; the next run deletes them"] = False,
) -> None:
    """Prove that the cloud works: a VM on each compute, ping and ssh between them; exit code 5."""
    from stacklab.views import cloud as views
    from stacklab.workflow.cloud import smoke

    with session(f"cloud.smoke {name}") as context:
        steps = smoke.run(context, name, keep=keep)
    show(*views.proof(steps))
    smoke.raise_for(name, steps)


@task("cloud.tempest")
def tempest(
    _c: Any,
    name: NameOfLabThatIsUp,
    rest: Annotated[
        Words, "a directory, module, class or test: tempest.api.network; if left out: some 30 tests"
    ] = None,
    smoke: Annotated[bool, "tempest's own smoke tests"] = False,
    regex: Annotated[str, "tests whose names fit this regular expression"] = "",
    load_list: Annotated[str, "a file with the ids of tests, one a line"] = "",
    workers: Annotated[int, "tests at a time"] = 1,
    junit: Annotated[str, "write the results to this file as JUnit XML"] = "",
) -> None:
    """Run OpenStack's own integration tests against the cloud; exit code 5; 6: none ran."""
    from pathlib import Path

    from stacklab import files
    from stacklab.views.hacking import project_tests as views
    from stacklab.workflow.cloud import tempest

    selection = tempest.ChosenTests(
        is_smoke=smoke, regex=regex, load_list=load_list, name=" ".join(rest or [])
    )
    with session(f"cloud.tempest {name}") as context:
        tests = tempest.run(context, name, selection, workers=workers)
    if junit:
        files.write(Path(junit), views.junit(f"{name}.tempest", tests))
    show(*views.shown(tests))
    tempest.raise_for(name, tests)
