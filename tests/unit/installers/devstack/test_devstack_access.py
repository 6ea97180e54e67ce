"""How a client logs in to a DevStack, and which external network the proof uses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from stacklab.installers import kit_of
from stacklab.model.cloud import CloudAccess
from stacklab.model.lab import Lab
from tests.unit.installers.devstack import devstack_labs as labs


def access(lab: Lab) -> CloudAccess | None:
    kit = kit_of(lab.stack.installer)
    assert kit is not None
    return kit.access(lab)


def test_keystone_is_below_apache_at_the_address_of_the_apis(tmp_path: Path) -> None:
    found = access(labs.load(tmp_path, network="fabric", api_network="api"))
    assert found is not None
    assert found.auth_url == "http://10.170.1.11/identity/v3"
    assert found.password_secret == "admin_password"
    assert found.external is None


def test_the_external_network_is_the_one_that_stack_sh_made(tmp_path: Path) -> None:
    found = access(labs.load(tmp_path, external_network="outside"))
    assert found is not None
    assert found.external is not None
    assert found.external.name == "public"
    assert found.external.gateway == IPv4Address("10.170.3.1")
    assert found.external.pool == IPv4Network("10.170.3.128/25")


def test_an_old_release_has_no_access(tmp_path: Path) -> None:
    assert access(labs.load(tmp_path, release="newton")) is None
