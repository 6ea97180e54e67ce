from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from stacklab.doctor import machine
from stacklab.doctor.containers import kernel
from stacklab.doctor.containers.kernel import NETEM, Feature, Presence
from stacklab.doctor.result import ProbeStatus
from tests.unit.doctor.fake_machine import RELEASE, make_machine

BUILTIN = f"/lib/modules/{RELEASE}/modules.builtin"
ON_DISK = f"/lib/modules/{RELEASE}/modules.dep"
DM = Feature(module="dm_mod", option="BLK_DEV_DM", cost="no LVM")
OTHER = "kernel/net/sched/sch_netem_other.ko: \n"


@pytest.mark.parametrize(
    ("modules", "config", "files", "presence"),
    [
        (("sch_netem",), "", {}, Presence.READY),
        ((), "CONFIG_NET_SCH_NETEM=y\n", {}, Presence.READY),
        ((), "", {BUILTIN: "kernel/net/sched/sch_netem.ko\n"}, Presence.READY),
        ((), "CONFIG_NET_SCH_NETEM=m\n", {ON_DISK: "net/sch_netem.ko.xz:\n"}, Presence.MODULE),
        ((), "", {ON_DISK: "kernel/net/sched/sch_netem.ko: \n"}, Presence.MODULE),
        ((), "CONFIG_NET_SCH_NETEM=m\n", {}, Presence.ABSENT),
        ((), "# CONFIG_NET_SCH_NETEM is not set\n", {}, Presence.ABSENT),
        ((), "CONFIG_NET_SCH_NETEM=y_OTHER\n", {}, Presence.ABSENT),
        ((), "", {ON_DISK: OTHER}, Presence.ABSENT),
        ((), "", {}, Presence.UNKNOWN),
    ],
)
def test_where_a_feature_is_found(
    modules: tuple[str, ...], config: str, files: dict[str, str], presence: Presence
) -> None:
    host = make_machine(modules=modules, kernel_config=config, files=files)
    assert kernel.presence(host, NETEM) is presence


def test_the_file_of_a_module_may_have_a_dash_in_its_name() -> None:
    host = make_machine(files={ON_DISK: "kernel/drivers/md/dm-mod.ko: \n"})
    assert kernel.presence(host, DM) is Presence.MODULE


def test_each_missing_feature_is_told_with_its_cost_and_fails_nothing() -> None:
    host = make_machine(modules=("vxlan", "nf_conntrack"), kernel_config="CONFIG_X=y\n")
    first, *others = kernel.probe_features(host)
    assert (first.status, first.sentence) == (
        ProbeStatus.OK,
        "for clouds in containers this kernel has vxlan, nf_conntrack",
    )
    missing = {feature.module for feature in kernel.FEATURES} - {"vxlan", "nf_conntrack"}
    assert {result.name for result in others} == missing
    assert {result.status for result in others} == {ProbeStatus.INFO}
    costs = {feature.module: feature.cost for feature in kernel.FEATURES}
    for result in others:
        assert result.sentence.endswith(costs[result.name])
        assert not result.fix


def test_a_module_that_is_not_loaded_is_told_with_the_command_that_loads_it() -> None:
    host = make_machine(files={ON_DISK: "kernel/net/openvswitch/openvswitch.ko: \n"})
    results = {result.name: result for result in kernel.probe_features(host)}
    assert results["openvswitch"].status is ProbeStatus.INFO
    assert results["openvswitch"].fix == "sudo modprobe openvswitch"
    assert "containers can't load it" in results["openvswitch"].sentence


def test_a_host_that_tells_nothing_of_its_kernel_is_told_so() -> None:
    results = kernel.probe_features(make_machine())
    assert len(results) == len(kernel.FEATURES)
    assert all("it is not known" in result.sentence for result in results)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"CONFIG_A=y\n"), b"not gzip", None],
    ids=["packed", "damaged", "absent"],
)
def test_the_kernels_configuration_is_unpacked_or_read_from_boot(
    tmp_path: Path, content: bytes | None
) -> None:
    packed, plain = tmp_path / "config.gz", tmp_path / "config"
    plain.write_text("CONFIG_B=y\n")
    if content is not None:
        packed.write_bytes(content)
    is_packed = content is not None and content.startswith(b"\x1f\x8b")
    expected = "CONFIG_A=y\n" if is_packed else "CONFIG_B=y\n"
    assert machine.read_kernel_config(packed, plain) == expected


def test_a_host_without_any_configuration_has_an_empty_one(tmp_path: Path) -> None:
    assert machine.read_kernel_config(tmp_path / "no.gz", tmp_path / "none") == ""
