"""OpenSDN's instances.yaml, at the edges of each rule."""

from __future__ import annotations

import dataclasses

import pytest

from stacklab import releases
from stacklab.installers.opensdn.lint import linter as opensdn
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer

BASE = """provider_config:
  bms: {ssh_user: stack, ssh_private_key: /home/stack/.ssh/id_rsa}
instances:
  node1:
    provider: bms
    ip: 10.0.5.10
    roles: {config: , config_database: , control: , analytics: , webui: , openstack: }
  node2:
    provider: bms
    ip: 10.0.5.11
    roles: {vrouter: {PHYSICAL_INTERFACE: eth1}, openstack_compute: }
contrail_configuration:
  CONTRAIL_CONTAINER_TAG: latest
  CLOUD_ORCHESTRATOR: openstack
  KOLLA_MODE: vanilla
  OPENSTACK_VERSION: "2024.2"
kolla_config: {kolla_globals: {enable_haproxy: no}}
"""


def told(text: str, scope: Scope | None = None) -> list[str]:
    """Rules with their lines: `version:16`."""
    found = opensdn.lint(Source(name="instances.yaml", text=text), scope or Scope())
    return [f"{each.rule.removeprefix('opensdn-')}:{each.line}" for each in sorted(found)]


def changed(*pairs: tuple[str, str]) -> str:
    """The good file with something else in it."""
    text = BASE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_a_good_file_has_no_finding() -> None:
    assert told(BASE) == []


def test_kubernetes_needs_no_openstack() -> None:
    text = changed(
        ("openstack: }", "k8s_master: }"),
        ("openstack_compute", "k8s_node"),
        ("kolla_config", "other"),
    )
    assert (
        told(text.replace("CLOUD_ORCHESTRATOR: openstack", "CLOUD_ORCHESTRATOR: kubernetes")) == []
    )


@pytest.mark.parametrize("text", ["", "- a\n", "instances:\n", "instances: {}\n"])
def test_a_file_without_instances_is_one_finding(text: str) -> None:
    assert told(text) in (["yaml:0"], ["no-instances:1"])


def test_a_null_password_is_none() -> None:
    assert told(changed(("ssh_user: stack,", "ssh_user: stack, ssh_pwd: ,"))) == []


def test_a_password_is_not_shown() -> None:
    text = changed(("ssh_user: stack,", "ssh_user: stack, ssh_pwd: LeakPw1,"))
    (found,) = opensdn.lint(Source(name="f", text=text), Scope())
    assert found.rule == "opensdn-plain-password"
    assert "Leak" not in str(found)


@pytest.mark.parametrize("value", ["no", "false", "yes", "1"])
def test_a_roles_value_counts_for_nothing(value: str) -> None:
    assert told(changed(("webui: ", f"webui: {value}"))) == ["role-value:7"]


@pytest.mark.parametrize("value", ["''", "~", "{}"])
def test_a_role_may_have_an_empty_value(value: str) -> None:
    assert told(changed(("webui: ", f"webui: {value}"))) == []


@pytest.mark.parametrize("role", ["toragent_1", "k8s_node", "tsn_haproxy", "openstack_storage"])
def test_roles_that_something_is_installed_for_are_known(role: str) -> None:
    assert told(changed(("webui: ", f"{role}: "))) == []


@pytest.mark.parametrize("provider", ["gce", "aws"])
def test_a_clouds_instance_is_asked_for_its_address(provider: str) -> None:
    assert told(changed(("provider: bms\n    ip: 10.0.5.11", f"provider: {provider}"))) == []


@pytest.mark.parametrize(
    ("version", "rules"),
    [
        ('"2024.2"', []),
        ("'2023.1'", []),
        ("yoga", []),
        ("2024.2", ["version-number:16"]),
        ("2024.10", ["version:16", "version-number:16"]),
        ('"2025.1"', ["version:16"]),
    ],
)
def test_an_openstack_is_one_that_has_a_branch(version: str, rules: list[str]) -> None:
    assert told(changed(('"2024.2"', version))) == rules


def test_the_mode_decides_which_branches_there_are() -> None:
    text = changed(("KOLLA_MODE: vanilla", "KOLLA_MODE: patched"))
    (found,) = opensdn.lint(Source(name="f", text=text), Scope())
    assert found.rule == "opensdn-version"
    assert found.fix.endswith("or KOLLA_MODE: vanilla")


def test_a_release_whose_branches_nobody_knows_has_no_opinion() -> None:
    release = next(iter(releases.of(Installer.OPENSDN).values()))
    scope = Scope(release=dataclasses.replace(release, traits={}))
    assert told(changed(('"2024.2"', '"2031.1"')), scope) == []


@pytest.mark.parametrize(
    ("nodes", "rules"),
    [
        ("10.0.5.10", []),
        ("10.0.5.10,10.0.5.11", []),
        ('"10.0.5.10, 10.0.5.11"', []),
        ("10.0.5.12", ["nodes:13"]),
        ("node1", ["nodes:13"]),
        ("[10.0.5.10]", ["nodes:13"]),
        ("192.168.3.10", []),
        ('"{{ mine }}"', []),
    ],
)
def test_node_lists_are_of_instances_or_of_another_network(nodes: str, rules: list[str]) -> None:
    assert (
        told(
            changed(
                ("  CONTRAIL_CONTAINER_TAG", f"  CONTROL_NODES: {nodes}\n  CONTRAIL_CONTAINER_TAG")
            )
        )
        == rules
    )


def test_sections_of_ones_own_are_left_alone() -> None:
    assert told(BASE + "xflow_configuration: {a: 1}\n") == []
    assert told(BASE + "global_configurations: {a: 1}\n") == ["section:18"]


def test_haproxy_with_an_address_is_fine() -> None:
    assert told(changed(("{enable_haproxy: no}", "{kolla_internal_vip_address: 10.0.5.250}"))) == []
    assert told(changed(("{enable_haproxy: no}", "{enable_haproxy: yes}"))) == ["vip:17"]


@pytest.mark.parametrize(
    ("config", "provider"),
    [
        ("aws: {ssh_user: centos}", "aws"),
        ("gce: {ssh_user: centos}", "gce"),
        ("aws: {ssh_user: centos}, bms: {ssh_user: stack}", "bms"),
        ("azure: {ssh_user: stack}", "bms"),
    ],
)
def test_a_missing_provider_is_the_one_that_is_configured(config: str, provider: str) -> None:
    text = f"provider_config: {{{config}}}\ninstances:\n  node1: {{roles: {{vrouter: }}}}\n"
    found = opensdn.lint(Source(name="instances.yaml", text=text), Scope())
    assert [each.fix for each in found if each.rule == "opensdn-instance"] == [
        f"provider: {provider}"
    ]
