"""kolla-ansible's passwords: which a release asks for (localrc/kolla/passwords.yaml), and the form of each."""

from __future__ import annotations

import base64
import functools
import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import yaml

from stacklab.model import Lab
from stacklab.paths import PROJECT

TABLE = PROJECT / "localrc" / "kolla" / "passwords.yaml"
PLAIN, SSH, BLANK = "plain", "ssh", "blank"


class Password(NamedTuple):
    """One key of passwords.yml, as its template writes it; an SSH key's pair stays empty, as does a blank one."""

    name: str
    kind: str
    value: str


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Name the passwords that are made for the lab: all but key pairs; a blank one if the lab has a source for it."""
    sourced = {source.name for source in lab.stack.secrets}
    return tuple(
        name
        for name, kind in kinds(lab.stack.release).items()
        if kind != SSH and (kind != BLANK or name in sourced)
    )  # fmt: skip


def passwords(release: str, secrets: Mapping[str, str]) -> tuple[Password, ...]:
    """Every key of a release's passwords.yml, by name, each in the form of its kind."""
    return tuple(
        Password(name, kind, shaped(kind, secrets[name]) if name in secrets else "")
        for name, kind in kinds(release).items()
    )


def shaped(kind: str, secret: str) -> str:
    """A secret in the form that its reader wants: a function of the secret alone, so that a rebuild has it again."""
    digest = hashlib.sha256(secret.encode()).digest()
    match kind:
        case "uuid":
            return str(uuid.UUID(bytes=digest[:16], version=4))
        case "hmac":
            return digest.hex()[:32]
        case "fernet":
            return base64.urlsafe_b64encode(digest).decode()
        case "salt":
            # 128 bits are 21 characters and a third: of the last one bcrypt wants the other bits clear, as O's are.
            return digest.hex()[:21] + "O"
    return secret


@functools.cache
def kinds(release: str) -> Mapping[str, str]:
    """Each password of a release with its kind, sorted by name."""
    table = yaml.safe_load(Path(TABLE).read_text())
    found = {name: kind for kind, names in table["kinds"].items() for name in names.split()}
    plain = f"{table['names']} {table['also'].get(release, '')}".split()
    return MappingProxyType(dict(sorted({**dict.fromkeys(plain, PLAIN), **found}.items())))
