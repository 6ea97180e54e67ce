"""Packstack's answer file: groups that somebody switched off."""

from __future__ import annotations

import pytest

from stacklab import releases
from stacklab.installers.packstack.lint import linter as packstack
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer
from tests.unit.installers.packstack.packstack_findings import HEAD, told

_NEWEST = Scope(release=releases.of(Installer.PACKSTACK)["2025.1"])
_JUNO = Scope(release=releases.of(Installer.PACKSTACK)["juno"])


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (
            "CONFIG_VMWARE_BACKEND=n\nCONFIG_VCENTER_HOST=10.0.5.9\nCONFIG_VCENTER_USER=\n"
            "CONFIG_VCENTER_PASSWORD=\n",
            [],
        ),
        (
            "CONFIG_VMWARE_BACKEND=n\nCONFIG_VCENTER_HOST=10.0.5.9\nCONFIG_VCENTER_USER=root\n",
            ["unread-key:3"],
        ),
        ("CONFIG_VMWARE_BACKEND=n\nCONFIG_VCENTER_HOST=10.0.5.9\n", ["unread-key:3"]),
        (
            "CONFIG_PROVISION_DEMO=y\nCONFIG_PROVISION_TEMPEST=n\n"
            "CONFIG_PROVISION_DEMO_FLOATRANGE=10.3.4.0/24\n"
            "CONFIG_PROVISION_TEMPEST_FLOATRANGE=10.3.4.0/24\n",
            [],
        ),
        (
            "CONFIG_PROVISION_DEMO=y\nCONFIG_PROVISION_TEMPEST=n\n"
            "CONFIG_PROVISION_DEMO_FLOATRANGE=10.3.4.0/24\n"
            "CONFIG_PROVISION_TEMPEST_FLOATRANGE=10.3.5.0/24\n",
            ["unread-key:5"],
        ),
    ],
    ids=["one of a group", "two of it", "alone", "the demo's range", "another range"],
)
def test_one_value_of_a_generated_group_that_is_off_is_no_finding(
    text: str, rules: list[str]
) -> None:
    assert told(HEAD + text, _JUNO) == rules


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (
            "CONFIG_VMWARE_BACKEND=n\nCONFIG_VCENTER_HOST=10.0.5.9\n",
            "write CONFIG_VCENTER_HOST=",
        ),
        (
            "CONFIG_VMWARE_BACKEND=n\nCONFIG_VCENTER_HOST=10.0.5.9\nCONFIG_VCENTER_USER=root\n",
            "write CONFIG_VCENTER_HOST= and CONFIG_VCENTER_USER=",
        ),
        (
            "CONFIG_NEUTRON_INSTALL=y\nCONFIG_NOVA_NETWORK_FIXEDRANGE=10.9.0.0/24\n",
            "write CONFIG_NOVA_NETWORK_FIXEDRANGE=",
        ),
        ("CONFIG_VCENTER_HOST=10.0.5.9\n", "write CONFIG_VMWARE_BACKEND=y"),
    ],
    ids=["one", "two", "y, not n", "the switch is left out"],
)
def test_a_switch_that_somebody_wrote_is_not_to_be_changed(text: str, fix: str) -> None:
    newton = Scope(release=releases.of(Installer.PACKSTACK)["newton"])
    scope = newton if "VMWARE" in text or "NOVA_NETWORK" in text else _NEWEST
    found = packstack.lint(Source(name="f", text=HEAD + text), scope)
    assert [each.fix for each in found if each.rule == "packstack-unread-key"] == [fix]
