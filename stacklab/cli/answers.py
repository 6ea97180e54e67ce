"""`answers.*`: the installers' answer files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from stacklab import spec
from stacklab.cli.framework.glue import AsJson, Completes, LabName, NameOfLabThatIsUp, Words, task
from stacklab.cli.framework.lab_words import lab_file, running_file
from stacklab.cli.framework.session import print_lines, session, show, show_json
from stacklab.paths.project import LABS


@task("answers.render")
def render(
    _c: Any,
    name: LabName,
    node: Annotated[str, "only the files of this node", Completes.NODE] = "",
    out: Annotated[str, "write them below this directory: OUT/NODE/PATH, mode 0600"] = "",
) -> None:
    """Show a lab's answer files and steps; --out DIR writes the files, with secrets."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow
    from stacklab.workflow.lab.kinds import on_this_host

    lab = spec.load(lab_file(name))
    workflow.check_node(lab, node)
    with session() as context:
        lab = on_this_host(context, lab)
        # Only what is written has the lab's own passwords in it.
        every_file = (
            workflow.rendered(context, lab)[0] if out else workflow.preview(lab, context.runner)
        )
        rendered = workflow.only(every_file, node)
        steps = workflow.steps(lab, context.runner)
    if out:
        written = workflow.write(rendered, Path(out).expanduser())
        print_lines([f"wrote {path}" for path in written], "nothing changed")
    elif not steps:
        print(
            f"lab {lab.name} has no installer: there is nothing to render "
            "(stack: installer: in its spec)"
        )
    elif node:
        print(*views.file_texts(rendered), sep="\n")
    else:
        show(views.files_table(rendered), views.steps_table(steps))
    views.print_notes(workflow.notes(lab))


@task("answers.steps")
def steps(_c: Any, name: LabName) -> None:
    """Show the commands that install a lab's stack, in order, each with its node and user."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow
    from stacklab.workflow.lab.kinds import on_this_host

    with session() as context:
        lab = on_this_host(context, spec.load(lab_file(name)))
        steps = workflow.steps(lab, context.runner)
    print(*views.script_lines(steps), sep="\n")


@task("answers.diff")
def diff(_c: Any, name: NameOfLabThatIsUp) -> None:
    """Compare the files on running nodes with the spec of today; exit code 1: they differ."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow
    from stacklab.workflow.lab.kinds import on_this_host

    with session() as context:
        lab = on_this_host(context, spec.load(running_file(name)))
        differences = workflow.diff(context, lab)
    show(*views.difference_lines(differences))
    workflow.raise_for_differences(name, differences)


@task("answers.push", resumes=True)
def push(_c: Any, name: NameOfLabThatIsUp) -> None:
    """Replace the files of a lab's running nodes that differ from its spec of today."""
    from stacklab.workflow import answers as workflow
    from stacklab.workflow.lab.kinds import on_this_host

    with session(f"answers.push {name}") as context:
        lab = on_this_host(context, spec.load(running_file(name)))
        replaced = workflow.push(context, lab)
    print_lines([f"replaced {one.node}:{one.path}" for one in replaced], "nothing differs")


@task("answers.lint")
def lint(
    _c: Any,
    rest: Annotated[Words, "files, or names of labs", Completes.LAB] = None,
    release: Annotated[
        str, "release of hand-written files; if left out: what they name or look like"
    ] = "",
    kind: Annotated[
        str, "what the files are: localrc, local.conf, contrail, packstack, kolla, opensdn or oslo"
    ] = "",
    lab: Annotated[str, "hold hand-written files against this lab", Completes.LAB] = "",
    node: Annotated[str, "the node of that lab that a file is for", Completes.NODE] = "",
    select: Annotated[str, "only these rules: ids or patterns, separated by commas"] = "",
    ignore: Annotated[str, "not these rules"] = "",
    json: AsJson = False,
    sarif: Annotated[bool, "print SARIF, which GitHub and GitLab show in a review"] = False,
) -> None:
    """List what is wrong with answer files, or with a lab's: file:line, rule, effect, fix."""
    from stacklab.views import judgement as views
    from stacklab.workflow import linting as workflow

    wishes = workflow.LintWishes(
        release=release, kind=kind, lab=lab, node=node, select=select, ignore=ignore
    )
    verdict = workflow.judge(rest or (), LABS, wishes)
    if json or sarif:
        show_json(views.sarif(verdict) if sarif else views.as_json(verdict))
    else:
        show(*views.era_lines(verdict), *views.finding_lines(verdict.findings))
    workflow.raise_for_findings(verdict.findings)
    if not (json or sarif):
        print("nothing that must be fixed" if verdict.findings else "nothing to complain about")


@task("answers.rules")
def rules(
    _c: Any, rest: Annotated[Words, "a rule to explain; all are listed if none is named"] = None
) -> None:
    """Show every rule of answers.lint, or explain some: what is bad, what is good, the source."""
    from stacklab.installers import linting
    from stacklab.views import judgement, tables
    from stacklab.workflow.linting import rule_named

    if rest:
        print_lines([line for word in rest for line in judgement.rule_lines(rule_named(word))])
        return
    rows = [(rule.id, rule.severity, rule.title) for rule in linting.RULES]
    show(tables.table(("rule", "", "what"), rows))


@task("answers.releases")
def releases(
    _c: Any,
    rest: Annotated[Words, "installers; all of them if none is named", Completes.INSTALLER] = None,
) -> None:
    """Show the releases of an installer (or of all), and what each of them supports."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow

    show(views.releases_table(workflow.releases_of(rest or ())))
