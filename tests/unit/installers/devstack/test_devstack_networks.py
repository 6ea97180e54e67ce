"""DevStack and OpenStack's four networks.

Addresses, NICs and ranges in the variables of each era.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import RenderError
from tests.unit.installers.devstack import devstack_labs as labs


def test_without_further_networks_everything_is_on_one(tmp_path: Path) -> None:
    values = labs.values(labs.rendered(tmp_path))
    assert values["HOST_IP"] == values["SERVICE_HOST"] == "10.170.0.11"
    assert not {"TUNNEL_ENDPOINT_IP", "PUBLIC_INTERFACE", "FLOATING_RANGE", "FIXED_RANGE"} & set(
        values
    )


def test_each_of_the_four_networks_has_its_variable(tmp_path: Path) -> None:
    values = labs.values(labs.rendered(tmp_path, **labs.FOUR))
    assert values["HOST_IP"] == "10.170.0.11"
    assert values["SERVICE_HOST"] == "10.170.1.11"
    assert values["TUNNEL_ENDPOINT_IP"] == "10.170.2.11"
    assert values["PUBLIC_INTERFACE"] == "eth4"


def test_computes_find_the_apis_on_the_api_network(tmp_path: Path) -> None:
    values = labs.values(labs.rendered(tmp_path, "compute1", **labs.FOUR))
    assert (values["HOST_IP"], values["NOVNCPROXY_URL"][:18]) == (
        "10.170.0.12",
        "http://10.170.1.11",
    )
    assert values["Q_HOST"] == values["SERVICE_HOST"] == "10.170.1.11"
    assert values["GLANCE_HOSTPORT"] == "10.170.1.11:9292"


@pytest.mark.parametrize("release", ["havana", "mitaka", "2026.1"])
def test_database_and_messages_stay_on_the_management_network(tmp_path: Path, release: str) -> None:
    compute = labs.values(labs.rendered(tmp_path, "compute1", release=release, api_network="api"))
    assert {compute[name] for name in ("DATABASE_HOST", "MYSQL_HOST", "RABBIT_HOST")} == {
        "10.170.0.11"
    }


def test_the_controller_too_finds_its_messages_there(tmp_path: Path) -> None:
    # RABBIT_HOST defaults to SERVICE_HOST there since Icehouse, MYSQL_HOST to the loopback in all
    # of them.
    controller = labs.values(labs.rendered(tmp_path, api_network="api"))
    assert (controller["SERVICE_HOST"], controller["RABBIT_HOST"]) == ("10.170.1.11", "10.170.0.11")
    assert not {"DATABASE_HOST", "MYSQL_HOST"} & set(controller)
    assert "RABBIT_HOST" not in labs.values(labs.rendered(tmp_path))


def test_tunnels_end_on_the_data_network_also_before_juno(tmp_path: Path) -> None:
    # TUNNEL_ENDPOINT_IP is read since Juno; Icehouse's agent takes HOST_IP, until its file says
    # other.
    text = labs.rendered(
        tmp_path, "compute1", release="icehouse", network_mode="ovs", data_network="data"
    )
    assert "TUNNEL_ENDPOINT_IP" not in text
    assert "[[post-config|/$Q_PLUGIN_CONF_FILE]]\n[ovs]\nlocal_ip = 10.170.2.12\n" in text
    assert "ENABLE_TENANT_TUNNELS=True" in text  # or a network of tenants ends with its node


def test_routers_gateways_are_on_the_controller_with_ovn(tmp_path: Path) -> None:
    # Every chassis is a candidate otherwise, and a compute has no NIC outward.
    assert labs.values(labs.rendered(tmp_path, "compute1"))["ENABLE_CHASSIS_AS_GW"] == "False"
    assert "ENABLE_CHASSIS_AS_GW" not in labs.rendered(tmp_path)
    assert "ENABLE_CHASSIS_AS_GW" not in labs.rendered(tmp_path, "compute1", network_mode="ovs")


@pytest.mark.parametrize("release", ["newton", "2026.1"])
def test_the_external_network_is_the_public_one_with_the_host_as_its_gateway(
    tmp_path: Path, release: str
) -> None:
    values = labs.values(
        labs.rendered(tmp_path, release=release, network_mode="ovs", external_network="outside")
    )
    half = labs.upper_half("outside")
    assert values["FLOATING_RANGE"] == labs.NETWORKS["outside"]
    assert (
        values["Q_FLOATING_ALLOCATION_POOL"] == f"start={half[1]},end={half[-2]}"
    )  # no node's address
    assert values["PUBLIC_NETWORK_GATEWAY"] == "10.170.3.1"
    assert (
        values["Q_ASSIGN_GATEWAY_TO_PUBLIC_BRIDGE"] == "False"
    )  # br-ex would take the host's address


def test_before_newton_the_controller_itself_is_the_gateway(tmp_path: Path) -> None:
    # stack.sh puts the gateway's address on br-ex, whoever else has it.
    values = labs.values(
        labs.rendered(tmp_path, release="mitaka", network_mode="ovs", external_network="outside")
    )
    assert values["PUBLIC_NETWORK_GATEWAY"] == "10.170.3.11"
    assert "PUBLIC_INTERFACE" not in values


def test_a_range_for_floating_addresses_must_be_in_the_external_network(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"172\.24\.4\.0/24 is not in outside"):
        labs.rendered(tmp_path, external_network="outside", floating_range="172.24.4.0/24")


@pytest.mark.parametrize(
    ("part", "whose"),
    [
        ("10.170.3.0/28", r"10\.170\.3\.1 is the host's, 10\.170\.3\.11 is controller's"),
        ("10.170.3.8/29", r"10\.170\.3\.11 is controller's"),
    ],
)
@pytest.mark.parametrize("release", ["mitaka", "2026.1"])
def test_no_address_that_somebody_has_is_given_away(
    tmp_path: Path, release: str, part: str, whose: str
) -> None:
    with pytest.raises(RenderError, match=whose) as caught:
        labs.rendered(
            tmp_path,
            release=release,
            network_mode="ovs",
            external_network="outside",
            floating_range=part,
        )
    assert str(caught.value.hint).startswith("floating_range: 10.170.3.")


def test_a_node_in_the_upper_half_asks_for_a_range(tmp_path: Path) -> None:
    path = labs.write(tmp_path, external_network="outside")
    path.write_text(
        path.read_text().replace(
            '"network": "outside"', '"network": "outside", "address": "10.170.3.200"', 1
        )
    )
    with pytest.raises(RenderError, match=r"controller has 10\.170\.3\.200") as caught:
        labs.render(spec.load(path))
    assert "stack.floating_range" in (caught.value.hint or "")


def test_linuxbridge_has_no_bridge_for_the_external_network(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="Open vSwitch"):
        labs.rendered(
            tmp_path, release="mitaka", network_mode="linuxbridge", external_network="outside"
        )


def test_the_tenants_first_network_comes_out_of_the_pool_since_ocata(tmp_path: Path) -> None:
    # FIXED_RANGE alone is not looked at once neutron has a pool of subnets.
    values = labs.values(labs.rendered(tmp_path, fixed_range="10.20.0.0/24"))
    assert values["FIXED_RANGE"] == values["IPV4_ADDRS_SAFE_TO_USE"] == "10.20.0.0/24"
    assert "SUBNETPOOL_SIZE_V4" not in values
    small = labs.values(labs.rendered(tmp_path, fixed_range="10.20.0.0/28"))
    assert small["SUBNETPOOL_SIZE_V4"] == "28"  # the default, 26, is larger than the pool
    assert "SUBNETPOOL_PREFIX_V4=10.20.0.0/24" in labs.rendered(
        tmp_path, release="newton", network_mode="ovs", fixed_range="10.20.0.0/24"
    )


def test_gateways_go_with_their_ranges_where_devstacks_own_do_not(tmp_path: Path) -> None:
    ranges = {"fixed_range": "10.20.0.0/24", "floating_range": "10.30.0.0/24"}
    values = labs.values(labs.rendered(tmp_path, release="mitaka", network_mode="ovs", **ranges))
    assert (values["NETWORK_GATEWAY"], values["PUBLIC_NETWORK_GATEWAY"]) == (
        "10.20.0.1",
        "10.30.0.1",
    )
    assert "\nNETWORK_GATEWAY" not in labs.rendered(tmp_path, **ranges)


@pytest.mark.parametrize(
    ("mode", "manager", "device"),
    [
        ("flat", "FlatManager", "FLAT_INTERFACE"),
        ("flat-dhcp", "FlatDHCPManager", "FLAT_INTERFACE"),
        ("vlan", "VlanManager", "VLAN_INTERFACE"),
    ],
)
def test_nova_network_has_a_manager_and_a_nic_for_each_mode(
    tmp_path: Path, mode: str, manager: str, device: str
) -> None:
    text = labs.rendered(
        tmp_path,
        "compute1",
        release="mitaka",
        network_mode=mode,
        fixed_range="10.20.0.0/22",
        **labs.FOUR,
    )
    values = labs.values(text)
    assert (values["NETWORK_MANAGER"], values["MULTI_HOST"]) == (manager, "True")
    assert (
        values[device] == "eth3"
    )  # not the first NIC, DevStack's default, by which the host logs in
    assert ({"FLAT_INTERFACE", "VLAN_INTERFACE"} & set(values)) == {device}
    assert (values["FIXED_RANGE"], values["FIXED_NETWORK_SIZE"]) == ("10.20.0.0/22", "1024")
    assert values["PUBLIC_INTERFACE"] == "eth4"
    assert values["FLOATING_RANGE"] == str(
        labs.upper_half("outside")
    )  # nova-manage makes every one of them
    assert set(values["ENABLED_SERVICES"].split(",")) == {"n-cpu", "n-net", "n-api-meta"}
    assert "Q_HOST" not in values


def test_with_nova_network_every_compute_needs_the_external_network(tmp_path: Path) -> None:
    lab = labs.load(
        tmp_path,
        release="mitaka",
        network_mode="flat",
        external_network="outside",
        outside_on_computes=False,
    )
    with pytest.raises(RenderError, match="node compute1 needs a NIC on outside") as caught:
        labs.render(lab)
    assert caught.value.hint == "add `- network: outside` to nodes.compute1.nics"


def test_one_mode_is_not_mixed_with_anothers_services(tmp_path: Path) -> None:
    text = labs.rendered(tmp_path, release="newton", network_mode="flat-dhcp")
    assert "disable_service q-svc q-agt q-dhcp q-l3 q-meta" in text
    assert "enable_service n-net" in text
    ovs = labs.rendered(tmp_path, network_mode="ovs")
    assert "q-ovn-agent" in ovs.partition("disable_service ")[2].partition("\n")[0]
    assert "Q_ML2_PLUGIN_MECHANISM_DRIVERS=openvswitch\n" in ovs
