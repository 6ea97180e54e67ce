"""Passwords of kolla-ansible: those of a release, by localrc/kolla/passwords.yaml."""

from __future__ import annotations

import base64
import difflib
import functools
import hashlib
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from stacklab import facts
from stacklab.errors import RenderError
from stacklab.model.lab import Lab
from stacklab.paths.project import PROJECT

TABLE = PROJECT / "localrc" / "kolla" / "passwords.yaml"
# Kinds, as the table's head explains them.
PLAIN, SSH, BLANK = "plain", "ssh", "blank"
# The kinds that are not a plain word, as people know them.
_FORMS: Mapping[str, str] = MappingProxyType(
    {
        "uuid": "a UUID",
        "hmac": "32 hex digits",
        "fernet": "a Fernet key",
        "salt": "a salt for bcrypt",
        SSH: "a pair of keys, which kolla-genpwd makes",
    }
)


class Password(NamedTuple):
    """One key of passwords.yml, as its template writes it; a blank one has no value."""

    name: str
    value: str


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Return the names of passwords to make: all but key pairs, and blank ones only from a source.

    Raises RenderError for a source of a password that is not a plain word: the services
    would get another value.
    """
    kinds = password_kinds(lab.stack.release)
    sourced = {source.name for source in lab.stack.secrets}
    for name in sourced:
        _check_source(name, kinds)
    names = []
    for name, kind in kinds.items():
        is_unused = kind == BLANK and name not in sourced
        if kind != SSH and not is_unused:
            names.append(name)
    return tuple(names)


def _check_source(name: str, kinds: Mapping[str, str]) -> None:
    """Raise RenderError for a source of a password that has a form of its own."""
    form = _FORMS.get(kinds.get(name, PLAIN))
    if form is None:
        return
    plain = [other for other, kind in kinds.items() if kind in (PLAIN, BLANK)]
    # Those of the same service are nearer than those that look alike.
    service = name.partition("_")[0]
    near = [other for other in plain if other.startswith(f"{service}_")]
    if not near:
        near = difflib.get_close_matches(name, plain, n=3, cutoff=0.0)
    raise RenderError(
        f"stack.secrets.{name}: kolla-ansible wants {form} there, which stacklab makes for the lab",
        hint=f"remove it (of those that can be given, the nearest: {', '.join(near)})",
    )


def list_passwords(release: str, secrets: Mapping[str, str]) -> tuple[Password, ...]:
    """Return every password of a release, without key pairs, each in the form of its kind."""
    passwords = []
    for name, kind in password_kinds(release).items():
        if kind == SSH:
            continue
        value = shape_secret(kind, secrets[name]) if name in secrets else ""
        passwords.append(Password(name=name, value=value))
    return tuple(passwords)


def shaped_secrets(lab: Lab, secrets: Mapping[str, str]) -> Mapping[str, str]:
    """Return the secrets that passwords.lab.yml holds in another form than they are kept in."""
    kinds = password_kinds(lab.stack.release)
    shaped: dict[str, str] = {}
    for name, value in secrets.items():
        kind = kinds.get(name, PLAIN)
        if kind not in (PLAIN, BLANK):
            shaped[name] = shape_secret(kind, value)
    return shaped


def shape_secret(kind: str, secret: str) -> str:
    """Return a secret in the form that its reader wants.

    The form depends on the secret alone, so that a rebuilt lab has the same one.
    """
    digest = hashlib.sha256(secret.encode()).digest()
    match kind:
        case "uuid":
            return str(uuid.UUID(bytes=digest[:16], version=4))
        case "hmac":
            return digest.hex()[:32]  # as kolla-genpwd's, of 128 bits
        case "fernet":
            return base64.urlsafe_b64encode(digest).decode()
        case "salt":
            # 128 bits are 21 characters and a third: of the last one bcrypt wants the other bits
            # clear, as O's are.
            return digest.hex()[:21] + "O"
    return secret


@functools.cache
def password_kinds(release: str) -> Mapping[str, str]:
    """Return each password of a release with its kind, sorted by name."""
    table = facts.read(TABLE)
    names = f"{table['names']} {table['also'].get(release, '')}".split()
    kinds = dict.fromkeys(names, PLAIN)
    # These are of all releases; one that a release does not ask for does no harm.
    for kind, names_of_kind in table["kinds"].items():
        kinds.update(dict.fromkeys(names_of_kind.split(), kind))
    return MappingProxyType(dict(sorted(kinds.items())))
