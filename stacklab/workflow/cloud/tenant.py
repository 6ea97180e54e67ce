"""The image of tenants' VMs, which lies in images of nodes."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from stacklab import files
from stacklab.errors import LabError
from stacklab.images import catalogue, root, store
from stacklab.paths import LabPaths
from stacklab.process.command import Command
from stacklab.providers import registry
from stacklab.workflow.context import Context

# Where an image that has OpenStack has the tenants' kernel and initial RAM disk.
_DIRECTORY = "/usr/lib/stacklab/tenant"
_DISK_BYTES = 1024 * 1024  # glance wants a disk; nothing is on it


def extract(context: Context, paths: LabPaths, public_key: str) -> Mapping[str, str]:
    """Take the tenants' image out of an image of nodes; no node is asked for it.

    Returns the paths of kernel, ramdisk and disk, and the kernel's command_line. Raises LabError
    where no image of this host has one.
    """
    disk = root.ensure(context.host, _image_with_tenant(context, paths), context.runner)
    kernel = _dump(context, disk, "vmlinuz", paths.cloud / "tenant-kernel")
    ramdisk = _dump(context, disk, "initrd.gz", paths.cloud / "tenant-ramdisk")
    empty_disk = paths.cloud / "tenant-disk"
    files.write(empty_disk, bytes(_DISK_BYTES))
    # Nova drops an image's property that is longer than 255 characters.
    # A whole line: the VM adds the key that nova has for it behind this one.
    key = base64.b64encode(f"{public_key}\n".encode()).decode()
    return {
        "kernel": str(kernel),
        "ramdisk": str(ramdisk),
        "disk": str(empty_disk),
        "command_line": f"console=ttyS0 no_timer_check panic=5 stacklab.key={key}",
    }


def _image_with_tenant(context: Context, paths: LabPaths) -> str:
    """Return the lab's own image, if its bake has made one for tenants, or another such image."""
    record = registry.read(paths)
    assert record is not None, "running_lab has read it"
    images = catalogue.load()
    baked = [name for name, image in images.items() if image.bake]
    stored = [image for image in store.everything(context.host) if image.name in baked]
    keys = [image.key for image in stored]
    if record.image in keys:
        return record.image
    if not keys:
        raise LabError(
            f"no image of this host has a tenants' image in it (lab {paths.name}'s has none)",
            hint=f"./invoke image.build {baked[0]}",
        )
    return keys[-1]


def _dump(context: Context, disk: root.RootDisk, name: str, target: Path) -> Path:
    """Copy a file out of the image's file system, which needs neither root nor a mount."""
    # Another command may be reading the file of that name at this moment.
    new = target.with_name(f"{target.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    # debugfs takes its request apart at blanks: the path of the home must not be in it.
    request = f"dump {_DIRECTORY}/{name} {new.name}"
    command = Command(
        argv=("debugfs", "-R", request, f"{disk.path}?offset={disk.offset}"),
        what=f"reading {name} out of the image",
        cwd=target.parent,
        timeout_s=60,
    )
    context.runner.run(command)
    if not new.is_file() or new.stat().st_size == 0:
        new.unlink(missing_ok=True)
        raise LabError(
            f"image {disk.path.stem} does not have {_DIRECTORY}/{name}",
            hint="a lab with image debian-12-openstack has it: ./invoke lab.up openstack-3node",
        )
    new.replace(target)
    return target
