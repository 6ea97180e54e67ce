"""kolla-ansible's inventory beside the globals.yml of the same cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.installers import linting as lint

VIP = "kolla_internal_vip_address: 10.0.5.250\n"
INVENTORY = """[control]
node1
[network]
node1
[compute]
node2
[monitoring]
[storage]
node1
"""


@pytest.mark.parametrize(
    ("settings", "service", "effects"),
    [
        ("", "[prometheus:children]\nmonitoring\n", 0),
        ('enable_prometheus: "yes"\n', "[prometheus:children]\nmonitoring\n", 1),
        ('enable_prometheus: "no"\n', "[prometheus:children]\nmonitoring\n", 0),
        ("enable_grafana: true\n", "[grafana:children]\nmonitoring\n", 1),
        ("enable_prometheus: true\n", "[prometheus:children]\ncontrol\n", 0),
        ("enable_prometheus: true\n", "[prometheus:children]\nprometheus\n", 1),
        ("enable_prometheus: true\n", "", 0),
    ],
    ids=["off", "on", "no", "grafana", "moved", "loop", "services elsewhere"],
)
def test_an_empty_group_is_told_if_globals_want_its_services(
    settings: str, service: str, effects: int, tmp_path: Path
) -> None:
    inventory = tmp_path / "multinode"
    inventory.write_text(INVENTORY + service)
    variables = tmp_path / "globals.yml"
    variables.write_text(f"{VIP}network_interface: eth0\n{settings}")

    def idle(*paths: Path) -> list[lint.Finding]:
        return [each for each in lint.lint_files(paths) if each.rule == "kolla-inventory-idle"]

    assert idle(inventory) == []
    assert len(idle(inventory, variables)) == effects


def test_globals_of_another_cloud_say_nothing_of_an_inventory(tmp_path: Path) -> None:
    for cloud, flag in (("a", "yes"), ("b", "no")):
        (tmp_path / cloud).mkdir()
        (tmp_path / cloud / "globals.yml").write_text(f"{VIP}enable_grafana: {flag}\n")
    inventory = tmp_path / "b" / "multinode"
    inventory.write_text(f"{INVENTORY}[grafana:children]\nmonitoring\n")
    paths = [inventory, tmp_path / "b" / "globals.yml", tmp_path / "a" / "globals.yml"]
    assert [each.rule for each in lint.lint_files(paths) if "idle" in each.rule] == []
