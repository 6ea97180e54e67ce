from __future__ import annotations

import pytest

from stacklab import words


def test_the_nearest_known_word_is_suggested_with_all_there_are() -> None:
    suggestion = words.suggest("memroy", ["cpus", "memory"], label="known")
    assert suggestion == "did you mean memory? known: cpus, memory"


def test_a_word_that_is_near_to_none_gets_the_list_alone() -> None:
    assert words.nearest("xyz", ["cpus", "memory"]) == ""
    assert words.suggest("xyz", [], label="known") == "known: none"


def test_a_suggestion_stands_for_a_list_that_is_too_long_beside_it() -> None:
    assert words.meant_or_known("memroy", ["cpus", "memory"]) == "did you mean memory?"
    assert words.meant_or_known("xyz", ["cpus", "memory"]) == "known: cpus, memory"


@pytest.mark.parametrize(("count", "phrase"), [(0, "0 labs"), (1, "1 lab"), (2, "2 labs")])
def test_a_count_has_its_noun(count: int, phrase: str) -> None:
    assert words.plural(count, "lab") == phrase
