"""packer: its command lines for 1.6 and later, and its output read. Pure.

Source: facts/libraries.md 3; 1.6.6 rejects `required_plugins`, 1.10 and later need it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from stacklab.process import Command

_UI = re.compile(r"^\d+,[^,]*,ui,(?:say|message|error),(?P<text>.*)$")


def version() -> Command:
    """Ask which Packer this is."""
    return Command(argv=("packer", "version"), what="asking packer's version", env=_QUIET)


def parse_version(text: str) -> tuple[int, int]:
    """(major, minor) of `packer version`; (0, 0) if it says something else."""
    match = re.search(r"v(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def needs_plugins(version_: tuple[int, int]) -> bool:
    """Whether this Packer loads its qemu builder from a plugin."""
    return version_ >= (1, 7)


def init(directory: Path) -> Command:
    """Fetch the plugins that the directory's templates ask for."""
    return Command(
        argv=("packer", "init", "."),
        cwd=directory,
        what="fetching packer's qemu plugin",
        env=_QUIET,
    )


def validate(directory: Path, variables: Path) -> Command:
    """Check a template directory with its variables."""
    argv = ("packer", "validate", f"-var-file={variables}", ".")
    return Command(argv=argv, cwd=directory, what="validating the packer template", env=_QUIET)


def build(directory: Path, variables: Path, *, log: Path, cache: Path, timeout_s: float) -> Command:
    """Build; `log` gets machine-readable lines as they come."""
    argv = ("packer", "-machine-readable", "build", "-color=false", f"-var-file={variables}", ".")
    return Command(
        # were we killed, it would boot and provision on: TERM lets it end its QEMU first
        argv=("setpriv", "--pdeathsig", "TERM", *argv),
        cwd=directory,
        log=log,
        timeout_s=timeout_s,
        what="building the image with packer",
        # TMPDIR: packer would copy files of gigabytes through /tmp
        env={**_QUIET, "PACKER_CACHE_DIR": str(cache), "TMPDIR": str(cache)},
    )


def variables_json(values: Mapping[str, object]) -> str:
    """The text of a -var-file."""
    return json.dumps(values, indent=2) + "\n"


def parse_step(line: str) -> str | None:
    """What a machine-readable line tells a person, if anything."""
    match = _UI.match(line.rstrip("\n"))
    if match is None:
        return None
    text = match["text"].replace("%!(PACKER_COMMA)", ",").replace("\\n", " ").replace("\\r", " ")
    return re.sub(r"^(==>|\s+)?\s*(qemu\.\w+:)?\s*", "", text).strip() or None


_QUIET: Mapping[str, str | None] = {"CHECKPOINT_DISABLE": "1", "PACKER_LOG": None}
