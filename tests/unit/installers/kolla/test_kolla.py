from __future__ import annotations

import re
from pathlib import Path

import pytest

from stacklab import releases
from stacklab.errors import RenderError, SpecError
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from tests.unit.installers.kolla.kolla_labs import (
    FOUR,
    GLOBALS,
    INVENTORY,
    deployer,
    globals_of,
    load,
    secrets,
)

RELEASES = tuple(releases.of(Installer.KOLLA))
EXTERNAL = Path("/etc/systemd/system/stacklab-external.service")


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_renders_for_a_plain_lab(tmp_path: Path, release: str) -> None:
    lab = load(tmp_path, release=release)
    found = globals_of(lab)
    assert found["openstack_release"] == release
    assert found["kolla_base_distro"] == lab.images[0].partition("-")[0]
    assert answers.steps(lab)


def test_only_the_deployer_gets_kollas_files(tmp_path: Path) -> None:
    lab = load(tmp_path)
    rendered = answers.render(lab, secrets(lab))
    assert {str(path) for path in rendered["controller"]} == {
        "/etc/kolla/globals.yml",
        "/etc/kolla/passwords.lab.yml",
        "/etc/kolla/inventory/lab",
        str(EXTERNAL),
    }
    assert rendered["compute1"] == rendered["compute2"] == {}


def test_every_file_says_what_it_is_and_from_what_it_was_rendered(tmp_path: Path) -> None:
    lab = load(tmp_path, overcommit={"cpu": 2})
    for path, text in deployer(lab).items():
        head = "\n".join(text.splitlines()[:3])
        assert "kolla-lab.yaml by localrc/kolla/" in head, path
        assert "edit those, not this" in head


def test_release_and_address_stay_texts_and_switches_are_switches(tmp_path: Path) -> None:
    text = deployer(load(tmp_path))[GLOBALS]
    assert 'openstack_release: "2025.2"' in text
    assert (
        'kolla_dev_repos_directory: "/opt/stack/"' in text
    )  # with the slash: it is put before the project's name
    assert (
        "enable_haproxy: false" in text
    )  # a quoted "no" would be true to a condition without `| bool`


def test_one_controller_is_its_own_api_address_without_haproxy_and_proxysql(tmp_path: Path) -> None:
    lab = load(
        tmp_path,
        networks=FOUR,
        data_network="data",
        controller_nics=("mgmt", "fabric", "data"),
        compute_nics=("mgmt", "fabric", "data"),
        api_network="mgmt",
    )
    found = globals_of(lab)
    assert found["kolla_internal_vip_address"] == "192.168.250.11"
    # ProxySQL listens at the VIP and MariaDB's port, whatever haproxy does.
    assert (found["enable_haproxy"], found["enable_proxysql"]) == (False, False)


def test_several_controllers_share_an_address_that_nobody_has(tmp_path: Path) -> None:
    found = globals_of(load(tmp_path, controllers=3))
    assert (
        found["kolla_internal_vip_address"] == "10.250.0.223"
    )  # below those for floating addresses
    assert (found["enable_haproxy"], found["enable_proxysql"]) == (True, True)


def test_the_shared_address_is_outside_the_floating_range(tmp_path: Path) -> None:
    lab = load(
        tmp_path,
        networks=FOUR,
        controllers=3,
        controller_nics=("mgmt", "fabric", "external"),
        compute_nics=("mgmt", "fabric", "external"),
        api_network="external",
        external_network="external",
        floating_range="10.250.2.128/25",
    )
    assert globals_of(lab)["kolla_internal_vip_address"] == "10.250.2.127"


def test_the_shared_address_is_nobodys(tmp_path: Path) -> None:
    networks = {**FOUR, "fabric": {"cidr": "10.250.0.0/28", "mode": "isolated"}}
    lab = load(tmp_path, networks=networks, controllers=3, computes=0)
    # 10.250.0.11 to .13 are the controllers'; .14, the last one, is free.
    assert globals_of(lab)["kolla_internal_vip_address"] == "10.250.0.14"
    lab = load(tmp_path, networks=networks, controllers=3, computes=1)
    assert globals_of(lab)["kolla_internal_vip_address"] == "10.250.0.10"


