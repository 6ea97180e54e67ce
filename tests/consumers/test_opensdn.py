"""instances.yaml, read by Ansible itself as tf-ansible-deployer's playbooks read it.

The playbooks are not ours to keep. These were run with the shipped lab's file, and with a patched
one: configure_instances.yml on localhost to its end, install_vanilla_openstack.yml and
install_openstack.yml through the roles that make kolla's inventory, globals.yml, passwords.yml
and host_vars, at tf-ansible-deployer R26.1 (8efda5e), kolla-ansible 2024.2-eol and
tf-kolla-ansible opensdn/2023.2 (75c6dcb).
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest

from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.model.stack import ConfigOption
from tests.consumers.conftest import Consumer
from tests.unit.installers.opensdn.opensdn_labs import SECRETS, plain, shipped, text, vary

pytestmark = pytest.mark.consumers

_PLAYBOOK = Path(__file__).with_name("drivers") / "opensdn.yml"


def _play(python: Path, lab: Lab, tmp_path: Path) -> dict[str, Any]:
    instances, out = tmp_path / "instances.yaml", tmp_path / "found.json"
    instances.write_text(text(lab))
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
    }
    environment |= {"ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [
            python.with_name("ansible-playbook"),
            "-e",
            f"config_file={instances}",
            "-e",
            f"out={out}",
            _PLAYBOOK,
        ],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = json.loads(out.read_text())
    assert isinstance(found, dict)
    return found


def test_ansible_knows_every_instance_by_its_key(consumer: Consumer, tmp_path: Path) -> None:
    found = _play(consumer("ansible"), shipped(), tmp_path)
    assert found["hosts"] == {
        "controller": "192.168.152.10",
        "compute1": "192.168.152.11",
        "compute2": "192.168.152.12",
    }
    assert (found["openstack"], found["vrouters"]) == (["controller"], ["compute1", "compute2"])
    assert (found["by_key"], found["by_password"]) == (["controller", "compute1", "compute2"], [])


def test_ansible_takes_the_values_as_the_kinds_that_the_deployer_asks_for(
    consumer: Consumer, tmp_path: Path
) -> None:
    found = _play(consumer("ansible"), shipped(), tmp_path)
    assert found["version"] == ["AnsibleUnicode", "2024.2"]
    assert found["template"] == "passwords_2024.2.yml"
    assert (found["asks_the_cloud"], found["has_haproxy"]) == (False, False)
    assert found["passwords"] == SECRETS


def test_the_configuration_becomes_lines_of_an_env_file(consumer: Consumer, tmp_path: Path) -> None:
    lab = vary(
        answers=(
            ("XMPP_SSL_ENABLE", "yes"),
            ("VROUTER_ENCRYPTION", "0123"),
            ("NOTE", "a: #b 'c' \\n"),
        )
    )
    lines = _play(consumer("ansible"), lab, tmp_path)["common_env"]
    wanted = {
        "OPENSTACK_VERSION=2024.2",
        "CONTROL_NODES=10.152.0.10",
        "PHYSICAL_INTERFACE=eth1",
        "XMPP_SSL_ENABLE=yes",
        "VROUTER_ENCRYPTION=0123",
        r"NOTE=a: #b 'c' \n",
    }
    assert wanted <= set(lines)


def test_kollas_own_files_arrive_as_they_were_written(consumer: Consumer, tmp_path: Path) -> None:
    option = ConfigOption(
        role="compute", file="/etc/nova/nova.conf", section="libvirt", key="cpu_mode", value="none"
    )
    found = _play(consumer("ansible"), vary(post_config=(option,)), tmp_path)
    assert found["customize"]["nova/192.168.152.11/nova.conf"] == "[libvirt]\ncpu_mode = none\n"


def test_a_patched_lab_is_read_as_well(consumer: Consumer, tmp_path: Path) -> None:
    lab = replace(plain("R26.1", kolla_mode="patched"), images=("ubuntu-22.04",))
    found = _play(consumer("ansible"), lab, tmp_path)
    assert found["version"] == ["AnsibleUnicode", "2023.2"]
    assert found["customize"] == {}


# The shape of what the steps mend: conditions and replacements as the vanilla roles of R26.1 have
# them, in our words.
_NEUTRON = """
conf=neutron.conf
if  !(grep -q "kept = 1" $conf); then
    echo "kept = 1" >> $conf
fi
if  !(grep -q "password = contrail123" $conf); then
    sed -i 's/password =.*/:password = contrail123' $conf
fi
if  !(grep -q "memcache_secret_key = contrail123" $conf); then
    sed -i 's/memcache_secret_key =.*/memcache_secret_key = contrail123' $conf
fi
echo last = 1 >> $conf
"""
_NOVA = """
for nova_conf in nova-api/nova.conf \\
                 nova-compute/nova.conf
do
    echo told = 1 >> "$nova_conf"
done
"""


def _mended(tmp_path: Path) -> Path:
    """A clone with those scripts, mended by the steps: each mend was due before, and is done."""
    roles = tmp_path / "tf-ansible-deployer" / "playbooks" / "roles"
    files = {"neutron/files/config_opensdn.sh": _NEUTRON, "nova/files/config_opensdn.sh": _NOVA}
    files |= {"neutron/templates/ContrailPlugin.ini.j2": "[auth]\nadmin_password = contrail123\n"}
    for name, content in files.items():
        (roles / name).parent.mkdir(parents=True, exist_ok=True)
        (roles / name).write_text(content)
    for step in answers.steps(shipped()):
        if "playbooks/roles" in step.command:
            codes = [
                _bash(line.replace("/opt/stack", str(tmp_path)))
                for line in (step.done, step.command, step.done)
            ]
            assert [code == 0 for code in codes] == [False, True, True], step.title
    return roles


def _bash(line: str, *, cwd: Path | None = None) -> int:
    return subprocess.run(
        ["bash", "-e", "-c", line], cwd=cwd, check=False, capture_output=True, timeout=60
    ).returncode


def test_a_mended_neutron_script_ends_well_and_leaves_the_passwords(tmp_path: Path) -> None:
    conf = tmp_path / "neutron.conf"
    conf.write_text("password = ours\nmemcache_secret_key = ours\n")
    assert _bash(_NEUTRON, cwd=tmp_path) != 0  # unterminated `s' command
    script = (_mended(tmp_path) / "neutron/files/config_opensdn.sh").read_text()
    assert _bash(script, cwd=tmp_path) == 0
    assert conf.read_text() == "password = ours\nmemcache_secret_key = ours\nkept = 1\nlast = 1\n"


def test_a_mended_nova_script_passes_over_what_a_compute_has_not(tmp_path: Path) -> None:
    conf = tmp_path / "nova-compute" / "nova.conf"
    conf.parent.mkdir()
    conf.write_text("")
    assert _bash(_NOVA, cwd=tmp_path) != 0  # no such directory: nova-api
    script = (_mended(tmp_path) / "nova/files/config_opensdn.sh").read_text()
    assert _bash(script, cwd=tmp_path) == 0
    assert conf.read_text() == "told = 1\n"


def test_a_mended_plugin_logs_in_with_the_password_that_the_deployer_has(tmp_path: Path) -> None:
    line = (
        (_mended(tmp_path) / "neutron/templates/ContrailPlugin.ini.j2").read_text().splitlines()[1]
    )
    made = jinja2.Template(line).render(
        hostvars={"localhost": {"contrail_configuration": {"KEYSTONE_AUTH_ADMIN_PASSWORD": "ours"}}}
    )
    assert made == "admin_password = ours"
