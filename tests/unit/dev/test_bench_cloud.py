"""The bench of a cloud: what it times, and that the lab is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stacklab import spec
from stacklab.dev import bench_cloud
from stacklab.dev.bench_cloud import CloudCycle
from stacklab.errors import LabError
from stacklab.model.lab import NodeKind
from stacklab.paths.project import LABS
from tests.unit.workflow.fake_host import FakeHost, host

__all__ = ["host"]

LAB = spec.load(LABS / "openstack-3node.yaml")


def cycle(done: list[str], failing: str = "") -> CloudCycle:
    def act(word: str) -> Callable[[], object]:
        def run() -> None:
            done.append(word)
            if word == failing:
                raise LabError(f"{word} fails")

        return run

    return CloudCycle(
        bring_up=act("up"),
        install=act("install"),
        check=act("check"),
        prove=act("prove"),
        destroy=act("destroy"),
    )


@pytest.mark.parametrize("kind", list(NodeKind))
def test_each_part_is_timed_once_and_the_lab_destroyed(host: FakeHost, kind: NodeKind) -> None:
    host.stock("debian-12-openstack")
    done: list[str] = []
    slept: list[float] = []
    rows = bench_cloud.measure(host.context, LAB.all_as(kind), cycle(done), slept.append)
    assert done == ["up", "install", "check", "prove", "destroy"]
    assert [row[0] for row in rows][1:4] == [
        "until all services answer",
        "until all checks passed",
        "cloud.smoke",
    ]
    assert float(rows[-1][1]) >= 0
    assert len(slept) == 2


@pytest.mark.parametrize("failing", ["up", "install", "prove"])
def test_the_lab_is_destroyed_whatever_fails(host: FakeHost, failing: str) -> None:
    host.stock("debian-12-openstack")
    done: list[str] = []
    with pytest.raises(LabError, match=f"{failing} fails"):
        bench_cloud.measure(host.context, LAB, cycle(done, failing), lambda _seconds: None)
    assert done[-1] == "destroy"


def test_a_lab_that_is_up_is_left_alone(host: FakeHost) -> None:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    done: list[str] = []
    with pytest.raises(LabError, match="is up"):
        bench_cloud.measure(host.context, LAB, cycle(done), lambda _seconds: None)
    assert done == []
