"""The pristine snapshot: a lab as `lab.up` has left it, for the next `lab.up` and `lab.rebuild`.

It outlives its lab. It is used only while all that it was made from is what it was; its
manifest has a digest of each of these inputs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from stacklab import installers, record, secrets, settings
from stacklab.checks.result import CheckResult
from stacklab.errors import LabError
from stacklab.installers import rendering
from stacklab.installers.kit.write import digest
from stacklab.model import lab_json
from stacklab.model.lab import Checkpoint, Lab
from stacklab.model.snapshot import Hardware, SnapshotManifest
from stacklab.paths import LabPaths
from stacklab.paths.names import PRISTINE
from stacklab.paths.project import PACKAGE, PROJECT
from stacklab.providers.contract import Snapshots
from stacklab.record import LabRecord
from stacklab.tools.host.mirrors import host_mirrors
from stacklab.workflow.context import Context, read_own
from stacklab.workflow.lab import ending
from stacklab.workflow.snapshots import cache, intent, lab_files, restoring, saving, store
from stacklab.workflow.stack import inputs as stack_inputs

# What makes nodes of a spec and an image: where it was changed, nodes would be others.
_MAKERS = (
    PROJECT / "vagrant" / "Vagrantfile",
    PACKAGE / "nodes" / "seed.py",
    PACKAGE / "providers" / "libvirt",
    PACKAGE / "providers" / "containers",
)


# What a manifest calls the inputs that the lab's own file decides on.
_IMAGE = "the base image"
_SPEC = "the spec"


def is_kept(lab: Lab, paths: LabPaths, *, image: str) -> bool:
    """Return True if the lab has a pristine snapshot, of this spec and this image.

    Nobody is asked, so it is quick: `why_cold_start` compares all inputs.
    """
    if not paths.pristine().manifest.exists():
        return False
    try:
        inputs = store.read(paths, PRISTINE).inputs
    except LabError:
        return False
    return inputs.get(_IMAGE) == image and inputs.get(_SPEC) == _digest(_spec_text(lab))


def keep(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    lab_record: LabRecord,
    results: Sequence[CheckResult],
) -> None:
    """Make the pristine snapshot of a lab that was just made whole, and passed its checks.

    The caller holds the lab's lock. A snapshot that can't be made is said, and no error.
    """
    provider = context.provider(lab_record)
    if not lab.has_checkpoint(Checkpoint.PRISTINE) or not isinstance(provider, Snapshots):
        return
    if cache.limit_bytes(context.host) == 0:
        return
    try:
        manifest = saving.replace_held(context, lab, lab_record, paths.pristine())
        manifest = dataclasses.replace(
            manifest,
            inputs=inputs_of(context, lab, image=lab_record.image, machine=manifest.machine),
            checks_passed=sum(result.is_passed for result in results),
        )
        store.write(paths.pristine(), manifest)
        cache.prune(context, keep=paths.name)
    except LabError as error:
        context.progress.note("host", f"no pristine snapshot for the next lab.up: {error.message}")


def bring_back(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    today: LabRecord | None,
    *,
    image: str,
    expires_at: float | None,
) -> SnapshotManifest | None:
    """Restore the pristine snapshot; None where there is none, or where that can't be done.

    The caller holds the lab's lock. Why there has to be a cold start is said in a line. When a
    restore has failed, nothing is left of the lab.
    """
    why_cold = why_cold_start(context, lab, paths, image=image)
    if why_cold is None:
        return None
    if why_cold:
        context.progress.note("host", f"a cold start: {why_cold}")
        return None
    manifest = store.read(paths, PRISTINE)
    wanted = restoring.intent_of(manifest)
    intent.write(paths, wanted)
    try:
        restoring.restore_held(context, paths, today, wanted)
    except LabError as error:
        context.progress.note(
            "host", f"a cold start: the pristine snapshot can't be restored: {error.message}"
        )
        _forget_lab(context, paths)
        return None
    _note_expiry(paths, expires_at)
    cache.note_use(paths)
    return manifest


def why_cold_start(context: Context, lab: Lab, paths: LabPaths, *, image: str) -> str | None:
    """Return why the lab can't come from its pristine snapshot; "" if it can, None without one.

    Its provider has to be reachable.
    """
    if not paths.pristine().manifest.exists():
        return None
    try:
        manifest = store.read(paths, PRISTINE)
        changed = _changed_inputs(context, lab, paths, manifest, image=image)
        if not changed:
            restoring.refuse_incomplete(context, paths.pristine(), manifest)
            return ""
    except LabError as error:
        return error.message
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(manifest.made_at))
    return f"{' and '.join(changed)} changed since the pristine snapshot of {made}"


def _forget_lab(context: Context, paths: LabPaths) -> None:
    """Remove what a failed restore has left of the lab, and the snapshot that failed."""
    ending.clear_away(context, paths, read_own(paths))
    store.remove(paths.pristine())
    intent.forget(paths)


def _note_expiry(paths: LabPaths, expires_at: float | None) -> None:
    """Give the lab the time to live that it was given now."""
    restored = read_own(paths)
    if restored is not None:
        record.write(paths, dataclasses.replace(restored, expires_at=expires_at))


def _changed_inputs(
    context: Context, lab: Lab, paths: LabPaths, manifest: SnapshotManifest, *, image: str
) -> list[str]:
    """Return what is not as it was when the pristine snapshot was made."""
    then = lab_files.read_record(paths.pristine())
    machine = saving.maker_of(context, lab, then).machine()
    today = inputs_of(context, lab, image=image, machine=machine)
    changed = [name for name in today if today[name] != manifest.inputs.get(name)]
    changed += secrets.changed(
        lab.stack.secrets,
        lab_files.read_secrets(paths.pristine()),
        allowed=settings.read(context.host).secrets,
    )
    return changed


def inputs_of(
    context: Context, lab: Lab, *, image: str, machine: Hardware | None
) -> Mapping[str, str]:
    """Return what nodes are made from, by how people call it, each as a digest or its name."""
    mirrors = host_mirrors(context.runner)
    answers = rendering.preview(lab, mirrors=mirrors)
    inputs = {
        _IMAGE: image,
        _SPEC: _digest(_spec_text(lab)),
        "its answer files": _digest(*(digest(files) for files in answers.values())),
        "stacklab's way to make nodes": _digest(*_maker_texts()),
    }
    if machine is not None:  # memory is a part of it
        inputs |= {
            "QEMU": machine.qemu,
            "the accelerator": machine.accelerator,
            "the processor": " ".join((machine.cpu, *machine.host_cpu)),
        }
    if installers.is_quick(lab):
        stages = stack_inputs.input_digests(context, lab, answers)
        inputs["its installer's stages"] = _digest(json.dumps(stages, sort_keys=True))
    return inputs


def _spec_text(lab: Lab) -> str:
    """Return all of a lab that makes a difference to its nodes and to what they have passed."""
    return lab_json.to_json(
        dataclasses.replace(lab, source=Path(), description="", checkpoints=None)
    )


def _maker_texts() -> Sequence[str]:
    texts: list[str] = []
    for path in _MAKERS:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            texts.append(file.read_text())
    return texts


def _digest(*texts: str) -> str:
    found = hashlib.sha256()
    for text in texts:
        found.update(f"{len(text)} {text}".encode())
    return found.hexdigest()
