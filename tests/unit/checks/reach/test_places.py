from __future__ import annotations

import dataclasses

import pytest

from stacklab.checks.family import Facts, Tried
from stacklab.checks.reach import outside, outside_family
from stacklab.checks.result import CheckKind
from stacklab.installers.kit.sources import pip_index
from stacklab.installers.kit.ways import place_of
from stacklab.model.stack import Installer, Mirrors, Plugin, Proxy
from tests.unit.checks.reach.apart_labs import of, with_stack
from tests.unit.checks.reach.outside_labs import CLOUD, PLAIN, places

PIP = place_of(pip_index())  # no registry's name stands in this tree


def test_a_lab_without_a_cloud_needs_its_packages_and_a_name() -> None:
    found = [(str(check.kind), check.subject) for check in of(outside_family, PLAIN, "compute1")]
    assert found == [("dns", ""), ("reach", "packages")]


def test_a_cloud_s_places_come_from_its_spec_each_once() -> None:
    assert places(CLOUD) == ("apt.example.org:3142", "git.example.org:443", "pip.example.org:443")
    plugin = Plugin(name="x", url="git://plugins.example.org/x")
    assert places(with_stack(CLOUD, plugins=(plugin,)))[2] == "plugins.example.org:9418"


def test_what_the_spec_leaves_open_is_the_release_s_own() -> None:
    lab = with_stack(PLAIN, installer=Installer.CONTRAIL, release="master")
    assert places(lab) == ("packages", "github.com:443", "opendev.org:443", PIP)


def test_only_the_node_that_deploys_needs_what_the_deployer_needs() -> None:
    lab = with_stack(PLAIN, installer=Installer.KOLLA, release="2025.2")
    assert places(lab) == ("packages", PIP)
    assert places(lab, "compute1") == ("packages",)


def test_behind_a_proxy_it_is_the_proxy_that_is_needed() -> None:
    proxy = Proxy(http="http://proxy.example.org:3128")
    assert places(with_stack(CLOUD, proxy=proxy)) == ("proxy.example.org:3128",)
    excepted = Proxy(http="http://192.0.2.9:3128", no_proxy=("localhost", ".git.example.org"))
    assert places(with_stack(CLOUD, proxy=excepted)) == ("192.0.2.9:3128", "git.example.org:443")


def test_a_proxy_by_its_address_needs_no_name() -> None:
    lab = with_stack(CLOUD, proxy=Proxy(http="http://192.0.2.9:3128"))
    assert [check.kind for check in of(outside_family, lab, "controller")] == [CheckKind.REACH]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://git.example.org/x", "git.example.org:443"),
        ("http://git.example.org:8080", "git.example.org:8080"),
        ("https://user:secret@git.example.org/x", "git.example.org:443"),
        ("file:///srv/git", ""),
        ("https://git.example.org:nonsense/", ""),
        ("", ""),
    ],
)
def test_a_url_s_place_is_its_name_and_port(url: str, place: str) -> None:
    assert place_of(url) == place


def test_the_host_s_own_mirrors_stand_for_what_the_spec_leaves_open() -> None:
    lab = with_stack(PLAIN, installer=Installer.DEVSTACK, release="2026.1")
    mirrors = Mirrors(
        pip="http://pip.example.org:8080/simple",
        git=(
            ("http://near.example.org/", "https://opendev.org/"),
            ("http://nearer.example.org/", "https://opendev.org/openstack/"),
        ),
    )
    found = outside.mirrored_places(lab, mirrors)
    assert found[PIP] == "pip.example.org:8080"
    assert found["opendev.org:443"] == "near.example.org:80"
    assert outside.mirrored_places(lab, dataclasses.replace(mirrors, git=mirrors.git[1:])) == {
        "opendev.org:443": "nearer.example.org:80",
        PIP: "pip.example.org:8080",
    }
    assert outside.mirrored_places(CLOUD, Mirrors(pip="http://pip.example.org")) == {}
    facts = Facts(
        instead=found, tried={place: Tried(address="203.0.113.1") for place in found.values()}
    )
    shell = "".join(
        part.shell
        for part in outside_family.parts(
            lab, lab.nodes[0], of(outside_family, lab, "controller"), facts
        )
    )
    assert "dial tcp pip.example.org:8080" in shell
    assert PIP not in shell
