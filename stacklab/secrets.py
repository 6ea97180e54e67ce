"""Passwords of a lab: made once, kept 0600, the same on every node and after a rebuild."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Collection, Mapping
from pathlib import Path

from stacklab import files
from stacklab.errors import LabError

# Letters and digits only, at most 20: what contrail-installer's sed and DevStack's ini files survive.
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 20


def load_or_make(path: Path, names: Collection[str]) -> Mapping[str, str]:
    """Return a secret for each name, making (and keeping) those that the file has not yet.

    Raises LabError when the file is damaged: making new ones would lock people out of a running cloud.
    """
    known: dict[str, str] = {}
    if path.exists():
        try:
            known = {str(name): str(value) for name, value in json.loads(path.read_text()).items()}
        except OSError as error:
            raise LabError(f"{path} can't be read: {error.strerror}", hint=f"ls -l {path}") from error
        except (ValueError, AttributeError) as error:
            raise LabError(f"{path} is damaged: {error}", hint="./invoke lab.destroy the lab, then lab.up") from error
    made = {name: known.get(name) or _make(name) for name in names}
    if made.keys() - known.keys():
        known |= made
        files.write(path, json.dumps(known, indent=2, sort_keys=True) + "\n", mode=0o600)
    return made


def _make(name: str) -> str:
    # Keystone's bootstrap token is by custom hex; contrail.sh even runs a made-up one as a command.
    if name.endswith("_token"):
        return secrets.token_hex(16)
    # A letter first: some ini readers take a leading digit for a number.
    return secrets.choice(string.ascii_letters) + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH - 1))
