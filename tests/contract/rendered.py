"""Rendered files of DevStack, read as DevStack reads them.

Its variables by a real bash, its options by our model.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from stacklab import releases
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from tests.contract import meta_config
from tests.contract.meta_config import SCRIPTS, Machine, Scripts

# As stackrc does it: functions first, then localrc. compgen gives the names that localrc added.
_READER = r"""
set -eu
switched=
enable_service() { for service; do switched+="+$service "; done; }
disable_service() { for service; do switched+="-$service "; done; }
enable_plugin() { switched+="plugin:$1,$2,${3:-} "; }
before=$'\n'$(compgen -v)$'\n'
source "$1"
for name in $(compgen -v); do
    [[ $before == *$'\n'$name$'\n'* || $name == before || $name == BASH_* ]] ||
        printf '%s=%s\0' "$name" "${!name-}"
done
printf 'switched=%s\0' "$switched"
"""


def era_of(release: str) -> str:
    """The model's name of what a release of DevStack does.

    Its own, or that of the time it belongs to.
    """
    names = list(releases.of(Installer.DEVSTACK))
    between = dict.fromkeys(names[names.index("yoga") : names.index("ocata")], "ocata")
    between |= dict.fromkeys(names[names.index("2025.1") : names.index("yoga")], "2025.1")
    return release if release in SCRIPTS else between[release]


def sourced(files: Mapping[str, str], scripts: Scripts) -> dict[str, str]:
    """The variables that stack.sh has of a node's files.

    `switched` is what was done by its functions.
    """
    text = files.get("localrc") or meta_config.localrc(files["local.conf"], scripts)
    assert text is not None
    return source_text(text)


def source_text(text: str) -> dict[str, str]:
    """The variables that a localrc sets, by a real bash."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "localrc")
        path.write_text(text)
        done = subprocess.run(
            ["bash", "-c", _READER, "bash", str(path)],
            capture_output=True,
            timeout=20,
            check=False,
            cwd=directory,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
    assert (done.returncode, done.stderr) == (0, b"")
    return dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)


def options_of(
    text: str, release: str, variables: Mapping[str, str]
) -> dict[str, dict[str, dict[str, list[str]]]]:
    """Path -> section -> option -> values, after local.conf's post-config.

    `$X` is `/etc/x` if nothing says so.
    """
    files = meta_config.files_of(text, "post-config")
    known = {
        file[1:]: f"/etc/{file[1:].lower()}" for file in files if file.startswith("$")
    } | variables
    folders = {name.rpartition("/")[0] for name in (*files, *known.values())}
    machine = Machine(variables=known, directories=folders)
    meta_config.merge(text, "post-config", machine, SCRIPTS[era_of(release)])
    return {path: meta_config.options(ini) for path, ini in machine.files.items()}


def check_options(
    lab: Lab, text: str, wanted: Mapping[tuple[str, str, str], str], devstack: str = ""
) -> None:
    """Every option (file, section, key) wanted is in its file, once, as it stands in the spec.

    `devstack` is the release of DevStack that reads it, if that is not the lab's.
    """
    found = options_of(text, devstack or lab.stack.release, {})
    for (file, section, key), value in wanted.items():
        path = f"/etc/{file[1:].lower()}" if file.startswith("$") else file
        assert found[path][section][key] == [value], (file, section, key)
