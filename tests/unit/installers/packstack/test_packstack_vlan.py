"""Packstack's answer file: tenants' networks of VLANs, and the range that they need."""

from __future__ import annotations

import pytest

from stacklab import releases
from stacklab.lint.scope import Scope
from stacklab.model.stack import Installer
from tests.unit.installers.packstack.packstack_findings import HEAD, told

_VLAN = (
    "CONFIG_NEUTRON_L2_AGENT=openvswitch\nCONFIG_NEUTRON_ML2_TYPE_DRIVERS=vlan,vxlan\n"
    "CONFIG_NEUTRON_ML2_TENANT_NETWORK_TYPES="
)


@pytest.mark.parametrize(
    ("text", "release", "rules"),
    [
        (f"{_VLAN}vlan\nCONFIG_NEUTRON_ML2_VLAN_RANGES=\n", "juno", ["vlan-ranges:5"]),
        (f"{_VLAN}vlan\nCONFIG_NEUTRON_ML2_VLAN_RANGES=\n", "2025.1", ["vlan-ranges:5"]),
        (f"{_VLAN}vlan\n", "2025.1", ["vlan-ranges:4"]),
        (f"{_VLAN}vlan\nCONFIG_NEUTRON_ML2_VLAN_RANGES=phys:1:9\n", "juno", []),
        (f"{_VLAN}vxlan,vlan\nCONFIG_NEUTRON_ML2_VLAN_RANGES=\n", "juno", []),
        (f"{_VLAN}vlan\nCONFIG_NEUTRON_INSTALL=n\n", "juno", []),
        (f"{_VLAN}vlan\nCONFIG_NEUTRON_INSTALL=n\n", "icehouse", []),
        (f"{_VLAN}vlan\nCONFIG_NEUTRON_L2_PLUGIN=openvswitch\n", "icehouse", []),
        (
            f"{_VLAN.replace('vlan,', '')}vlan\nCONFIG_NEUTRON_ML2_VLAN_RANGES=\n",
            "2025.1",
            ["network-type:4"],
        ),
        (
            f"{_VLAN.replace('=openvswitch', '=ovn')}vlan\n",
            "2025.1",
            ["ovn-overrides:4"],
        ),
    ],
)
def test_vlans_alone_need_a_range(text: str, release: str, rules: list[str]) -> None:
    scope = Scope(release=releases.of(Installer.PACKSTACK)[release])
    found = [each for each in told(HEAD + text, scope) if not each.startswith("unread")]
    assert found == rules
