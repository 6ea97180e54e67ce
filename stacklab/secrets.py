"""Passwords of a lab: made once, kept 0600, the same on every node and after a rebuild."""

from __future__ import annotations

import json
import os
import re
import secrets
import string
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from stacklab import files
from stacklab.errors import LabError
from stacklab.model.stack import SecretSource

# Letters and digits only, at most 20: what contrail-installer's sed and DevStack's ini files survive.
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 20
_GIVEN = re.compile(r"[A-Za-z0-9]{8,20}")


def load_or_make(
    path: Path, names: Collection[str], sources: Sequence[SecretSource] = ()
) -> Mapping[str, str]:
    """Return a secret for each name: the user's own, else the kept one, else a new one; all are kept.

    A user's source that is empty today leaves the one that was kept. Raises LabError when the file is
    damaged (making new ones would lock people out of a running cloud), and for a source that can't be used.
    """
    known = _kept(path)
    given = {source.name: _given(source, known) for source in sources}
    found = {name: given.get(name) or known.get(name) or _make(name) for name in names}
    if {**known, **found} != known:
        files.write(
            path, json.dumps({**known, **found}, indent=2, sort_keys=True) + "\n", mode=0o600
        )
    return found


def _kept(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}
    except OSError as error:
        raise LabError(f"{path} can't be read: {error.strerror}", hint=f"ls -l {path}") from error
    except (ValueError, AttributeError) as error:
        hint = f"./invoke lab.destroy {path.parent.name}, then lab.up"
        raise LabError(f"{path} is damaged: {error}", hint=hint) from error


def _given(source: SecretSource, known: Mapping[str, str]) -> str:
    """The user's own secret; never part of a message."""
    found = os.environ.get(source.env, "") if source.env else _first_line(source, known)
    if not found and source.name in known:
        return known[source.name]
    where = f"stack.secrets.{source.name}: " + (f"${source.env}" if source.env else source.file)
    if not found:
        raise LabError(f"{where} is not set", hint=f"read -rs {source.env}; export {source.env}")
    if _GIVEN.fullmatch(found) is None:
        right = "8 to 20 letters and digits: installers' scripts mangle the others"
        raise LabError(f"{where} holds what no installer survives", hint=f"choose {right}")
    return found


def _first_line(source: SecretSource, known: Mapping[str, str]) -> str:
    path = Path(source.file).expanduser()
    where = f"stack.secrets.{source.name}: {source.file}"
    try:
        if path.stat().st_mode & 0o077:
            raise LabError(f"{where} can be read by others", hint=f"chmod 600 {source.file}")
        found = path.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        if source.name in known:
            return ""
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise LabError(
            f"{where}: {why}", hint="write the secret into it: its first line, mode 600"
        ) from error
    if not found and source.name not in known:
        raise LabError(f"{where} is empty", hint="write the secret into it: its first line")
    return found


def _make(name: str) -> str:
    if name.endswith("_uuid"):
        return str(uuid.uuid4())
    # A letter first: some ini readers take a leading digit for a number.
    return secrets.choice(string.ascii_letters) + "".join(
        secrets.choice(_ALPHABET) for _ in range(_LENGTH - 1)
    )
