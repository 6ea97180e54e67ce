"""DevStack with a mirror of git: what that needs to have, and what is asked of no other server."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from stacklab import installers
from stacklab.installers import rendering as answers
from stacklab.installers.kit import git
from stacklab.model.lab import Lab
from tests.unit.installers.devstack import devstack_labs as labs

# The host's own address on mgmt.
SERVED = "git://192.168.170.1"


def load(directory: Path, **stack: Any) -> Lab:  # noqa: ANN401 - whatever a stack may hold
    return labs.load(directory, mirrors={"git": "/srv/git"}, **stack)


def refs(lab: Lab) -> dict[str, str]:
    return {project.path: project.ref for project in installers.git_projects(lab)}


def values(lab: Lab, node: str = "controller") -> dict[str, str]:
    return labs.values(answers.render(lab, labs.SECRETS)[node][labs.LOCAL_CONF])


def text(lab: Lab, node: str = "controller") -> str:
    return answers.render(lab, labs.SECRETS)[node][labs.LOCAL_CONF]


def test_a_directory_is_reached_at_the_host_s_own_address(tmp_path: Path) -> None:
    lab = load(tmp_path)
    assert git.served_at(lab) == IPv4Address("192.168.170.1")
    assert git.served_directory(lab) == "/srv/git"
    assert git.git_base(lab) == SERVED


def test_a_mirror_on_a_server_is_served_by_that(tmp_path: Path) -> None:
    lab = labs.load(tmp_path, mirrors={"git": "https://git.example.org/"})
    assert git.served_directory(lab) == ""
    assert git.git_base(lab) == "https://git.example.org"


def test_the_spec_s_own_base_goes_before_a_mirror(tmp_path: Path) -> None:
    lab = load(tmp_path, git_base="https://git.example.org")
    assert git.served_directory(lab) == ""
    assert git.git_base(lab) == "https://git.example.org"


@pytest.mark.parametrize("node", ["controller", "compute1"])
def test_local_conf_has_everything_from_the_mirror_and_nothing_from_github(
    tmp_path: Path, node: str
) -> None:
    found = values(load(tmp_path), node)
    assert found["GIT_BASE"] == SERVED
    assert found["NOVNC_REPO"] == f"{SERVED}/novnc/novnc.git"
    assert found["DOWNLOAD_DEFAULT_IMAGES"] == "False"
    assert found["IMAGE_URLS"] == ""


def test_devstack_itself_is_cloned_from_the_mirror(tmp_path: Path) -> None:
    (step,) = [
        step
        for step in answers.steps(load(tmp_path))
        if step.title.startswith("clone devstack") and step.node == "controller"
    ]
    assert f"{SERVED}/openstack/devstack " in step.command


def test_etcd_is_left_out_where_only_github_has_it(tmp_path: Path) -> None:
    assert "disable_service etcd3 tempest\n" in text(load(tmp_path))
    assert "etcd3" not in text(labs.load(tmp_path))
    assert "etcd3" not in text(load(tmp_path), "compute1")  # its services are listed one by one


@pytest.mark.parametrize(("release", "keeps"), [("2023.2", True), ("2024.1", False)])
def test_zun_keeps_its_etcd_while_docker_s_networks_are_in_it(
    tmp_path: Path, release: str, *, keeps: bool
) -> None:
    found = text(load(tmp_path, driver="zun", release=release))
    assert ("disable_service etcd3 " not in found) is keeps


def test_tempest_is_left_out_unless_the_spec_has_an_image_for_it(tmp_path: Path) -> None:
    """Without one stack.sh ends in its last phase: "Found no valid images to use!"."""
    assert "disable_service etcd3 tempest\n" in text(load(tmp_path))
    assert "disable_service" not in text(labs.load(tmp_path, computes=0))
    lines = {"controller": ["IMAGE_URLS=http://images.example/cirros.img"]}
    lab = load(tmp_path, localrc=lines)
    assert "disable_service etcd3\n" in text(lab)
    assert refs(lab)["openstack/tempest"] == "master"
    assert "openstack/tempest" not in refs(load(tmp_path))


def test_computes_of_the_fake_driver_download_no_image_either(tmp_path: Path) -> None:
    assert values(load(tmp_path, driver="fake"))["IMAGE_URLS"] == ""


def test_a_driver_s_plugins_are_in_the_mirror_with_what_they_clone(tmp_path: Path) -> None:
    wanted = refs(load(tmp_path, driver="zun", release="2025.1", refs={"zun": "mine"}))
    assert wanted["openstack/zun"] == "mine"
    assert wanted["openstack/kuryr-libnetwork"] == "stable/2025.1"
    assert wanted["openstack/devstack-plugin-container"] == "stable/2025.1"
    assert wanted["openstack/zun-tempest-plugin"] == "master"
    assert "openstack/zun" not in refs(load(tmp_path, release="2025.1"))


def test_what_zun_s_plugins_download_is_tried_before_stack_sh(tmp_path: Path) -> None:
    lab = load(tmp_path, driver="zun", release="2025.1")
    urls = {source.url: source for source in installers.remote_sources(lab, lab.controller)}
    assert f"{SERVED}/openstack/zun" in urls
    assert "https://download.docker.com/linux/ubuntu/gpg" in urls
    crictl = urls["https://github.com/kubernetes-sigs/cri-tools/releases"]
    assert crictl.replaced_by == "CRICTL_DOWNLOAD_URL in stack.localrc"
    plain = load(tmp_path, release="2025.1")
    assert not [
        one for one in installers.remote_sources(plain, plain.controller) if one.kind == "file"
    ]


def test_what_is_cloned_follows_the_release(tmp_path: Path) -> None:
    assert refs(load(tmp_path)) == {
        "openstack/devstack": "stable/2026.1",
        "openstack/requirements": "stable/2026.1",
        "openstack/keystone": "stable/2026.1",
        "openstack/glance": "stable/2026.1",
        "openstack/placement": "stable/2026.1",
        "openstack/nova": "stable/2026.1",
        "openstack/neutron": "stable/2026.1",
        "openstack/cinder": "stable/2026.1",
        "openstack/horizon": "stable/2026.1",
        "novnc/novnc": "",
    }


def test_services_that_are_off_are_not_cloned(tmp_path: Path) -> None:
    lines = {"controller": ["disable_service tempest,horizon c-api # all of them", "X=1"]}
    left = refs(load(tmp_path, localrc=lines))
    assert not {"openstack/cinder", "openstack/horizon", "openstack/tempest"} & set(left)
    assert "openstack/nova" in left


def test_refs_of_the_spec_are_what_the_mirror_needs(tmp_path: Path) -> None:
    change = "refs/changes/12/345612/3"
    wanted = refs(load(tmp_path, refs={"nova": change, "devstack": "master", "oslo.log": "8.1.0"}))
    assert wanted["openstack/nova"] == change
    assert wanted["openstack/devstack"] == "master"
    assert wanted["openstack/oslo.log"] == "8.1.0"


def test_an_old_release_has_no_placement(tmp_path: Path) -> None:
    assert "openstack/placement" not in refs(load(tmp_path, release="queens"))


def test_what_the_spec_replaces_is_not_tried(tmp_path: Path) -> None:
    lab = load(
        tmp_path,
        driver="zun",
        release="2025.1",
        plugins={"zun": {"url": "https://git.example/zun", "ref": "mine"}},
        localrc={"all": ["CRICTL_DOWNLOAD_URL=http://files.example/crictl"]},
    )
    urls = [source.url for source in installers.remote_sources(lab, lab.controller)]
    assert "https://git.example/zun" in urls
    assert f"{SERVED}/openstack/zun" not in urls
    assert "https://github.com/kubernetes-sigs/cri-tools/releases" not in urls
    assert "https://github.com/containernetworking/plugins/releases" in urls
    assert "openstack/zun" not in refs(lab)
