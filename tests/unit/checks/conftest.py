"""Simulated nodes whose clocks are never late, and the golden words; see golden_words.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.checks import golden_words


@pytest.fixture(autouse=True)
def every_clock_stands_still(still_clock: None) -> None:
    """Simulated nodes tell the host's own time."""


@pytest.hookimpl(tryfirst=True)  # before -k and -m deselect any
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not any("::" in arg for arg in config.args):
        here = [item for item in items if item.path.is_relative_to(golden_words.HERE)]
        golden_words.note_collected(here)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    family = golden_words.family_of(item)
    if family is None:
        return (yield)
    with golden_words.recorded() as lines:
        result = yield
    test = golden_words.test_of(item)
    golden_words.seen.setdefault(family, {}).setdefault(test, set()).update(lines)
    if not item.config.getoption("--update-golden"):
        golden = golden_words.read(family).get(test, frozenset())
        new, gone = sorted(lines - golden), sorted(golden - lines)
        where = f"the golden words of {family} (--update-golden)"
        assert not new, f"not in {where}: {new}"
        assert not gone, f"no longer said, but in {where}: {gone}"
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--update-golden"):
        golden_words.update()
