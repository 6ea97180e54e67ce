"""`bench.cli`: commands in turns, and the median of each beside that of `import invoke`."""

from __future__ import annotations

import pytest

from stacklab.dev import bench_cli
from stacklab.errors import LabError


def test_medians_are_compared_and_the_first_round_counts_for_nothing() -> None:
    calls: list[bench_cli.Argv] = []

    def time_of(argv: bench_cli.Argv, _home: str) -> float:
        is_first_round = len(calls) < len(bench_cli.COMMANDS)
        calls.append(argv)
        if is_first_round:
            return 100.0
        return 0.5 if argv == bench_cli.COMMANDS[bench_cli.BARE] else 1.0

    rows = bench_cli.measure(rounds=3, time_of=time_of)
    assert calls[: len(bench_cli.COMMANDS)] == list(bench_cli.COMMANDS.values())
    assert len(calls) == 4 * len(bench_cli.COMMANDS)
    assert rows[0] == ("import invoke", "0.500", "1.00", "")
    assert ("lab.list", "1.000", "2.00", "<= 2.2") in rows


def test_no_round_measures_nothing() -> None:
    with pytest.raises(LabError, match="measures nothing"):
        bench_cli.measure(rounds=0)
