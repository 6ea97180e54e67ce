from __future__ import annotations

import re
from pathlib import Path

import pytest

from stacklab.errors import RenderError
from tests.unit.installers.kolla.kolla_labs import (
    CONFIG,
    GLOBALS,
    deployer,
    globals_of,
    load,
)


def test_dev_mode_is_for_the_services_that_the_spec_names_alone(tmp_path: Path) -> None:
    found = globals_of(load(tmp_path, dev_mode=["nova", "masakari-monitors"]))
    assert found["nova_dev_mode"] is found["masakari_monitors_dev_mode"] is True
    assert found["kolla_dev_mode"] is found["kolla_dev_repos_pull"] is False
    assert "keystone_dev_mode" not in found
    assert "nova_source_version" not in found  # its default is the release's branch


def test_a_service_that_kolla_mounts_no_source_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RenderError,
        match=r"stack\.dev_mode: kolla-ansible 2025\.2 does not mount a source of swift",
    ) as error:
        deployer(load(tmp_path, dev_mode=["swift"]))
    assert "nova" in str(error.value.hint)
    with pytest.raises(RenderError, match=r"stack\.refs: .* of python-novaclient"):
        deployer(load(tmp_path, refs={"python-novaclient": "master"}))


def test_a_ref_puts_its_service_into_dev_mode(tmp_path: Path) -> None:
    found = globals_of(load(tmp_path, refs={"keystone": "unmaintained/2024.1"}))
    assert found["keystone_dev_mode"] is True
    assert found["keystone_source_version"] == "unmaintained/2024.1"


def test_a_change_under_review_is_left_to_a_step_since_ansibles_git_finds_none(
    tmp_path: Path,
) -> None:
    lab = load(tmp_path, refs={"nova": "refs/changes/12/345612/3"})
    assert globals_of(lab)["nova_dev_mode"] is True
    assert "nova_source_version" not in globals_of(lab)
    assert "# nova_source_version: " in deployer(lab)[GLOBALS]


def test_clones_come_from_the_specs_git_base(tmp_path: Path) -> None:
    assert globals_of(load(tmp_path))["kolla_dev_repos_git"] == "https://opendev.org/openstack"
    found = globals_of(load(tmp_path, git_base="https://git.example.org/"))
    assert found["kolla_dev_repos_git"] == "https://git.example.org/openstack"


def test_a_proxy_is_for_containers_docker_and_git(tmp_path: Path) -> None:
    proxy = {"http": "http://proxy.example:3128", "no_proxy": [".example.org"]}
    found = globals_of(load(tmp_path, controllers=3, proxy=proxy))
    for name in ("container", "docker", "git"):
        assert (
            found[f"{name}_http_proxy"]
            == found[f"{name}_https_proxy"]
            == "http://proxy.example:3128"
        )
    direct = str(found["docker_no_proxy"]).split(",")
    assert found["container_no_proxy"] == found["docker_no_proxy"]
    assert {"127.0.0.1", "10.250.0.11", "controller1", ".example.org", "10.250.0.223"} <= set(
        direct
    )


def test_without_a_proxy_nothing_speaks_of_one(tmp_path: Path) -> None:
    assert "proxy:" not in deployer(load(tmp_path))[GLOBALS].replace("enable_haproxy:", "")


def test_answers_are_typed_as_in_globals_yml_and_take_our_own_keys_place(tmp_path: Path) -> None:
    wanted = {
        "enable_heat": "no",
        "openstack_service_workers": "3",
        "openstack_tag": "2025.10",
        "docker_registry_mirrors": "[http://mirror.example]",
        "horizon_custom": "{a: 1}",
        "a_list": "[x, 2025.10, yes, No, 'yes', '1', 010, 1_0, 0x1f, 2026-01-01, null, ~, 1e3, on,"
        " -5, {b: 2025.2}]",
        "docker_namespace": "{{ mine }}",
        "nova_compute_virt_type": "kvm",
    }
    lab = load(tmp_path, answers=wanted)
    found, text = globals_of(lab), deployer(lab)[GLOBALS]
    assert {key: found[key] for key in wanted} == {
        "enable_heat": False,
        "openstack_service_workers": 3,
        "openstack_tag": "2025.10",
        "docker_registry_mirrors": ["http://mirror.example"],
        "horizon_custom": {"a": 1},
        "a_list": [
            "x",
            "2025.10",
            True,
            False,
            "yes",
            "1",
            "010",
            "1_0",
            "0x1f",
            "2026-01-01",
            "null",
            "~",
            "1e3",
            "on",
            -5,
            {"b": "2025.2"},
        ],
        "docker_namespace": "{{ mine }}",
        "nova_compute_virt_type": "kvm",
    }
    keys = re.findall(r"(?m)^(\w+):", text)
    assert len(keys) == len(set(keys))


