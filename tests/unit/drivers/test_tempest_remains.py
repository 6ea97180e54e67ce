"""What a tempest that was cut off has left, with a stand-in for openstacksdk."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class SDKException(Exception):
    """Stands for openstacksdk's."""


@pytest.fixture(autouse=True)
def openstacksdk(monkeypatch: pytest.MonkeyPatch) -> None:
    stub: Any = ModuleType("openstack")
    stub.connection = SimpleNamespace(Connection=object)
    stub.exceptions = SimpleNamespace(SDKException=SDKException)
    monkeypatch.setitem(sys.modules, "openstack", stub)


class Things:
    """What a service has of one kind; `all_projects` lists those of others, too."""

    def __init__(self, *things: SimpleNamespace) -> None:
        self.all = list(things)

    def listed(self, *, project_id: str = "", **_query: object) -> list[SimpleNamespace]:
        return [one for one in self.all if project_id in ("", one.project_id)]

    def delete(self, thing: SimpleNamespace, **_options: object) -> None:
        self.all.remove(thing)


def thing(name: str | None, project_id: str = "ours", **more: object) -> SimpleNamespace:
    return SimpleNamespace(id=f"id of {name}", name=name, project_id=project_id, **more)


class Storage:
    """cinder: it refuses to delete a volume that has a snapshot."""

    def __init__(self, snapshots: Things, volumes: Things) -> None:
        self._snapshots = snapshots
        self._volumes = volumes
        self.snapshots = snapshots.listed
        self.volumes = volumes.listed
        self.delete_snapshot = snapshots.delete

    def delete_volume(self, volume: SimpleNamespace) -> None:
        if any(snapshot.volume_id == volume.id for snapshot in self._snapshots.all):
            raise SDKException("Volume has snapshots")
        self._volumes.delete(volume)


class Images(Things):
    """glance: it refuses to delete a protected image."""

    def update_image(self, image: SimpleNamespace, *, is_protected: bool) -> None:
        image.is_protected = is_protected

    def delete_image(self, image: SimpleNamespace) -> None:
        if image.is_protected:
            raise SDKException("Image is protected")
        self.delete(image)

    def images(self) -> list[SimpleNamespace]:
        return self.listed()


class Cloud:
    """A cloud with a project of tempest's, and one of somebody else."""

    def __init__(self) -> None:
        self.project_list = Things(thing("tempest-Volumes-1"), thing("demo", "theirs"))
        self.project_list.all[0].id = "ours"
        self.snapshot_list = Things(
            thing("a snapshot", volume_id="id of a volume"),
            thing("another's", "theirs", volume_id="x"),
        )
        # Some of tempest's tests give a volume no name.
        self.volume_list = Things(thing("a volume"), thing(None), thing("tempest-like", "theirs"))
        self.identity = SimpleNamespace(
            projects=self.project_list.listed,
            users=Things().listed,
            delete_project=self.project_list.delete,
        )
        nothing = Things().listed
        self.compute = SimpleNamespace(servers=nothing, flavors=nothing)
        self.network = SimpleNamespace(
            ips=nothing, routers=nothing, networks=nothing, security_groups=nothing
        )
        self.block_storage = Storage(self.snapshot_list, self.volume_list)
        self.image = Images(
            thing("tempest-image", is_protected=False),
            thing("tempest-protected", is_protected=True),
            thing("cirros", is_protected=False),
        )


def names(things: Things) -> list[str | None]:
    return [one.name for one in things.all]


def test_volumes_snapshots_and_images_of_its_projects_go() -> None:
    from stacklab.drivers import tempest_remains

    cloud: Any = Cloud()
    tempest_remains.delete(cloud, has_volumes=True)
    assert names(cloud.snapshot_list) == ["another's"]
    assert names(cloud.volume_list) == ["tempest-like"]
    assert names(cloud.image) == ["cirros"]
    assert names(cloud.project_list) == ["demo"]


def test_a_cloud_without_cinder_is_not_asked_for_volumes() -> None:
    from stacklab.drivers import tempest_remains

    cloud: Any = Cloud()
    del cloud.block_storage
    tempest_remains.delete(cloud, has_volumes=False)
    assert names(cloud.project_list) == ["demo"]


def test_a_volume_without_a_name_that_stays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from stacklab.drivers import tempest_remains
    from stacklab.drivers.cloud_smoke.steps import StepFailed

    cloud: Any = Cloud()
    cloud.volume_list.all = [thing(None)]
    cloud.snapshot_list.all = []
    cloud.block_storage.delete_volume = lambda _volume: None
    monkeypatch.setattr(tempest_remains, "_GONE_S", 0.0)
    with pytest.raises(StepFailed, match="id of None"):
        tempest_remains.delete(cloud, has_volumes=True)
