"""What has to be true before peers are compared, and what they are given."""

from __future__ import annotations

from pathlib import Path

from stacklab import installers
from stacklab.dev.cycles import bench_log, refuse_if_up
from stacklab.dev.peers.peer import Site
from stacklab.errors import LabError, ProviderError
from stacklab.images import catalogue
from stacklab.model.lab import Lab, NodeKind
from stacklab.process.command import Runner
from stacklab.providers.contract import Provider
from stacklab.providers.foreign_things import ForeignThings, HasForeignThings
from stacklab.workflow import base_image
from stacklab.workflow.context import Context
from stacklab.workflow.snapshots import store

_DIRECTORY = "bench-peers"
# Copies of the image in three pools, a box of it, what nodes write, and their memory.
_NEEDED_BYTES = 10 * 10**9
_OTHER_LAB = "./invoke bench.peers --name contrail-3node"


def refuse_unfit(context: Context, lab: Lab, rounds: int) -> None:
    """Raise LabError, before anything is touched, where the lab can't be compared."""
    if rounds < 1:
        raise LabError(f"--rounds {rounds} measures nothing", hint=f"{_OTHER_LAB} --rounds 3")
    if lab.of_kind(NodeKind.CONTAINER):
        raise LabError(f"lab {lab.name} has containers, and no peer makes any", hint=_OTHER_LAB)
    if installers.is_quick(lab):
        raise LabError(
            f"lab.up of lab {lab.name} installs a cloud, which no peer does", hint=_OTHER_LAB
        )
    refuse_if_up(context, lab)


def make_site(context: Context, lab: Lab, runner: Runner) -> Site:
    """Return what all peers are given; the lab's image is built first, if need be."""
    things = _things_of(context.provider(of_new=lab))
    store.refuse_full_disk(
        context.host,
        _NEEDED_BYTES,
        what="the bench",
        why=", for copies of the image, and for what nodes write",
        hint="./invoke image.prune, or set STACKLAB_HOME",
    )
    choice = base_image.choose(context, lab)
    builder = base_image.builder(context)
    images = catalogue.load()

    def file_of(name: str) -> Path:
        return builder.build(catalogue.get(images, name)).path

    return Site(
        context=context,
        lab=lab,
        runner=runner,
        things=things,
        accelerator=context.accelerator(),
        work=context.host.root / _DIRECTORY,
        log=bench_log(context.host),
        image=file_of,
        lab_image=choice.image.name,
    )


def _things_of(provider: Provider) -> ForeignThings:
    """Return what finds and removes things of the peers on a provider that runs."""
    if not isinstance(provider, HasForeignThings):
        raise LabError(
            f"other programs make no nodes on the provider {provider.name}", hint=_OTHER_LAB
        )
    unreachable = provider.why_unreachable(start=True)
    if unreachable is not None:
        raise ProviderError(f"{unreachable.service}: {unreachable.why}", hint=unreachable.hint)
    return provider.foreign_things()
