"""Our files and steps, given to the real kolla-ansible 21 (2025.2) with Ansible 12.

By hand, globals.yml and passwords.yml were held against group_vars, roles and passwords.yml of
stable/2025.1 (a7fc0cd), stable/2025.2 (257605a), stable/2026.1 (762181a) and master (1a68181)
alike.
"""

from __future__ import annotations

import configparser
import dataclasses
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from stacklab import spec
from stacklab.installers import rendering as answers
from stacklab.paths.project import PROJECT
from tests.consumers.conftest import Consumer
from tests.consumers.kolla_deployer import Deployer, bootstrapped, deploy_from, hosts_file
from tests.unit.installers.kolla.kolla_labs import FOUR, PASSWORDS, load, secrets

pytestmark = pytest.mark.consumers

# Of the collection openstack.kolla, which bootstrap-servers runs: its roles' defaults are not in
# the package.
_COLLECTION = {
    "docker_http_proxy",
    "docker_https_proxy",
    "docker_no_proxy",
    "git_http_proxy",
    "git_https_proxy",
}


@pytest.fixture(scope="module")
def shipped(consumer: Consumer, tmp_path_factory: pytest.TempPathFactory) -> Deployer:
    """The lab that we ship."""
    lab = spec.load(PROJECT / "labs" / "kolla-3node.yaml")
    return deploy_from(lab, tmp_path_factory.mktemp("shipped"), consumer("kolla"))


@pytest.fixture(scope="module")
def full(consumer: Consumer, tmp_path_factory: pytest.TempPathFactory) -> Deployer:
    """A lab with every option."""
    directory = tmp_path_factory.mktemp("full")
    lab = load(
        directory,
        networks=FOUR,
        api_network="mgmt",
        data_network="data",
        external_network="external",
        controller_nics=("mgmt", "fabric", "data", "external"),
        compute_nics=("mgmt", "data", "fabric"),
        network_mode="ovn",
        refs={"cinder": "stable/2025.1", "nova": "refs/changes/12/345612/3"},
        git_base=f"file://{directory}/git",
        fixed_range="10.9.0.0/24",
        floating_range="10.250.2.240/28",
        overcommit={"cpu": 4, "ram": 1.5},
        proxy={"http": "http://proxy.example:3128"},
        answers={"enable_heat": "no"},
        post_config={
            "all": {
                "$NOVA_CONF": {
                    "DEFAULT": {"debug": "true", "instance_name_template": "{{ no }} 100%"}
                }
            },
            "compute": {"/etc/nova/nova.conf": {"libvirt": {"cpu_mode": "none"}}},
        },
    )
    return deploy_from(lab, directory / "root", consumer("kolla"))


def test_every_service_has_its_hosts_and_no_others(shipped: Deployer) -> None:
    found = shipped.inventory()
    assert set(found["_meta"]["hostvars"]) == {"controller", "compute1", "compute2", "localhost"}
    names = re.findall(
        r"(?m)^\[([^]:]+)", (shipped.share / "ansible/inventory/multinode").read_text()
    )
    assert len(names) > 150
    for name in names:
        assert _hosts(found, name), f"group {name} has no host"
    assert (
        _hosts(found, "control")
        == _hosts(found, "neutron-l3-agent")
        == _hosts(found, "mariadb")
        == {"controller"}
    )
    assert (
        _hosts(found, "compute")
        == _hosts(found, "neutron-ovn-agent") - {"controller"}
        == {"compute1", "compute2"}
    )
    assert _hosts(found, "ovn-controller") == {"controller", "compute1", "compute2"}
    assert _hosts(found, "deployment") == {"localhost"}


def _hosts(inventory: dict[str, dict[str, list[str]]], group: str) -> set[str]:
    found = inventory.get(group, {})
    return {
        *found.get("hosts", ()),
        *(host for child in found.get("children", ()) for host in _hosts(inventory, child)),
    }


def test_kolla_genpwd_fills_the_pairs_of_keys_and_leaves_ours_alone(shipped: Deployer) -> None:
    found = yaml.safe_load((shipped.config / "passwords.yml").read_text())
    asked = yaml.safe_load((shipped.share / "etc_examples/kolla/passwords.yml").read_text())
    assert set(found) == set(asked)
    pairs = {name for name, value in asked.items() if isinstance(value, dict)}
    assert all(found[name]["private_key"].startswith("-----BEGIN") for name in pairs)
    assert {name for name, value in found.items() if value is None} == {"docker_registry_password"}
    plain = {name: value for name, value in secrets(shipped.lab).items() if found[name] == value}
    assert len(plain) == len(secrets(shipped.lab)) - 10  # ten have a form of their own
    assert shipped.bash(shipped.step("pairs of keys").done) == 0


