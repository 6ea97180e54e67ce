"""kolla-ansible's globals.yml, passwords.yml and inventory, at the edges of each rule."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
import yaml

from stacklab import releases, spec
from stacklab.installers import linting as lint
from stacklab.installers.kolla.lint import linter as kolla
from stacklab.installers.kolla.lint.era import find as find_era
from stacklab.installers.kolla.lint.linting import FILES
from stacklab.installers.kolla.lint.names import known_names
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer

VIP = "kolla_internal_vip_address: 10.0.5.250\n"
RELEASES = releases.of(Installer.KOLLA)


def told(text: str, scope: Scope | None = None, *, name: str = "globals.yml") -> list[str]:
    """Rules with their lines: `flag:2`."""
    found = kolla.lint(Source(name=name, text=text), scope or Scope())
    return [f"{each.rule.removeprefix('kolla-')}:{each.line}" for each in sorted(found)]


@pytest.mark.parametrize(
    "line",
    [
        "openstack_release: 2025.2",
        'openstack_release: "2025.2"',
        "enable_heat: no",
        'enable_heat: "yes"',
        "enable_heat: On",
        "enable_heat: 1",
        'enable_heat: "{{ enable_nova }}"',
        "my_variable: y",
        "nova_api_healthcheck_retries: 3",
        "neutron_plugin_agent: ovn",
        "nova_console: spice",
        "kolla_dev_repos_directory: /opt/stack",
        "kolla_dev_repos_directory: /home/stack/src",
        "kolla_base_distro: rocky",
        "docker_client_timeout: 120",
        "network_interface: eth1",
        "neutron_external_interface: eth0",
    ],
)
def test_what_kolla_ansible_takes_is_no_finding(line: str) -> None:
    assert told(f"{VIP}{line}\n") == []


@pytest.mark.parametrize("word", ["y", "t", "enabled", "'of'", "maybe", "''", "2"])
def test_a_flag_that_ansible_does_not_know_counts_as_no(word: str) -> None:
    (found,) = kolla.lint(Source(name="globals.yml", text=f"{VIP}enable_heat: {word}\n"), Scope())
    assert found.rule == "kolla-flag"
    assert "for no," in found.effect


@pytest.mark.parametrize(
    ("written", "read"),
    [("2025.10", "2025.1"), ("0755", "493"), ("1_200", "1200"), ("12:30", "750"), ("0x1f", "31")],
)
def test_numbers_that_yaml_changes_are_told(written: str, read: str) -> None:
    assert str(yaml.safe_load(written)) == read
    (found,) = kolla.lint(
        Source(name="globals.yml", text=f"{VIP}node_config: {written}\n"), Scope()
    )
    assert read in found.effect
    assert found.fix == f'node_config: "{written}"'
    assert told(f'{VIP}node_config: "{written}"\n') == []


def test_tags_of_ansible_are_no_broken_yaml() -> None:
    assert told(f"{VIP}some_secret: !vault |\n  $ANSIBLE_VAULT;1.1\n  31\n") == []


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "- a\n- b\n", "word\n"])
def test_a_file_without_variables_is_one_finding(text: str) -> None:
    assert told(text) == ["yaml:0"]


def test_broken_yaml_has_its_line() -> None:
    assert told(f"{VIP}enable_heat: no: yes\n") == ["yaml:2"]
    assert told(f"{VIP}\tenable_heat: no\n") == ["yaml:2"]


def test_a_lot_of_aliases_takes_no_time() -> None:
    nine = "{{" + ", ".join(f"k{n}: *a{{0}}" for n in range(9)) + "}}"
    lines = ["a0: &a0 {x: y}"] + [f"a{i}: &a{i} {nine.format(i - 1)}" for i in range(1, 60)]
    assert told(VIP + "\n".join(lines) + "\n") == []


def test_keys_that_are_given_twice_are_found_below_as_well() -> None:
    assert told(f"{VIP}mine:\n  a: 1\n  b: 2\n  a: 3\n") == ["duplicate-key:5"]


@pytest.mark.parametrize(
    ("variable", "having"), [("enable_zun", ("2025.1", "2025.2")), ("enable_redis", ("2025.1",))]
)
def test_a_variable_is_of_some_releases(variable: str, having: tuple[str, ...]) -> None:
    assert [name for name in known_names().having(variable) if name in RELEASES] == [*having]
    for release in RELEASES.values():
        expected = [] if release.name in having else ["gone-variable:2"]
        assert told(f'{VIP}{variable}: "yes"\n', Scope(release=release)) == expected


def test_the_file_may_say_its_release_itself() -> None:
    assert told(f'{VIP}openstack_release: "2026.1"\nenable_zun: "yes"\n') == ["gone-variable:3"]


def test_the_tables_releases_are_known() -> None:
    assert {*RELEASES} <= {*known_names().releases}
    assert known_names().releases[0] == "train"


@pytest.mark.parametrize(
    ("release", "variable", "rules"),
    [
        ("train", "enable_skydive", []),
        ("zed", "enable_skydive", []),
        ("2023.1", "enable_skydive", ["gone-variable:3"]),
        ("yoga", "kolla_install_type", []),
        ("zed", "kolla_install_type", ["gone-variable:3"]),
        ("rocky", "enable_skydive", []),
    ],
)
def test_names_are_judged_by_the_release_that_the_file_is_for(
    release: str, variable: str, rules: list[str]
) -> None:
    text = f'{VIP}openstack_release: "{release}"\n{variable}: "yes"\n'
    era = find_era(FILES, Source(name="globals.yml", text=text))
    assert era.is_in_table is (release != "rocky")
    assert told(text, Scope(era=era)) == rules


def test_what_took_the_place_of_a_variable_is_one_of_the_release() -> None:
    known = known_names()
    assert known.successor("enable_elasticsearch", "zed") == "enable_opensearch"
    assert known.successor("enable_redis", "2025.2") == "enable_valkey"
    assert known.successor("enable_redis", "2024.1") == ""


def test_variables_of_roles_are_not_taken_for_misspelt_ones() -> None:
    for variable in sorted(known_names().roles):
        assert told(f"{VIP}{variable}: x\n") in ([], ["flag:2"]), variable


@pytest.mark.parametrize(
    "variable", ["enable_cindr", "enabel_cinder", "network_interfaces", "kolla_base_distr"]
)
def test_misspelt_variables_are_told(variable: str) -> None:
    assert told(f"{VIP}{variable}: x\n") in (
        ["unknown-variable:2"],
        ["flag:2", "unknown-variable:2"],
    )


@pytest.mark.parametrize("release", RELEASES)
def test_base_distributions_are_the_releases(release: str) -> None:
    has_centos = any(word.startswith("centos=") for word in RELEASES[release].words("base_distros"))
    text = f"{VIP}kolla_base_distro: centos\n"
    assert told(text, Scope(release=RELEASES[release])) == ([] if has_centos else ["distro:2"])


def test_an_internal_address_makes_the_vip_by_itself() -> None:
    assert told("kolla_internal_address: 10.0.5.250\n") == []
    assert told('kolla_internal_vip_address: "{{ mine }}"\n') == []
    assert told("kolla_internal_vip_address:\n") == ["vip-missing:1"]


@pytest.mark.parametrize("path", ["/", "/opt", "/home/stack", "stack", "~/stack", "''"])
def test_a_directory_that_is_not_only_for_sources_is_told(path: str) -> None:
    assert told(f"{VIP}kolla_dev_repos_directory: {path}\n") == ["dev-directory:2"]


def test_passwords_are_seen_as_the_prechecks_see_them() -> None:
    text = "# a:\na: LeakPw1\nb_ssh_key:\nc:   \nd:\n"
    found = list(kolla.lint(Source(name="passwords.yml", text=text), Scope()))
    assert [each.line for each in found] == [4]
    assert "c and 1 more" in found[0].effect
    assert "Leak" not in str(found)


INVENTORY = """[control]
node1 network_interface=eth1
[network]
node1
[compute]
node[2:3]
[monitoring]
node1
[storage]
node1
[deployment]
localhost ansible_connection=local
[all:vars]
ansible_user=stack
"""


def services(release: str) -> str:
    """The rest of an inventory: every group that the release's plays ask for."""
    return "".join(
        f"[{name}:children]\ncontrol\n"
        for name in sorted(known_names().groups[release])
        if name not in INVENTORY
    )


