"""`lab.import`: take a bundle, which anybody may have made, as a snapshot of this host.

All of it is unpacked into a staging directory, checked, and made this host's own there.
The manifest is written last: until then nothing but that directory exists, and the next
`lab.import` of the lab, `lab.restore`, `lab.destroy` or `image.prune` removes it.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab import doctor
from stacklab.errors import AlreadyRunning, HostError, ImageError, LabError
from stacklab.images import store as images
from stacklab.model import bundle
from stacklab.model.bundle import BundleIndex, PackedFile
from stacklab.model.lab import Lab
from stacklab.model.snapshot import NodePart, SnapshotManifest
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.providers import registry
from stacklab.providers.bundling import BundleMaker, ForeignNode
from stacklab.record import LabRecord
from stacklab.tools import qcow2
from stacklab.workflow.bundles import bundle_files, bundle_lab
from stacklab.workflow.bundles.bundle_lab import ForeignFiles, LabFiles
from stacklab.workflow.bundles.bundle_stream import Sink
from stacklab.workflow.bundles.exporting import bases_there, maker_for
from stacklab.workflow.context import Context
from stacklab.workflow.lab import kinds
from stacklab.workflow.snapshots import store


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A bundle that is a snapshot of this host now."""

    manifest: SnapshotManifest
    key: str


def import_(context: Context, file: Path, load: Callable[[str], Lab]) -> Imported:
    """Take a bundle as a snapshot of its lab, which must not exist here.

    `load` loads the spec of that name in this checkout. Raises LabError for a bundle that this
    host can't restore, or that is damaged; nothing is left of it then.
    """
    if not file.is_file():
        raise LabError(f"there is no file {file}", hint="./invoke lab.import FILE")
    index = bundle_files.read_index(context.runner, file)
    manifest = index.manifest
    lab = load(manifest.lab)
    with context.lab_lock(manifest.lab) as paths:
        _refuse_known(paths, manifest)
        maker = maker_for(context, manifest)
        _refuse_other_hardware(maker, manifest)
        image = _image_here(context, index, lab)
        store.refuse_full_disk(
            context.host,
            index.bytes,
            what="the bundle",
            hint="./invoke image.prune, or set STACKLAB_HOME",
        )
        _refuse_taken_networks(context, lab)
        return _Importing(context, file, index, lab, paths, maker, image).run()


def _refuse_known(paths: LabPaths, manifest: SnapshotManifest) -> None:
    if registry.read(paths) is not None:
        raise AlreadyRunning(
            f"lab {paths.name} exists on this host: it may not become another one",
            hint=f"./invoke lab.destroy {paths.name} first",
        )
    if paths.snapshot(manifest.name).manifest.exists():
        raise LabError(
            f"lab {paths.name} has a snapshot {manifest.name} already",
            hint=f"./invoke lab.restore {paths.name} {manifest.name}, "
            f"or ./invoke lab.snapshot-delete {paths.name} {manifest.name}",
        )


def _refuse_other_hardware(maker: BundleMaker, manifest: SnapshotManifest) -> None:
    differences = manifest.hardware.differences(maker.hardware())
    if differences:
        raise HostError(
            f"the memory of snapshot {manifest.name} of lab {manifest.lab} can't be restored "
            f"here: this host has {'; '.join(differences)}",
            hint=f"./invoke lab.up {manifest.lab} makes the lab anew",
        )


def _image_here(context: Context, index: BundleIndex, lab: Lab) -> str:
    """Return the key that the base image has on this host, or will have; raises ImageError."""
    wanted = index.image
    name = images.image_name(wanted.key)
    if name not in lab.images:
        raise ImageError(
            f"the bundle's base image is {name}, and lab {lab.name} takes {', '.join(lab.images)}",
            hint=f"./invoke lab.show {lab.name}",
        )
    for key in (wanted.key, images.key_of_imported(name, wanted.sha256)):
        stored = images.by_key(context.host, key)
        if stored is not None and stored.sha256 == wanted.sha256:
            images.check(stored)
            return key
    if not wanted.is_inside:
        raise ImageError(
            f"the bundle's disks lie on the base image {wanted.key}, which is not on this host, "
            "and the bundle does not have it; a build of the same image has other bytes",
            hint="export it with its image: ./invoke lab.export "
            f"{lab.name} {index.manifest.name} --with-image",
        )
    return images.key_of_imported(name, wanted.sha256)


def _refuse_taken_networks(context: Context, lab: Lab) -> None:
    """Raise LabError where this host, or another lab of it, has the lab's addresses."""
    others = context.other_labs(lab.name)
    doctor.raise_for(doctor.probe_subnets(lab, context.machine, others))