@pytest.fixture
def own(shipped: Deployer, tmp_path: Path) -> Deployer:
    """The shipped lab's deployer with files of this test's own."""
    root = tmp_path / "root"
    shutil.copytree(shipped.root, root, symlinks=True)
    return dataclasses.replace(shipped, root=root)


def _pairs(deployer: Deployer) -> dict[str, dict[str, str]]:
    found = yaml.safe_load((deployer.config / "passwords.yml").read_text())
    return {name: value for name, value in found.items() if name.endswith("_ssh_key")}


def test_the_lab_s_file_stays_as_it_was_rendered_and_a_second_run_changes_nothing(
    own: Deployer,
) -> None:
    made, step = own.config / "passwords.yml", own.step("pairs of keys")
    rendered = answers.render(own.lab, secrets(own.lab))["controller"][PASSWORDS]
    assert (own.config / PASSWORDS.name).read_text() == rendered
    assert made.stat().st_mode & 0o777 == 0o600
    before = made.read_bytes()
    assert own.bash(step.done) == 0
    assert own.bash(step.command) == own.bash(step.done) == 0
    assert made.read_bytes() == before


def test_a_new_secret_of_the_lab_gets_in_and_pairs_of_keys_stay(own: Deployer) -> None:
    step, pairs = own.step("pairs of keys"), _pairs(own)
    assert len(pairs) == 7
    pushed = answers.render(
        own.lab, {**secrets(own.lab), "nova_database_password": "Newer0123456789"}
    )["controller"]
    (own.config / PASSWORDS.name).write_text(pushed[PASSWORDS])
    assert own.bash(step.done) != 0
    assert own.bash(step.command) == own.bash(step.done) == 0
    found = yaml.safe_load((own.config / "passwords.yml").read_text())
    assert found["nova_database_password"] == "Newer0123456789"
    assert _pairs(own) == pairs


def test_a_file_of_another_release_gets_what_is_new_and_keeps_what_it_has(own: Deployer) -> None:
    made, step, pairs = own.config / "passwords.yml", own.step("pairs of keys"), _pairs(own)
    found = yaml.safe_load(made.read_text())
    del found["neutron_ssh_key"], found["nova_database_password"]
    found |= {
        "gone_password": "Older0123456789",
        "keystone_admin_password": "Older0123456789",
        "haproxy_ssh_key": {"private_key": None, "public_key": None},
    }
    made.write_text(yaml.safe_dump(found))
    assert own.bash(step.done) != 0
    assert own.bash(step.command) == own.bash(step.done) == 0
    after = yaml.safe_load(made.read_text())
    assert after["gone_password"] == "Older0123456789"
    assert after["keystone_admin_password"] == secrets(own.lab)["keystone_admin_password"]
    assert after["nova_database_password"] == secrets(own.lab)["nova_database_password"]
    fresh = ("neutron_ssh_key", "haproxy_ssh_key")
    assert all(_pairs(own)[name]["private_key"].startswith("-----BEGIN") for name in fresh)
    assert {name: pair for name, pair in _pairs(own).items() if name not in fresh} == {
        name: pair for name, pair in pairs.items() if name not in fresh
    }


def test_a_run_that_was_cut_off_has_changed_nothing(own: Deployer) -> None:
    made, step = own.config / "passwords.yml", own.step("pairs of keys")
    before = made.read_bytes()
    command = step.command.replace("kolla-genpwd -p", "kolla-genpwd --no-such-option -p")
    (own.config / PASSWORDS.name).write_text("keystone_admin_password: Newer0123456789\n")
    assert own.bash(command) != 0
    assert made.read_bytes() == before
    assert own.bash(step.done) != 0
    assert own.bash(step.command) == 0
    assert b"Newer0123456789" in made.read_bytes()


def test_every_variable_of_ours_is_one_of_kolla_ansible(full: Deployer) -> None:
    ours = yaml.safe_load((full.config / "globals.yml").read_text())
    files = [
        *(full.share / "ansible/group_vars").rglob("*.yml"),
        *full.share.glob("ansible/roles/*/defaults/*.yml"),
    ]
    known = {name for path in files for name in yaml.safe_load(path.read_text()) or ()}
    assert set(ours) - known - _COLLECTION == set()
    host = full.inventory()["_meta"]["hostvars"]["controller"]
    assert {name for name in host if not name.startswith("ansible_")} - known == set()


