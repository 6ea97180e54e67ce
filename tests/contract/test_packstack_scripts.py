"""The scripts that run after Packstack, in a real bash, with stand-ins for what only a node has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.installers.packstack.packstack_labs import DOCKER, METADATA, OPTIONS, load, render

BASH = shutil.which("bash")
SHELLCHECK = shutil.which("shellcheck")

pytestmark = pytest.mark.skipif(BASH is None, reason="bash is not installed")

# crudini --get|--set FILE SECTION OPTION [VALUE]: a file for each option will do.
_CRUDINI = """#!/bin/sh
place="{store}/$(echo "$2 $3 $4" | tr / _)"
case $1 in
--get) cat "$place" ;;
--set) printf '%s\\n' "$5" > "$place"; echo "$2 $3 $4 = $5" >> "{log}" ;;
esac
"""
_SYSTEMCTL = """#!/bin/sh
case "$*" in
*list-units*) printf '%s.service loaded active running x\\n' openstack-nova-compute \
openstack-glance-api sshd ;;
*) echo "systemctl $*" >> "{log}" ;;
esac
"""
_LOGGED = '#!/bin/sh\necho "{name} $*" >> "{log}"\n'
_NOBODY = '#!/bin/sh\necho "nova libvirt"\n'


class Node:
    """A directory that stands for a node: programs on PATH, and what they did."""

    def __init__(self, root: Path) -> None:
        self.root, self.log, self.bin = root, root / "log", root / "bin"
        self.bin.mkdir(parents=True)
        (root / "store").mkdir()
        self.add("crudini", _CRUDINI)
        self.add("systemctl", _SYSTEMCTL)

    def add(self, name: str, text: str) -> None:
        program = self.bin / name
        program.write_text(text.format(store=self.root / "store", log=self.log, name=name))
        program.chmod(0o755)

    def run(self, script: str, *args: str) -> subprocess.CompletedProcess[str]:
        path = self.root / "script.sh"
        # Whether the test's own machine has systemd must not matter.
        path.write_text(script.replace("[ -d /run/systemd/system ]", "true"))
        self.log.write_text("")
        env = {"PATH": f"{self.bin}:/usr/bin:/bin"}
        return subprocess.run(
            [str(BASH), str(path), *args],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def did(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node")


@pytest.fixture
def docker_script(tmp_path: Path) -> str:
    stack = "network_mode: flat-dhcp\ndriver: docker\n"
    return render(load(tmp_path, stack, release="icehouse", nodes=""))[DOCKER]


@pytest.fixture
def options_script(tmp_path: Path) -> str:
    return render(
        load(
            tmp_path,
            'overcommit: {disk: 2}\npost_config: {all: {/etc/nova/nova.conf: {a: {b: "c \'d"}}}}',
        )
    )[OPTIONS]


class TestOptions:
    def test_they_are_set_once_and_their_service_is_restarted(
        self, node: Node, options_script: str
    ) -> None:
        assert node.run(options_script).returncode == 0
        assert node.did == [
            "/etc/nova/nova.conf DEFAULT disk_allocation_ratio = 2.0",
            "/etc/nova/nova.conf a b = c 'd",
            "systemctl restart openstack-nova-compute.service",
        ]
        assert node.run(options_script).returncode == 0
        assert node.did == []

    def test_check_changes_nothing_and_says_whether_they_are_set(
        self, node: Node, options_script: str
    ) -> None:
        assert node.run(options_script, "check").returncode == 1
        assert node.did == []
        node.run(options_script)
        assert node.run(options_script, "check").returncode == 0

    def test_glances_place_is_installed_and_nova_may_read_there(
        self, node: Node, tmp_path: Path
    ) -> None:
        lab = load(
            tmp_path, "network_mode: flat\nglance: {direct_copy: true}", release="newton", nodes=""
        )
        files = render(lab)
        (tmp_path / "metadata.json").write_text(files[METADATA])
        script = files[OPTIONS].replace(str(METADATA), str(tmp_path / "metadata.json"))
        script = script.replace("metadata=/etc/glance/", f"metadata={tmp_path}/")
        node.add("id", _NOBODY)
        node.add("usermod", _LOGGED)
        assert node.run(script).returncode == 0
        assert (tmp_path / "filesystem_store_metadata.json").read_text() == files[METADATA]
        assert "usermod -aG glance nova" in node.did
        assert "systemctl restart openstack-glance-api.service" in node.did
        assert "systemctl restart openstack-nova-compute.service" in node.did


class TestDocker:
    @pytest.fixture
    def script(self, node: Node, docker_script: str) -> str:
        """The script, with a node's directories below the test's own."""
        for name in ("units", "overrides", "inits", "venv/bin"):
            (node.root / name).mkdir(parents=True)
        for name in (
            "units=/usr/lib/systemd/system",
            "overrides=/etc/systemd/system",
            "inits=/etc/init.d",
            "venv=/opt/stack/nova-venv",
        ):
            assert f"\n{name}\n" in docker_script
            docker_script = docker_script.replace(
                name, f"{name.partition('=')[0]}={node.root / name.partition('=')[0]}"
            )
        (node.root / "venv/bin/nova-compute").write_text("")
        (node.root / "venv/bin/nova-compute").chmod(0o755)
        return docker_script

    def test_a_unit_is_started_from_the_virtualenv_with_its_own_arguments(
        self, node: Node, script: str
    ) -> None:
        unit = (
            "[Service]\nUser=nova\nExecStart=/usr/bin/nova-compute --config-file"
            " /etc/nova/nova.conf\n"
        )
        (node.root / "units/openstack-nova-compute.service").write_text(unit)
        (node.root / "units/openstack-nova-novncproxy.service").write_text(
            "ExecStart=/usr/bin/nova-novncproxy\n"
        )
        assert node.run(script, "check", "services").returncode == 1
        assert node.run(script, "services").returncode == 0
        found = (node.root / "overrides/openstack-nova-compute.service.d/stacklab.conf").read_text()
        program = f"{node.root}/venv/bin/nova-compute --config-file /etc/nova/nova.conf"
        assert found == f"[Service]\nExecStart=\nExecStart={program}\n"
        # The virtualenv has no proxy, so that one stays RDO's.
        assert [path.name for path in (node.root / "overrides").iterdir()] == [
            "openstack-nova-compute.service.d"
        ]
        assert node.did == ["systemctl daemon-reload"]
        assert node.run(script, "check", "services").returncode == 0

    def test_an_init_script_is_pointed_there(self, node: Node, script: str) -> None:
        init = node.root / "inits/openstack-nova-compute"
        init.write_text(
            'suffix=compute\nexec="/usr/bin/nova-$suffix"\nconfig="/etc/nova/nova.conf"\n'
        )
        assert node.run(script, "check", "services").returncode == 1
        assert node.run(script, "services").returncode == 0
        assert f'exec="{node.root}/venv/bin/nova-$suffix"\n' in init.read_text()
        assert node.run(script, "check", "services").returncode == 0

    def test_nova_joins_dockers_group_and_leaves_none(self, node: Node, script: str) -> None:
        node.add("id", _NOBODY)
        for name in ("usermod", "groupadd"):
            node.add(name, _LOGGED)
        node.add("getent", "#!/bin/sh\nexit 2\n")
        assert node.run(script, "group").returncode == 0
        assert node.did == ["groupadd -r docker", "usermod -a -G docker nova"]
        node.add("id", '#!/bin/sh\necho "nova docker"\n')
        assert node.run(script, "group").returncode == 0
        assert node.did == []

    def test_the_driver_and_the_format_are_set(self, node: Node, script: str) -> None:
        assert node.run(script, "check", "options").returncode == 1
        assert node.run(script, "options").returncode == 0
        assert node.did == [
            "/etc/nova/nova.conf DEFAULT compute_driver = docker.DockerDriver",
            "/etc/glance/glance-api.conf DEFAULT container_formats = ami,ari,aki,bare,ovf,docker",
        ]
        assert node.run(script, "check", "options").returncode == 0

    def test_a_step_that_does_not_exist_is_named(self, node: Node, script: str) -> None:
        found = node.run(script, "regsitry")
        assert found.returncode == 2
        assert "no step regsitry; there are: packages group docker" in found.stderr

    def test_a_step_that_fails_ends_the_script(self, node: Node, script: str) -> None:
        node.add("id", _NOBODY)
        node.add("getent", "#!/bin/sh\nexit 0\n")
        node.add("usermod", "#!/bin/sh\nexit 6\n")
        assert node.run(script, "group", "options").returncode == 6
        assert node.did == []


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say(
    tmp_path: Path, docker_script: str, options_script: str
) -> None:
    for name, text in (("docker.sh", docker_script), ("options.sh", options_script)):
        (tmp_path / name).write_text(text)
        found = subprocess.run(
            [str(SHELLCHECK), name], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert found.stdout == ""
