"""Packstack's answer file.

Read as its parser reads it, keys by release, and rules at their edges.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import releases, spec
from stacklab.installers.packstack.keys import Key, key_table
from stacklab.installers.packstack.lint import linter as packstack
from stacklab.installers.packstack.lint.era import fitting_releases
from stacklab.lint.scope import Scope, Source
from stacklab.model.release import Release
from stacklab.model.stack import Installer
from tests.unit.installers.packstack.packstack_findings import HEAD, HOSTS, ICEHOUSE, told

NEWEST = Scope(release=releases.of(Installer.PACKSTACK)["2025.1"])


def test_a_groups_condition_is_that_of_the_release() -> None:
    text = HEAD + "CONFIG_CINDER_INSTALL=n\nCONFIG_CINDER_VOLUMES_SIZE=40G\n"
    assert told(text) == ["unread-key:3"]
    assert told(text, ICEHOUSE) == []  # what it asked for then is not in the table


def test_another_releases_default_is_not_taken_for_granted() -> None:
    text = HEAD + "CONFIG_NEUTRON_OVS_BRIDGE_MAPPINGS=physnet1:br-ex\n"
    assert told(text) == ["unread-key:2"]
    newton = releases.of(Installer.PACKSTACK)["newton"]
    assert told(text, Scope(release=newton)) == []  # openvswitch was the default


def test_keys_are_those_of_the_release() -> None:
    keys = key_table()
    assert len(keys.keys_of("2025.1")) == 292  # packstack 26.0.0's plugins have as many
    assert len(keys.keys_of("icehouse")) == len(keys.keys_of("havana")) == 148
    assert "CONFIG_NOVA_API_HOST" in keys.keys_of("havana")
    assert "CONFIG_NOVA_API_HOST" in keys.keys_of("icehouse")["CONFIG_CONTROLLER_HOST"].was
    assert "CONFIG_NOVA_NETWORK_MANAGER" in keys.keys_of("newton")
    assert "CONFIG_NOVA_NETWORK_MANAGER" not in keys.keys_of("ocata")
    assert keys.keys_of("mitaka")["CONFIG_REDIS_MASTER_HOST"].was == ("CONFIG_REDIS_HOST",)
    assert keys.keys_of("newton")["CONFIG_REDIS_HOST"].was == ("CONFIG_REDIS_MASTER_HOST",)


def test_every_group_of_the_table_asks_for_keys_that_exist() -> None:
    keys = key_table()
    for group in keys.groups.values():
        assert {condition.key for condition in group.when} <= keys.keys.keys(), group.name
        assert not group.since or group.since in keys.releases
    for key in keys.keys.values():
        assert {key.since, key.until, key.same} <= {"", *keys.releases}, key.name
        assert (key.kind in ("word", "words")) == bool(key.words), key.name


def test_the_releases_of_the_other_table_are_known() -> None:
    assert {*releases.of(Installer.PACKSTACK)} <= {*key_table().releases}


def guess(names: list[str]) -> str:
    return fitting_releases(key_table(), names)[0]


def test_the_release_is_guessed_by_the_keys() -> None:
    manager = "CONFIG_NOVA_NETWORK_MANAGER=nova.network.manager.FlatDHCPManager\n"
    nova = f"CONFIG_NEUTRON_INSTALL=n\n{manager}CONFIG_NOVA_NETWORK_PUBIF=eth0\n"
    assert told(HEAD + nova) == []
    assert told(HEAD + "CONFIG_NEUTRON_INSTALL=n\n") == ["nova-network:2"]
    assert (
        guess(["CONFIG_NOVA_CERT_HOST", "CONFIG_QPID_HOST", "CONFIG_QPID_ENABLE_SSL"]) == "havana"
    )
    assert guess(["CONFIG_CONTROLLER_HOST", "CONFIG_NOVA_COMPUTE_HOSTS"]) == "2025.1"


def test_one_key_of_another_age_is_a_slip_and_several_are_an_old_file() -> None:
    old = [
        "CONFIG_LBAAS_INSTALL",
        "CONFIG_NAGIOS_INSTALL",
    ]  # until Stein, until Ocata: releases that no lab has
    assert [guess(names) for names in ([], old[:1], old[1:])] == ["2025.1"] * 3
    assert guess(old) == "ocata"
    new = ["CONFIG_NEUTRON_OVN_TUNNEL_IF", "CONFIG_NEUTRON_OVN_BRIDGE_IFACES"]
    assert guess([*old, *new]) == "2025.1"
    assert told(HEAD + "CONFIG_LBAAS_INSTALL=y\n") == ["gone-key:2"]


@pytest.mark.parametrize(
    ("agent", "drivers", "rule"),
    [
        ("openvswitch", "ovn", ["mechanism:3"]),
        ("ovn", "openvswitch", ["mechanism:3"]),
        ("openvswitch", "openvswitch,l2population", []),
        ("openvswitch", "ovn,openvswitch", []),
        ("ovn", "ovn", []),
        ("openvswitch", "sriovnicswitch", []),
    ],
)
def test_the_agents_driver_is_among_ml2s(agent: str, drivers: str, rule: list[str]) -> None:
    text = f"CONFIG_NEUTRON_L2_AGENT={agent}\nCONFIG_NEUTRON_ML2_MECHANISM_DRIVERS={drivers}\n"
    assert told(HEAD + text, NEWEST) == rule


@pytest.mark.parametrize(
    ("agent", "drivers", "types", "rule"),
    [
        ("openvswitch", "vxlan", "vlan", ["network-type:3"]),
        ("openvswitch", "vxlan,vlan", "vlan,vxlan", []),
        ("openvswitch", "vxlan", "", ["network-type:3"]),
        ("openvswitch", "geneve,flat", "", []),
        ("ovn", "vlan", "", []),
    ],
)
def test_a_tenants_network_is_of_a_type_that_ml2_has(
    agent: str, drivers: str, types: str, rule: list[str]
) -> None:
    text = f"CONFIG_NEUTRON_L2_AGENT={agent}\nCONFIG_NEUTRON_ML2_TYPE_DRIVERS={drivers}\n"
    text += f"CONFIG_NEUTRON_ML2_TENANT_NETWORK_TYPES={types}\n" if types else ""
    assert [word.replace(":4", ":3") for word in told(HEAD + text, NEWEST)] == rule


def test_a_release_that_is_given_is_not_guessed() -> None:
    assert told(HEAD + "CONFIG_NOVA_NETWORK_PUBIF=eth0\n", NEWEST) == ["gone-key:2"]
    assert told(HEAD + "CONFIG_NOVA_DB_PURGE_ENABLE=y\n", ICEHOUSE) == ["gone-key:2"]


@pytest.mark.parametrize(
    "line",
    [
        "CONFIG_DEBUG_MODE=n",
        "CONFIG_NOVA_DB_PURGE_ENABLE=YES",
        "CONFIG_REDIS_PORT=65534",
        "CONFIG_REDIS_PORT=0",
        "CONFIG_NEUTRON_ML2_TYPE_DRIVERS=geneve, flat",
        "CONFIG_NOVA_SCHED_RAM_ALLOC_RATIO=1",
        "CONFIG_RH_USER=",
        "CONFIG_NOVA_PCI_ALIAS=[]",
        "CONFIG_PROVISION_DEMO_FLOATRANGE=172.24.4.1/24",
        "CONFIG_SERVICE_WORKERS=%{x}",
        "CONFIG_PROVISION_TEMPEST=y\nCONFIG_TEMPEST_HOST=",
    ],
)
def test_what_packstack_takes_is_no_finding(line: str) -> None:
    assert told(f"{HEAD}{line}\n") == []


def test_keys_of_a_group_that_is_not_read_may_hold_anything() -> None:
    text = HEAD + "CONFIG_HEAT_INSTALL=n\nCONFIG_HEAT_CFN_INSTALL=maybe\n"
    assert told(text) == ["unread-key:3"]


def test_defaults_and_passwords_of_such_a_group_are_no_finding() -> None:
    text = (
        HEAD + "CONFIG_HEAT_INSTALL=n\nCONFIG_HEAT_CFN_INSTALL=y\nCONFIG_HEAT_DB_PW=Leak\n"
        "CONFIG_HEAT_DOMAIN=heat\n"
    )
    assert told(text) == []


def _any_value(key: Key) -> str:
    """A value for a key that has no default."""
    if key.is_secret:
        return "LeakPw1"
    return "n" if key.kind == "yn" else "x"


def test_a_generated_file_has_all_defaults_and_no_finding() -> None:
    lines = [
        f"{key.name}={key.default or _any_value(key)}"
        for key in key_table().keys_of("2025.1").values()
        if key.kind
        not in (
            "host",
            "hosts",
            "ip",
            "cidr",
            "integer",
            "port",
            "float",
            "word",
            "words",
            "url",
            "text",
        )
    ]
    assert len(lines) > 120
    assert told(HEAD + "\n".join(lines) + "\n") == []


def test_values_of_secrets_are_not_shown() -> None:
    for value in ("'LeakPw1'", "LeakPw1 # LeakToo", "LeakPw1\n LeakOn"):
        text = f"{HEAD}CONFIG_KEYSTONE_ADMIN_PW={value}\n"
        shown = [str(each) for each in packstack.lint(Source(name="f", text=text), Scope())]
        assert shown
        assert "Leak" not in "".join(shown)


def test_several_old_names_that_agree_are_one_finding() -> None:
    text = HEAD + "CONFIG_GLANCE_HOST=10.0.5.10\nCONFIG_CINDER_HOST=10.0.5.10\nCONFIG_HEAT_HOST=\n"
    assert told(text, NEWEST) == ["deprecated-key:3"]


def test_hosts_that_are_left_out_matter_only_where_there_are_several() -> None:
    assert told(HEAD + "CONFIG_CONTROLLER_HOST=10.0.5.10\n") == []
    text = HEAD + "CONFIG_CONTROLLER_HOST=10.0.5.10\nCONFIG_COMPUTE_HOSTS=10.0.5.11\n"
    assert told(text) == ["local-default:2"] * 4  # network, AMQP, MariaDB, Redis


def test_a_host_by_its_old_name_is_not_left_out() -> None:
    text = HEAD + HOSTS.replace("CONFIG_MARIADB_HOST", "CONFIG_MYSQL_HOST")
    assert told(text) == ["deprecated-key:6"]


@pytest.mark.parametrize(
    "lines",
    ["CONFIG_UNSUPPORTED=y\nCONFIG_STORAGE_HOST=10.0.5.11\n", "CONFIG_STORAGE_HOST=10.0.5.10\n"],
)
def test_a_storage_host_that_is_read_or_makes_no_difference_is_fine(lines: str) -> None:
    assert told(HEAD + HOSTS + lines) == []


@pytest.mark.parametrize(
    ("maps", "ifaces", "computes", "rules"),
    [
        ("extnet:br-ex", "br-ex:eth1", "br-ex", []),
        ("extnet:br-ex", "", "", []),
        ("br-ex:extnet", "", "", ["bridges:3"]),
        ("extnet", "", "", ["bridges:3"]),
        ("extnet:br-ex", "eth1", "", ["bridges:4"]),
        ("extnet:br-ex", "br-eth1:eth1", "", ["bridges:4"]),
        ("extnet:br-ex", "", "br-ex", ["bridges:5"]),
        ("physnet1:br-eth1", "br-ex:eth2,br-eth1:eth1", "br-eth1", []),
        ("", "br-eth1:eth1", "", []),
    ],
)
def test_bridges_meet_their_networks_and_interfaces(
    maps: str, ifaces: str, computes: str, rules: list[str]
) -> None:
    prefix = "CONFIG_NEUTRON_OVS_BRIDGE"
    text = (
        f"{HEAD}CONFIG_NEUTRON_L2_AGENT=openvswitch\n{prefix}_MAPPINGS={maps}\n"
        f"{prefix}_IFACES={ifaces}\n"
        f"{prefix}S_COMPUTE={computes}\nCONFIG_NEUTRON_ML2_TENANT_NETWORK_TYPES=vxlan\n"
        "CONFIG_NEUTRON_ML2_TYPE_DRIVERS=vxlan\n"
    )
    assert told(text) == rules


def test_the_routers_own_bridge_needs_no_network_up_to_kilo() -> None:
    text = (
        f"{HEAD}CONFIG_NEUTRON_OVS_BRIDGE_MAPPINGS=physnet1:br-eth1\n"
        "CONFIG_NEUTRON_OVS_BRIDGE_IFACES=br-ex:eth2\n"
    )
    kilo = Scope(release=releases.of(Installer.PACKSTACK)["kilo"])
    assert told(f"{text}CONFIG_NEUTRON_L3_EXT_BRIDGE=br-ex\n", kilo) == []
    (found,) = packstack.lint(
        Source(name="f", text=f"{text}CONFIG_NEUTRON_L3_EXT_BRIDGE=provider\n"), kilo
    )
    assert found.fix == "add one to CONFIG_NEUTRON_OVS_BRIDGE_MAPPINGS, or write br-eth1 here"


def test_icehouse_took_the_placeholder_for_a_password() -> None:
    text = HEAD + "CONFIG_KEYSTONE_ADMIN_PW=PW_PLACEHOLDER\n"
    (found,) = packstack.lint(Source(name="f", text=text), ICEHOUSE)
    assert "that word becomes the password" in found.effect
    assert told(text, NEWEST) == []


@pytest.mark.parametrize(
    ("entry", "told_rules"),
    [
        ("CONFIG_PROVISION_TEMPEST_FLOATRANGE=172.24.4.224/28", []),
        ("CONFIG_PROVISION_TEMPEST_FLOATRANGE=10.3.4.0/24", ["unread-key:4"]),
        ("CONFIG_AMQP_NSS_CERTDB_PW=PW_PLACEHOLDER", []),
    ],
    ids=["a default of older releases", "somebody's own", "a password for TLS that is off"],
)
def test_what_a_generated_file_has_is_not_told(entry: str, told_rules: list[str]) -> None:
    text = HEAD + "CONFIG_PROVISION_TEMPEST=n\nCONFIG_AMQP_ENABLE_SSL=n\n" + entry + "\n"
    kilo = Scope(release=releases.of(Installer.PACKSTACK)["kilo"])
    assert told(text, kilo) == told_rules


@pytest.fixture
def lab(tmp_path: Path) -> Scope:
    path = tmp_path / "lab.yaml"
    path.write_text(
        "image: stand-in\n"
        "networks: {mgmt: {cidr: 192.168.150.0/24, mode: nat}, "
        "fabric: {cidr: 10.0.5.0/24, mode: isolated},"
        " public: {cidr: 172.24.4.0/24, mode: isolated}}\n"
        "nodes:\n"
        "  controller:\n"
        "    role: controller\n"
        "    nics: [{network: mgmt}, {network: fabric, address: 10.0.5.10}, {network: public}]\n"
        "  compute:\n"
        "    role: compute\n"
        "    nics: [{network: mgmt}, {network: fabric, address: 10.0.5.11}, {network: public}]\n"
        "stack: {installer: packstack, network: fabric, external_network: public}\n"
    )
    found = spec.load(path, known_images=("stand-in",))
    return Scope(
        release=releases.of(Installer.PACKSTACK)["2025.1"], lab=found, node=found.controller
    )


def test_a_labs_own_file_has_no_finding(lab: Scope) -> None:
    assert told(HEAD + HOSTS + "CONFIG_NEUTRON_OVN_TUNNEL_IF=eth1\n", lab) == []


def test_floating_addresses_may_be_on_the_external_network_alone(lab: Scope) -> None:
    assert told(HEAD + HOSTS + "CONFIG_PROVISION_DEMO_FLOATRANGE=172.24.4.128/25\n", lab) == []
    assert told(HEAD + HOSTS + "CONFIG_PROVISION_DEMO_FLOATRANGE=10.0.5.128/25\n", lab) == [
        "overlap:8"
    ]


@pytest.mark.parametrize(
    "release", releases.of(Installer.PACKSTACK).values(), ids=lambda row: row.name
)
def test_what_a_release_calls_otherwise_it_has_by_that_name_alone(release: Release) -> None:
    own = key_table().keys_of(release.name)
    for new, old in release.mapping("renamed").items():
        assert new not in own
        assert set(old.split()) <= own.keys()
    assert release.mapping("needed").keys() <= own.keys()


def test_havana_has_its_own_names() -> None:
    scope = Scope(release=releases.of(Installer.PACKSTACK)["havana"])
    text = (
        HEAD + "CONFIG_NOVA_API_HOST=10.0.5.10\nCONFIG_MYSQL_HOST=10.0.5.10\n"
        "CONFIG_QPID_HOST=10.0.5.10\n"
    )
    assert told(text, scope) == []
    (gone,) = packstack.lint(Source(name="f", text=HEAD + "CONFIG_AMQP_HOST=10.0.5.10\n"), scope)
    assert (gone.rule, gone.fix) == ("packstack-gone-key", "write CONFIG_QPID_HOST")


def test_with_subnets_an_interface_is_a_range(lab: Scope) -> None:
    text = HEAD + HOSTS + "CONFIG_USE_SUBNETS=y\nCONFIG_NEUTRON_OVN_TUNNEL_IF=10.0.5.0/24\n"
    assert told(text, lab) == []


def test_the_controllers_other_address_is_the_controller_too(lab: Scope) -> None:
    assert lab.lab is not None
    other = str(lab.lab.controller.access.address.ip)
    assert (
        told(HEAD + HOSTS.replace("CONTROLLER_HOST=10.0.5.10", f"CONTROLLER_HOST={other}"), lab)
        == []
    )


@pytest.mark.parametrize("agent", ["OVN", "OVS"])
def test_a_mapping_without_its_second_half_is_not_turned_round(agent: str) -> None:
    """It was an IndexError: no bridge is left that Packstack could make of it."""
    text = f"{HEAD}CONFIG_NEUTRON_{agent}_BRIDGE_MAPPINGS=br-ex:\n"
    found = packstack.lint(Source(name="f", text=text), NEWEST)
    assert not any("makes a bridge" in finding.effect for finding in found)
