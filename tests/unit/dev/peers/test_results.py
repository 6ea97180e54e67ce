"""The table of all peers: ratios, ranges, and what failed."""

from __future__ import annotations

import json

from stacklab.dev.peers.race import Finish
from stacklab.dev.peers.results import COLD, FROM_SNAPSHOT, HEADER, PeersBench
from stacklab.views import tables
from stacklab.views.benches import rounds as views


def finish(ready_s: float, command_s: float = 1.0) -> Finish:
    return Finish(ready_s=ready_s, command_s=command_s)


def bench() -> PeersBench:
    made = PeersBench(lab="trio", nodes=3, image="debian-12", accelerator="TCG", rounds=2)
    for peer, what in (
        ("stacklab", COLD),
        ("stacklab", FROM_SNAPSHOT),
        ("vagrant", "vagrant up"),
        ("kcli", "kcli create plan"),
    ):
        made.expect(peer, what)
    made.expect("virt-lightning", "")  # it has no snapshots
    return made


def test_ratios_are_of_medians_to_both_ways_of_lab_up() -> None:
    measured = bench()
    for cold, snapshot, vagrant in ((40.0, 4.0, 90.0), (50.0, 6.0, 110.0), (45.0, 5.0, 91.0)):
        measured.add(COLD, finish(cold))
        measured.add(FROM_SNAPSHOT, finish(snapshot))
        measured.add("vagrant up", finish(vagrant, 120.0))
    rows = measured.table()
    assert all(len(row) == len(HEADER) for row in rows)
    assert rows[0] == ("stacklab", COLD, "45.0", "40.0", "50.0", "1.0", "1.00", "9.00", "")
    assert rows[1][6:8] == ("0.11", "1.00")
    assert rows[2] == (
        "vagrant", "vagrant up", "91.0", "90.0", "110.0", "120.0", "2.02", "18.20", "",
    )  # fmt: skip


def test_a_peer_that_failed_has_its_row_with_the_first_reason() -> None:
    measured = bench()
    measured.add(COLD, finish(40.0))
    measured.fail("kcli create plan", "preparing: no pip\n  | 300 lines of it")
    measured.fail("kcli create plan", "something later")
    rows = {row[1]: row for row in measured.table()}
    assert rows["kcli create plan"][2:] == (*[""] * 6, "failed: preparing: no pip")
    assert measured.has_failed("kcli create plan")
    assert not measured.has_failed(COLD)


def test_a_row_that_failed_in_a_later_round_keeps_its_times() -> None:
    measured = bench()
    measured.add("vagrant up", finish(90.0))
    measured.fail("vagrant up", "round 2: no ssh")
    row = measured.table()[2]
    assert (row[2], row[3], row[8]) == ("90.0", "", "failed: round 2: no ssh")


def test_without_stacklab_there_are_no_ratios() -> None:
    measured = PeersBench(lab="trio", nodes=3, image="i", accelerator="TCG", rounds=1)
    measured.expect("vagrant", "vagrant up")
    measured.add("vagrant up", finish(90.0))
    assert measured.table()[0][6:8] == ("", "")
    # Nor where stacklab itself failed.
    failed = bench()
    failed.add("vagrant up", finish(90.0))
    assert failed.table()[2][6:8] == ("", "")


def test_programs_get_the_seconds_of_every_round() -> None:
    measured = bench()
    measured.add(COLD, finish(40.0, 41.0))
    measured.add("vagrant up", finish(80.0, 81.0))
    measured.fail("kcli create plan", "preparing: no pip")
    whole = json.loads(json.dumps(measured.as_dict()))
    rows = {row["what"]: row for row in whole["rows"]}
    assert (whole["lab"], whole["nodes"], whole["rounds"]) == ("trio", 3, 2)
    assert rows["vagrant up"] == {
        "peer": "vagrant",
        "what": "vagrant up",
        "seconds": [80.0],
        "command_seconds": [81.0],
        "median_s": 80.0,
        "times_cold": 2.0,
        "times_from_snapshot": None,
        "failed": "",
    }
    assert (rows["kcli create plan"]["median_s"], rows["kcli create plan"]["failed"]) == (
        None,
        "preparing: no pip",
    )


def test_people_get_one_table() -> None:
    measured = bench()
    measured.add(COLD, finish(40.0))
    console = tables.console()
    with console.capture() as captured:
        for part in views.peers_tables(measured):
            console.print(part)
    text = captured.get()
    assert "lab trio: 3 nodes of debian-12, TCG, 2 rounds" in text
    assert "lab.up --cold" in text
    assert "vagrant up" in text
