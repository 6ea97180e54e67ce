"""The debian kit with Linux bridges in place of OVN."""

from __future__ import annotations

import configparser
import dataclasses
import re

import pytest

from stacklab import spec
from stacklab.installers import kit_of
from stacklab.installers import rendering as answers
from stacklab.installers.debian.answers import services
from stacklab.installers.debian.answers.files import FOLDER, INSTALL
from stacklab.installers.debian.answers.place import place_of
from stacklab.model.stack import ConfigOption
from stacklab.paths.project import PROJECT

LAB = spec.load(PROJECT / "labs" / "openstack-2node-linuxbridge.yaml")
KIT = kit_of(LAB.stack.installer)
AGENT_INI = "etc/neutron/plugins/ml2/linuxbridge_agent.ini"


def text(node: str, path: str) -> str:
    return answers.preview(LAB)[node][FOLDER / path]


def ini(node: str, path: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, default_section="nothing")
    parser.read_string(text(node, path))
    return parser


@pytest.mark.parametrize("node", [node.name for node in LAB.nodes])
def test_nothing_of_ovn_or_open_vswitch_is_left(node: str) -> None:
    for path, rendered in answers.preview(LAB)[node].items():
        # Users' own certificates and the like are not the kit's.
        if FOLDER in path.parents:
            found = re.findall(r"(?i)\b(ovn\S*|ovs\S*|openvswitch\S*)", f"{path}\n{rendered}")
            assert not found, path


def test_every_node_has_a_bridge_agent_and_the_controller_those_of_routers_and_dhcp() -> None:
    assert KIT is not None
    on_compute = {unit for unit in KIT.units(LAB, LAB.node("compute1")) if "neutron" in unit}
    assert on_compute == {"stacklab-neutron-linuxbridge-agent.service"}
    on_controller = {unit for unit in KIT.units(LAB, LAB.controller) if "neutron" in unit}
    assert on_controller == {
        f"stacklab-neutron-{name}.service"
        for name in ("server", "linuxbridge-agent", "dhcp-agent", "l3-agent", "metadata-agent")
    }


@pytest.mark.parametrize("node", [node.name for node in LAB.nodes])
def test_each_agent_reads_a_file_that_is_there(node: str) -> None:
    place = place_of(LAB, LAB.node(node))
    assert place is not None
    for service in services.services_of(LAB, place):
        if service.name.startswith("neutron"):
            for path in re.findall(r"--config-file=/(\S+)", service.command):
                assert text(node, path), path


def test_tunnels_end_on_the_data_network_and_floating_addresses_on_the_controllers_bridge() -> None:
    controller, compute = ini("controller", AGENT_INI), ini("compute1", AGENT_INI)
    assert controller["vxlan"]["local_ip"] == "10.172.0.10"
    assert compute["vxlan"]["local_ip"] == str(LAB.node("compute1").nics[1].address.ip)
    assert controller["linux_bridge"]["bridge_mappings"] == "external:br-ex"
    assert compute["linux_bridge"]["bridge_mappings"] == ""
    script = text("controller", "usr/local/sbin/stacklab-bridges")
    assert 'move_address "$nic" br-ex 172.30.172.10/24' in script
    assert "br-ex" not in text("compute1", "usr/local/sbin/stacklab-bridges")


def test_neutron_is_told_that_the_experiment_is_wanted() -> None:
    for node in LAB.nodes:
        neutron = ini(node.name, "etc/neutron/neutron.conf")
        assert neutron["experimental"]["linuxbridge"] == "true"


def test_the_last_stage_waits_for_each_agent_of_each_node() -> None:
    assert KIT is not None
    stage = KIT.stages(LAB)[-1]
    command = stage.steps[0].command
    for node, title in (
        ("controller", "L3 agent"),
        ("controller", "DHCP agent"),
        ("controller", "Metadata agent"),
        ("controller", "Linux bridge agent"),
        ("compute1", "Linux bridge agent"),
    ):
        assert f"('{title}', '{node}')" in command
    assert "= 5 ]; do" in command


def test_post_config_reaches_an_agents_file() -> None:
    option = ConfigOption(role="all", file=f"/{AGENT_INI}", section="vxlan", key="ttl", value="7")
    stack = dataclasses.replace(LAB.stack, post_config=(option,))
    rendered = answers.preview(dataclasses.replace(LAB, stack=stack))["compute1"]
    assert "ttl = 7" in rendered[FOLDER / AGENT_INI]


def test_the_start_begins_the_bridges_and_no_switch() -> None:
    assert KIT is not None
    starts = [stage for stage in KIT.stages(LAB) if stage.name.startswith("start")]
    for stage in starts:
        command = stage.steps[0].command
        assert command.startswith("{ systemctl restart stacklab-bridges.service || ")
        assert "switch" not in command


def test_files_with_passwords_are_not_for_everybody() -> None:
    script = answers.preview(LAB)["controller"][INSTALL]
    assert "place root neutron 640 /etc/neutron/metadata_agent.ini" in script
