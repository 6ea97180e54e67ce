"""Secrets in the forms that services read, made from the secrets that the lab keeps.

The same secret gives the same form every time: rendered files can be compared.
"""

from __future__ import annotations

import base64
import hashlib

_ROUNDS = 1000  # the secrets are random: there is nothing that more rounds would protect
_SALT_BYTES = 16


def password_hash(user: str, password: str) -> str:
    """Return a password as keystone stores it: PBKDF2 with SHA-512, in passlib's notation.

    Source: passlib.hash.pbkdf2_sha512, one of keystone's [identity] password_hash_algorithm.
    """
    salt = hashlib.sha256(f"{user}\0{password}".encode()).digest()[:_SALT_BYTES]
    checksum = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$pbkdf2-sha512${_ROUNDS}${_adapted_base64(salt)}${_adapted_base64(checksum)}"


def fernet_key(secret: str) -> str:
    """Return a key of a Fernet repository: 32 bytes in URL-safe base64."""
    digest = hashlib.sha256(secret.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _adapted_base64(data: bytes) -> str:
    """Return passlib's variant of base64: `.` instead of `+`, and no padding."""
    return base64.b64encode(data, altchars=b"./").decode().rstrip("=")
