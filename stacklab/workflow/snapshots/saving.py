"""`lab.snapshot`: freeze a lab's nodes at one instant, keep that, and let them go on."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Mapping

from stacklab import files
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.model.snapshot import NodePart, SnapshotKind, SnapshotManifest
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.providers.contract import Provider, Snapshots, lacking
from stacklab.providers.snapshot_maker import NodeDisks, SnapshotMaker
from stacklab.record import LabRecord
from stacklab.workflow.context import Context, last_resolved, not_up, read_own
from stacklab.workflow.lab.connections import close_connections
from stacklab.workflow.snapshots import intent, lab_files, restarting, store
from stacklab.workflow.snapshots.intent import Doing, Intent

_STORING = {
    SnapshotKind.MEMORY: "write the nodes' memory",
    SnapshotKind.DISKS: "shut down, and freeze disks",
}


def save(context: Context, name: str, snapshot: str) -> SnapshotManifest:
    """Make a snapshot of a running lab; its nodes stand still meanwhile.

    Raises LabError before anything is paused where it can't be made. Whatever fails or ends
    it later, the nodes go on as they were.
    """
    with context.lab_lock(name) as paths:
        record = read_own(paths)
        lab = last_resolved(paths)
        if record is None or lab is None:
            raise not_up(context, name)
        place = paths.snapshot(snapshot)
        if store.is_automatic(snapshot):
            raise LabError(
                f"{snapshot} is a name of snapshots that stacklab makes by itself",
                hint=f"choose another name: ./invoke lab.snapshot {name} --name before-upgrade",
            )
        if place.manifest.exists():
            raise LabError(
                f"lab {name} has a snapshot {snapshot} already",
                hint=f"./invoke lab.snapshot-delete {name} {snapshot}, or choose another name",
            )
        refuse_unreachable(context.provider(record))
        return save_held(context, lab, record, place)


def save_held(
    context: Context, lab: Lab, record: LabRecord, place: SnapshotPaths
) -> SnapshotManifest:
    """Make it; the caller holds the lab's lock, and the lab has no snapshot of that name."""
    maker = maker_of(context, lab, record)
    _refuse_half_up(context, record)
    if place.lab.host.snapshots.exists():
        context.refuse_closed([place.lab.host.snapshots])
    store.refuse_full_disk(
        place.lab.host,
        maker.bytes_needed(),
        what="a snapshot",
        hint=f"./invoke lab.snapshots {place.lab.name}, image.prune, or set STACKLAB_HOME",
    )
    return _Saving(context, lab, record, place, maker).run()


def replace_held(
    context: Context, lab: Lab, record: LabRecord, place: SnapshotPaths
) -> SnapshotManifest:
    """Do the same in the place of an earlier snapshot of that name."""
    store.remove(place)
    manifest = save_held(context, lab, record, place)
    # The disks of the earlier one, once nothing lies on them any more.
    store.sweep(place.lab, context.runner)
    return manifest


def maker_of(context: Context, lab: Lab, record: LabRecord) -> SnapshotMaker:
    """Return who makes the lab's snapshots; raises ProviderError where nobody can."""
    provider = context.provider(record)
    if not isinstance(provider, Snapshots):
        raise lacking(
            provider,
            record.name,
            "snapshots",
            hint=f"./invoke lab.rebuild {record.name} makes its nodes again in seconds",
        )
    return provider.snapshots(lab, record)


def refuse_unreachable(provider: Provider) -> None:
    """Raise ProviderError where a provider can't be asked; its service is started if need be."""
    unreachable = provider.why_unreachable(start=True)
    if unreachable is not None:
        raise unreachable.error()


def _refuse_half_up(context: Context, record: LabRecord) -> None:
    states = context.states(record)
    wrong = [
        f"{node.name} is {states.get(node.name, NodeState.ABSENT)}"
        for node in record.nodes
        if states.get(node.name) is not NodeState.RUNNING
    ]
    if wrong:
        raise LabError(
            f"lab {record.name} does not run whole: {', '.join(wrong)}",
            hint=f"./invoke lab.up {record.name} first, or undo its faults: "
            f"./invoke lab.fault {record.name} --undo",
        )


