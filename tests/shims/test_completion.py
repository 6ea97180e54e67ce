"""Tab completion in the shells themselves: their functions are called as a TAB calls them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.cli.tab.candidates import SHELLS
from stacklab.cli.tab.completion import SCRIPTS
from stacklab.model import lab_json
from stacklab.paths.project import LABS, PROJECT

# `compgen` has no way to complete a whole line, so its variables are set as bash sets them.
BASH = """\
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
name=${{COMP_WORDS[0]##*/}}
function=$(complete -p "$name" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function "$name" "${{COMP_WORDS[COMP_CWORD]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# zsh completes only while its line editor runs: compadd stands in for it, and filters as it does.
ZSH = """\
autoload -Uz compinit && compinit -D -u
source {script}
words=({words})
CURRENT=$#words
compadd() {{ print -rl -- ${{(M)candidates:#${{words[CURRENT]}}*}} }}
_files() {{ print FILES }}
$_comps[${{words[1]:t}}]
"""
FISH = """\
source {script}
complete --do-complete '{line}' | string split --fields 1 \\t
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a home with a lab that is up."""
    lab = tmp_path / "home" / "labs" / "mini-2node"
    lab.mkdir(parents=True)
    (lab / "record.json").write_text("{}")
    (lab / "resolved.json").write_text(lab_json.to_json(spec.load(LABS / "mini-2node.yaml")))
    return tmp_path / "home"


def completed(shell: str, home: Path, program: str, *words: str) -> list[str]:
    """Return what the shell offers for the last word."""
    binary = shutil.which(shell)
    if binary is None:
        pytest.skip(f"no {shell} here")
    line = [program, *words]
    quoted = " ".join(f"'{word}'" for word in line)
    templates = {"bash": BASH, "zsh": ZSH, "fish": FISH}
    script = SCRIPTS / f"invoke.{shell}"
    text = templates[shell].format(script=script, words=quoted, line=" ".join(line))
    no_startup_files = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [binary, *no_startup_files, "-c", text],
        cwd=PROJECT,
        env={
            **os.environ,
            "HOME": str(home),
            "STACKLAB_HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_labs_nodes_images_and_faults_are_completed(shell: str, home: Path) -> None:
    def offered(*words: str) -> list[str]:
        return completed(shell, home, "invoke", *words)

    assert offered("lab.up", "con") == ["contrail-3node"]
    assert offered("lab.ssh", "mini-2node", "--node", "") == ["node1", "node2"]
    assert offered("image.build", "debian-13-c") == ["debian-13-cloud"]
    assert offered("lab.fault", "mini-2node", "link") == ["link-down"]
    assert offered("lab.fault", "mini-2node", "link-down", "node1", "") == ["eth0"]
    assert offered("lab.che") == ["lab.check"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", ["./invoke", str(PROJECT / "invoke")])
def test_the_wrapper_is_completed_as_well(shell: str, program: str, home: Path) -> None:
    is_set_up = subprocess.run(
        [PROJECT / "invoke", "--version"],
        env={**os.environ, "STACKLAB_NO_INSTALL": "1"},
        capture_output=True,
        check=False,
    )
    if is_set_up.returncode != 0:
        pytest.skip("./invoke is not set up here")
    assert completed(shell, home, program, "lab.up", "con") == ["contrail-3node"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_an_option_with_its_value_in_one_word(shell: str, home: Path) -> None:
    # bash makes three words of it.
    words = ("--node", "=", "n") if shell == "bash" else ("--node=n",)
    expected = ["node1", "node2"] if shell == "bash" else ["--node=node1", "--node=node2"]
    assert completed(shell, home, "invoke", "lab.ssh", "mini-2node", *words) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_where_a_file_is_wanted_files_are_completed(shell: str, home: Path) -> None:
    offered = completed(shell, home, "invoke", "lab.validate", "README")
    assert offered == (["FILES"] if shell == "zsh" else ["README.md"])


def test_a_checkout_that_is_not_set_up_says_nothing_and_installs_nothing(
    tmp_path: Path, home: Path
) -> None:
    shutil.copytree(PROJECT / "requirements", tmp_path / "requirements")
    shutil.copy(PROJECT / "invoke", tmp_path)
    assert completed("bash", home, str(tmp_path / "invoke"), "lab.up", "con") == []
    assert not (tmp_path / ".venv").exists()
