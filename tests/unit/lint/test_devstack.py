"""DevStack's localrc, where its releases differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import releases, spec
from stacklab.lint import devstack
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Scope, Source
from stacklab.model import Installer

DEVSTACK = releases.of(Installer.DEVSTACK)


def told(text: str, rule: str, scope: Scope | str) -> list[Finding]:
    """What one rule says; a scope may be a release's name."""
    given = Scope(release=DEVSTACK[scope]) if isinstance(scope, str) else scope
    return [each for each in devstack.lint(Source(name="localrc", text=text), given) if each.rule == f"devstack-{rule}"]


# Seen with functions-common of each tag: enable_plugin twice, then DEVSTACK_PLUGINS and GITREPO.
@pytest.mark.parametrize(
    ("release", "effect"),
    [
        ("kilo", "URL and branch of line 1 are lost, and every phase of heat is run twice"),
        ("mitaka", "URL and branch of line 1 are lost, and every phase of heat is run twice"),
        ("newton", "stack.sh stops: heat was enabled on line 1 already"),
        ("master", "stack.sh stops: heat was enabled on line 1 already"),
    ],
)
def test_a_plugin_twice_is_an_end_or_a_mix(release: str, effect: str) -> None:
    text = "enable_plugin heat https://one.example/heat\nenable_plugin heat https://two.example/heat\n"
    assert [(each.line, each.effect) for each in told(text, "plugin-twice", release)] == [(2, effect)]


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
        "networks: {mgmt: {cidr: 192.168.150.0/24, mode: nat}, fabric: {cidr: 10.0.5.0/24, mode: isolated},"
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
        (f"{TWO}, {{network: more}}, {{network: outside}}", "FlatDHCPManager", ["FLAT_INTERFACE=eth2 or eth3"]),
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
    [(TWO, "remove the line, or give the lab a network for floating addresses"),
     (f"{TWO}, {{network: outside}}", "PUBLIC_INTERFACE=eth2")],
)  # fmt: skip
def test_the_hosts_way_in_is_no_public_interface(tmp_path: Path, nics: str, fix: str) -> None:
    text = "HOST_IP=10.0.5.10\nPUBLIC_INTERFACE=eth0\n"
    assert [each.fix for each in told(text, "public-interface", lab(tmp_path, nics))] == [fix]
