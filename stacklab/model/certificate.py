"""The certificate of a lab's APIs: who it is for, and the text in which the lab keeps it.

That text is one of the lab's secrets: a line that says who it is for, then the private key, the
certificate, and the certificate of the authority that signed it, each in PEM. The authority's own
key is thrown away once it has signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

SECRET = "tls_pem"  # its name among the lab's secrets
_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n")
_BLOCKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerName:
    """The names by which clients know a server."""

    lab: str  # of which its authority has its name
    host: str
    address: IPv4Address

    @property
    def title(self) -> str:
        """The first line of the text that is kept."""
        return f"{self.host} {self.address} of {self.lab}"


def keep(server: ServerName, key: str, certificate: str, authority: str) -> str:
    """Return the text that the lab keeps."""
    return f"{server.title}\n{key}{certificate}{authority}"


def is_for(text: str, server: ServerName) -> bool:
    """Return True if a text that was kept is whole, and for a server of these names."""
    return is_whole(text) and text.partition("\n")[0] == server.title


def is_whole(text: str) -> bool:
    """Return True if a text has a title and three blocks, and nothing else."""
    title, _, rest = text.partition("\n")
    return bool(title) and len(_blocks(rest)) == _BLOCKS and "".join(_blocks(rest)) == rest


def server_pem(text: str) -> str:
    """Return what a server reads: its private key and its certificate.

    A placeholder, which has no blocks, stays what it is.
    """
    return "".join(_blocks(text)[:-1]) or text


def authority_pem(text: str) -> str:
    """Return what a client trusts: the certificate of the authority, which is not a secret."""
    return "".join(_blocks(text)[-1:]) or text


def _blocks(text: str) -> list[str]:
    return [block[0] for block in _BLOCK.finditer(text)]
