"""DevStack's localrc, where its releases differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import releases, spec
from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint import linter as devstack
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer

DEVSTACK = releases.of(Installer.DEVSTACK)


def told(text: str, rule: str, scope: Scope | str) -> list[Finding]:
    """What one rule says; a scope may be a release's name."""
    given = Scope(release=DEVSTACK[scope]) if isinstance(scope, str) else scope
    return [
        each
        for each in devstack.lint(Source(name="localrc", text=text), given)
        if each.rule == f"devstack-{rule}"
    ]


# Seen with functions-common of each tag: enable_plugin twice, then DEVSTACK_PLUGINS and GITREPO.
@pytest.mark.parametrize(
    ("release", "is_end"),
    [("kilo", False), ("mitaka", False), ("newton", True), ("master", True)],
)
def test_a_plugin_twice_is_an_end_or_a_mix(release: str, is_end: bool) -> None:
    text = (
        "enable_plugin heat https://one.example/heat\nenable_plugin heat https://two.example/heat\n"
    )
    [finding] = told(text, "plugin-twice", release)
    assert finding.line == 2
    assert "line 1" in finding.effect
    assert "heat" in finding.effect
    assert ("stack.sh stops" in finding.effect) is is_end
    assert ("URL and branch of line 1 are lost" in finding.effect) is not is_end


@pytest.mark.parametrize(
    ("release", "is_final"), [("juno", False), ("kilo", False), ("liberty", True), ("mitaka", True)]
)
def test_what_is_disabled_stays_so_since_liberty(release: str, *, is_final: bool) -> None:
    text = "disable_service tempest\nenable_service tempest\n"
    assert bool(told(text, "enable-after-disable", release)) is is_final


def lab(directory: Path, nics: str) -> Scope:
    path = directory / "lab.yaml"
    path.write_text(
        "image: stand-in\n"
        "networks: {mgmt: {cidr: 192.168.150.0/24, mode: nat}, "
        "fabric: {cidr: 10.0.5.0/24, mode: isolated},"
        " more: {cidr: 10.0.6.0/24, mode: isolated}, outside: {cidr: 10.0.7.0/24, mode: nat}}\n"
        f"nodes: {{controller: {{role: controller, nics: [{nics}]}}}}\n"
        "stack: {installer: devstack, release: juno, network: fabric}\n"
    )
    found = spec.load(path, known_images=("stand-in",))
    return Scope(release=DEVSTACK["juno"], lab=found, node=found.controller)


TWO = "{network: mgmt}, {network: fabric, address: 10.0.5.10}"


@pytest.mark.parametrize(
    ("nics", "manager", "fixes"),
    [
        (TWO, "FlatDHCPManager", []),  # as in DevStack's guides: nova moves the address along
        (f"{TWO}, {{network: more}}", "FlatDHCPManager", ["FLAT_INTERFACE=eth2"]),
        (
            f"{TWO}, {{network: more}}, {{network: outside}}",
            "FlatDHCPManager",
            ["FLAT_INTERFACE=eth2 or eth3"],
        ),
        (f"{TWO}, {{network: more}}", "FlatManager", []),  # which makes no bridge
    ],
)
def test_an_address_in_a_bridge_is_told_where_another_nic_is_free(
    tmp_path: Path, nics: str, manager: str, fixes: list[str]
) -> None:
    text = f"HOST_IP=10.0.5.10\nNETWORK_MANAGER={manager}\nFLAT_INTERFACE=eth1\n"
    assert [each.fix for each in told(text, "flat-interface", lab(tmp_path, nics))] == fixes


@pytest.mark.parametrize(
    ("nics", "fix"),
    [
        (TWO, "remove the line, or give the lab a network for floating addresses"),
        (f"{TWO}, {{network: outside}}", "PUBLIC_INTERFACE=eth2"),
    ],
)
def test_the_hosts_way_in_is_no_public_interface(tmp_path: Path, nics: str, fix: str) -> None:
    text = "HOST_IP=10.0.5.10\nPUBLIC_INTERFACE=eth0\n"
    assert [each.fix for each in told(text, "public-interface", lab(tmp_path, nics))] == [fix]


# is_service_enabled of stable/2026.1 was asked for n-cpu after `enable_service` with each: it says
# no.
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("n-cpuu", "n-cpu"),
        ("N-CPU", "n-cpu"),
        ("n_cpu", "n-cpu"),
        ("n-cup", "n-cpu"),
        ("rabbitmq", "rabbit"),
        ("mysqld", "mysql"),
        ("postgres", "postgresql"),
        ("etcd33", "etcd3"),
        ("placementapi", "placement-api"),
    ],
)
def test_a_service_that_is_nearly_one_is_told(name: str, meant: str) -> None:
    for call in ("enable_service", "disable_service"):
        assert [each.fix for each in told(f"{call} {name}\n", "service-name", "2026.1")] == [
            f"write {meant} instead of {name}"
        ]


