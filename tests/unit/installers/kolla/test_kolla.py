from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
import yaml

from stacklab import releases
from stacklab.errors import LabError, RenderError, SpecError
from stacklab.installers import rendering as answers
from stacklab.installers.kolla.answers.passwords import kinds, secret_names, shaped
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from tests.unit.installers.kolla.kolla_labs import (
    CONFIG,
    FOUR,
    GLOBALS,
    INVENTORY,
    PASSWORDS,
    deployer,
    globals_of,
    load,
    secrets,
)

RELEASES = tuple(releases.of(Installer.KOLLA))
EXTERNAL = Path("/etc/systemd/system/stacklab-external.service")


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_renders_for_a_plain_lab(tmp_path: Path, release: str) -> None:
    lab = load(tmp_path, release=release)
    found = globals_of(lab)
    assert found["openstack_release"] == release
    assert found["kolla_base_distro"] == lab.images[0].partition("-")[0]
    assert answers.steps(lab)


def test_only_the_deployer_gets_kollas_files(tmp_path: Path) -> None:
    lab = load(tmp_path)
    rendered = answers.render(lab, secrets(lab))
    assert {str(path) for path in rendered["controller"]} == {
        "/etc/kolla/globals.yml",
        "/etc/kolla/passwords.lab.yml",
        "/etc/kolla/inventory/lab",
        str(EXTERNAL),
    }
    assert rendered["compute1"] == rendered["compute2"] == {}


def test_every_file_says_what_it_is_and_from_what_it_was_rendered(tmp_path: Path) -> None:
    lab = load(tmp_path, overcommit={"cpu": 2})
    for path, text in deployer(lab).items():
        head = "\n".join(text.splitlines()[:3])
        assert "kolla-lab.yaml by localrc/kolla/" in head, path
        assert "edit those, not this" in head


def test_release_and_address_stay_texts_and_switches_are_switches(tmp_path: Path) -> None:
    text = deployer(load(tmp_path))[GLOBALS]
    assert 'openstack_release: "2025.2"' in text
    assert (
        'kolla_dev_repos_directory: "/opt/stack/"' in text
    )  # with the slash: it is put before the project's name
    assert (
        "enable_haproxy: false" in text
    )  # a quoted "no" would be true to a condition without `| bool`


def test_one_controller_is_its_own_api_address_without_haproxy_and_proxysql(tmp_path: Path) -> None:
    lab = load(
        tmp_path,
        networks=FOUR,
        data_network="data",
        controller_nics=("mgmt", "fabric", "data"),
        compute_nics=("mgmt", "fabric", "data"),
        api_network="mgmt",
    )
    found = globals_of(lab)
    assert found["kolla_internal_vip_address"] == "192.168.250.11"
    # ProxySQL listens at the VIP and MariaDB's port, whatever haproxy does.
    assert (found["enable_haproxy"], found["enable_proxysql"]) == (False, False)


def test_several_controllers_share_an_address_that_nobody_has(tmp_path: Path) -> None:
    found = globals_of(load(tmp_path, controllers=3))
    assert (
        found["kolla_internal_vip_address"] == "10.250.0.223"
    )  # below those for floating addresses
    assert (found["enable_haproxy"], found["enable_proxysql"]) == (True, True)


def test_the_shared_address_is_outside_the_floating_range(tmp_path: Path) -> None:
    lab = load(
        tmp_path,
        networks=FOUR,
        controllers=3,
        controller_nics=("mgmt", "fabric", "external"),
        compute_nics=("mgmt", "fabric", "external"),
        api_network="external",
        external_network="external",
        floating_range="10.250.2.128/25",
    )
    assert globals_of(lab)["kolla_internal_vip_address"] == "10.250.2.127"


def test_the_shared_address_is_nobodys(tmp_path: Path) -> None:
    networks = {**FOUR, "fabric": {"cidr": "10.250.0.0/28", "mode": "isolated"}}
    lab = load(tmp_path, networks=networks, controllers=3, computes=0)
    # 10.250.0.11 to .13 are the controllers'; .14, the last one, is free.
    assert globals_of(lab)["kolla_internal_vip_address"] == "10.250.0.14"
    lab = load(tmp_path, networks=networks, controllers=3, computes=1)
    assert globals_of(lab)["kolla_internal_vip_address"] == "10.250.0.10"


def test_a_network_without_room_for_the_shared_address_is_refused(tmp_path: Path) -> None:
    networks = {**FOUR, "fabric": {"cidr": "10.250.0.0/29", "mode": "isolated"}}
    with pytest.raises(RenderError, match=r"fabric \(10.250.0.0/29\) has no address left") as error:
        deployer(
            load(
                tmp_path,
                networks=networks,
                computes=0,
                answers={"enable_haproxy": "yes"},
                controller_nics=("mgmt", "fabric=10.250.0.2"),
                bystanders={f"n{ip}": ("mgmt", f"fabric=10.250.0.{ip}") for ip in range(3, 7)},
            )
        )
    assert error.value.hint is not None
    assert "kolla_internal_vip_address" in error.value.hint


