from __future__ import annotations

import pytest

from tests.unit.checks import golden_words


@pytest.mark.parametrize("family", golden_words.FAMILIES)
def test_no_golden_words_are_of_a_test_that_is_gone(family: str) -> None:
    assert golden_words.gone(family) == set(), "--update-golden takes them out"
