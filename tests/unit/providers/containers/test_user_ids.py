"""The ids of a container's users are nobody else's."""

from __future__ import annotations

import pytest

from stacklab.providers.containers.user_namespace import COUNT, HIGHEST, LOWEST, choose_first

PLACES = (HIGHEST - LOWEST) // COUNT


def test_a_machine_gets_the_same_ids_again() -> None:
    first = choose_first("sl00000001", [])
    assert choose_first("sl00000001", []) == first
    assert LOWEST <= first <= HIGHEST - COUNT


@pytest.mark.parametrize("offset", [-COUNT + 1, -1, 0, 1, COUNT - 1])
def test_ids_that_are_taken_in_part_are_left_alone(offset: int) -> None:
    wanted = choose_first("sl00000001", [])
    first = choose_first("sl00000001", [(wanted + offset, COUNT)])
    assert abs(first - (wanted + offset)) >= COUNT


@pytest.mark.parametrize("offset", [-COUNT, COUNT])
def test_neighbours_do_not_matter(offset: int) -> None:
    wanted = choose_first("sl00000001", [])
    assert choose_first("sl00000001", [(wanted + offset, COUNT)]) == wanted


def test_no_two_machines_share_an_id_until_all_are_taken() -> None:
    taken: list[tuple[int, int]] = []
    for number in range(PLACES):
        taken.append((choose_first(f"sl{number:08x}", taken), COUNT))
    assert len(set(taken)) == PLACES
    assert all(LOWEST <= first <= HIGHEST - COUNT for first, _ in taken)
    with pytest.raises(OSError, match="all 2046 ranges"):
        choose_first("slffffffff", taken)