@pytest.mark.parametrize(
    "name",
    [
        "n-net",
        "q-lbaasv2",
        "m-api",
        "o-api",
        "zun-compute",
        "q-sriov-agt",
        "df-controller",
        "gnocchi-api",
        "h-eng",
        "octavia",
        "ceph",
        "designate-api",
        "my-own",
        "tr-api",
        "ironic",
        "q-fwaas-v2",
        "neutron-openvswitch-agent",
    ],
)
def test_a_plugins_or_another_ages_service_is_none_of_our_business(name: str) -> None:
    assert told(f"enable_service {name}\n", "service-name", "2026.1") == []


def test_only_services_that_the_release_has_are_proposed() -> None:
    assert told("enable_service n-nett\n", "service-name", "2026.1") == []
    assert [each.fix for each in told("enable_service n-nett\n", "service-name", "juno")] == [
        "write n-net instead of n-nett"
    ]
    for row in DEVSTACK.values():
        words = {name for names in row.services.values() for name in names}
        assert words <= known.services(row), row.name


@pytest.mark.parametrize("release", ["2025.1", "2026.1", "wallaby", "ussuri", "mitaka"])
def test_disabling_by_the_other_releases_name_is_told(release: str) -> None:
    row = DEVSTACK[release]
    other = {"2025.1": "q-ovn-agent", "2026.1": "q-ovn-metadata-agent"}
    found = told(
        "disable_service q-ovn-agent q-ovn-metadata-agent n-obj\n", "replaced-service", release
    )
    assert found == [], "who names both is right whatever the release"
    text = f"disable_service {other.get(release, 'q-ovn-agent')} n-obj g-reg\n"
    fixes = [each.fix for each in told(text, "replaced-service", release)]
    assert fixes == (
        [f"disable_service {row.replaced[other[release]]}"] if release in other else []
    )


@pytest.mark.parametrize(
    ("line", "release", "count"),
    [
        ("Q_AGENT=openvswitch", "2026.1", 1),
        ("Q_AGENT=openvswitch", "xena", 1),
        ("Q_AGENT=openvswitch", "wallaby", 0),
        ("Q_AGENT=linuxbridge", "yoga", 1),
        ("Q_AGENT=ovn", "2026.1", 0),
        ("Q_AGENT=openvswitch\nQ_ML2_PLUGIN_MECHANISM_DRIVERS=openvswitch", "2026.1", 0),
        ("Q_AGENT=openvswitch\nQ_DVR_MODE=dvr", "2026.1", 0),  # which sets the driver itself
        (
            "HOST_IP=10.0.0.2\nSERVICE_HOST=10.0.0.1\nMYSQL_HOST=10.0.0.1\nQ_AGENT=openvswitch",
            "2026.1",
            0,
        ),
    ],
)
def test_since_xena_the_agent_alone_is_half_of_a_backend(
    line: str, release: str, count: int
) -> None:
    assert len(told(f"{line}\n", "mechanism", release)) == count


# Seen with git 2 and a repository that has refs/changes/12/345612/3: all others are not found.
@pytest.mark.parametrize(
    ("ref", "count"),
    [
        ("refs/changes/12/345612/3", 0),
        ("refs/changes/12/345612", 1),
        ("12/345612/3", 1),
        ("changes/12/345612/3", 1),
        ("refs/changes/13/345612/3", 1),
        ("stable/2026.1", 0),
        ("1234567", 0),
        ("refs/heads/master", 0),
        ("2024.2-eol", 0),
    ],
)
def test_a_change_is_named_wholly(ref: str, count: int) -> None:
    assert len(told(f"NOVA_BRANCH={ref}\n", "change", "2026.1")) == count
    assert (
        len(told(f"enable_plugin zun https://a.example/zun {ref}\n", "change", "2026.1")) == count
    )


def test_a_specs_own_lines_have_the_last_word() -> None:
    found = devstack.lint(
        Source(name="localrc", text="A=1\n# -- from the spec --\nA=2\nA=3\n"), Scope()
    )
    assert [(each.rule, each.line) for each in found if each.rule == "shell-set-twice"] == [
        ("shell-set-twice", 4)
    ]


@pytest.mark.parametrize(
    ("value", "count"), [("kvm", 0), ("qemu", 0), ("lxc", 0), ("KVM", 1), ("kvn", 1)]
)
def test_libvirts_type_is_written_as_nova_compares_it(value: str, count: int) -> None:
    assert len(told(f"LIBVIRT_TYPE={value}\n", "libvirt-type", "2026.1")) == count
    assert told(f"VIRT_DRIVER=ironic\nLIBVIRT_TYPE={value}\n", "libvirt-type", "2026.1") == []


