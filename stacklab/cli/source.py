"""`dev.*`: a project's source of your own on the lab's cloud, in place of the packaged code."""

from __future__ import annotations

from typing import Annotated, Any

from stacklab.cli.framework.glue import AsJson, Completes, NameOfLabThatIsUp, Words, task
from stacklab.cli.framework.session import print_lines, session, show, show_json

_Project = Annotated[str, "project: nova, neutron, keystone, glance, placement, cinder"]


@task("dev.checkout", resumes=True)
def checkout(
    _c: Any,
    name: NameOfLabThatIsUp,
    project: _Project,
    from_: Annotated[str, "your clone of it, or an address of git; if left out: opendev.org"] = "",
    ref: Annotated[
        str, "branch, tag, refs/changes/.. or number of a change; if left out: the clone as it is"
    ] = "",
    node: Annotated[str, "only on this node", Completes.NODE] = "",
    any_release: Annotated[bool, "also a source of another release than the lab's"] = False,
) -> None:
    """Have a project's services run your source instead of the package's code."""
    from stacklab.views.hacking import source as views
    from stacklab.workflow.source import checkout

    with session(f"dev.checkout {name} {project}") as context:
        done = checkout.checkout(
            context,
            name,
            project,
            source=from_,
            ref=ref,
            node=node,
            is_any_release=any_release,
        )
    print_lines(views.checked_out_lines(name, done))


@task("dev.status")
def status(_c: Any, name: NameOfLabThatIsUp, json: AsJson = False) -> None:
    """List the code that each service of the cloud imports."""
    from stacklab.views.hacking import source as views
    from stacklab.workflow.source import checkout

    with session() as context:
        found = checkout.status(context, name)
    if json:
        show_json(views.status_json(found))
    else:
        show(views.status_table(found))


@task("dev.sync")
def sync(
    _c: Any,
    name: NameOfLabThatIsUp,
    project: _Project,
    watch: Annotated[bool, "again at each file that you save (Ctrl-C ends it)"] = False,
) -> None:
    """Copy what you have changed in the source since, and restart its services."""
    from stacklab.views.hacking import source as views
    from stacklab.workflow.source import checkout

    with session(f"dev.sync {name} {project}") as context:
        checkout.sync(
            context,
            name,
            project,
            told=lambda synced: print(views.synced_line(synced), flush=True),
            is_watching=watch,
        )


@task("dev.test")
def test(
    _c: Any,
    name: NameOfLabThatIsUp,
    project: _Project,
    rest: Annotated[
        Words, "a regular expression that names of tests have to fit; if left out: all"
    ] = None,
    node: Annotated[str, "on this node", Completes.NODE] = "",
    junit: Annotated[str, "write the results to this file as JUnit XML"] = "",
) -> None:
    """Run the project's own unit tests on a node that has your source; exit code 5, 6: none ran."""
    from pathlib import Path

    from stacklab import files
    from stacklab.views.hacking import project_tests as views
    from stacklab.workflow.source import testing

    with session(f"dev.test {name} {project}") as context:
        tests = testing.run(context, name, project, regex=(rest or [""])[0], node=node)
    if junit:
        files.write(Path(junit), views.junit(f"{name}.{project}", tests))
    show(*views.shown(tests))
    testing.raise_for(project, tests)


@task("dev.revert", resumes=True)
def revert(
    _c: Any,
    name: NameOfLabThatIsUp,
    rest: Annotated[Words, "projects; if left out: all that were changed"] = None,
) -> None:
    """Have services run the code of their packages again."""
    from stacklab.workflow.source import checkout

    with session(f"dev.revert {name}") as context:
        reverted = checkout.revert(context, name, rest or ())
    lines = [f"{each.service} on {each.node} imports {each.path}" for each in reverted]
    print_lines(lines, f"no service of {name} runs a source of yours")
