"""The shells that nodes have."""

from __future__ import annotations

import pytest

from tests.contract.custom_probes.probes import SHELLS


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    found: list[str] = request.param
    return found
