"""Ports at which a program of this host listens."""

from __future__ import annotations

import socket

import pytest

from stacklab.tools.host import listening


@pytest.mark.parametrize(
    ("family", "address", "is_found"),
    [
        (socket.AF_INET, "127.0.0.1", True),
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET6, "::", True),
        # A tunnel does not lead there.
        (socket.AF_INET, "127.0.0.2", False),
    ],
)
def test_a_port_is_found_where_the_loopback_leads_to_it(
    family: socket.AddressFamily, address: str, *, is_found: bool
) -> None:
    with socket.socket(family) as server:
        server.bind((address, 0))
        port = server.getsockname()[1]
        assert not listening.listens(port)
        server.listen()
        assert listening.listens(port) is is_found
