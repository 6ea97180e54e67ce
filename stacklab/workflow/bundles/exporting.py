"""`lab.export`: put a snapshot into one file, for another host or a CI system's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab.errors import HostError, ImageError, LabError
from stacklab.images import store as images
from stacklab.images.store import StoredImage
from stacklab.model import bundle
from stacklab.model.bundle import BundledImage, BundleIndex, PackedFile
from stacklab.model.lab import Lab
from stacklab.model.snapshot import SnapshotManifest
from stacklab.paths import LabPaths, SnapshotPaths
from stacklab.providers import registry
from stacklab.providers.bundling import BundleMaker, Bundles, ForeignNode
from stacklab.providers.contract import lacking
from stacklab.tools import qemu_img
from stacklab.workflow import base_image
from stacklab.workflow.bundles import bundle_files, bundle_lab
from stacklab.workflow.context import Context
from stacklab.workflow.lab import kinds
from stacklab.workflow.snapshots import saving, store


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle that was written."""

    file: Path
    index: BundleIndex
    bytes: int


def export(
    context: Context, name: str, snapshot: str, target: Path, *, with_image: bool
) -> Exported:
    """Write a snapshot into a file, which holds the lab's keys and passwords: 0600.

    Raises LabError for a snapshot that no other host could take, before anything is written.
    """
    if not target.parent.is_dir() or target.is_dir():
        raise LabError(f"{target} can't be written: its directory is missing, or it is one")
    if target.exists() and not target.is_file():
        # A device or a pipe would be replaced by the bundle.
        hint = f"./invoke lab.export {name} {snapshot} --out FILE"
        raise LabError(f"{target} is not a regular file: left alone", hint=hint)
    with context.lab_lock(name) as paths:
        manifest = store.read(paths, snapshot)
        _refuse_further_disks(manifest)
        place = paths.snapshot(snapshot)
        maker = maker_for(context, manifest)
        stored = _stored_image(context, manifest)
        with context.progress.stage("host", "read the snapshot"):
            maker.lend(place)
            chains = _chains(context, paths, manifest, stored)
            made = _refuse_unfit(context, place, manifest, chains, maker)
            sources = _sources(place, manifest, chains, stored if with_image else None)
            index = BundleIndex(
                format=bundle.FORMAT,
                key=bundle.cache_key(
                    made, snapshot, image=manifest.image, hardware=manifest.hardware
                ),
                home=str(context.host.root),
                image=BundledImage(
                    key=stored.key,
                    sha256=stored.sha256,
                    bytes=stored.size_bytes,
                    is_inside=with_image,
                ),
                manifest=manifest,
                chains={node: tuple(disk.name for disk in chains[node]) for node in chains},
                members=tuple(_members(sources)),
            )
        with context.progress.stage("host", "pack the bundle"):
            files = [(member, sources[member.name]) for member in index.members]
            bundle_files.write(context.runner, target, index, files)
        return Exported(file=target, index=index, bytes=target.stat().st_size)


def key(context: Context, name: str, snapshot: str, load: Callable[[str], Lab]) -> str:
    """Return the key of a snapshot's bundle, also of one that is still to be made.

    Without the snapshot it is the one that `lab.up`, `lab.snapshot` and `lab.export` would
    lead to here and now: a CI system looks for the bundle before there is a lab. `load` loads
    the spec of that name. Raises LabError where the lab's image is not built.
    """
    paths = context.host.lab(name)
    place = paths.snapshot(snapshot)
    if place.manifest.exists():
        manifest = store.read(paths, snapshot)
        _refuse_further_disks(manifest)
        maker_for(context, manifest)  # raises where there are no bundles
        files = _read_files(place, context.host.root)
        return bundle.cache_key(
            files.made, snapshot, image=manifest.image, hardware=manifest.hardware
        )
    lab = kinds.as_on_host(context, load(name))
    having = [node.name for node in lab.nodes if node.disks]
    _refuse_nodes_with_disks(lab.name, having, hint="take `disks` out of its spec")
    provider = context.provider(of_new=lab)
    saving.refuse_unreachable(provider)
    if not isinstance(provider, Bundles):
        raise lacking(provider, name, "bundles", hint=f"./invoke lab.up {name} --as vms")
    hardware = provider.bundles().hardware()
    return bundle.cache_key(lab, snapshot, image=_image_of_today(context, lab), hardware=hardware)


def _refuse_further_disks(manifest: SnapshotManifest) -> None:
    """Raise LabError for a snapshot with disks that no bundle carries."""
    nodes = [node for node, part in manifest.nodes.items() if part.further_disks]
    hint = f"./invoke lab.restore {manifest.lab} {manifest.name}, on this host"
    _refuse_nodes_with_disks(manifest.lab, nodes, hint=hint)


def _refuse_nodes_with_disks(lab: str, nodes: Sequence[str], *, hint: str) -> None:
    if nodes:
        raise LabError(
            f"lab {lab} can't be exported: a bundle does not carry the further disks of "
            f"{', '.join(nodes)}",
            hint=hint,
        )