class _Importing:
    """One bundle being taken. The caller holds the lab's lock."""

    def __init__(
        self,
        context: Context,
        file: Path,
        index: BundleIndex,
        lab: Lab,
        paths: LabPaths,
        maker: BundleMaker,
        image: str,
    ) -> None:
        self._context = context
        self._file = file
        self._index = index
        self._lab = lab
        self._paths = paths
        self._maker = maker
        self._image = image
        self._staging = paths.staging()
        # No other snapshot ever has a disk of that name.
        self._generation = secrets.token_hex(4)

    def run(self) -> Imported:
        """Unpack, check, adopt, and put it in its place."""
        index, progress = self._index, self._context.progress
        store.sweep(self._paths, self._context.runner)
        try:
            store.make_directory(self._staging)
            with progress.stage("host", "unpack the bundle"):
                bundle_files.unpack(self._context.runner, self._file, index, self._sink)
            with progress.stage("host", "check and adopt it"):
                self._adopt()
            return self._commit()
        except BaseException:
            # Not after a kill, but then whoever sweeps next does it.
            store.sweep(self._paths, self._context.runner)
            raise

    def _sink(self, member: PackedFile) -> Sink:
        return Sink(member, self._places()[member.name])

    def _places(self) -> Mapping[str, Path]:
        """Return where each member is unpacked: all paths are made here, none is the bundle's."""
        staging, index = self._staging, self._index
        places = {"files.tar": staging.files, "image.qcow2": staging.root / "image.qcow2"}
        for node, chain in index.chains.items():
            places[bundle.domain_member(node)] = staging.domain(node)
            places[bundle.seed_member(node)] = staging.seed(node)
            places[bundle.memory_member(node)] = staging.memory(node)
            for position in range(len(chain)):
                disk = staging.root / self._disk_name(node, position)
                places[bundle.disk_member(node, position)] = disk
        return places

    def _disk_name(self, node: str, position: int) -> str:
        below = f"-{position}" if position else ""
        return f"{self._generation}-{node}{below}.qcow2"

    # --- making it this host's own

    def _adopt(self) -> None:
        try:
            home = Path(self._index.home)
            foreign = bundle_lab.read(self._staging.files, home=home, lab=self._paths.name)
            bundle_lab.refuse_other_spec(self._lab, foreign.made)
            lab, record = self._lab_here(foreign)
            self._maker.refuse_taken(record)
            self._refuse_odd_image()
            nodes = [self._foreign_node(node) for node in self._index.manifest.nodes]
            if {node.name for node in nodes} != {node.name for node in lab.nodes}:
                raise ForeignFiles("it does not have the nodes of its lab")
            self._maker.adopt(lab, record, nodes)
            bundle_lab.pack(self._staging.files, lab, self._paths, record, foreign, self._maker)
        except ValueError as error:
            raise bundle_files.damaged(self._file, error) from error

    def _lab_here(self, foreign: LabFiles) -> tuple[Lab, LabRecord]:
        """Return the lab by this checkout's spec, and its record on this host."""
        if foreign.record.provider != self._index.manifest.provider:
            raise ForeignFiles("its record and its manifest name different providers")
        if foreign.record.image != self._index.image.key:
            raise ForeignFiles("its record and its manifest name different base images")
        chosen = kinds.chosen(self._lab, foreign.record, None)
        lab = kinds.as_on_host(self._context, chosen)
        record = bundle_lab.new_record(lab, self._paths, foreign.record, image=self._image)
        registry.kind(record.provider).refuse_damaged(self._paths, record)
        return lab, record

    def _refuse_odd_image(self) -> None:
        if not self._index.image.is_inside:
            return
        member = self._index.members[-1]
        if (member.bytes, member.sha256) != (self._index.image.bytes, self._index.image.sha256):
            raise ForeignFiles("the base image in it is another one than its index says")
        if qcow2.read(self._staging.root / "image.qcow2").backing:
            raise ForeignFiles("the base image in it lies on another file")

    def _foreign_node(self, node: str) -> ForeignNode:
        index, staging = self._index, self._staging
        chain = index.chains[node]
        names = [self._disk_name(node, position) for position in range(len(chain))]
        here = [self._paths.frozen_disks / name for name in names]
        return ForeignNode(
            name=node,
            domain=staging.domain(node),
            memory=staging.memory(node),
            disks=tuple(staging.root / name for name in names),
            bases_there=bases_there(index.home, index.manifest.lab, chain, index.image.key),
            bases_here=(*here[1:], self._paths.host.images / f"{self._image}.qcow2"),
        )

    # --- putting it in its place

    def _commit(self) -> Imported:
        """Move everything to where a snapshot has it; it exists once its manifest does."""
        index, paths = self._index, self._paths
        place = paths.snapshot(index.manifest.name)
        if index.image.is_inside:
            self._keep_image()
        disks: dict[str, Sequence[Path]] = {}
        for node, chain in index.chains.items():
            names = [self._disk_name(node, position) for position in range(len(chain))]
            for name in names:
                (self._staging.root / name).rename(paths.frozen_disks / name)
            disks[node] = [paths.frozen_disks / name for name in names]
        store.remove(place)
        self._staging.root.rename(place.root)
        manifest = self._manifest(place, disks)
        store.write(place, manifest)
        return Imported(manifest=manifest, key=index.key)

    def _keep_image(self) -> None:
        unpacked = self._staging.root / "image.qcow2"
        if images.by_key(self._context.host, self._image) is None:
            name, sha256 = images.image_name(self._image), self._index.image.sha256
            images.add_imported(self._context.host, name, unpacked, sha256=sha256, now=time.time())
        unpacked.unlink(missing_ok=True)

    def _manifest(
        self, place: SnapshotPaths, disks: Mapping[str, Sequence[Path]]
    ) -> SnapshotManifest:
        parts = {}
        for node, chain in disks.items():
            size = place.memory(node).stat().st_size
            parts[node] = NodePart(disk=chain[0].name, memory_bytes=size)
        all_disks = [disk for chain in disks.values() for disk in chain]
        taken = store.bytes_taken(place, all_disks, self._context.runner)
        return dataclasses.replace(
            self._index.manifest, image=self._image, nodes=parts, bytes=taken
        )
