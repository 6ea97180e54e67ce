"""Passwords of a lab: made once and kept, so that they survive a rebuild of its nodes."""

from __future__ import annotations

import json
import os
import re
import secrets
import string
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from stacklab import files
from stacklab.errors import LabError
from stacklab.model.stack import SecretSource

# contrail-installer edits its files by sed and DevStack writes ini files: neither quotes
# passwords, and some services cut what is longer than 20 characters.
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 20
_USER_SECRET = re.compile(r"[A-Za-z0-9]{8,20}")
# A lab's file may come from anybody, a pull request for instance, and its nodes get its secrets: it
# may name only what the user meant for labs.
_FOR_LABS = "STACKLAB_SECRET_"

Maker: TypeAlias = Callable[[str], str]
"""Returns the secret that was kept, "" for none, or a new one where that does not do any more."""
_NO_MAKERS: Mapping[str, Maker] = MappingProxyType({})


def load_or_make(
    path: Path,
    names: Collection[str],
    sources: Sequence[SecretSource] = (),
    makers: Mapping[str, Maker] = _NO_MAKERS,
    *,
    allowed: Collection[str] = (),
) -> Mapping[str, str]:
    """Return a secret for each name, and keep all of them in a file with mode 0600.

    A secret from one of the user's sources comes first, then the one that was kept, then a new
    one. A source that is empty today does not replace the secret that was kept. Secrets that are
    more than letters and digits have a maker, by their name. `allowed` are the variables and
    files that the user lets specs read, beside variables named STACKLAB_SECRET_... Raises LabError
    for a source that cannot be used, and for a damaged file: new secrets would lock the user out
    of a running cloud.
    """
    known = _read_kept(path)
    from_user = {source.name: _read_source(source, known, allowed) for source in sources}
    wanted: dict[str, str] = {}
    for name in names:
        if name in makers:
            wanted[name] = makers[name](known.get(name, ""))
        else:
            wanted[name] = from_user.get(name) or known.get(name) or _make_secret(name)
    # What is not wanted today is kept: a changed spec may want it again.
    merged = {**known, **wanted}
    if merged != known:
        files.write(path, json.dumps(merged, indent=2, sort_keys=True) + "\n", mode=0o600)
    return wanted


def changed(
    sources: Sequence[SecretSource], known: Mapping[str, str], *, allowed: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the names of the user's own secrets that are not those that were kept."""
    return tuple(
        source.name
        for source in sources
        if _read_source(source, known, allowed) != known.get(source.name)
    )


def kept(path: Path) -> Mapping[str, str]:
    """Return the secrets that were made so far; makes none."""
    return _read_kept(path)


def _read_kept(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return parse(path.read_text())
    except OSError as error:
        raise LabError(f"{path} can't be read: {error.strerror}", hint=f"ls -l {path}") from error
    except (ValueError, AttributeError) as error:  # not JSON, or not a mapping
        hint = f"./invoke lab.destroy {path.parent.name}, then lab.up"
        raise LabError(f"{path} is damaged: {error}", hint=hint) from error


def parse(text: str) -> dict[str, str]:
    """Return kept secrets from their file's text; raises ValueError or AttributeError."""
    return {str(name): str(value) for name, value in json.loads(text).items()}


def _read_source(source: SecretSource, known: Mapping[str, str], allowed: Collection[str]) -> str:
    """Return the user's secret, else the kept one. A secret is never part of an error message."""
    _refuse_forbidden(source, allowed)
    # A source is either a variable or a file.
    if source.env:
        place = f"${source.env}"
        value = os.environ.get(source.env, "")
    else:
        place = source.file
        value = _read_file(source, known)
    if not value and source.name in known:
        return known[source.name]
    setting = f"stack.secrets.{source.name}: {place}"
    if not value:
        raise LabError(f"{setting} is not set", hint=f"read -rs {source.env}; export {source.env}")
    if _USER_SECRET.fullmatch(value) is None:
        raise LabError(
            f"{setting} holds characters or a length that the installers' scripts do not survive",
            hint="choose 8 to 20 letters and digits",
        )
    return value


def _refuse_forbidden(source: SecretSource, allowed: Collection[str]) -> None:
    """Raise LabError for a source that the user has not allowed; it is not even looked at."""
    # Compared as they are written: `..` in a path would lead elsewhere.
    if source.env.startswith(_FOR_LABS) or (source.env or source.file) in allowed:
        return
    place = f"${source.env}" if source.env else source.file
    rename = f"call it {_FOR_LABS}..., or " if source.env else ""
    raise LabError(
        f"stack.secrets.{source.name}: {place} is not among what labs may read on this host",
        hint=f"{rename}write `secrets: [{source.env or source.file}]` into settings.yaml "
        "in stacklab's home",
    )


def _read_file(source: SecretSource, known: Mapping[str, str]) -> str:
    path = Path(source.file).expanduser()
    setting = f"stack.secrets.{source.name}: {source.file}"
    try:
        if path.stat().st_mode & 0o077:  # any right of the group or of others
            raise LabError(f"{setting} can be read by others", hint=f"chmod 600 {source.file}")
        value = files.read_regular(path).decode().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        if source.name in known:
            return ""
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise LabError(
            f"{setting}: {reason}", hint="write the secret into its first line, with mode 600"
        ) from error
    if not value and source.name not in known:
        raise LabError(f"{setting} is empty", hint="write the secret into its first line")
    return value


def _make_secret(name: str) -> str:
    if name.endswith("_uuid"):
        return str(uuid.uuid4())
    # A letter first: some ini readers take a leading digit for a number.
    secret = secrets.choice(string.ascii_letters)
    while len(secret) < _LENGTH:
        secret += secrets.choice(_ALPHABET)
    return secret
