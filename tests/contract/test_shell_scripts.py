"""Every shell script of the checkout, read by the real shellcheck."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKER = sorted(
    (
        *PROJECT.glob("packer/*/*.sh"),
        *(path for path in PROJECT.glob("packer/files/*") if not path.suffix),
        *PROJECT.glob("packer/openstack/tenant-*"),
    )
)
CONTAINERS = (
    "stacklab/providers/containers/machine.sh",
    "stacklab/providers/containers/try_storage.sh",
)
SCRIPTS = ("invoke", ".ci/run", *CONTAINERS, *(str(path.relative_to(PROJECT)) for path in PACKER))
SHELLCHECK = shutil.which("shellcheck")


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    shell = (
        () if (PROJECT / script).read_text().startswith("#!") else ("--shell", "sh")
    )  # Packer's is sh
    argv = (str(SHELLCHECK), *shell, script)
    found = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert found.stdout == ""
    assert found.returncode == 0


def test_there_are_scripts_to_read() -> None:
    assert {
        "packer/bootstrap/customize.sh",
        "packer/files/stacklab-seed",
        "packer/openstack/in-root.sh",
        "packer/openstack/tenant-init",
        "packer/scripts/20-node.sh",
    } < {*SCRIPTS}