def test_a_variable_of_ones_own_is_no_misspelling() -> None:
    assert len(told("ENABLED_SERVICE=n-cpu\n", "name", "2026.1")) == 1
    assert (
        told("FLOATING_RANGES=1.2.3.0/24\nFLOATING_RANGE=$FLOATING_RANGES\n", "name", "2026.1")
        == []
    )
    names = (
        "IPV6_ADDRS_SAFE_TO_USE SSL_ENABLED_SERVICES V6_NETWORK_GATEWAY HOST_IPV6 MYSQL_PASSWORD"
        " Q_HOST NOVA_BRANCH"
    )
    assert told("".join(f"{name}=x\n" for name in names.split()), "name", "2026.1") == []


@pytest.mark.parametrize(
    ("text", "rule", "release", "count"),
    [
        ("LOGFILE=stack.sh.log\n", "logfile", "2026.1", 1),
        ("LOGFILE=stack.sh.log\n", "logfile", "kilo", 1),
        ("LOGFILE=stack.sh.log\n", "logfile", "juno", 0),
        ("LOGFILE=logs/stack.sh.log\n", "logfile", "2026.1", 0),
        ("LOGFILE=$UNKNOWN.log\n", "logfile", "2026.1", 0),
        ("LIBVIRT_CPU_MODE=qemu64\n", "cpu-mode", "2026.1", 1),
        ("LIBVIRT_CPU_MODE=host-passthrough\n", "cpu-mode", "2026.1", 0),
        ("LIBVIRT_CPU_MODE=qemu64\n", "cpu-mode", "train", 0),
        ("VIRT_DRIVER=fake\nLIBVIRT_CPU_MODE=qemu64\n", "cpu-mode", "2026.1", 0),
        ("TENANT_TUNNEL_RANGES=-1:1000\n", "tunnel-range", "juno", 1),
        ("TENANT_TUNNEL_RANGES=-1:1000\n", "tunnel-range", "icehouse", 0),
        ("TENANT_TUNNEL_RANGES=1000:1\n", "tunnel-range", "2026.1", 1),
        ("TENANT_TUNNEL_RANGES=1:10,20:30\n", "tunnel-range", "2026.1", 0),
        (f"TENANT_TUNNEL_RANGES=1:{'9' * 5000}\n", "tunnel-range", "2026.1", 1),
        ("ENABLED_SERVICES=True\n", "services-word", "2026.1", 1),
        ("ENABLED_SERVICES=frobnicator\n", "services-word", "2026.1", 1),
        ("enable_plugin x https://x.example/x\nENABLED_SERVICES=x\n", "services-word", "2026.1", 0),
        ("ENABLED_SERVICES=mysql\n", "services-word", "2026.1", 0),
        ("ENABLED_SERVICES=mysqll\n", "services-word", "2026.1", 0),
        ("ENABLED_SERVICES=\n", "services-word", "2026.1", 0),
        ("ENABLED_SERVICES=$MINE\n", "services-word", "2026.1", 0),
    ],
)
def test_a_value_is_told_where_its_release_takes_it(
    text: str, rule: str, release: str, count: int
) -> None:
    assert len(told(text, rule, release)) == count


@pytest.mark.parametrize(
    ("above", "count"),
    [
        ("disable_service n-net", 0),
        ("disable_service key", 1),
        ("enable_service key", 0),
        ("enable_service q-svc", 1),
        ("enable_service $MINE", 1),
        ("enable_service n-api", 0),
    ],
)
def test_a_list_undoes_what_is_otherwise_at_the_end(above: str, count: int) -> None:
    text = f"{above}\nENABLED_SERVICES=rabbit,mysql,key\nENABLED_SERVICES+=,n-api\n"
    assert len(told(text, "services-wiped", "newton")) == count


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("liberty", "TEMPEST_BRANCH=13.0.0"),
        ("rocky", "remove the line"),
        ("2026.1", "remove the line"),
        ("havana", "TEMPEST_BRANCH=havana-eol"),
    ],
)
def test_tempest_has_no_branch_of_a_release_since_icehouse(release: str, line: str) -> None:
    [finding] = told(f"TEMPEST_BRANCH=stable/{release}\n", "branch-gone", release)
    assert finding.fix == line


@pytest.mark.parametrize(("release", "count"), [("kilo", 0), ("ocata", 0), ("pike", 1)])
def test_networking_ovn_refuses_the_l3_agent_since_pike(release: str, count: int) -> None:
    text = (
        "enable_service q-l3 q-agt ovn-controller\n"
        "enable_plugin networking-ovn https://opendev.org/openstack/networking-ovn\n"
    )
    found = told(text, "ovn-agent", release)
    assert [each.fix for each in found] == ["disable_service q-l3"] * count
    assert told(text, "replaced-service", release) == []
