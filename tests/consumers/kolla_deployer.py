"""A deployer in a scratch directory: our files and steps, the real kolla-ansible, no node."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacklab.installers import rendering as answers
from stacklab.installers.kit.write import write_tree
from stacklab.installers.rendering import Step
from stacklab.model.lab import Lab, NetworkStyle, Node
from stacklab.nodes import seed
from stacklab.nodes.access import KeyPair, Keys
from tests.unit.installers.kolla.kolla_labs import secrets

_DRIVER = Path(__file__).with_name("drivers") / "kolla_action.py"
_STANDS_IN_FOR = ("setup", "gather_facts", "kolla_container_facts", "kolla_toolbox", "wait_for")
# What prechecks ask programs for: a docker, its SDK in the nodes' Python, and how names are
# resolved there.
_PROGRAMS = {
    "docker": "echo Docker version 28.5.1",
    "python": "echo 7.1.0",
    "getent": """if [ "$1" = ahostsv4 ]; then
    awk -v name="$2" '!/^#/ {
        for (i = 2; i <= NF; i++) if ($i == name) print $1, "STREAM"
    }' "$LAB_HOSTS" | grep .
    exit
fi
exec /usr/bin/getent "$@\"""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployer:
    """A lab's first controller: `root` is its /, `venv` its /opt/stack/kolla-ansible."""

    lab: Lab
    root: Path
    venv: Path

    @property
    def config(self) -> Path:
        return self.root / self.lab.controller.name / "etc/kolla"

    @property
    def hosts(self) -> Path:
        return self.root / "hosts"

    @property
    def clones(self) -> Path:
        return self.root / "clones"

    @property
    def share(self) -> Path:
        return self.venv / "share/kolla-ansible"

    def step(self, words: str) -> Step:
        """The one step whose title has these words, on the deployer."""
        (found,) = (
            step
            for step in answers.steps(self.lab)
            if words in step.title and step.node == self.lab.controller.name
        )
        return found

    def bash(self, line: str) -> int:
        """Run a step's command, or its done-test, here; returns its exit code."""
        for path, here in (
            ("/opt/stack/kolla-ansible", self.venv),
            ("/etc/kolla", self.config),
            ("/etc/hosts", self.hosts),
            ("/opt/stack", self.clones),
        ):
            line = line.replace(path, str(here))
        return subprocess.run(
            ["bash", "-c", line], capture_output=True, timeout=120, check=False
        ).returncode

    def kolla(self, verb: str, *args: str, **variables: object) -> subprocess.CompletedProcess[str]:
        """Run kolla-ansible; all nodes are this machine, and their /etc/kolla is in `out`."""
        self._write_here(variables)
        command = [
            "kolla-ansible",
            verb,
            "--configdir",
            str(self.config),
            "-i",
            str(self.config / "inventory"),
        ]
        return self._run([*command, "-e", f"@{self.root}/here.json", *args])

    def ansible(self, module: str, args: str, host: str) -> subprocess.CompletedProcess[str]:
        """Run one module, or one role's tasks, with kolla-ansible's own variables and ours."""
        self._write_here({"kolla_dev_repos_directory": f"{self.clones}/"})
        files = (
            self.config / "globals.yml",
            self.config / "passwords.yml",
            self.root / "here.json",
        )
        extra = [word for path in files for word in ("-e", f"@{path}")]
        playbooks = str(self.share / "ansible")
        command = [
            "ansible",
            host,
            "-i",
            str(self.config / "inventory"),
            "--playbook-dir",
            playbooks,
            *extra,
        ]
        return self._run([*command, "-e", f"CONFIG_DIR={self.config}", "-m", module, "-a", args])

    def _write_here(self, variables: Mapping[str, object]) -> None:
        """Write the variables that make every host this machine."""
        facts = {node.name: self._facts(node) for node in self.lab.nodes}
        here: dict[str, object] = {
            "lab_facts": {**facts, "localhost": self._facts(self.lab.controller)},
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "node_config_directory": f"{self.root}/out/{{{{ inventory_hostname }}}}",
            "config_owner_user": getpass.getuser(),
            **variables,
        }
        (self.root / "here.json").write_text(json.dumps(here))

    def inventory(self) -> dict[str, Any]:
        """What Ansible makes of the inventory."""
        done = self._run(["ansible-inventory", "-i", str(self.config / "inventory"), "--list"])
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def _run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{self.root}/bin:{self.venv}/bin:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_ACTION_PLUGINS": f"{self.root}/actions",
            "ANSIBLE_HOME": f"{self.root}/ansible",
            "ANSIBLE_NOCOLOR": "1",
            "LAB_HOSTS": str(self.hosts),
        }
        return subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=900, check=False
        )

    def _facts(self, node: Node) -> dict[str, object]:
        nics = {
            nic.device: {
                "active": True,
                "ipv4": {
                    "address": str(nic.address.ip),
                    "netmask": str(nic.address.netmask),
                    "network": str(nic.address.network.network_address),
                },
            }
            for nic in node.nics
        }
        return {
            **nics,
            "interfaces": [nic.device for nic in node.nics],
            "hostname": node.name,
            "nodename": node.name,
            "processor_vcpus": node.cpus,
            "architecture": "x86_64",
            "service_mgr": "systemd",
            "user_uid": 1000,
            "os_family": "Debian",
            "distribution": "Debian",
            "distribution_release": "bookworm",
            "user_gid": 1000,
            "distribution_version": "12",
            "distribution_major_version": "12",
            "python": {
                "executable": f"{self.root}/bin/python",
                "version": {"major": 3, "minor": 11},
            },
        }


def deploy_from(lab: Lab, root: Path, python: Path) -> Deployer:
    """Render a lab's files and do the steps that come before the first run of kolla-ansible."""
    made = Deployer(lab=lab, root=root, venv=python.parent.parent)
    write_tree(answers.render(lab, secrets(lab)), root)
    for directory in ("actions", "bin", "clones"):
        (root / directory).mkdir()
    for name in _STANDS_IN_FOR:
        shutil.copy(_DRIVER, root / "actions" / f"{name}.py")
    for name, script in _PROGRAMS.items():
        program = root / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    for words in ("groups of all services", "pairs of keys"):
        assert made.bash(made.step(words).command) == 0
    return made


def hosts_file(lab: Lab) -> str:
    """/etc/hosts as the seed brings it to the deployer."""
    pair = KeyPair(private="", public="ssh-ed25519 AAAA")
    keys = Keys(lab=pair, hosts={node.name: pair for node in lab.nodes})
    return (
        seed.entries(lab, lab.controller, keys, NetworkStyle.NETWORKD, {})["etc/hosts"].text or ""
    )


def bootstrapped(lab: Lab) -> str:
    """What bootstrap-servers adds to /etc/hosts: every host at its address on the API network."""
    found = [(node.nic_on(lab.stack.api_network), node.name) for node in lab.nodes]
    return "".join(f"{nic.address.ip} {name}\n" for nic, name in found if nic)