class _Saving:
    """One snapshot being made. The caller holds the lab's lock."""

    def __init__(
        self,
        context: Context,
        lab: Lab,
        record: LabRecord,
        place: SnapshotPaths,
        maker: SnapshotMaker,
    ) -> None:
        self._context = context
        self._lab = lab
        self._paths = place.lab
        self._record = record
        self._place = place
        self._maker = maker
        self._began = 0.0  # by the monotonic clock, when the nodes were stopped

    def run(self) -> SnapshotManifest:
        """Make the snapshot."""
        wanted = self._intent()
        disks = wanted.frozen(self._paths)
        # Before anything is made: the next command removes what a kill leaves of it.
        intent.write(self._paths, wanted)
        try:
            store.remove(self._place)  # one without a manifest, of an earlier version's kill
            store.make_directory(self._place)
            lab_files.pack(self._paths, self._place)
            manifest = self._save_and_go_on(disks)
            self._note_running(wanted)
        except BaseException:
            # Not after a kill, but then the next command does it.
            go_on(self._context, self._lab, self._paths, self._record, wanted)
            raise
        manifest = self._settle(manifest)
        intent.forget(self._paths)
        return manifest

    def _intent(self) -> Intent:
        """Return what is about to be done, with the names that the frozen disks will have."""
        # No other snapshot ever has a disk of that name: memory can't meet the wrong one.
        generation = secrets.token_hex(4)
        suffix = self._maker.disk_suffix
        disks, further_disks = {}, {}
        for node in [node.name for node in self._record.nodes]:
            disks[node] = f"{generation}-{node}{suffix}"
            names = self._maker.further_disks(node)
            # No node's name has a dot in it.
            further_disks[node] = {name: f"{generation}-{node}.{name}{suffix}" for name in names}
        return Intent(
            doing=Doing.SAVE,
            snapshot=self._place.name,
            disks=disks,
            further_disks=further_disks,
        )

    def _note_running(self, wanted: Intent) -> None:
        """Say that the nodes run: what they do from here on is not to be undone any more."""
        try:
            intent.write(self._paths, dataclasses.replace(wanted, doing=Doing.SETTLE))
        except OSError:
            # A full disk. After a kill, `lab.up` sets the clocks as well.
            intent.forget(self._paths)

    def _settle(self, manifest: SnapshotManifest) -> SnapshotManifest:
        """Set the nodes right that go on, and complete the manifest."""
        manifest = store.write_size(self._place, manifest, self._context.runner)
        try:
            restarting.settle(
                self._context,
                self._lab,
                self._paths,
                self._record,
                manifest.kind,
                instant=manifest.made_at,
            )
        except LabError:
            # The snapshot is whole, and the nodes run: `lab.up` does what is left.
            intent.forget(self._paths)
            raise
        if manifest.kind is SnapshotKind.DISKS:
            # They were off until they answered.
            manifest = dataclasses.replace(manifest, paused_s=time.monotonic() - self._began)
        store.write(self._place, manifest)
        return manifest

    def _save_and_go_on(self, disks: Mapping[str, NodeDisks]) -> SnapshotManifest:
        progress = self._context.progress
        machine = self._maker.machine()
        if self._maker.kind is SnapshotKind.DISKS:
            # While the nodes run: ssh ends at once if its other end still answers.
            close_connections(self._context, self._paths, self._record)
        self._began = time.monotonic()
        with progress.stage("host", _STORING[self._maker.kind]):
            skew_s = self._maker.freeze()
            made_at = time.time()
            self._maker.store(self._place, disks)
            manifest = SnapshotManifest(
                lab=self._lab.name,
                name=self._place.name,
                made_at=made_at,
                provider=self._record.provider,
                image=self._record.image,
                kind=self._maker.kind,
                machine=machine,
                nodes={node: self._part(node, disks[node]) for node in disks},
                skew_s=skew_s,
                paused_s=0.0,
                bytes=0,
            )
            store.write(self._place, manifest)
        with progress.stage("host", "let the nodes go on"):
            self._maker.restore(self._place, disks)
        return dataclasses.replace(manifest, paused_s=time.monotonic() - self._began)

    def _part(self, node: str, disks: NodeDisks) -> NodePart:
        has_memory = self._maker.kind is SnapshotKind.MEMORY
        return NodePart(
            disk=disks.disk.name,
            further_disks={name: path.name for name, path in disks.further.items()},
            memory_bytes=self._place.memory(node).stat().st_size if has_memory else 0,
        )


def go_on(context: Context, lab: Lab, paths: LabPaths, record: LabRecord, wanted: Intent) -> str:
    """Finish a snapshot that was cut short if it is whole, else undo it; returns which.

    The caller holds the lab's lock.
    """
    place = paths.snapshot(wanted.snapshot)
    maker = maker_of(context, lab, record)
    disks = wanted.frozen(paths)
    is_whole = place.manifest.exists()
    if wanted.doing is Doing.SETTLE:
        done = f"snapshot {place.name} is whole, and the nodes have gone on from it"
    elif is_whole:
        maker.restore(place, disks)
        done = f"snapshot {place.name} is whole: the nodes go on from it"
    else:
        maker.resume(place, disks)
        store.remove(place)
        done = f"snapshot {place.name} was not whole and is gone: the nodes go on as they were"
    if is_whole:
        files.remove_unfinished(place.manifest)
        store.write_size(place, store.read(paths, place.name), context.runner)
    try:
        restarting.settle(context, lab, paths, record, maker.kind)
    except LabError:
        if wanted.doing is Doing.SETTLE:
            # Nodes that are off by now would never answer: `lab.up` starts them.
            intent.forget(paths)
        raise
    intent.forget(paths)
    return done