def test_an_inventory_without_services_has_them_beside_it() -> None:
    assert told(INVENTORY, name="multinode") == []


@pytest.mark.parametrize("release", RELEASES)
def test_an_inventory_is_a_releases(release: str) -> None:
    scope = Scope(release=RELEASES[release])
    assert told(INVENTORY + services(release), scope, name="multinode") == []
    other = "2025.1" if release in ("2026.1", "master") else "master"
    assert told(INVENTORY + services(other), scope, name="multinode") == ["inventory-groups:0"]


@pytest.fixture
def lab(tmp_path: Path) -> Scope:
    path = tmp_path / "lab.yaml"
    path.write_text(
        "image: stand-in\n"
        "networks: {mgmt: {cidr: 192.168.150.0/24, mode: nat}, "
        "fabric: {cidr: 10.0.5.0/24, mode: isolated}}\n"
        "nodes:\n"
        "  controller: {role: controller, nics: [{network: mgmt}, "
        "{network: fabric, address: 10.0.5.10}]}\n"
        "  compute: {role: compute, nics: [{network: mgmt}, "
        "{network: fabric, address: 10.0.5.11}]}\n"
        "stack: {installer: kolla, network: mgmt, api_network: fabric}\n"
    )
    found = spec.load(path, known_images=("stand-in",))
    return Scope(release=RELEASES["2025.2"], lab=found, node=found.controller)