class Configured(NamedTuple):
    """What genconfig left behind, and what it said."""

    root: Path
    said: str


@pytest.fixture(scope="module")
def configured(full: Deployer) -> Configured:
    """The configuration files of all hosts, made by kolla-ansible's roles."""
    done = full.kolla("genconfig", "--tags", "nova,neutron")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return Configured(full.root / "out", done.stdout)


def _ini(path: Path) -> configparser.RawConfigParser:
    found = configparser.RawConfigParser(strict=False)
    found.read_string(path.read_text())
    return found


def test_options_of_the_lab_end_in_the_services_files(configured: Configured) -> None:
    for path in ("compute1/nova-compute", "controller/nova-scheduler", "controller/nova-api"):
        nova = _ini(configured.root / path / "nova.conf")
        assert nova["DEFAULT"]["cpu_allocation_ratio"] == "4"
        assert nova["DEFAULT"]["ram_allocation_ratio"] == "1.5"
        assert nova["DEFAULT"]["debug"] == "true"
        assert nova["DEFAULT"]["instance_name_template"] == "{{ no }} 100%"
    assert (
        _ini(configured.root / "compute2/nova-compute/nova.conf")["libvirt"]["cpu_mode"] == "none"
    )
    assert "cpu_mode" not in (configured.root / "controller/nova-scheduler/nova.conf").read_text()


def test_services_listen_on_the_networks_that_the_lab_says(
    full: Deployer, configured: Configured
) -> None:
    nova = _ini(configured.root / "compute1/nova-compute/nova.conf")
    compute, controller = full.lab.node("compute1"), full.lab.controller
    api = {node.name: str(nic.address.ip) for node, nic in full.lab.members("mgmt")}
    assert nova["DEFAULT"]["my_ip"] == api[compute.name]
    assert nova["libvirt"]["virt_type"] == "qemu"
    assert f"@{api[controller.name]}:5672" in nova["DEFAULT"]["transport_url"]
    assert nova["neutron"]["auth_url"].startswith(f"http://{api[controller.name]}:5000")
    ml2 = _ini(configured.root / "controller/neutron-server/ml2_conf.ini")
    assert ml2["ml2"]["mechanism_drivers"].startswith("ovn")


def test_source_in_dev_mode_is_mounted_and_that_of_others_is_not(configured: Configured) -> None:
    assert "/opt/stack//nova:/dev-mode/nova" in configured.said
    assert ":/dev-mode/neutron" not in configured.said


def test_kolla_clones_the_branch_that_the_lab_says_and_leaves_a_clone_of_a_change_alone(
    full: Deployer,
) -> None:
    for project, ref in (
        ("cinder", "refs/heads/stable/2025.1"),
        ("nova", "refs/changes/12/345612/3"),
    ):
        _make_upstream(full.root.parent / "git" / "openstack" / project, ref)
    assert full.bash(full.step("clone nova at refs/changes/12/345612/3").command) == 0
    for project in ("cinder", "nova"):
        done = full.ansible(
            "include_role", f"name={project} tasks_from=clone.yml", full.lab.controller.name
        )
        assert done.returncode == 0, done.stdout + done.stderr
        log = ["git", "-C", str(full.clones / project), "log", "-1", "--format=%s"]
        head = subprocess.run(log, capture_output=True, text=True, check=True)
        assert head.stdout == f"the one of {project}\n"


def _make_upstream(path: Path, ref: str) -> None:
    """Make a repository whose main branch is not what is wanted."""
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=a", "-C", str(path)]
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    for message in (f"the one of {path.name}", "another"):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)
    subprocess.run([*git, "update-ref", ref, "HEAD~1"], check=True)


def test_prechecks_pass_with_the_names_that_the_seed_gives_the_nodes(shipped: Deployer) -> None:
    shipped.hosts.write_text(hosts_file(shipped.lab) + bootstrapped(shipped.lab))
    # This host may have a libvirt of its own, which a node does not have: the container's precheck
    # looks for it.
    done = shipped.kolla("prechecks", enable_nova_libvirt_container=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_prechecks_refuse_a_node_whose_name_means_its_access_address_too(shipped: Deployer) -> None:
    node = shipped.lab.controller
    shipped.hosts.write_text(f"{node.access.address.ip} {node.name}\n{bootstrapped(shipped.lab)}")
    done = shipped.kolla("prechecks", enable_nova_libvirt_container=False)
    assert done.returncode != 0
    assert "Hostname has to resolve uniquely" in done.stdout + done.stderr
