"""kolla-ansible's globals.yml: the release that it names, and variables that it does not read."""

from __future__ import annotations

import pytest

from stacklab.installers.kolla.lint import linter as kolla
from stacklab.installers.kolla.lint.era import find as find_era
from stacklab.installers.kolla.lint.linting import FILES
from stacklab.lint.scope import Scope, Source

VIP = "kolla_internal_vip_address: 10.0.5.250\n"


def _judge(text: str) -> list[tuple[str, str]]:
    """Return rules and fixes for a globals.yml that names its release."""
    source = Source(name="globals.yml", text=f"{VIP}{text}")
    era = find_era(FILES, source)
    return [(each.rule, each.fix) for each in kolla.lint(source, Scope(release=era.row, era=era))]


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("9.3.2", "train"),
        ("10.0.0", "ussuri"),
        ("11", "victoria"),
        ("12.9.0", "wallaby"),
        ("13.9.0", "xena"),
        ("14.11.0", "yoga"),
        ("15.6.0", "zed"),
        ("16.7.0", "2023.1"),
        ("17.9.0", "2023.2"),
        ("18.2.0", "2024.1"),
        ("19.8", "2024.2"),
        ("20.6.0", "2025.1"),
        ("21.3.0", "2025.2"),
        ("22.0.0", "2026.1"),
    ],
)
def test_a_version_of_kolla_ansible_tells_the_release(version: str, release: str) -> None:
    """As the wheels of these versions say it: openstack_release in ansible/group_vars/all."""
    source = Source(name="globals.yml", text=f'{VIP}openstack_release: "{version}"\n')
    era = find_era(FILES, source)
    assert era.release == release
    assert era.is_in_table
    assert list(kolla.lint(source, Scope(release=era.row, era=era))) == []


@pytest.mark.parametrize("version", ["8.1.0", "23.0.0", "4.0.0", "9" * 5000], ids=len)
def test_a_version_beyond_the_table_is_of_no_known_release(version: str) -> None:
    source = Source(name="globals.yml", text=f'{VIP}openstack_release: "{version}"\n')
    assert not find_era(FILES, source).is_in_table


@pytest.mark.parametrize(
    "name",
    ["internal_vip_cidr", "external_vip_gateway", "external_vip_cidr", "kolla_internal_vip_cidr"],
)
def test_what_looks_like_a_variable_of_the_vip_is_not_read(name: str) -> None:
    assert _judge(f"{name}: 24\n") == [("kolla-unknown-variable", "remove the line")]


@pytest.mark.parametrize(
    ("release", "line", "fix"),
    [
        ("2025.2", "ironic_inspector_pxe_filter: noop", "write ironic_pxe_filter"),
        (
            "2025.2",
            "ironic_inspector_kernel_cmdline_extras: [nofb]",
            "write ironic_kernel_cmdline_extras",
        ),
        ("2024.2", 'skyline_external_swift: "yes"', "remove the line"),
        ("2024.2", "skyline_external_swift_url: https://x/swift", "remove the line"),
        ("yoga", "ironic_dnsmasq_dhcp_ranges: [{range: 'a,b'}]", "remove the line"),
        (
            "zed",
            "ironic_dnsmasq_dhcp_range: 10.0.5.20,10.0.5.90",
            'ironic_dnsmasq_dhcp_ranges: [{range: "10.0.5.20,10.0.5.90"}]',
        ),
        (
            "master",
            "ironic_dnsmasq_dhcp_range: \"{{ lookup('env', 'RANGE') }}\"",
            'ironic_dnsmasq_dhcp_ranges: [{range: "..."}], with the old value for ...',
        ),
    ],
)
def test_a_variable_of_another_release_is_told_with_what_took_its_place(
    release: str, line: str, fix: str
) -> None:
    found = _judge(f'openstack_release: "{release}"\n{line}\n')
    assert found == [("kolla-gone-variable", fix)]


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("2025.1", "ironic_inspector_pxe_filter: noop"),
        ("train", "ironic_inspector_pxe_filter: noop"),
        ("2025.2", "ironic_pxe_filter: noop"),
        ("2025.1", 'skyline_external_swift: "yes"'),
        ("master", "skyline_external_swift_url: https://x/swift"),
        ("yoga", "ironic_dnsmasq_dhcp_range: 10.0.5.20,10.0.5.90"),
        ("2025.2", "glance_backend_ceph: yes"),
    ],
)
def test_a_variable_of_the_release_is_no_finding(release: str, line: str) -> None:
    assert _judge(f'openstack_release: "{release}"\n{line}\n') == []


@pytest.mark.parametrize(
    ("lines", "fix"),
    [
        ('manila_backend_cephfs_native: "yes"', "write enable_manila_backend_cephfs_native"),
        (
            'enable_manila_backend_cephfs_native: "yes"\nmanila_backend_cephfs_native: "yes"',
            "remove the line",
        ),
    ],
    ids=["alone", "beside the right one"],
)
def test_a_backend_is_switched_on_by_the_name_with_enable(lines: str, fix: str) -> None:
    found = _judge(f'openstack_release: "2025.2"\n{lines}\n')
    assert found == [("kolla-unknown-variable", fix)]
