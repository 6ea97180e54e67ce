"""Tasks for invoke: load, call one workflow, show. The only file that imports invoke.

Heavy modules are imported where they are used: this file is read at every TAB.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from stacklab import cli, spec
from stacklab.cli import lab_task, load, session, show, show_json
from stacklab.paths import LABS

logging.getLogger("vagrant").addHandler(
    logging.NullHandler()
)  # python-vagrant: preflight tells it better


@lab_task
def list_(_c: Any, json: bool = False) -> None:
    """Show the labs that have a file."""
    from stacklab.views import tables

    found = {name: spec.headline(LABS / f"{name}.yaml") for name in spec.names(LABS)}
    if json:
        show_json([{"name": name, "description": text} for name, text in found.items()])
    else:
        show(tables.table(("lab", "what"), found.items()))


@lab_task
def show_(_c: Any, name: str, json: bool = False) -> None:
    """Show a lab with every default filled in."""
    from stacklab.views import tables

    lab = load(spec.find(name, LABS))
    if json:
        show_json(spec.to_dict(lab))
    else:
        show(*tables.lab(lab))


@lab_task
def graph(_c: Any, name: str, format: str = "svg", out: str = "") -> None:
    """Draw a lab's nodes, NICs and networks from its spec: svg, mermaid or dot, on stdout or into --out FILE."""
    from stacklab.views import graph

    drawn = graph.draw(spec.load(spec.find(name, LABS)), format)
    graph.write(drawn, Path(out)) if out else print(drawn, end="")


@lab_task
def validate(_c: Any, rest: list[str] | None = None) -> None:
    """Tell all that is wrong with spec files: file:line:col, what, and what would be right."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers
    from stacklab.workflow.lab import validate

    paths = [Path(each) for each in rest or ()] or [
        LABS / f"{name}.yaml" for name in spec.names(LABS)
    ]
    for lab in validate.all_of(paths, load):
        views.to_stderr(f"{lab.name}: {note}" for note in answers.fate(lab))
    print(f"{len(paths)} lab{'s' if len(paths) != 1 else ''} valid")


@lab_task
def plan(_c: Any, name: str) -> None:
    """Tell what `lab.up` would do, touching nothing."""
    from stacklab.views import tables
    from stacklab.workflow.lab import plan

    with session() as context:
        show(tables.table(("what", "", "why"), plan.plan(context, load(spec.find(name, LABS)))))


@lab_task
def up(_c: Any, name: str, checks: bool = True, ttl: str | None = None) -> None:
    """Bring a lab up, or what is missing of it, and check it."""
    from stacklab.views import tables
    from stacklab.workflow.lab import reap, up

    lab, ttl_s = load(spec.find(name, LABS)), reap.ttl_s(ttl)
    with session(f"lab.up {name}") as context:
        outcome = up.up(context, lab, checks=checks, ttl_s=ttl_s)
    show(*tables.outcome(outcome, context.progress.timings))


@lab_task
def rebuild(_c: Any, name: str, checks: bool = True) -> None:
    """Throw a lab's nodes away and make them anew, with the same addresses, keys and passwords."""
    from stacklab.views import tables
    from stacklab.workflow.lab import life

    lab = load(spec.find(name, LABS))
    with session(f"lab.rebuild {name}") as context:
        outcome = life.rebuild(context, lab, checks=checks)
    show(*tables.outcome(outcome, context.progress.timings))


@lab_task
def status(_c: Any, rest: list[str] | None = None, json: bool = False) -> None:
    """Show what runs on this host: all labs, or one."""
    from stacklab.views import tables
    from stacklab.workflow.lab import life

    with session() as context:
        found = life.status(context, rest[0] if rest else None)
    if json:
        show_json([life.as_dict(each) for each in found])
    else:
        show(tables.status(found))


@lab_task
def check(
    _c: Any,
    name: str,
    layer: str = "",
    node: str = "",
    network: str = "",
    wait: str = "",
    watch: bool = False,
    expect: bool = False,
    json: str = "",
    junit: str = "",
    html: str = "",
) -> None:
    """Prove that a running lab is what its spec says; exit code 5: failed, 6: no answer, 7: warnings."""
    from stacklab.views import checks as views
    from stacklab.workflow.check import checking

    reports = views.Reports(json=json, junit=junit, html=html)
    reports.check_writable()
    with session(f"lab.check {name}") as context:
        wish = checking.wish(
            context, name, layers=layer, nodes=node, networks=network, wait=wait, expect=expect
        )
        if watch:
            views.watch(checking.watch(context, wish), reports)
        found = checking.run(context, wish)
    show(*views.outcome(found))
    reports.conclude(found)


