"""What Packstack is told: hosts, networks, passwords and the keys of each release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacklab import releases
from stacklab.errors import RenderError, SpecError
from stacklab.installers import rendering as answers
from stacklab.installers.packstack.answers import release_keys
from stacklab.model.stack import Driver, Installer, NetworkingMode
from tests.unit.installers.packstack.packstack_labs import (
    ANSWERS,
    COMPUTES,
    answer_keys,
    load,
    render,
    secrets,
)

RELEASES = releases.of(Installer.PACKSTACK)
NOVA_NETWORK = [name for name, row in RELEASES.items() if row.text("nova_network")]
OVS = [name for name, row in RELEASES.items() if "ovs" in row.network_modes]
NETWORKS = "data_network: data\nexternal_network: public\n"
HOST_KEYS = (
    "CONFIG_CONTROLLER_HOST",
    "CONFIG_NETWORK_HOSTS",
    "CONFIG_AMQP_HOST",
    "CONFIG_MARIADB_HOST",
)
CONTROLLER, COMPUTE1, COMPUTE2 = "10.150.0.11", "10.150.0.12", "10.150.0.13"


def every_cloud() -> list[tuple[str, str, str]]:
    return [
        (name, mode, driver)
        for name, row in RELEASES.items()
        for mode in row.network_modes
        for driver in row.drivers
        if driver != Driver.DOCKER or mode in row.words("docker_network_modes")
    ]


@pytest.mark.parametrize(("release", "mode", "driver"), every_cloud())
class TestEveryReleaseInEveryMode:
    def stack(self, mode: str, driver: str) -> str:
        return f"{NETWORKS}network_mode: {mode}\n" + (
            f"driver: {driver}\n" if driver != "libvirt" else ""
        )

    def nodes(self, driver: str) -> str:
        return "" if driver == "docker" else COMPUTES

    def test_its_answers_hold_no_key_that_it_does_not_read(
        self, tmp_path: Path, release: str, mode: str, driver: str
    ) -> None:
        found = answer_keys(
            load(tmp_path, self.stack(mode, driver), release=release, nodes=self.nodes(driver))
        )
        assert found.keys() <= release_keys.keys_of_release(RELEASES[release]).names

    def test_every_host_is_one_of_the_labs(
        self, tmp_path: Path, release: str, mode: str, driver: str
    ) -> None:
        lab = load(tmp_path, self.stack(mode, driver), release=release, nodes=self.nodes(driver))
        own = {str(nic.address.ip) for _node, nic in lab.members("fabric")}
        found = {
            host
            for key, value in answer_keys(lab).items()
            if key.endswith(("_HOST", "_HOSTS"))
            for host in value.split(",")
        }
        assert found - {""} == own

    def test_every_secret_ends_in_the_answers_and_on_no_compute(
        self, tmp_path: Path, release: str, mode: str, driver: str
    ) -> None:
        lab = load(tmp_path, self.stack(mode, driver), release=release, nodes=self.nodes(driver))
        everything = "".join(render(lab).values())
        assert all(value in everything for value in secrets(lab).values())
        for node in lab.computes:
            assert not any(
                value in text
                for value in secrets(lab).values()
                for text in render(lab, node.name).values()
            )

    def test_neutron_is_there_where_nova_does_not_do_it(
        self, tmp_path: Path, release: str, mode: str, driver: str
    ) -> None:
        found = answer_keys(
            load(tmp_path, self.stack(mode, driver), release=release, nodes=self.nodes(driver))
        )
        is_nova = NetworkingMode(mode).is_nova_network
        assert found["CONFIG_NEUTRON_INSTALL"] == ("n" if is_nova else "y")
        assert ("CONFIG_NOVA_NETWORK_MANAGER" in found) is is_nova
        assert ("CONFIG_NEUTRON_L2_AGENT" in found) is not is_nova

    def test_it_has_one_section_and_says_where_it_comes_from(
        self, tmp_path: Path, release: str, mode: str, driver: str
    ) -> None:
        text = render(
            load(tmp_path, self.stack(mode, driver), release=release, nodes=self.nodes(driver))
        )[ANSWERS]
        assert [line for line in text.splitlines() if line.startswith("[")] == ["[general]"]
        assert "by localrc/packstack/answers.txt.j2: edit those, not this." in text
        # A blank at a line's beginning would make it part of the value above.
        assert not [line for line in text.splitlines() if line != line.strip()]

    def test_it_has_steps_for_every_node(
        self, tmp_path: Path, release: str, mode: str, driver: str
    ) -> None:
        lab = load(tmp_path, self.stack(mode, driver), release=release, nodes=self.nodes(driver))
        assert {step.node for step in answers.steps(lab)} == {node.name for node in lab.nodes}


class TestHosts:
    @pytest.mark.parametrize("key", [*HOST_KEYS, "CONFIG_REDIS_HOST"])
    def test_every_service_is_on_the_controller_by_its_one_address(
        self, tmp_path: Path, key: str
    ) -> None:
        assert answer_keys(load(tmp_path))[key] == CONTROLLER

    def test_computes_are_listed_without_blanks_and_the_controller_is_none(
        self, tmp_path: Path
    ) -> None:
        # Some of its code splits at "," and looks for the host with the blank.
        assert answer_keys(load(tmp_path))["CONFIG_COMPUTE_HOSTS"] == f"{COMPUTE1},{COMPUTE2}"

    def test_a_controller_alone_is_the_compute_too(self, tmp_path: Path) -> None:
        assert answer_keys(load(tmp_path, nodes=""))["CONFIG_COMPUTE_HOSTS"] == CONTROLLER

    def test_the_controller_is_where_the_apis_are_in_every_key(self, tmp_path: Path) -> None:
        # Packstack takes two addresses for two hosts, and would install one machine twice at once.
        found = answer_keys(load(tmp_path, "api_network: api", nodes=""))
        assert {
            found[key] for key in (*HOST_KEYS, "CONFIG_REDIS_HOST", "CONFIG_COMPUTE_HOSTS")
        } == {"10.150.2.11"}

    def test_a_bystander_is_no_host_and_gets_nothing(self, tmp_path: Path) -> None:
        other = "  other:\n    nics: [{network: mgmt}, {network: fabric}]\n"
        lab = load(tmp_path, nodes=COMPUTES + other)
        address = str(lab.node("other").nics[1].address.ip)
        assert render(lab, "other") == {}
        assert address not in render(lab)[ANSWERS]
        assert "other" not in {step.node for step in answers.steps(lab)}

    def test_havana_has_a_key_for_each_service(self, tmp_path: Path) -> None:
        found = answer_keys(load(tmp_path, release="havana"))
        services = (
            "GLANCE",
            "KEYSTONE",
            "NOVA_API",
            "NOVA_CONDUCTOR",
            "NOVA_SCHED",
            "OSCLIENT",
            "MYSQL",
            "QPID",
        )
        assert {found[f"CONFIG_{service}_HOST"] for service in services} == {CONTROLLER}
        assert found["CONFIG_NOVA_COMPUTE_HOSTS"] == f"{COMPUTE1},{COMPUTE2}"
        assert "CONFIG_CONTROLLER_HOST" not in found
        assert "CONFIG_COMPUTE_HOSTS" not in found

    def test_havana_is_given_what_it_has_no_defaults_for(self, tmp_path: Path) -> None:
        # havana-eol ends with `Parser cannot find option ... in answer file` otherwise.
        found = answer_keys(load(tmp_path, "overcommit: {cpu: 4}", release="havana"))
        assert RELEASES["havana"].mapping("needed").keys() <= found.keys()
        assert found["CONFIG_NOVA_SCHED_CPU_ALLOC_RATIO"] == "4.0"  # what the lab says goes before
        assert found["CONFIG_NOVA_SCHED_RAM_ALLOC_RATIO"] == "1.5"


class TestNeutron:
    def test_ovn_is_todays(self, tmp_path: Path) -> None:
        found = answer_keys(load(tmp_path))
        assert found["CONFIG_NEUTRON_L2_AGENT"] == "ovn"
        assert found["CONFIG_NEUTRON_ML2_MECHANISM_DRIVERS"] == "ovn"
        assert found["CONFIG_NEUTRON_ML2_TENANT_NETWORK_TYPES"] == "geneve"
        assert not [key for key in found if "_OVS_" in key and key != "CONFIG_PROVISION_OVS_BRIDGE"]

    def test_tunnels_are_on_the_data_network(self, tmp_path: Path) -> None:
        found = answer_keys(load(tmp_path, NETWORKS))
        assert found["CONFIG_NEUTRON_OVN_TUNNEL_IF"] == "eth2"
        # Packstack looks up the interface on its own machine for every host's firewall.
        assert found["CONFIG_NEUTRON_OVN_TUNNEL_SUBNETS"] == "10.150.1.0/24"

    def test_tunnels_are_on_the_clouds_network_where_no_other_is_given(
        self, tmp_path: Path
    ) -> None:
        found = answer_keys(load(tmp_path))
        assert found["CONFIG_NEUTRON_OVN_TUNNEL_IF"] == "eth1"
        assert found["CONFIG_NEUTRON_OVN_TUNNEL_SUBNETS"] == "10.150.0.0/24"

    def test_the_external_nic_is_the_bridges_on_the_controller_alone(self, tmp_path: Path) -> None:
        found = answer_keys(load(tmp_path, NETWORKS))
        assert found["CONFIG_NEUTRON_OVN_BRIDGE_IFACES"] == "br-ex:eth4"
        assert found["CONFIG_NEUTRON_OVN_BRIDGES_COMPUTE"] == ""
        assert found["CONFIG_NEUTRON_OVN_BRIDGE_MAPPINGS"] == "extnet:br-ex"
        assert found["CONFIG_NETWORK_HOSTS"] == CONTROLLER

    def test_the_bridge_takes_no_address_that_the_host_has(self, tmp_path: Path) -> None:
        assert answer_keys(load(tmp_path, NETWORKS))["CONFIG_PROVISION_OVS_BRIDGE"] == "n"
        assert answer_keys(load(tmp_path))["CONFIG_PROVISION_OVS_BRIDGE"] == "y"

    def test_instances_get_the_half_of_the_external_network_that_no_node_has(
        self, tmp_path: Path
    ) -> None:
        found = answer_keys(load(tmp_path, NETWORKS))
        assert found["CONFIG_PROVISION_DEMO_FLOATRANGE"] == "10.150.3.0/24"
        pools = json.loads(found["CONFIG_PROVISION_DEMO_ALLOCATION_POOLS"])
        assert pools == ["start=10.150.3.128,end=10.150.3.254"]

    def test_the_spec_says_which_part(self, tmp_path: Path) -> None:
        found = answer_keys(load(tmp_path, f"{NETWORKS}floating_range: 10.150.3.64/26"))
        assert json.loads(found["CONFIG_PROVISION_DEMO_ALLOCATION_POOLS"]) == [
            "start=10.150.3.64,end=10.150.3.127"
        ]

    @pytest.mark.parametrize(
        ("part", "wrong"),
        [
            ("10.150.3.0/28", "10.150.3.1 is the host's, 10.150.3.11 is controller's"),
            ("10.9.0.0/24", "is not in public"),
        ],
    )
    def test_a_part_that_is_not_free_is_refused(
        self, tmp_path: Path, part: str, wrong: str
    ) -> None:
        lab = load(tmp_path, f"{NETWORKS}floating_range: {part}")
        with pytest.raises(RenderError, match=r"stack\.floating_range") as caught:
            answers.preview(lab)
        assert wrong in str(caught.value)

    def test_without_an_external_network_the_range_is_the_specs_or_packstacks(
        self, tmp_path: Path
    ) -> None:
        assert answer_keys(load(tmp_path))["CONFIG_PROVISION_DEMO_FLOATRANGE"] == "172.24.4.0/24"
        found = answer_keys(load(tmp_path, "floating_range: 10.77.0.0/24"))
        assert found["CONFIG_PROVISION_DEMO_FLOATRANGE"] == "10.77.0.0/24"
        assert found["CONFIG_PROVISION_DEMO_ALLOCATION_POOLS"] == "[]"

    def test_interfaces_that_differ_are_refused(self, tmp_path: Path) -> None:
        # CONFIG_USE_SUBNETS=y would take a subnet, but 26.0.0 can't translate it for a second host.
        nodes = (
            "  compute:\n    role: compute\n    nics: [{network: mgmt}, {network: data},"
            " {network: fabric}]\n"
        )
        lab = load(tmp_path, "data_network: data", nodes=nodes)
        with pytest.raises(RenderError, match="data is eth2 on controller, eth1 on compute"):
            answers.preview(lab)

    @pytest.mark.parametrize("release", OVS)
    def test_ovs_has_vxlan_and_its_own_keys(self, tmp_path: Path, release: str) -> None:
        found = answer_keys(load(tmp_path, f"{NETWORKS}network_mode: ovs", release=release))
        assert found["CONFIG_NEUTRON_L2_AGENT"] == "openvswitch"
        assert found["CONFIG_NEUTRON_ML2_TENANT_NETWORK_TYPES"] == "vxlan"
        assert found["CONFIG_NEUTRON_OVS_TUNNEL_IF"] == "eth2"
        assert found["CONFIG_NEUTRON_OVS_BRIDGE_IFACES"] == "br-ex:eth4"
        assert not [key for key in found if "_OVN_" in key]

    @pytest.mark.parametrize("release", OVS)
    def test_a_mapping_is_made_where_it_is_not_every_nodes(
        self, tmp_path: Path, release: str
    ) -> None:
        # An agent ends when a bridge that it has a mapping of is missing: the computes have no
        # br-ex.
        found = answer_keys(load(tmp_path, f"{NETWORKS}network_mode: ovs", release=release))
        can = "CONFIG_NEUTRON_OVS_BRIDGES_COMPUTE" in found
        assert found["CONFIG_NEUTRON_OVS_BRIDGE_MAPPINGS"] == ("extnet:br-ex" if can else "")
        assert found["CONFIG_NEUTRON_ML2_TYPE_DRIVERS"] == ("vxlan,flat" if can else "vxlan")

    def test_linuxbridge_has_vlans_on_the_data_network(self, tmp_path: Path) -> None:
        found = answer_keys(
            load(tmp_path, "network_mode: linuxbridge\ndata_network: data", release="mitaka")
        )
        assert found["CONFIG_NEUTRON_ML2_TENANT_NETWORK_TYPES"] == "vlan"
        assert found["CONFIG_NEUTRON_LB_INTERFACE_MAPPINGS"] == "tenants:eth2"
        assert found["CONFIG_NEUTRON_ML2_VLAN_RANGES"].startswith("tenants:")

    def test_an_old_release_gives_no_addresses_of_nodes_away(self, tmp_path: Path) -> None:
        # Before Pike there are no pools: the public network's whole range would be instances'.
        assert (
            answer_keys(load(tmp_path, f"{NETWORKS}network_mode: ovs", release="newton"))[
                "CONFIG_PROVISION_DEMO"
            ]
            == "n"
        )
        assert (
            answer_keys(load(tmp_path, "network_mode: ovs", release="newton"))[
                "CONFIG_PROVISION_DEMO"
            ]
            == "y"
        )

    def test_a_fixed_range_is_refused_where_no_key_holds_it(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "network_mode: ovs\nfixed_range: 10.66.0.0/24", release="newton")
        with pytest.raises(RenderError, match=r"stack\.fixed_range"):
            answers.preview(lab)
        with pytest.raises(SpecError, match="fixed_range"):
            load(tmp_path, "fixed_range: 10.66.0.0/24")


class TestNovaNetwork:
    @pytest.mark.parametrize("release", NOVA_NETWORK)
    @pytest.mark.parametrize(
        ("mode", "manager"),
        [("flat", "FlatManager"), ("flat-dhcp", "FlatDHCPManager"), ("vlan", "VlanManager")],
    )
    def test_a_mode_is_a_manager(
        self, tmp_path: Path, release: str, mode: str, manager: str
    ) -> None:
        found = answer_keys(load(tmp_path, f"network_mode: {mode}", release=release))
        assert found["CONFIG_NOVA_NETWORK_MANAGER"] == f"nova.network.manager.{manager}"
        assert ("CONFIG_NOVA_NETWORK_VLAN_START" in found) is (mode == "vlan")

    def test_instances_bridge_is_on_data_and_floating_addresses_are_outside(
        self, tmp_path: Path
    ) -> None:
        found = answer_keys(
            load(tmp_path, f"{NETWORKS}network_mode: flat-dhcp", release="icehouse")
        )
        assert found["CONFIG_NOVA_NETWORK_PRIVIF"] == found["CONFIG_NOVA_COMPUTE_PRIVIF"] == "eth2"
        assert found["CONFIG_NOVA_NETWORK_PUBIF"] == "eth4"

    def test_ranges_are_the_specs_or_packstacks_own(self, tmp_path: Path) -> None:
        found = answer_keys(load(tmp_path, "network_mode: flat", release="icehouse"))
        assert found["CONFIG_NOVA_NETWORK_FIXEDRANGE"] == "192.168.32.0/22"
        assert found["CONFIG_NOVA_NETWORK_FLOATRANGE"] == "10.3.4.0/22"
        ranges = "network_mode: vlan\nfixed_range: 10.66.0.0/24\nfloating_range: 10.77.0.0/24"
        found = answer_keys(load(tmp_path, ranges, release="icehouse"))
        assert found["CONFIG_NOVA_NETWORK_FIXEDRANGE"] == "10.66.0.0/24"
        assert found["CONFIG_NOVA_NETWORK_SIZE"] == "256"
        assert found["CONFIG_NOVA_NETWORK_FLOATRANGE"] == "10.77.0.0/24"

    def test_it_has_no_use_for_neutrons_secret(self, tmp_path: Path) -> None:
        assert "metadata_password" not in answers.secret_names(
            load(tmp_path, "network_mode: flat", release="icehouse")
        )
        assert "metadata_password" in answers.secret_names(load(tmp_path))