def _image_of_today(context: Context, lab: Lab) -> str:
    """Return the key of the first of a lab's images that is built."""
    key = base_image.built_key(context, lab)
    if key is not None:
        return key
    raise ImageError(
        f"no image of lab {lab.name} is built: its key depends on that",
        hint=f"./invoke image.build {lab.images[0]}",
    )


def maker_for(context: Context, manifest: SnapshotManifest) -> BundleMaker:
    """Return who knows a snapshot's memory and disks; raises ProviderError where nobody does."""
    kind = registry.PROVIDERS.get(manifest.provider)
    provider = context.provider_named(manifest.provider) if kind else None
    # Disks alone are layers of containers, which no file holds yet.
    if manifest.machine is None or not isinstance(provider, Bundles):
        raise LabError(
            f"snapshot {manifest.name} of lab {manifest.lab} was made by the provider "
            f"{manifest.provider!a}, whose snapshots can't be carried",
            hint="./invoke lab.list",
        )
    saving.refuse_unreachable(provider)
    return provider.bundles()


def _stored_image(context: Context, manifest: SnapshotManifest) -> StoredImage:
    stored = images.by_key(context.host, manifest.image)
    if stored is None:
        raise ImageError(
            f"the base image {manifest.image} of snapshot {manifest.name} is gone",
            hint=f"./invoke lab.snapshot-delete {manifest.lab} {manifest.name}",
        )
    images.check(stored)
    return stored


def _chains(
    context: Context, paths: LabPaths, manifest: SnapshotManifest, stored: StoredImage
) -> Mapping[str, tuple[Path, ...]]:
    """Return each node's frozen disks, the highest first; raises LabError for a foreign base."""
    chains = {}
    for node, part in manifest.nodes.items():
        chain = []
        below: Path | None = paths.frozen_disks / part.disk
        while below is not None and below.parent == paths.frozen_disks:
            chain.append(below)
            if not below.is_file():
                raise _unfit(manifest, f"{below} is missing")
            below = qemu_img.parse_info(context.runner.run(qemu_img.info(below)).stdout).backing
        if below != stored.path:
            raise _unfit(manifest, f"the disk of {node} lies on {below}, not on {stored.path}")
        chains[node] = tuple(chain)
    return chains


def _refuse_unfit(
    context: Context,
    place: SnapshotPaths,
    manifest: SnapshotManifest,
    chains: Mapping[str, tuple[Path, ...]],
    maker: BundleMaker,
) -> Lab:
    """Return the lab as it was brought up; raises LabError for what the import would refuse."""
    files = _read_files(place, context.host.root)
    home = str(context.host.root)
    nodes = []
    for node, chain in chains.items():
        if not place.memory(node).is_file():
            raise _unfit(manifest, f"{place.memory(node)} is missing")
        nodes.append(
            ForeignNode(
                name=node,
                domain=place.domain(node),
                memory=place.memory(node),
                disks=chain,
                bases_there=bases_there(
                    home, manifest.lab, tuple(disk.name for disk in chain), manifest.image
                ),
                bases_here=(),
            )
        )
    try:
        maker.refuse_odd(files.made, files.record, nodes)
    except ValueError as error:
        raise _unfit(manifest, error) from error
    return files.made


def bases_there(home: str, lab: str, chain: tuple[str, ...], image: str) -> tuple[str, ...]:
    """Return what each disk of a chain lies on, on the host where the bundle is made."""
    disks = f"{home}/snapshots/{lab}/disks"
    return (*(f"{disks}/{below}" for below in chain[1:]), f"{home}/images/{image}.qcow2")


def _read_files(place: SnapshotPaths, home: Path) -> bundle_lab.LabFiles:
    try:
        return bundle_lab.read(place.files, home=home, lab=place.lab.name)
    except bundle_lab.ForeignFiles as error:
        raise LabError(
            f"snapshot {place.name} of lab {place.lab.name} can't be carried: {error}",
            hint=f"./invoke lab.snapshot {place.lab.name} --name ANOTHER, without faults",
        ) from error


def _sources(
    place: SnapshotPaths,
    manifest: SnapshotManifest,
    chains: Mapping[str, tuple[Path, ...]],
    image: StoredImage | None,
) -> Mapping[str, Path]:
    """Return what each member of the bundle is read from, in their order."""
    sources = {"files.tar": place.files}
    for node in manifest.nodes:
        sources[bundle.domain_member(node)] = place.domain(node)
        sources[bundle.seed_member(node)] = place.seed(node)
        sources[bundle.memory_member(node)] = place.memory(node)
        for position, disk in enumerate(chains[node]):
            sources[bundle.disk_member(node, position)] = disk
    if image is not None:
        sources["image.qcow2"] = image.path
    return sources


def _members(sources: Mapping[str, Path]) -> Iterator[PackedFile]:
    for name, path in sources.items():
        try:
            digest, size = images.sha256(path), path.stat().st_size
        except FileNotFoundError as error:
            raise HostError(f"{path} is missing", hint="./invoke lab.snapshots LAB") from error
        yield PackedFile(name=name, bytes=size, sha256=digest)


def _unfit(manifest: SnapshotManifest, why: object) -> LabError:
    return LabError(
        f"snapshot {manifest.name} of lab {manifest.lab} can't be carried: {why}",
        hint=f"./invoke lab.snapshot {manifest.lab} --name ANOTHER",
    )