@lab_task
def fault(_c: Any, name: str, rest: list[str] | None = None, undo: bool = False) -> None:
    """Make something fail: link-down NODE NIC, unplug NODE NIC, pause NODE, power-off NODE, partition NETWORK NODES."""
    from stacklab.workflow.context import running_lab
    from stacklab.workflow.faults import faults

    with session(f"lab.fault {name}") as context:
        lab, paths = running_lab(context, name)
        if undo:
            done = faults.undo(context, lab, paths, rest or ())
        else:
            done = (
                (faults.apply(context, lab, paths, faults.parse(lab, rest)),)
                if rest
                else faults.listed(paths)
            )
    what = "undone: " if undo else "made: " if rest else ""
    print("\n".join(f"{what}{each}" for each in done) or "no fault")


@lab_task
def logs(_c: Any, name: str, out: str = "") -> None:
    """Collect what this host and the nodes know, secrets masked, with an index page."""
    from stacklab.views import logs as views
    from stacklab.workflow.logs import logs

    with session(f"lab.logs {name}") as context:
        written = logs.collect(context, name, out, index=views.index)
    print("\n".join(views.summary(written)))


@lab_task
def reap(_c: Any, dry_run: bool = False) -> None:
    """Destroy the labs that are past their time (lab.up --ttl)."""
    from stacklab.workflow.lab import reap

    with session("lab.reap") as context:
        found = reap.reap(context, dry_run=dry_run)
    print(
        "\n".join(f"{each.lab}: {each.fate}, {each.detail}" for each in found)
        or "no lab has a time to live"
    )
    reap.raise_for(found)


@lab_task
def ssh(_c: Any, name: str, node: str = "") -> None:
    """Log in on a node as `stack`."""
    from stacklab.workflow.lab import life

    with session() as context:
        sys.exit(life.login(context, name, node))


@lab_task
def exec_(_c: Any, name: str, rest: list[str] | None = None, node: str = "") -> None:
    """Run what follows `--` on all nodes at once: ./invoke lab.exec LAB -- uptime."""
    from stacklab.views import output
    from stacklab.workflow.lab import life

    words = cli.command_line(f"./invoke lab.exec {name}", rest or ())
    with session() as context:
        chosen = [node] if node else []
        results = life.execute(context, name, words, chosen, output.ByNode)
    sys.exit(life.exit_code(results))


@lab_task
def console(
    _c: Any, name: str, node: str = "", follow: bool = False, interactive: bool = False
) -> None:
    """Show what a node printed on its serial console."""
    from stacklab.views import output
    from stacklab.workflow.lab import life

    show = output.console_line()
    with session() as context:
        code = life.console(context, name, node, follow=follow, interactive=interactive, show=show)
    sys.exit(code)


@lab_task
def down(_c: Any, name: str) -> None:
    """Shut a lab's nodes down; lab.up starts them again, at the same addresses."""
    from stacklab.workflow.lab import life

    with session(f"lab.down {name}") as context:
        life.down(context, name)


@lab_task
def destroy(_c: Any, name: str) -> None:
    """Remove all that is recorded as this lab's, and nothing else."""
    from stacklab.workflow.context import not_up
    from stacklab.workflow.lab import life

    with session(f"lab.destroy {name}") as context:
        if not (is_gone := life.destroy(context, name)) and name not in spec.names(LABS):
            raise not_up(context, name)
    print(f"lab {name} is gone" if is_gone else f"nothing of lab {name} exists on this host")


@lab_task
def image_build(_c: Any, name: str, force: bool = False) -> None:
    """Build a base image, unless it is built already from the same inputs."""
    from stacklab.workflow import images

    with session(f"image.build {name}") as context:
        stored = images.build(context, name, force=force)
    print(f"{stored.key}  {stored.path}  built in {stored.took_s:.0f} s")


@lab_task
def image_list(_c: Any) -> None:
    """Show the catalogue, and what of it is built on this host."""
    from stacklab.views import tables
    from stacklab.workflow import images

    with session() as context:
        show(tables.images(*images.overview(context)))


@lab_task
def image_verify(_c: Any, rest: list[str] | None = None) -> None:
    """Read base images whole and compare them with what was built."""
    from stacklab.workflow import images

    with session("image.verify") as context:
        print(
            "\n".join(f"{key}: as it was built" for key in images.verify(context, rest or ()))
            or "no image is built"
        )


@lab_task
def image_prune(_c: Any) -> None:
    """Delete base images that no lab uses and no lab.up would take."""
    from stacklab.workflow import images

    with session("image.prune") as context:
        print("\n".join(f"deleted {key}" for key in images.prune(context)) or "nothing to delete")


