"""Real bash reads the localrc of every release of DevStack, with DevStack's own words as stubs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.unit.installers.devstack import devstack_labs as labs

# stackrc sources localrc with neither -e nor -u; what they would find is a mistake of ours all the
# same.
READ = """
set -eu
enable_service() { echo "on $*"; }; disable_service() { echo "off $*"; }; \
enable_plugin() { echo "plugin $*"; }
for file in *.localrc; do ( . "./$file"; echo "$file $HOST_IP $SERVICE_HOST $LOGFILE \
$ADMIN_PASSWORD" ); done
"""


def test_bash_reads_every_localrc_without_a_complaint(tmp_path: Path) -> None:
    wanted = set()
    for release, mode in labs.every_mode():
        for node, address in (("controller", 11), ("compute1", 12)):
            text = labs.rendered(
                tmp_path, node, release=release, network_mode=mode, data_network="data"
            )
            name = f"{release}-{mode}-{node}.localrc"
            (tmp_path / name).write_text(
                text.partition("[[local|localrc]]\n")[2].partition("\n[[")[0]
            )
            wanted.add(
                f"{name} 10.170.0.{address} 10.170.0.11 /opt/stack/logs/stack.sh.log"
                " AdminPassword0123456789"
            )
    result = subprocess.run(
        ["bash", "-c", READ], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert wanted <= set(result.stdout.splitlines())
    assert "on q-agt q-dhcp q-l3 q-meta" in result.stdout  # the stubs were called


def test_nova_docker_exports_what_its_own_script_would(tmp_path: Path) -> None:
    text = labs.rendered(tmp_path, "compute1", release="liberty", driver="docker")
    (tmp_path / "localrc").write_text(text)
    script = "disable_service() { :; }; . ./localrc; env"
    result = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert found["IMAGE_URLS"] == " "  # not empty: stackrc would fill it
    assert found["OS_PASSWORD"] == labs.SECRETS["admin_password"]
    assert found["VIRT_DRIVER"] == "docker"
