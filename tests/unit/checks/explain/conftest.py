"""Fixtures of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.checks.explain import site as site_module
from tests.unit.checks.explain.sites import Site
from tests.unit.checks.fake_lab import make_lab


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(make_lab(), tmp_path)
    monkeypatch.setattr(site_module, "_ask_node", made.ask)
    return made
