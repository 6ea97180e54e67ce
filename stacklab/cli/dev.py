"""`test.*` and `bench.*`: for those who work on stacklab itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from stacklab.cli.framework.glue import AsJson, Completes, LabName, NameOfLabThatIsUp, task
from stacklab.cli.framework.lab_words import lab_file
from stacklab.cli.framework.session import load, session, show, show_json


@task("test.all", is_default=True)
def test_all(_c: Any, live: Annotated[bool, "--no-live leaves the live tests out"] = True) -> None:
    """Run lint, type checks, all tests, and live ones with real nodes (--no-live: without)."""
    from stacklab.dev import testing

    sys.exit(testing.run(live=live))


@task("test.consumers")
def test_consumers(_c: Any) -> None:
    """Install the programs that read answer files (Packstack, nova, ...), and feed them ours."""
    from stacklab.dev import testing

    sys.exit(testing.consumers())


@task("bench.up")
def bench_up(
    _c: Any,
    name: LabName = "contrail-3node",
    as_: Annotated[
        str | None, "containers: against systemd-nspawn by hand, and VMs", Completes.KIND
    ] = None,
) -> None:
    """Compare lab.up with bare QEMU and with plain `vagrant up`, in one run."""
    from stacklab.dev import bench
    from stacklab.model.lab import NodeKind
    from stacklab.views import tables
    from stacklab.workflow.check import checking
    from stacklab.workflow.lab import ending, up
    from stacklab.workflow.lab.kinds import read_kind

    if read_kind(as_) is NodeKind.CONTAINER:
        _bench_containers(name)
        return
    with session(f"bench.up {name}") as context:
        lab = load(lab_file(name))
        cycle = bench.Cycle(
            bring_up=lambda: up.up(context, lab, checks=False, is_cold=True),
            check=lambda: checking.check(context, lab, context.host.lab(lab.name)),
            destroy=lambda: ending.destroy(context, lab.name),
        )
        rows = bench.measure(context, lab, cycle)
    show(tables.table(("what", "seconds", "ratio", "wanted"), rows))


def _bench_containers(name: str) -> None:
    from stacklab.dev import bench_containers
    from stacklab.model.lab import NodeKind
    from stacklab.views import tables
    from stacklab.workflow.check import checking
    from stacklab.workflow.lab import ending, up

    with session(f"bench.up {name}") as context:
        vms = load(lab_file(name)).all_as(NodeKind.VM)
        lab = vms.all_as(NodeKind.CONTAINER)
        cycle = bench_containers.ContainerCycle(
            bring_up=lambda: up.up(context, lab, checks=False, is_cold=True),
            check=lambda: checking.check(context, lab, context.host.lab(lab.name)),
            destroy=lambda: ending.destroy(context, lab.name),
            bring_up_vms=lambda: up.up(context, vms, checks=False, is_cold=True),
        )
        rows = bench_containers.measure(context, lab, cycle)
    show(tables.table(("what", "seconds", "times by hand", "wanted"), rows))


@task("bench.cloud")
def bench_cloud(
    _c: Any,
    name: LabName = "openstack-3node",
    as_: Annotated[str | None, "containers, or vms", Completes.KIND] = None,
) -> None:
    """Time a lab's cloud from nothing to its proof, in one run; the image is there already."""
    from stacklab.dev import bench_cloud
    from stacklab.views import tables
    from stacklab.workflow.check import checking
    from stacklab.workflow.cloud import client, smoke
    from stacklab.workflow.lab import ending, up
    from stacklab.workflow.lab.kinds import as_on_host, read_kind
    from stacklab.workflow.stack import stack

    kind = read_kind(as_)
    with session(f"bench.cloud {name}") as context:
        lab = load(lab_file(name))
        if kind is not None:
            lab = lab.all_as(kind)
        # Its answer files are those of this host's kernel, as lab.up has them.
        lab = as_on_host(context, lab)
        client.prepare_venv(context)
        cycle = bench_cloud.CloudCycle(
            bring_up=lambda: up.up(context, lab, checks=False, with_stack=False, is_cold=True),
            install=lambda: stack.run(context, lab),
            check=lambda: checking.check(context, lab, context.host.lab(lab.name)),
            prove=lambda: smoke.raise_for(lab.name, smoke.run(context, lab.name, keep=False)),
            destroy=lambda: ending.destroy(context, lab.name),
        )
        rows = bench_cloud.measure(context, lab, cycle)
    show(tables.table(("what", "seconds", "times the nodes", "wanted"), rows))


@task("bench.peers")
def bench_peers(
    _c: Any,
    name: LabName = "contrail-3node",
    rounds: Annotated[int, "how often each is measured; the table has the medians"] = 1,
    only: Annotated[str, "with commas: stacklab, vagrant, kcli, virt-lightning"] = "",
    json: AsJson = False,
) -> None:
    """Time lab.up against vagrant, its snapshots, kcli and virt-lightning, on the same nodes."""
    from stacklab.dev.peers import measure
    from stacklab.process.runner import SubprocessRunner
    from stacklab.views.benches import rounds as views

    names = measure.chosen_names(only)
    with session(f"bench.peers {name}") as context:
        lab = load(lab_file(name))
        measured = measure.measure(context, lab, SubprocessRunner(), rounds=rounds, names=names)
    if json:
        show_json(measured.as_dict())
    else:
        show(*views.peers_tables(measured))


@task("bench.snapshot")
def bench_snapshot(
    _c: Any,
    name: NameOfLabThatIsUp,
    rounds: Annotated[int, "how often each is measured; the table has the medians"] = 3,
    json: AsJson = False,
) -> None:
    """Time snapshots of a lab that is up against its provider's own save and restore."""
    from stacklab.dev import bench_snapshot
    from stacklab.views.benches import rounds as views
    from stacklab.workflow.snapshots import listing, restoring, saving

    with session(f"bench.snapshot {name}") as context:
        cycle = bench_snapshot.SnapshotCycle(
            save=lambda snapshot: saving.save(context, name, snapshot),
            restore=lambda snapshot: restoring.restore(context, name, snapshot),
            delete=lambda snapshot: listing.delete(context, name, snapshot),
            reach=lambda: bench_snapshot.reach(context, name),
        )
        measured = bench_snapshot.measure(context, name, cycle, rounds=rounds)
    if json:
        show_json(measured.as_dict())
    else:
        show(*views.snapshot_tables(measured))


@task("bench.check")
def bench_check(
    _c: Any, out: Annotated[str, "write the drawing to this file"] = "reports/bench-check.svg"
) -> None:
    """Measure what a check costs the host, for 3 to 200 simulated nodes; --out FILE: a drawing."""
    from stacklab.dev import bench_check
    from stacklab.views.benches import plot

    costs = list(bench_check.measure())
    show(plot.costs_table(costs))
    plot.write_chart(costs, Path(out))


@task("bench.cli")
def bench_cli(
    _c: Any, rounds: Annotated[int, "how many runs of each command, interleaved"] = 15
) -> None:
    """Compare the start-up of quick commands with a bare `import invoke`, in one run."""
    from stacklab.dev import bench_cli
    from stacklab.views import tables

    rows = bench_cli.measure(rounds=rounds)
    show(tables.table(("what", "seconds", "ratio", "wanted"), rows))
