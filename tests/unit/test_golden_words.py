from __future__ import annotations

import pytest

from tests.unit import golden_words


@pytest.mark.parametrize("module", golden_words.PLACES)
def test_no_golden_words_are_of_a_test_that_is_gone(module: str) -> None:
    assert golden_words.gone(module) == set(), "--update-golden takes them out"
