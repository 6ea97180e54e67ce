from __future__ import annotations

import pytest

from stacklab.stages import journal


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power cut happens in a test."""
    monkeypatch.setattr(journal.os, "fsync", lambda _descriptor: None)
