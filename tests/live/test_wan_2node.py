"""A lab whose network is bad by declaration: its impairments are made, measured and mended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.labs import WAN
from tests.live.remains import left_of
from tests.live.typed import Run, Stacklab, flat

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def wan(stacklab: Stacklab, image: Path) -> Iterator[Run]:
    assert image.is_file()
    yield stacklab.ok("lab.up", WAN)
    stacklab.ok("lab.destroy", WAN)
    assert left_of(WAN) == []


def test_declared_impairments_are_made_and_measured(
    stacklab: Stacklab, wan: Run, tmp_path: Path
) -> None:
    path = tmp_path / "c.json"
    stacklab.check(WAN, "--json", str(path))
    checks = json.loads(path.read_text())["checks"]
    details = {
        (each["node"], each["kind"]): each["detail"]
        for each in checks
        if each["layer"] == "impairments"
    }
    assert len(details) == 6
    assert re.match(r"4\d\.\d ms there and back", details["west", "delay"])
    assert re.search(r"of \d{3,} pings lost, 1\.99 % declared", details["east", "loss"])
    assert "2 Mbit/s declared" in details["east", "rate"]
    assert sum(each["layer"] == "custom" for each in checks) == 6


def test_an_impairment_that_is_gone_is_found_and_put_right(stacklab: Stacklab, wan: Run) -> None:
    stacklab.on(WAN, "west", "sudo tc qdisc del dev eth1 root")
    run = stacklab.run("lab.check", WAN, "--wait", "0")
    assert run.code == 5
    assert "west eth1 -> east 10.162.0.12 (wan): rate" in flat(run.out)
    assert f"./invoke lab.up {WAN} puts it right" in flat(run.out)
    assert "failed east eth1 -> west 10.162.0.11 (wan): rate" not in flat(run.out), (
        "east's own NIC is as declared"
    )
    stacklab.ok("lab.up", WAN)
    stacklab.check(WAN, "--layer", "impairments")
