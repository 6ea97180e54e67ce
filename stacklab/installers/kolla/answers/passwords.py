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
from stacklab.paths import PROJECT

TABLE = PROJECT / "localrc" / "kolla" / "passwords.yaml"
PLAIN, SSH, BLANK = "plain", "ssh", "blank"


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
    known = kinds(lab.stack.release)
    plain = [name for name, kind in known.items() if kind in (PLAIN, BLANK)]
    sourced = {source.name for source in lab.stack.secrets}
    for name in sourced:
        service = [other for other in plain if other.startswith(f"{name.partition('_')[0]}_")]
        near = ", ".join(service or difflib.get_close_matches(name, plain, n=3, cutoff=0.0))
        if form := _FORMS.get(known.get(name, PLAIN)):
            raise RenderError(
                f"stack.secrets.{name}: kolla-ansible wants {form} there, which "
                "stacklab makes for the lab",
                hint=f"remove it (of those that can be given, the nearest: {near})",
            )
    return tuple(
        name for name, kind in known.items() if kind != SSH and (kind != BLANK or name in sourced)
    )


def passwords(release: str, secrets: Mapping[str, str]) -> tuple[Password, ...]:
    """Return every password of a release, without key pairs, each in the form of its kind."""
    return tuple(
        Password(name, shaped(kind, secrets[name]) if name in secrets else "")
        for name, kind in kinds(release).items()
        if kind != SSH
    )


def shaped_secrets(lab: Lab, secrets: Mapping[str, str]) -> Mapping[str, str]:
    """Return the secrets that passwords.lab.yml holds in another form than they are kept in."""
    known = kinds(lab.stack.release)
    return {
        name: shaped(known[name], value)
        for name, value in secrets.items()
        if known.get(name, PLAIN) not in (PLAIN, BLANK)
    }


def shaped(kind: str, secret: str) -> str:
    """Return a secret in the form that its reader wants.

    The form depends on the secret alone, so that a rebuilt lab has the same one.
    """
    digest = hashlib.sha256(secret.encode()).digest()
    match kind:
        case "uuid":
            return str(uuid.UUID(bytes=digest[:16], version=4))
        case "hmac":
            return digest.hex()[:32]
        case "fernet":
            return base64.urlsafe_b64encode(digest).decode()
        case "salt":
            # 128 bits are 21 characters and a third: of the last one bcrypt wants the other bits
            # clear, as O's are.
            return digest.hex()[:21] + "O"
    return secret


@functools.cache
def kinds(release: str) -> Mapping[str, str]:
    """Return each password of a release with its kind, sorted by name."""
    table = facts.read(TABLE)
    kind_of = {name: kind for kind, names in table["kinds"].items() for name in names.split()}
    plain = f"{table['names']} {table['also'].get(release, '')}".split()
    return MappingProxyType(dict(sorted({**dict.fromkeys(plain, PLAIN), **kind_of}.items())))