EXTERNAL_LAB: dict[str, object] = {
    "networks": FOUR,
    "external_network": "external",
    "controller_nics": ("mgmt", "fabric", "external"),
}


@pytest.mark.parametrize(
    ("part", "wrong", "right"),
    [
        (
            "10.250.2.0/27",
            "10.250.2.1 is the host's, 10.250.2.11 is controller's",
            "10.250.2.224/27",
        ),
        ("10.250.2.0/24", "10.250.2.1 is the host's", "10.250.2.128/25"),
        ("10.250.2.0/29", "10.250.2.1 is the host's", "10.250.2.248/29"),
        ("172.31.0.0/24", "172.31.0.0/24 is not in external, 10.250.2.0/24", "10.250.2.128/25"),
        ("10.250.0.0/16", "", ""),
    ],
)
def test_a_floating_range_that_is_somebodys_or_elsewhere_is_refused(
    tmp_path: Path, part: str, wrong: str, right: str
) -> None:
    if not wrong:  # the spec refuses it already: it overlaps the lab's other networks
        with pytest.raises(SpecError):
            load(tmp_path, **EXTERNAL_LAB, floating_range=part)
        return
    with pytest.raises(RenderError, match=re.escape(wrong)) as error:
        deployer(load(tmp_path, **EXTERNAL_LAB, floating_range=part))
    assert error.value.hint == f"floating_range: {right}"
    deployer(load(tmp_path, **EXTERNAL_LAB, floating_range=right))


def test_addresses_that_would_be_given_away_by_themselves_are_nobodys_either(
    tmp_path: Path,
) -> None:
    networks = {**FOUR, "external": {"cidr": "10.250.2.0/27", "mode": "nat"}}
    lab = {
        **EXTERNAL_LAB,
        "networks": networks,
        "compute_nics": EXTERNAL_LAB["controller_nics"],
        "computes": 6,
    }
    with pytest.raises(
        RenderError, match=r"10\.250\.2\.16 to 10\.250\.2\.30 would be given away, but"
    ) as error:
        deployer(load(tmp_path, **lab))
    assert error.value.hint == "write floating_range: 10.250.2.24/29"
    deployer(load(tmp_path, **lab, floating_range="10.250.2.24/29"))
    networks["external"] = {"cidr": "10.250.2.0/28", "mode": "nat"}
    with pytest.raises(RenderError, match="would be given away") as error:
        deployer(load(tmp_path, **{**lab, "computes": 2}))
    assert error.value.hint == "a wider cidr for external"


def test_a_floating_range_without_an_external_network_is_refused_as_nothing_would_have_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        RenderError, match=r"stack.floating_range: 10.9.0.0/24 would be on no network"
    ) as error:
        deployer(load(tmp_path, floating_range="10.9.0.0/24"))
    assert "stack.external_network" in str(error.value.hint)


def test_an_answer_may_ask_one_controller_for_haproxy(tmp_path: Path) -> None:
    found = globals_of(load(tmp_path, answers={"enable_haproxy": "yes"}))
    assert (found["enable_haproxy"], found["kolla_internal_vip_address"]) == (True, "10.250.0.223")


def test_several_controllers_without_haproxy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="without enable_haproxy nobody finds 3 controllers"):
        deployer(load(tmp_path, controllers=3, answers={"enable_haproxy": "no"}))


def _host_lines(lab: Lab) -> dict[str, dict[str, str]]:
    lines = [
        line.split() for line in deployer(lab)[INVENTORY].splitlines() if " ansible_host=" in line
    ]
    return {line[0]: dict(word.split("=") for word in line[1:]) for line in lines}


def test_interfaces_are_per_host_since_the_order_of_nics_is(tmp_path: Path) -> None:
    lab = load(
        tmp_path,
        networks=FOUR,
        network="mgmt",
        api_network="fabric",
        data_network="data",
        external_network="external",
        controller_nics=("mgmt", "fabric", "data", "external"),
        compute_nics=("mgmt", "data", "fabric"),
    )
    found = _host_lines(lab)
    assert found["controller"] == {
        "ansible_host": "192.168.250.11",
        "network_interface": "eth0",
        "api_interface": "eth1",
        "tunnel_interface": "eth2",
        "neutron_external_interface": "eth3",
    }
    assert found["compute1"] == {
        "ansible_host": "192.168.250.12",
        "network_interface": "eth0",
        "api_interface": "eth2",
        "tunnel_interface": "eth1",
    }
    # As extra variables they would go before the inventory's, on every host.
    assert not any("_interface" in key for key in globals_of(lab))


