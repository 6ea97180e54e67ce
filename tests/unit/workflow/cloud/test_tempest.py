"""OpenStack's own tests: which are chosen, what they are told of the cloud, and what failed."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import CheckFailed, LabError
from stacklab.paths.project import LABS
from stacklab.workflow.cloud import tempest, tempest_config
from stacklab.workflow.cloud.tempest import ChosenTests
from stacklab.workflow.source.testing import ProjectTest

LAB = spec.load(LABS / "openstack-3node.yaml")
LOGIN = {
    "auth": {
        "auth_url": "http://192.168.170.10:5000/v3",
        "username": "admin",
        "password": "pa%ss",
        "project_name": "admin",
        "user_domain_name": "Default",
    },
    "region_name": "RegionOne",
}
MADE = {"image": "i", "flavor": "f", "larger_flavor": "l", "external": "e", "external_name": "ext"}
REQUEST = "req-11111111-1111-4111-8111-111111111111"


def of(name: str, status: str = "fail", detail: str = "") -> ProjectTest:
    return ProjectTest(name=name, status=status, seconds=1.0, detail=detail)


@pytest.mark.parametrize(
    ("selection", "arguments"),
    [
        (ChosenTests(), ("--include-list", str(tempest._CURATED))),
        (ChosenTests(is_smoke=True), ("--smoke",)),
        (ChosenTests(regex="ports"), ("--regex", "ports")),
        (ChosenTests(name="tempest.api.image"), ("--regex", r"^tempest\.api\.image(\.|\[|$)")),
        (
            ChosenTests(name="tempest/api/image/v2.py"),
            ("--regex", r"^tempest\.api\.image\.v2(\.|\[|$)"),
        ),
    ],
)
def test_which_tests_run(selection: ChosenTests, arguments: tuple[str, ...]) -> None:
    assert selection.arguments() == arguments


def test_a_list_of_tests_is_a_file_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no such file"):
        ChosenTests(load_list=str(tmp_path / "x")).arguments()
    (tmp_path / "x").write_text("tempest.a\n")
    assert ChosenTests(load_list=str(tmp_path / "x")).arguments()[0] == "--load-list"


def test_a_name_is_a_whole_one() -> None:
    pattern = ChosenTests(name="tempest.api.network.test_ports").arguments()[1]
    assert re.search(pattern, "tempest.api.network.test_ports.PortsTest.test_a[id-1]")
    assert not re.search(pattern, "tempest.api.network.test_ports_extra.X.test_a[id-1]")


def test_the_curated_list_is_made_of_expressions() -> None:
    lines = tempest._CURATED.read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert len(patterns) > 10
    for pattern in patterns:
        re.compile(pattern)
        assert pattern.startswith("^tempest")


def test_what_tests_are_told_of_the_cloud(tmp_path: Path) -> None:
    text = tempest_config.render(LAB, LOGIN, MADE, tmp_path, computes=2, has_volumes=False)
    file = configparser.RawConfigParser()
    file.read_string(text)
    assert file["auth"]["admin_password"] == "pa%ss"
    assert file["identity"]["uri_v3"] == "http://192.168.170.10:5000/v3"
    assert "ca_certificates_file" not in file["identity"]
    assert file["network"]["public_network_id"] == "e"
    assert file["service_available"]["cinder"] == "False"
    # A VM is emulated: its build takes minutes.
    assert file["compute"]["build_timeout"] == "1800"


def test_with_https_tests_trust_the_labs_authority(tmp_path: Path) -> None:
    login = {**LOGIN, "cacert": "/x/authority.pem"}
    text = tempest_config.render(LAB, login, MADE, tmp_path, computes=1, has_volumes=True)
    assert "ca_certificates_file = /x/authority.pem" in text


def test_a_test_that_failed_leads_to_its_last_request() -> None:
    tests = [of("a", "success", REQUEST.replace("1", "2")), of("b.c", detail=f"x {REQUEST} y")]
    assert tempest.request_ids(tests) == (REQUEST,)
    with pytest.raises(LabError, match="several ways"):
        ChosenTests(is_smoke=True, name="tempest.api").arguments()
    with pytest.raises(CheckFailed, match=r"1 of 2 tests of tempest failed: b\.c\n") as caught:
        tempest.raise_for("openstack-3node", tests)
    assert f"./invoke trace.request openstack-3node {REQUEST}" in str(caught.value.hint)
    tempest.raise_for("openstack-3node", tests[:1])


def test_tests_that_failed_are_counted_where_they_are_not_all_named() -> None:
    with pytest.raises(CheckFailed, match=r"7 of 7 tests of tempest failed: .* and 2 more\n"):
        tempest.raise_for("openstack-3node", [of(f"t{number}") for number in range(7)])
