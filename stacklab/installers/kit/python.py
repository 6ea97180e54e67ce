"""Virtual environments of Python on a node."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from stacklab.stages.stage import Step


def make_venv(
    node: str, directory: PurePosixPath, packages: Sequence[str], *, title: str, python: str
) -> Step:
    """Return the step that makes a virtual environment with these packages.

    It is done if pip came to its end with the very same packages: that an older Ansible is there
    would not do.
    """
    # Versions hold < and >, which a shell takes for redirections.
    words = " ".join(shlex.quote(package) for package in packages)
    kept = directory / "stacklab.packages"
    return Step(
        node=node,
        title=title,
        command=f"{python} -m venv {directory} && {directory}/bin/python -m pip -q install {words}"
        f" && printf '%s\\n' {words} >{kept}",
        done=f"printf '%s\\n' {words} | cmp -s - {kept}",
    )