def test_a_network_without_room_for_the_shared_address_is_refused(tmp_path: Path) -> None:
    networks = {**FOUR, "fabric": {"cidr": "10.250.0.0/29", "mode": "isolated"}}
    with pytest.raises(
        RenderError, match=r"fabric \(10.250.0.0/29\) does not have a free address"
    ) as error:
        deployer(
            load(
                tmp_path,
                networks=networks,
                computes=0,
                answers={"enable_haproxy": "yes"},
                controller_nics=("mgmt", "fabric=10.250.0.2"),
                bystanders={f"n{ip}": ("mgmt", f"fabric=10.250.0.{ip}") for ip in range(3, 7)},
            )
        )
    assert error.value.hint is not None
    assert "kolla_internal_vip_address" in error.value.hint


EXTERNAL_LAB: dict[str, object] = {
    "networks": FOUR,
    "external_network": "external",
    "controller_nics": ("mgmt", "fabric", "external"),
}


@pytest.mark.parametrize(
    ("part", "wrong", "right"),
    [
        (
            "10.250.2.0/27",
            "10.250.2.1 is the host's, 10.250.2.11 is controller's",
            "10.250.2.224/27",
        ),
        ("10.250.2.0/24", "10.250.2.1 is the host's", "10.250.2.128/25"),
        ("10.250.2.0/29", "10.250.2.1 is the host's", "10.250.2.248/29"),
        ("172.31.0.0/24", "172.31.0.0/24 is not in external, 10.250.2.0/24", "10.250.2.128/25"),
        ("10.250.0.0/16", "", ""),
    ],
)
def test_a_floating_range_that_is_somebodys_or_elsewhere_is_refused(
    tmp_path: Path, part: str, wrong: str, right: str
) -> None:
    if not wrong:  # the spec refuses it already: it overlaps the lab's other networks
        with pytest.raises(SpecError):
            load(tmp_path, **EXTERNAL_LAB, floating_range=part)
        return
    with pytest.raises(RenderError, match=re.escape(wrong)) as error:
        deployer(load(tmp_path, **EXTERNAL_LAB, floating_range=part))
    assert error.value.hint == f"floating_range: {right}"
    deployer(load(tmp_path, **EXTERNAL_LAB, floating_range=right))


def test_addresses_that_would_be_given_away_by_themselves_are_nobodys_either(
    tmp_path: Path,
) -> None:
    networks = {**FOUR, "external": {"cidr": "10.250.2.0/27", "mode": "nat"}}
    lab = {
        **EXTERNAL_LAB,
        "networks": networks,
        "compute_nics": EXTERNAL_LAB["controller_nics"],
        "computes": 6,
    }
    with pytest.raises(
        RenderError, match=r"10\.250\.2\.16 to 10\.250\.2\.30 would be given away, but"
    ) as error:
        deployer(load(tmp_path, **lab))
    assert error.value.hint == "write floating_range: 10.250.2.24/29"
    deployer(load(tmp_path, **lab, floating_range="10.250.2.24/29"))
    networks["external"] = {"cidr": "10.250.2.0/28", "mode": "nat"}
    with pytest.raises(RenderError, match="would be given away") as error:
        deployer(load(tmp_path, **{**lab, "computes": 2}))
    assert error.value.hint == "a wider cidr for external"


def test_a_floating_range_without_an_external_network_is_refused_as_nothing_would_have_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        RenderError, match=r"stack.floating_range: 10.9.0.0/24 needs an external network"
    ) as error:
        deployer(load(tmp_path, floating_range="10.9.0.0/24"))
    assert "stack.external_network" in str(error.value.hint)


def test_an_answer_may_ask_one_controller_for_haproxy(tmp_path: Path) -> None:
    found = globals_of(load(tmp_path, answers={"enable_haproxy": "yes"}))
    assert (found["enable_haproxy"], found["kolla_internal_vip_address"]) == (True, "10.250.0.223")


def test_several_controllers_without_haproxy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="3 controllers need enable_haproxy"):
        deployer(load(tmp_path, controllers=3, answers={"enable_haproxy": "no"}))