def test_a_broken_list_among_the_answers_is_refused(tmp_path: Path) -> None:
    for broken in ("[a, b", "{[a]: b}", "[!!python/name:os.system x]", "[!!float x]"):
        with pytest.raises(
            RenderError, match="docker_registry_mirrors begins like a list"
        ) as error:
            deployer(load(tmp_path, answers={"docker_registry_mirrors": broken}))
        assert error.value.hint == "e.g. [a, b] or {a: b}"


def test_overcommit_is_laid_over_nova_conf_of_every_host(tmp_path: Path) -> None:
    text = deployer(load(tmp_path, overcommit={"cpu": 16, "ram": 1.5, "disk": 1}))[
        CONFIG / "nova.conf"
    ]
    assert text.endswith(
        "\n[DEFAULT]\ncpu_allocation_ratio = 16\nram_allocation_ratio = 1.5\n"
        "disk_allocation_ratio = 1\n"
    )


def test_post_config_has_the_last_word_and_a_role_its_own_files(tmp_path: Path) -> None:
    files = deployer(
        load(
            tmp_path,
            overcommit={"cpu": 16},
            post_config={
                "all": {
                    "$NOVA_CONF": {"DEFAULT": {"cpu_allocation_ratio": "2"}},
                    "$NEUTRON_CONF": {"agent": {"a": "b"}},
                },
                "compute": {"/etc/nova/nova.conf": {"libvirt": {"cpu_mode": "none"}}},
                "controller": {
                    "/etc/neutron/plugins/ml2/ml2_conf.ini": {"ml2": {"path_mtu": "1450"}}
                },
            },
        )
    )
    assert files[CONFIG / "nova.conf"].count("cpu_allocation_ratio = ") == 1
    assert "cpu_allocation_ratio = 2\n" in files[CONFIG / "nova.conf"]
    assert "[agent]\na = b\n" in files[CONFIG / "neutron.conf"]
    assert "[libvirt]\ncpu_mode = none\n" in files[CONFIG / "nova/compute2/nova.conf"]
    assert "path_mtu = 1450\n" in files[CONFIG / "neutron/controller/ml2_conf.ini"]
    assert CONFIG / "nova/controller/nova.conf" not in files


def test_a_value_that_looks_like_a_template_is_no_template(tmp_path: Path) -> None:
    option = {"all": {"$NOVA_CONF": {"DEFAULT": {"a": "{{ x }}", "b": "%(y)s {z}"}}}}
    text = deployer(load(tmp_path, post_config=option))[CONFIG / "nova.conf"]
    assert "a = {% raw %}{{ x }}{% endraw %}\n" in text
    assert "b = %(y)s {z}\n" in text


@pytest.mark.parametrize(
    ("role", "file", "wrong"),
    [
        ("all", "/etc/nova/policy.json", "does not merge options into /etc/nova/policy.json"),
        ("all", "$SWIFT_CONF", "does not merge options into"),
        ("controller", "/etc/neutron/metadata_agent.ini", "the same on all hosts"),
    ],
)
def test_post_config_that_would_be_read_by_nobody_is_refused(
    tmp_path: Path, role: str, file: str, wrong: str
) -> None:
    with pytest.raises(RenderError, match=re.escape(wrong)) as error:
        deployer(load(tmp_path, post_config={role: {file: {"DEFAULT": {"a": "b"}}}}))
    assert error.value.hint


def test_a_text_among_the_answers_keeps_its_quotes(tmp_path: Path) -> None:
    value = 'has "quotes" and \\'
    assert globals_of(load(tmp_path, answers={"a_text": value}))["a_text"] == value
