"""`lab.*`: a lab's life, from its file to nothing left behind."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from stacklab import spec
from stacklab.cli.framework.glue import (
    AsJson,
    Becomes,
    Completes,
    LabName,
    NameOfLabThatIsUp,
    NodeName,
    Words,
    command_line,
    task,
    words_behind_dashes,
)
from stacklab.cli.framework.lab_words import lab_file
from stacklab.cli.framework.session import load, print_lines, session, show, show_json
from stacklab.errors import LabError
from stacklab.paths import HostPaths
from stacklab.spec.lab_search import directories, known, own_directory
from stacklab.words import plural

if TYPE_CHECKING:
    from stacklab.workflow.lab.status import LabStatus

AllAs = Annotated[
    str | None,
    "make all nodes containers, or vms, whatever the spec says; later commands know",
    Completes.KIND,
]
RunStack = Annotated[
    bool, "--no-stack leaves the nodes as they are, also where the installer is quick"
]
IsCold = Annotated[bool, "boot the nodes anew, also where they could come from a snapshot"]
Removes = Annotated[bool, "destroy nodes that the spec does not have any more"]
Agrees = Annotated[bool, "reboot, rebuild and remove as the changed spec needs, unasked"]
RunChecks = Annotated[bool, "--no-checks returns when the nodes answer, without checking them"]


@task("lab.list")
def list_labs(_c: Any, json: AsJson = False) -> None:
    """Show the labs that have a file in labs/, or in a directory of yours."""
    rows = [(name, spec.headline(path)) for name, files in known().items() for path in files]
    if json:
        show_json([{"name": name, "description": text} for name, text in rows])
    else:
        from stacklab.views import tables

        show(tables.table(("lab", "what"), rows))


@task("lab.show")
def show_lab(_c: Any, name: LabName, json: AsJson = False) -> None:
    """Show a lab with every default filled in."""
    from stacklab.views import labs

    lab = load(lab_file(name))
    if json:
        from stacklab.model import lab_json

        show_json(lab_json.to_dict(lab))
    else:
        show(*labs.lab_tables(lab))


@task("lab.graph")
def graph(
    _c: Any,
    name: LabName,
    format: Annotated[str, "svg, mermaid or dot", Completes.FORMAT] = "svg",
    out: Annotated[str, "write the drawing to this file"] = "",
) -> None:
    """Draw a lab's nodes, NICs and networks from its spec: on stdout, or into --out FILE."""
    from stacklab.views.drawing import graph

    drawing = graph.draw(spec.load(lab_file(name)), format)
    if out:
        graph.write_drawing(drawing, Path(out))
    else:
        print(drawing, end="")


@task("lab.validate")
def validate(
    _c: Any,
    rest: Annotated[Words, "spec files, or names of labs; if left out: all of labs/"] = None,
) -> None:
    """Name all that is wrong with spec files: file:line:col, what, and what would be right."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers
    from stacklab.workflow.lab import validate

    files = [lab_file(word) for word in rest or ()]
    if not files:
        files = [path for paths in known().values() for path in paths]
    for lab in validate.all_of(files, load):
        views.print_notes(f"{lab.name}: {note}" for note in answers.fate(lab))
    print(f"{plural(len(files), 'lab')} valid")


@task("lab.new")
def new(
    _c: Any,
    name: Annotated[str, "the new lab's name: lower-case letters, digits and -"],
    from_: Annotated[str, "copy this lab's file; if left out: the starter", Completes.LAB] = "",
) -> None:
    """Write a commented file NAME.yaml for a new lab, on networks that nothing uses here."""
    from stacklab.views import new_lab as views
    from stacklab.workflow.lab import new

    with session() as context:
        written = new.new(
            context, name, original=from_, directory=own_directory(), others=directories()
        )
    show(*views.tables_of(written))


@task("lab.plan")
def plan(_c: Any, name: LabName, json: AsJson = False) -> None:
    """Show what `lab.up` would do, and what a changed spec costs, without doing it."""
    from stacklab.views import changes as views
    from stacklab.workflow.lab import plan

    lab = load(lab_file(name))
    with session() as context:
        changes = plan.changes_of(context, lab)
        lost = plan.losses(context, lab, changes)
        steps = plan.steps(context, lab, changes)
    if json:
        show_json(views.plan_as_dict(changes, steps, lost))
    else:
        show(*views.plan_tables(changes, steps, lost))


@task("lab.up", resumes=True)
def up(
    _c: Any,
    name: LabName,
    checks: RunChecks = True,
    ttl: Annotated[
        str | None, "time to live, after which lab.reap destroys it: 30m, 2h, 1d"
    ] = None,
    as_: AllAs = None,
    stack: RunStack = True,
    cold: IsCold = False,
    remove: Removes = False,
    yes: Agrees = False,
) -> None:
    """Bring a lab up, or what is missing of it, have it follow its spec, and check it."""
    from stacklab.cli import consent
    from stacklab.views import labs
    from stacklab.workflow.lab import up
    from stacklab.workflow.lab.kinds import read_kind
    from stacklab.workflow.lab.lifetime import ttl_s

    lab = load(lab_file(name))
    limit_s = ttl_s(ttl)
    all_as = read_kind(as_)
    agreed = consent.ask(lab, all_as, removes=remove, agrees=yes)
    with session(f"lab.up {lab.name}") as context:
        outcome = up.up(
            context,
            lab,
            checks=checks,
            ttl_s=limit_s,
            all_as=all_as,
            with_stack=stack,
            is_cold=cold,
            consent=agreed,
        )
    show(*labs.outcome_tables(outcome, context.progress.timings))


@task("lab.rebuild", resumes=True)
def rebuild(
    _c: Any,
    name: LabName,
    node: Annotated[str, "make this node alone again", Completes.NODE] = "",
    checks: RunChecks = True,
    as_: AllAs = None,
    stack: RunStack = True,
    cold: IsCold = False,
) -> None:
    """Make a lab's nodes again from scratch, with the same addresses, keys and passwords."""
    from stacklab.views import labs
    from stacklab.workflow.lab import up
    from stacklab.workflow.lab.kinds import read_kind

    lab = load(lab_file(name))
    all_as = read_kind(as_)
    if node and all_as:
        hint = f"./invoke lab.rebuild {name} --as {as_}"
        raise LabError("--as is for all nodes of a lab, --node for one", hint=hint)
    with session(f"lab.rebuild {lab.name}") as context:
        if node:
            outcome = up.rebuild_node(context, lab, node, checks=checks, with_stack=stack)
        else:
            outcome = up.rebuild(
                context, lab, checks=checks, all_as=all_as, with_stack=stack, is_cold=cold
            )
    show(*labs.outcome_tables(outcome, context.progress.timings))