def _groups(lab: Lab) -> dict[str, list[str]]:
    sections = deployer(lab)[INVENTORY].split("\n[")[1:]
    return {part.partition("]")[0]: part.partition("]\n")[2].split("\n") for part in sections}


def test_groups_follow_the_roles_of_the_nodes(tmp_path: Path) -> None:
    found = _groups(load(tmp_path))
    for group in ("control", "network", "monitoring", "storage"):
        assert found[group][0] == "controller"
        assert found[group][1] == ""
    assert found["compute"][:2] == ["compute1", "compute2"]
    assert found["deployment"][0] == "localhost ansible_connection=local"


def test_a_controller_alone_is_a_compute_too(tmp_path: Path) -> None:
    assert _groups(load(tmp_path, computes=0))["compute"][0] == "controller"


def test_without_an_external_network_br_ex_gets_a_dummy(tmp_path: Path) -> None:
    lab = load(tmp_path)
    assert _host_lines(lab)["controller"]["neutron_external_interface"] == "external0"
    assert "neutron_external_interface" not in _host_lines(lab)["compute1"]
    unit = deployer(lab)[next(path for path in deployer(lab) if path.name == EXTERNAL.name)]
    assert "ip link add external0 type dummy" in unit
    assert any("enable stacklab-external.service" in step.command for step in answers.steps(lab))


def test_the_external_nic_has_no_address_at_any_boot(tmp_path: Path) -> None:
    lab = load(tmp_path, **EXTERNAL_LAB)
    rendered = answers.render(lab, secrets(lab))
    unit = next(text for path, text in rendered["controller"].items() if path.name == EXTERNAL.name)
    assert not any(path.name == EXTERNAL.name for path in rendered["compute1"])
    assert "Before=network-pre.target" in unit  # so that who gives addresses has read it
    assert "Name=eth2 " in unit
    assert "unmanaged-devices=interface-name:eth2" in unit
    assert "ip address flush dev eth2; ip link set eth2 up" in unit
    assert "dummy" not in unit


def test_network_modes_are_neutrons_plugin_agents(tmp_path: Path) -> None:
    assert globals_of(load(tmp_path))["neutron_plugin_agent"] == "openvswitch"
    assert globals_of(load(tmp_path, network_mode="ovn"))["neutron_plugin_agent"] == "ovn"


def test_zun_comes_with_kuryr_etcd_and_a_docker_that_serves_it(tmp_path: Path) -> None:
    names = ("zun", "kuryr", "etcd")
    found = globals_of(load(tmp_path, driver="zun"))
    assert all(found[f"enable_{name}"] is True for name in names)
    assert found["docker_configure_for_zun"] is found["containerd_configure_for_zun"] is True
    assert not any(f"enable_{name}" in globals_of(load(tmp_path)) for name in names)


def test_zun_is_refused_where_kolla_has_dropped_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="has no driver zun"):
        load(tmp_path, release="2026.1", driver="zun")


def test_dev_mode_is_for_the_services_that_the_spec_names_alone(tmp_path: Path) -> None:
    found = globals_of(load(tmp_path, dev_mode=["nova", "masakari-monitors"]))
    assert found["nova_dev_mode"] is found["masakari_monitors_dev_mode"] is True
    assert found["kolla_dev_mode"] is found["kolla_dev_repos_pull"] is False
    assert "keystone_dev_mode" not in found
    assert "nova_source_version" not in found  # its default is the release's branch


def test_a_service_that_kolla_mounts_no_source_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RenderError, match=r"stack\.dev_mode: kolla-ansible 2025\.2 mounts no source of swift"
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
        "a_list": "[x, 2025.10, yes, No, 'yes', '1', 010, 1_0, 0x1f, 2026-01-01, null, ~, 1e3, on, -5, {b: 2025.2}]",
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
        "\n[DEFAULT]\ncpu_allocation_ratio = 16\nram_allocation_ratio = 1.5\ndisk_allocation_ratio = 1\n"
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
        ("all", "/etc/nova/policy.json", "lays nothing over /etc/nova/policy.json"),
        ("all", "$SWIFT_CONF", "lays nothing over"),
        ("controller", "/etc/neutron/metadata_agent.ini", "the same on all hosts"),
    ],
)
def test_post_config_that_would_be_read_by_nobody_is_refused(
    tmp_path: Path, role: str, file: str, wrong: str
) -> None:
    with pytest.raises(RenderError, match=re.escape(wrong)) as error:
        deployer(load(tmp_path, post_config={role: {file: {"DEFAULT": {"a": "b"}}}}))
    assert error.value.hint


