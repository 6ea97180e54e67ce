"""Questions to the controller's database, which is asked where a client would take minutes."""

from __future__ import annotations


def wait_for_count(query: str, count: int) -> str:
    """Return a command for root that waits until a query of one number, without ", gives it."""
    return f'until [ "$(mariadb -N -e "{query}")" = {count} ]; do sleep 0.5; done'