@pytest.mark.parametrize(
    ("address", "rules"),
    [
        ("10.0.5.250", []),
        ("10.0.5.10", ["vip-taken:1"]),
        ("10.0.5.11", ["vip-taken:1"]),
        ("10.0.5.1", ["vip-taken:1"]),
        ("192.168.150.250", ["vip-network:1"]),
        ("10.0.6.1", ["vip-network:1"]),
        ("cloud", ["vip-address:1"]),
    ],
)
def test_a_vip_is_a_free_address_on_the_apis_network(
    address: str, rules: list[str], lab: Scope
) -> None:
    assert told(f"kolla_internal_vip_address: {address}\n", lab) == rules


@pytest.mark.parametrize(
    ("address", "rules"), [("10.0.5.10", []), ("10.0.5.250", ["vip-without-haproxy:1"])]
)
def test_without_haproxy_it_is_the_controllers(address: str, rules: list[str], lab: Scope) -> None:
    assert told(f"kolla_internal_vip_address: {address}\nenable_haproxy: no\n", lab) == rules


def test_the_address_that_is_proposed_is_free(lab: Scope) -> None:
    (found,) = kolla.lint(
        Source(name="globals.yml", text="kolla_internal_vip_address: 10.0.5.10\n"), lab
    )
    assert told(found.fix + "\n", lab) == []


def test_a_labs_passwords_are_filled_later(lab: Scope) -> None:
    assert told("a:\nb:\n", lab, name="passwords.yml") == []


@pytest.mark.parametrize("path", ["/etc/kolla/inventory/lab", "/opt/multinode"])
def test_a_labs_inventory_is_linted_by_whatever_name(path: str, lab: Scope) -> None:
    assert lab.lab is not None
    text = "[control]\ncontroller\n[network]\ncontroller\n[compute]\nnobody\n"
    found = lint.lint_lab(lab.lab, {"controller": {PurePosixPath(path): text}})
    assert [(each.file, each.line, each.rule) for each in found] == [
        (f"controller:{path}", 6, "kolla-inventory-host")
    ]