@pytest.mark.parametrize("release", RELEASES)
def test_every_password_has_a_value_but_pairs_of_keys_and_the_registrys(
    tmp_path: Path, release: str
) -> None:
    lab = load(tmp_path, release=release)
    found = yaml.safe_load(deployer(lab)[PASSWORDS])
    # An empty pair of ours would take the place of the one that kolla-genpwd has made.
    assert set(found) == {name for name in kinds(release) if not name.endswith("_ssh_key")}
    assert {name for name, value in found.items() if value is None} == {"docker_registry_password"}
    # kolla-ansible's prechecks grep for a key without anything behind it.
    assert not re.search(r"(?m)^[^#].*:\s*$", deployer(lab)[PASSWORDS])


def test_releases_ask_for_the_passwords_of_their_services(tmp_path: Path) -> None:
    assert "zun_keystone_password" in kinds("2025.2")
    assert "zun_keystone_password" not in kinds("2026.1")
    assert "vmware_vcenter_host_password" in kinds("2025.1")
    assert "redis_master_password" not in kinds("master")


def test_a_registrys_password_is_asked_for_when_the_lab_has_a_source_for_it(tmp_path: Path) -> None:
    assert "docker_registry_password" not in secret_names(load(tmp_path))
    lab = load(tmp_path, secrets={"docker_registry_password": {"env": "REGISTRY"}})
    assert (
        yaml.safe_load(deployer(lab)[PASSWORDS])["docker_registry_password"]
        == secrets(lab)["docker_registry_password"]
    )


@pytest.mark.parametrize(
    ("name", "form", "near"),
    [
        ("barbican_crypto_key", "a Fernet key", "barbican_keystone_password"),
        ("designate_pool_id", "a UUID", "designate_keystone_password"),
        ("cinder_rbd_secret_uuid", "a UUID", "cinder_"),
        ("prometheus_bcrypt_salt", "a salt for bcrypt", "prometheus_"),
        ("designate_rndc_key", "32 hex digits", "designate_"),
        ("nova_ssh_key", "a pair of keys", "nova_"),
    ],
)
def test_a_source_for_what_is_no_plain_word_is_refused_since_its_value_would_not_be_used(
    tmp_path: Path, name: str, form: str, near: str
) -> None:
    lab = load(tmp_path, secrets={name: {"env": "MINE"}})
    with pytest.raises(
        RenderError, match=f"stack.secrets.{name}: kolla-ansible wants {form}"
    ) as error:
        answers.secret_names(lab)
    assert near in str(error.value.hint)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("admin_password", "keystone_admin_password"), ("rabbit_password", "rabbitmq_password")],
)
def test_other_installers_words_for_a_secret_are_understood(
    tmp_path: Path, name: str, meant: str
) -> None:
    lab = load(tmp_path, secrets={name: {"env": "MINE"}})
    with pytest.raises(RenderError, match=f"kolla asks for no '{name}'") as error:
        answers.secret_names(lab)
    assert str(error.value.hint).startswith(f"did you mean {meant}? its secrets: ")


def test_every_form_of_a_secret_that_is_rendered_is_told_to_who_masks_it(tmp_path: Path) -> None:
    lab = load(tmp_path)
    known = secrets(lab)
    shown = answers.shown_secrets(lab, known)
    texts = {text for forms in shown.values() for text in forms}
    values = {value for value in yaml.safe_load(deployer(lab)[PASSWORDS]).values() if value}
    assert values <= texts
    assert {name for name, forms in shown.items() if len(forms) > 1} == {
        name
        for name in kinds("2025.2")
        if kinds("2025.2")[name] in ("uuid", "hmac", "fernet", "salt")
    }


def test_a_secret_has_the_form_that_its_reader_wants_and_has_it_again_after_a_rebuild() -> None:
    secret = "Abcdefghij0123456789"
    assert uuid.UUID(shaped("uuid", secret)).version == 4
    assert re.fullmatch(r"[0-9a-f]{32}", shaped("hmac", secret))
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}=", shaped("fernet", secret))
    assert re.fullmatch(r"[./A-Za-z0-9]{21}[.Oeu]", shaped("salt", secret))
    assert shaped("plain", secret) == secret
    assert shaped("uuid", secret) == shaped("uuid", secret) != shaped("uuid", secret + "1")


def test_no_error_shows_a_secret(tmp_path: Path) -> None:
    lab = load(tmp_path)
    with pytest.raises(LabError) as error:
        answers.render(lab, {**secrets(lab), "database_password": "it's short"})
    assert "short" not in f"{error.value} {error.value.hint}"


def test_a_text_among_the_answers_keeps_its_quotes(tmp_path: Path) -> None:
    value = 'has "quotes" and \\'
    assert globals_of(load(tmp_path, answers={"a_text": value}))["a_text"] == value
