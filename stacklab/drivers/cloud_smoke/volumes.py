"""A volume that is written in one VM and read back in another."""

from __future__ import annotations

import openstack

from stacklab.drivers.cloud_smoke.guests import Guests
from stacklab.drivers.cloud_smoke.resources import Resources
from stacklab.drivers.cloud_smoke.steps import StepFailed, wait_until_nothing_is_missing

_READY_S = 900.0  # an emulated cinder asks LVM by rootwrap, and each answer takes it a minute
_DEVICE_S = 180.0
_SIZE_GIB = 1
_WRITTEN = "/root/written"


class Volumes:
    """The volume of one run."""

    def __init__(
        self, cloud: openstack.connection.Connection, resources: Resources, guests: Guests
    ) -> None:
        self._cloud = cloud
        self._resources = resources
        self._guests = guests
        self._id = ""
        self._sum = ""

    def make(self) -> str:
        """Make a volume, and wait until it is there."""
        volume = self._cloud.block_storage.create_volume(
            name=self._resources.full_name("volume"), size=_SIZE_GIB
        )
        self._id = volume.id
        self._wait_until("available")
        return f"{_SIZE_GIB} GiB"

    def write(self, name: str) -> str:
        """Attach the volume to a VM, write to it there, and detach it."""
        device = self._attach(name)
        self._guests.run(
            name,
            f"dd if=/dev/urandom of={_WRITTEN} bs=64k count=16 2>/dev/null && "
            f"dd if={_WRITTEN} of={device} bs=64k 2>/dev/null && sync",
        )
        self._sum = self._guests.run(name, f"md5sum < {_WRITTEN}").split()[0]
        self._detach(name)
        return f"1 MiB to {device}"

    def read(self, writer: str, name: str) -> str:
        """Attach the volume to another VM, and compare what is on it with what was written."""
        device = self._attach(name)
        command = f"dd if={device} bs=64k count=16 2>/dev/null | md5sum"
        found = self._guests.run(name, command).split()[0]
        if found != self._sum:
            raise StepFailed(f"{name} reads {found} where {writer} wrote {self._sum}")
        self._detach(name)
        return f"1 MiB from {device}"

    def _attach(self, name: str) -> str:
        """Attach it; returns the device that came up in the VM, whatever nova calls it."""
        before = self._disks(name)
        server_id = self._resources.server_id(name)
        self._cloud.compute.create_volume_attachment(server_id, volume_id=self._id)
        self._wait_until("in-use")

        def look() -> str:
            return "" if self._disks(name) - before else f"no new disk in {name}"

        wait_until_nothing_is_missing(look, _DEVICE_S)
        (device,) = self._disks(name) - before
        return f"/dev/{device}"

    def _detach(self, name: str) -> None:
        server_id = self._resources.server_id(name)
        self._cloud.compute.delete_volume_attachment(server_id, self._id)
        self._wait_until("available")

    def _disks(self, name: str) -> set[str]:
        return set(self._guests.run(name, "ls /sys/block").split())

    def _wait_until(self, status: str) -> None:
        def look() -> str:
            volume = self._cloud.block_storage.get_volume(self._id)
            if volume.status.startswith("error"):
                raise StepFailed(f"cinder says: {volume.status}")
            return "" if volume.status == status else f"the volume is {volume.status}"

        wait_until_nothing_is_missing(look, _READY_S)