@lab_task
def doctor(_c: Any, rest: list[str] | None = None) -> None:
    """Try every assumption about this host, and say how to mend what does not hold."""
    from stacklab.doctor import raise_for
    from stacklab.views import tables
    from stacklab.workflow import diagnose

    lab = load(spec.find(rest[0], LABS)) if rest else None
    with session() as context:
        found = diagnose.full(context, lab)
    show(tables.probes(found))
    raise_for(found)


@lab_task
def answers_render(_c: Any, name: str, node: str = "", out: str = "") -> None:
    """Show a lab's answer files and the order of what is done with them; --out DIR writes them, with the secrets."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow

    lab = spec.load(spec.find(name, LABS))
    workflow.check_node(lab, node)
    with session() as context:
        found = workflow.rendered(context, lab)[0] if out else workflow.preview(lab, context.runner)
        found = workflow.only(found, node)
        steps = workflow.steps(lab, context.runner)
    if out:
        written = workflow.write(found, Path(out).expanduser())
        print("\n".join(f"wrote {path}" for path in written) or "nothing changed")
    elif not steps:
        print(
            f"lab {name} has no installer: there is nothing to render (stack: installer: in its spec)"
        )
    elif node:
        print("\n".join(views.texts(found)))
    else:
        show(views.files(found), views.steps(steps))
    views.to_stderr(workflow.notes(lab))


@lab_task
def answers_steps(_c: Any, name: str) -> None:
    """Show what is done with a lab's answer files: every command, in order, with its node and user."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow

    with session() as context:
        steps = workflow.steps(spec.load(spec.find(name, LABS)), context.runner)
    print("\n".join(views.script(steps)))


@lab_task
def answers_diff(_c: Any, name: str) -> None:
    """Compare what is on a lab's running nodes with what its spec says today; exit code 1 if it differs."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow

    with session() as context:
        found = workflow.diff(context, spec.load(spec.find(name, LABS)))
    show(*views.differences(found))
    workflow.raise_for_differences(name, found)


@lab_task
def answers_push(_c: Any, name: str) -> None:
    """Replace the files of a lab's running nodes that are not what its spec says today."""
    from stacklab.workflow import answers as workflow

    with session(f"answers.push {name}") as context:
        found = workflow.push(context, spec.load(spec.find(name, LABS)))
    print("\n".join(f"replaced {each.node}:{each.path}" for each in found) or "nothing differs")


@lab_task
def answers_lint(_c: Any, rest: list[str] | None = None, release: str = "") -> None:
    """Tell what is wrong with answer files, or with all of a lab's: file:line, rule, what will happen, the fix."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow

    found = workflow.lint_any(rest or (), LABS, release=release)
    show(*views.findings(found))
    workflow.raise_for_findings(found)
    print("nothing that must be mended" if found else "nothing to complain about")


@lab_task
def answers_rules(_c: Any) -> None:
    """Show every rule of answers.lint."""
    from stacklab.installers import linting as lint
    from stacklab.views import tables

    show(
        tables.table(
            ("rule", "", "what"), [(rule.id, rule.severity, rule.title) for rule in lint.RULES]
        )
    )


@lab_task
def answers_releases(_c: Any, rest: list[str] | None = None) -> None:
    """Show the releases that an installer has (all installers, if none is named), and what each of them has."""
    from stacklab.views import answers as views
    from stacklab.workflow import answers as workflow

    show(views.releases(workflow.releases_of(rest or ())))


@lab_task
def test_all(_c: Any, live: bool = True) -> None:
    """Lint, types, every test, and a live run with real VMs (--no-live leaves that out)."""
    from stacklab.dev import testing

    sys.exit(testing.run(live=live))


@lab_task
def test_consumers(_c: Any) -> None:
    """Feed every answer file to the program that reads it (Packstack, kolla-ansible, nova, ...), installed for that."""
    from stacklab.dev import testing

    sys.exit(testing.consumers())


@lab_task
def bench_up(_c: Any, name: str = "contrail-3node") -> None:
    """Compare lab.up with bare QEMU and with plain `vagrant up`, in one run."""
    from stacklab.dev import bench
    from stacklab.views import tables

    with session(f"bench.up {name}") as context:
        rows = bench.measure(context, load(spec.find(name, LABS)))
    show(tables.table(("what", "seconds", "ratio", "wanted"), rows))


@lab_task
def bench_check(_c: Any, out: str = "reports/bench-check.svg") -> None:
    """Measure what a check costs the host, for 3 to 200 simulated nodes; --out FILE is a drawing of it."""
    from stacklab.dev import bench_check
    from stacklab.views import plot

    show(plot.costs(found := list(bench_check.measure())))
    plot.write(found, Path(out))


# A task's name says where it belongs: answers_diff is answers.diff; without a group it is the lab's.
ns = cli.collection(
    vars(), groups=("answers", "bench", "image", "test"), others="lab", top=("doctor",)
)