@task("lab.status")
def status(
    _c: Any,
    rest: Annotated[
        Words,
        "a lab's name; if left out: all labs",
        Completes.LAB_THAT_IS_UP,
        Becomes.NAME,
    ] = None,
    json: AsJson = False,
) -> None:
    """Show what runs on this host: all labs, or one."""
    statuses: Sequence[LabStatus] = ()
    # Nobody should have to wait for libvirt to learn that there is nothing.
    if rest or HostPaths.default().recorded_labs():
        from stacklab.workflow.lab import status as lab_status

        with session() as context:
            statuses = lab_status.status(context, rest[0] if rest else None)
    if json:
        show_json([lab_status.as_dict(one) for one in statuses])
    else:
        from stacklab.views import labs

        show(labs.status_table(statuses), *labs.stack_tables(statuses if rest else ()))


@task("lab.ssh")
def ssh(_c: Any, name: NameOfLabThatIsUp, node: NodeName = "") -> None:
    """Log in on a node as `stack`, or run what follows `--` there: ./invoke lab.ssh LAB -- top."""
    from stacklab.workflow.lab import entering

    words = words_behind_dashes()
    with session() as context:
        sys.exit(entering.login(context, name, node, words))


@task("lab.exec")
def execute(
    _c: Any,
    name: NameOfLabThatIsUp,
    rest: Annotated[Words, "nothing: the command stands behind `--`"] = None,
    node: Annotated[str, "only on this node; if left out: on all", Completes.NODE] = "",
) -> None:
    """Run what follows `--` on all nodes at once: ./invoke lab.exec LAB -- uptime."""
    from stacklab.views import output
    from stacklab.workflow.lab import entering

    words = command_line(f"./invoke lab.exec {name}", rest or ())
    with session() as context:
        chosen = [node] if node else []
        results = entering.execute(context, name, words, chosen, output.ByNode)
    sys.exit(entering.exit_code(results))


@task("lab.console")
def console(
    _c: Any,
    name: NameOfLabThatIsUp,
    node: NodeName = "",
    follow: Annotated[bool, "keep printing what comes (Ctrl-C ends it)"] = False,
    interactive: Annotated[bool, "log in on the serial line instead"] = False,
) -> None:
    """Show what a node printed on its serial console."""
    from stacklab.views import output
    from stacklab.workflow.lab import entering

    show = output.console_printer()
    with session() as context:
        code = entering.console(
            context, name, node, follow=follow, interactive=interactive, show=show
        )
    sys.exit(code)


@task("lab.down", resumes=True)
def down(_c: Any, name: NameOfLabThatIsUp) -> None:
    """Shut a lab's nodes down; lab.up starts them again, at the same addresses."""
    from stacklab.workflow.lab import ending

    with session(f"lab.down {name}") as context:
        ending.down(context, name)


@task("lab.destroy", resumes=True)
def destroy(
    _c: Any,
    name: NameOfLabThatIsUp,
    purge: Annotated[
        bool, "its pristine snapshot as well, from which lab.up brings it back"
    ] = False,
) -> None:
    """Remove all that is recorded as this lab's, and nothing else."""
    from stacklab.views import snapshots as views
    from stacklab.workflow.context import not_up
    from stacklab.workflow.lab import ending
    from stacklab.workflow.snapshots import cache

    with session(f"lab.destroy {name}") as context:
        was_there = ending.destroy(context, name, purge=purge)
        # Destroying nothing is a success, unless the name is a typing error.
        if not was_there and name not in known():
            raise not_up(context, name)
        kept = cache.of_lab(context.host, name)
    print(f"lab {name} is gone" if was_there else f"nothing of lab {name} exists on this host")
    if kept is not None:
        print_lines([views.still_kept(kept)])


@task("lab.reap", resumes=True)
def reap(
    _c: Any, dry_run: Annotated[bool, "say what would be done, and do nothing"] = False
) -> None:
    """Destroy the labs whose time to live is over (lab.up --ttl)."""
    from stacklab.workflow.lab import reap

    with session("lab.reap") as context:
        reaped = reap.reap(context, dry_run=dry_run)
    lines = [f"{one.lab}: {one.fate}, {one.detail}" for one in reaped]
    print_lines(lines, "no lab has a time to live")
    reap.raise_for(reaped)
