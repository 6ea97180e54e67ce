"""Command lines of Packer 1.6 and later, and a parser of its output. Pure: nothing is run here.

Packer 1.6.6, the one in Debian 12, rejects `required_plugins` in a template; 1.10 and later need
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from stacklab.process import Command

# `TIME,TARGET,ui,say,TEXT`
_UI = re.compile(r"^\d+,[^,]*,ui,(?:say|message|error),(?P<text>.*)$")
# Of its machine-readable lines, in which a comma separates fields.
_ESCAPES = (("%!(PACKER_COMMA)", ","), ("\\n", " "), ("\\r", " "))
# `==> qemu.image: Waiting for SSH`
_PREFIX = re.compile(r"^(==>|\s+)?\s*(qemu\.\w+:)?\s*")
_VERSION = re.compile(r"v(\d+)\.(\d+)")
_FIRST_WITH_PLUGINS = (1, 7)


def version() -> Command:
    """Ask for the version."""
    return Command(argv=("packer", "version"), what="asking packer's version", env=_QUIET)


def parse_version(text: str) -> tuple[int, int]:
    """Parse (major, minor) in the output of `packer version`; (0, 0) if it is not there."""
    match = _VERSION.search(text)
    if match is None:
        return (0, 0)
    return (int(match[1]), int(match[2]))


def needs_plugins(version_: tuple[int, int]) -> bool:
    """Return True if this Packer loads its qemu builder from a plugin."""
    return version_ >= _FIRST_WITH_PLUGINS


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
    """Build the image; Packer writes machine-readable lines to `log` while it runs."""
    argv = ("packer", "-machine-readable", "build", "-color=false", f"-var-file={variables}", ".")
    return Command(
        # If we are killed, it must not go on. On TERM, Packer stops its QEMU before it ends.
        argv=("setpriv", "--pdeathsig", "TERM", *argv),
        cwd=directory,
        log=log,
        timeout_s=timeout_s,
        what="building the image with packer",
        # TMPDIR: else Packer copies files of gigabytes through /tmp.
        env={**_QUIET, "PACKER_CACHE_DIR": str(cache), "TMPDIR": str(cache)},
    )


def variables_json(values: Mapping[str, object]) -> str:
    """Return the content of a -var-file."""
    return json.dumps(values, indent=2) + "\n"


def parse_step(line: str) -> str | None:
    """Return what a machine-readable line says to a person, or None."""
    match = _UI.match(line.rstrip("\n"))
    if match is None:
        return None
    text = match["text"]
    for escaped, plain in _ESCAPES:
        text = text.replace(escaped, plain)
    words = _PREFIX.sub("", text).strip()
    return words or None


_QUIET: Mapping[str, str | None] = {"CHECKPOINT_DISABLE": "1", "PACKER_LOG": None}
