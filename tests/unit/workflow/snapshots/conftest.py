from __future__ import annotations

import pytest

from tests.unit.workflow.fake_host import FakeHost
from tests.unit.workflow.snapshots.fake_guests import Guests, install


@pytest.fixture
def guests(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """The lab trio is up, and its guests have written 1."""
    made = install(host, monkeypatch)
    host.up()
    made.work(1)
    return made
