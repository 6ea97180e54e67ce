"""The rendered localrc, read the way their consumers read them.

By a real bash, and by grep and cut.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from stacklab.installers.contrail.answers.files import DEVSTACK_LOCALRC, INSTALLER_LOCALRC
from stacklab.installers.rendering import render
from stacklab.model.lab import Lab, Node
from tests.unit.installers.contrail.labs import SECRETS, VARIANTS, labs
from tests.unit.installers.contrail.labs import secrets as any_secrets

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

# As contrail.sh and stack.sh do it: functions first, then localrc, then defaults.
# compgen gives the names that localrc added; NUL because a value could hold a newline.
_READER = r"""
set -eu
cd "$1"
switched=
enable_service() { for service; do switched+="+$service "; done; }
disable_service() { for service; do switched+="-$service "; done; }
enable_plugin() { switched+="plugin:$1,$2,$3 "; }
before=$'\n'$(compgen -v)$'\n'
source ./localrc
for name in $(compgen -v); do
    [[ $before == *$'\n'$name$'\n'* || $name == before || $name == BASH_* ]] ||
        printf '%s=%s\0' "$name" "${!name}"
done
printf 'switched=%s\0' "$switched"
"""


def run(*argv: str) -> str:
    clean = ("env", "-i", f"PATH={Path(shutil.which('bash') or '').parent}:/usr/bin:/bin")
    done = subprocess.run([*clean, *argv], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def sourced(directory: Path) -> dict[str, str]:
    output = run("bash", "-c", _READER, "bash", str(directory))
    return dict(line.split("=", 1) for line in output.split("\0") if line)


def expected_of_both(lab: Lab, node: Node, secrets: Mapping[str, str]) -> dict[str, str]:
    nic, controller = node.nic_on(lab.stack.network), lab.controller.nic_on(lab.stack.network)
    assert nic is not None
    assert controller is not None
    return {
        "SERVICE_HOST": str(controller.address.ip),
        "PHYSICAL_INTERFACE": nic.device,
        **{name.upper(): value for name, value in secrets.items()},
    }


def check_installer(lab: Lab, node: Node, secrets: Mapping[str, str], directory: Path) -> None:
    found = sourced(directory)
    nic = node.nic_on(lab.stack.network)
    assert nic is not None
    is_controller = node is lab.controller
    expected = {
        **expected_of_both(lab, node, secrets),
        "INSTALL_PROFILE": "ALL" if is_controller else "COMPUTE",
        "CONTRAIL_BRANCH": lab.stack.release,
        "CONTRAIL_REPO_PROTO": "https",
    }
    if not is_controller:
        expected |= {"COMPUTE_HOST_IP": str(nic.address.ip), "CONTROL_IP": expected["SERVICE_HOST"]}
    assert expected.items() <= found.items()
    assert found["switched"] == ""
    # setup_devstack.sh, word for word
    grepped = run(
        "bash", "-c", f"grep \"CONTRAIL_DEFAULT_INSTALL\" {directory}/localrc | cut -d'=' -f2"
    )
    assert grepped == {"R2.20": "True\n", "R1.06": "True\n"}.get(lab.stack.release, "False\n")
    assert found["CONTRAIL_DEFAULT_INSTALL"] == grepped.strip()


def check_devstack(lab: Lab, node: Node, secrets: Mapping[str, str], directory: Path) -> None:
    found = sourced(directory)
    nic = node.nic_on(lab.stack.network)
    assert nic is not None
    expected = {
        **expected_of_both(lab, node, secrets),
        "HOST_IP": str(nic.address.ip),
        "Q_PLUGIN": "opencontrail",
    }
    switched = [word for word in found["switched"].split() if not word.startswith("plugin:")]
    assert found["switched"].count("plugin:") == len(lab.stack.plugins)
    if node is lab.controller:
        assert {"-n-net", "-q-agt", "-tempest", "+q-svc", "+neutron"} <= set(switched)
        assert ("-n-cpu" in switched) is bool(lab.computes)
    else:
        expected |= dict.fromkeys(("MYSQL_HOST", "RABBIT_HOST", "Q_HOST"), expected["SERVICE_HOST"])
        assert switched == []
        assert "n-cpu" in found["ENABLED_SERVICES"].split(",")
    assert expected.items() <= found.items()


def check_in_bash(lab: Lab, secrets: Mapping[str, str]) -> None:
    for name, files in render(lab, secrets).items():
        for path, check in {
            INSTALLER_LOCALRC: check_installer,
            DEVSTACK_LOCALRC: check_devstack,
        }.items():
            if path in files:
                with tempfile.TemporaryDirectory() as directory:
                    Path(directory, "localrc").write_text(files[path])
                    check(lab, lab.node(name), secrets, Path(directory))


@pytest.mark.parametrize("variant", VARIANTS)
def test_bash_reads_the_labs_own_values_from_every_localrc(variant: str) -> None:
    check_in_bash(VARIANTS[variant], SECRETS)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lab=labs(), secrets=any_secrets)
def test_any_lab_and_any_secrets_survive_bash(lab: Lab, secrets: dict[str, str]) -> None:
    check_in_bash(lab, secrets)
