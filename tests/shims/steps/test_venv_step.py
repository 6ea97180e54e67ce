"""The step that makes a virtual environment, run by bash."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

from stacklab.installers.kit.python import make_venv
from stacklab.stages.stage import Step

PACKAGES = ("ansible-core>=2.18,!=2.19.0,<2.20", "kolla ansible")


def step(directory: Path, *packages: str) -> Step:
    python = directory / "python3"
    # In the place of `python3 -m venv`: a pip that writes down what it is told.
    python.write_text(
        "#!/bin/sh\n"
        'mkdir -p "$3/bin"\n'
        """printf '#!/bin/sh\\n[ ! -e broken ] && printf "%%s\\\\n" "$@" >told\\n' """
        '>"$3/bin/python"\n'
        'chmod +x "$3/bin/python"\n'
    )
    python.chmod(0o755)
    venv = PurePosixPath(directory / "venv")
    return make_venv("node", venv, packages, title="x", python=str(python))


def runs(command: str, directory: Path) -> bool:
    run = subprocess.run(("bash", "-c", command), cwd=directory, capture_output=True, timeout=60)
    return run.returncode == 0


def test_pip_is_told_whole_words_and_the_step_is_done_with_these_alone(tmp_path: Path) -> None:
    made = step(tmp_path, *PACKAGES)
    assert not runs(made.done, tmp_path)
    assert runs(made.command, tmp_path)
    told = (tmp_path / "told").read_text().splitlines()
    assert told == ["-m", "pip", "-q", "install", *PACKAGES]
    assert runs(made.done, tmp_path)
    # Another release of the same packages: that some Ansible is there would not do.
    assert not runs(step(tmp_path, "ansible-core>=2.19", "kolla ansible").done, tmp_path)
    assert not runs(step(tmp_path, *PACKAGES, "more").done, tmp_path)


def test_a_pip_that_failed_is_not_done(tmp_path: Path) -> None:
    made = step(tmp_path, *PACKAGES)
    (tmp_path / "broken").touch()
    assert not runs(made.command, tmp_path)
    assert not runs(made.done, tmp_path)
