"""Packstack 26.0.0's own parser reads our answer files: keys, values, and what it refuses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacklab import releases, spec
from stacklab.installers.packstack.answers import release_keys
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from stacklab.paths.project import PROJECT
from tests.unit.installers.packstack.packstack_labs import ANSWERS, keys, load, render, secrets

pytestmark = pytest.mark.consumers

DRIVER = Path(__file__).parent / "drivers" / "read_packstack.py"
LEAK = "192.0.2.1"  # what the driver tells Packstack that this machine's address is
STACKS = {
    "ovn": "",
    "ovn-networks": "data_network: data\nexternal_network: public\napi_network: api",
    "ovs-networks": "network_mode: ovs\ndata_network: data\nexternal_network: public",
    "range": "floating_range: 10.77.0.0/24",
    "overcommit": "overcommit: {cpu: 4, ram: 1.25, disk: 2}",
    "answers": "answers: {CONFIG_HEAT_INSTALL: y, CONFIG_DEBUG_MODE: n, "
    'CONFIG_REPO: "http://repo.example/a%20b"}',
}

Reader = Callable[[str], dict[str, Any]]


@pytest.fixture
def read(consumer: Callable[[str], Path], tmp_path: Path) -> Reader:
    """Let Packstack read a text; our key, which a node has, stands on this machine meanwhile."""
    python = consumer("packstack")
    key = tmp_path / "key.pub"
    key.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== test\n")

    def run(text: str) -> dict[str, Any]:
        path = tmp_path / "answers.txt"
        path.write_text(text.replace("/root/.ssh/id_ed25519.pub", str(key)))
        (tmp_path / "var").mkdir(exist_ok=True)
        done = subprocess.run(
            [python, DRIVER, path, tmp_path / "var"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


NAMES = ["rdo-3node", *(f"{name}-{count}" for name in STACKS for count in "13")]


@pytest.mark.parametrize("name", NAMES)
class TestAccepted:
    @pytest.fixture
    def lab(self, tmp_path: Path, name: str) -> Lab:
        if name == "rdo-3node":
            return spec.load(PROJECT / "labs" / "rdo-3node.yaml")
        stack, _, count = name.rpartition("-")
        return (
            load(tmp_path, STACKS[stack], nodes="")
            if count == "1"
            else load(tmp_path, STACKS[stack])
        )

    def test_it_is_read_with_no_key_unknown_and_no_value_changed(
        self, read: Reader, lab: Lab, name: str
    ) -> None:
        text = render(lab, lab.controller.name)[ANSWERS]
        found = read(text)
        assert found["error"] == ""
        assert found["unknown"] == []
        assert found["said"] == ""  # it says so when it changes a value
        written = keys(text)
        written.pop("CONFIG_SSH_KEY")
        config = found["config"]
        assert {key: config[key] for key in written if key in config} == {
            key: value for key, value in written.items() if key in config
        }
        # What it passed over is in a group that is switched off; there is nothing of that in ours.
        assert set(written) <= set(config)

    def test_every_host_that_it_would_install_is_a_node_of_the_lab(
        self, read: Reader, lab: Lab, name: str
    ) -> None:
        found = read(render(lab, lab.controller.name)[ANSWERS])
        network = lab.stack.network
        own = {str(nic.address.ip) for _node, nic in lab.members(network)}
        if lab.stack.api_network != network:
            apis = {
                node.name: str(nic.address.ip) for node, nic in lab.members(lab.stack.api_network)
            }
            own = own - {
                str(nic.address.ip)
                for node, nic in lab.members(network)
                if node.name == lab.controller.name
            }
            own.add(apis[lab.controller.name])
        assert set(found["hosts"]) == own
        assert LEAK not in found["hosts"]
        assert {each.partition(":")[0] for each in found["tried"]} == own

    def test_no_password_is_its_own(self, read: Reader, lab: Lab, name: str) -> None:
        config = read(render(lab, lab.controller.name)[ANSWERS])["config"]
        passwords = {
            key: value
            for key, value in config.items()
            if key.endswith(("_PW", "_PASSWORD", "_SECRET_KEY"))
        }
        assert set(passwords.values()) - {""} <= set(secrets(lab).values())


class TestRefused:
    """The parser does its work here, so that its silence above means something."""

    @pytest.fixture
    def text(self, tmp_path: Path) -> str:
        return render(load(tmp_path))[ANSWERS]

    @pytest.mark.parametrize(
        ("right", "wrong", "said"),
        [
            ("CONFIG_NEUTRON_INSTALL=y", "CONFIG_NEUTRON_INSTALL=yes", "not member"),
            (
                "CONFIG_NEUTRON_INSTALL=y",
                "CONFIG_NEUTRON_INSTALL=n",
                "Nova network support has been removed",
            ),
            ("CONFIG_GLANCE_INSTALL=y", "CONFIG_GLANCE_INSTALL=y # of course", "not member"),
            ("CONFIG_NEUTRON_L2_AGENT=ovn", "CONFIG_NEUTRON_L2_AGENT=linuxbridge", "not member"),
            ("CONFIG_DEBUG_MODE=y", "CONFIG_DEBUG_MODE=y\nCONFIG_DEBUG_MODE=y", "already exists"),
            ("[general]", "[common]", "general"),
        ],
    )
    def test_a_broken_file_is_not_taken(
        self, read: Reader, text: str, right: str, wrong: str, said: str
    ) -> None:
        assert right in text
        assert read(text)["error"] == ""
        assert said.lower() in read(text.replace(right, wrong))["error"].lower()

    def test_an_unknown_key_is_told_by_us_and_not_by_it(self, read: Reader, text: str) -> None:
        found = read(text + "CONFIG_NOVA_INSTALLL=n\n")
        assert (found["error"], found["unknown"]) == ("", ["CONFIG_NOVA_INSTALLL"])

    @pytest.mark.parametrize(
        "key", ["CONFIG_AMQP_HOST", "CONFIG_MARIADB_HOST", "CONFIG_REDIS_HOST"]
    )
    def test_a_host_that_is_left_out_is_the_machines_own_address(
        self, read: Reader, text: str, key: str
    ) -> None:
        lines = [line for line in text.splitlines(keepends=True) if not line.startswith(f"{key}=")]
        assert LEAK in read("".join(lines))["hosts"]


def test_our_keys_are_those_of_its_plugins(read: Reader, tmp_path: Path) -> None:
    known = set(read(render(load(tmp_path))[ANSWERS])["defaults"])
    assert release_keys.keys_of_release(releases.find(Installer.PACKSTACK, "2025.1")).own == known