def _host_lines(lab: Lab) -> dict[str, dict[str, str]]:
    lines = [
        line.split() for line in deployer(lab)[INVENTORY].splitlines() if " ansible_host=" in line
    ]
    return {line[0]: dict(word.split("=") for word in line[1:]) for line in lines}


def test_interfaces_are_per_host_since_the_order_of_nics_is(tmp_path: Path) -> None:
    lab = load(
        tmp_path,
        networks=FOUR,
        network="mgmt",
        api_network="fabric",
        data_network="data",
        external_network="external",
        controller_nics=("mgmt", "fabric", "data", "external"),
        compute_nics=("mgmt", "data", "fabric"),
    )
    found = _host_lines(lab)
    assert found["controller"] == {
        "ansible_host": "192.168.250.11",
        "network_interface": "eth0",
        "api_interface": "eth1",
        "tunnel_interface": "eth2",
        "neutron_external_interface": "eth3",
    }
    assert found["compute1"] == {
        "ansible_host": "192.168.250.12",
        "network_interface": "eth0",
        "api_interface": "eth2",
        "tunnel_interface": "eth1",
    }
    # As extra variables they would go before the inventory's, on every host.
    assert not any("_interface" in key for key in globals_of(lab))


def _groups(lab: Lab) -> dict[str, list[str]]:
    sections = deployer(lab)[INVENTORY].split("\n[")[1:]
    return {part.partition("]")[0]: part.partition("]\n")[2].split("\n") for part in sections}


def test_groups_follow_the_roles_of_the_nodes(tmp_path: Path) -> None:
    found = _groups(load(tmp_path))
    for group in ("control", "network", "monitoring", "storage"):
        assert found[group][0] == "controller"
        assert found[group][1] == ""
    assert found["compute"][:2] == ["compute1", "compute2"]
    assert found["deployment"][0] == "localhost ansible_connection=local"


def test_a_controller_alone_is_a_compute_too(tmp_path: Path) -> None:
    assert _groups(load(tmp_path, computes=0))["compute"][0] == "controller"


def test_without_an_external_network_br_ex_gets_a_dummy(tmp_path: Path) -> None:
    lab = load(tmp_path)
    assert _host_lines(lab)["controller"]["neutron_external_interface"] == "external0"
    assert "neutron_external_interface" not in _host_lines(lab)["compute1"]
    unit = deployer(lab)[next(path for path in deployer(lab) if path.name == EXTERNAL.name)]
    assert "ip link add external0 type dummy" in unit
    assert any("enable stacklab-external.service" in step.command for step in answers.steps(lab))


def test_the_external_nic_has_no_address_at_any_boot(tmp_path: Path) -> None:
    lab = load(tmp_path, **EXTERNAL_LAB)
    rendered = answers.render(lab, secrets(lab))
    unit = next(text for path, text in rendered["controller"].items() if path.name == EXTERNAL.name)
    assert not any(path.name == EXTERNAL.name for path in rendered["compute1"])
    assert "Before=network-pre.target" in unit  # so that who gives addresses has read it
    assert "Name=eth2 " in unit
    assert "unmanaged-devices=interface-name:eth2" in unit
    assert "ip address flush dev eth2; ip link set eth2 up" in unit
    assert "dummy" not in unit


def test_network_modes_are_neutrons_plugin_agents(tmp_path: Path) -> None:
    assert globals_of(load(tmp_path))["neutron_plugin_agent"] == "openvswitch"
    assert globals_of(load(tmp_path, network_mode="ovn"))["neutron_plugin_agent"] == "ovn"


def test_zun_comes_with_kuryr_etcd_and_a_docker_that_serves_it(tmp_path: Path) -> None:
    names = ("zun", "kuryr", "etcd")
    found = globals_of(load(tmp_path, driver="zun"))
    assert all(found[f"enable_{name}"] is True for name in names)
    assert found["docker_configure_for_zun"] is found["containerd_configure_for_zun"] is True
    assert not any(f"enable_{name}" in globals_of(load(tmp_path)) for name in names)


def test_zun_is_refused_where_kolla_has_dropped_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="does not have driver zun"):
        load(tmp_path, release="2026.1", driver="zun")
