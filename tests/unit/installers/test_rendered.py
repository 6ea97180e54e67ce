"""Nothing is said of what we render, for any release in any network mode.

A false alarm would cost somebody's trust.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import releases
from stacklab.installers import linting as lint
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.model.stack import Driver, Installer
from tests.unit.installers.contrail.labs import VARIANTS
from tests.unit.installers.devstack import devstack_labs
from tests.unit.installers.kolla import kolla_labs
from tests.unit.installers.opensdn import opensdn_labs
from tests.unit.installers.packstack import packstack_labs

PACKSTACK = releases.of(Installer.PACKSTACK)
KOLLA = releases.of(Installer.KOLLA)
FOUR = "data_network: data\nexternal_network: public\n"


def findings(lab: Lab) -> list[str]:
    return [str(each) for each in lint.lint_lab(lab, answers.preview(lab))]


def every_packstack() -> list[tuple[str, str, str, int]]:
    """Release, mode, driver and how many nodes; docker is one node's."""
    return [
        (name, mode, driver, nodes)
        for name, row in PACKSTACK.items()
        for mode in row.network_modes
        for driver in row.drivers
        for nodes in (1, 3)
        if driver != Driver.DOCKER or (nodes == 1 and mode in row.words("docker_network_modes"))
    ]


@pytest.mark.parametrize(("release", "mode", "driver", "nodes"), every_packstack())
@pytest.mark.parametrize("networks", ["", FOUR], ids=["plain", "networks"])
def test_packstacks(
    tmp_path: Path, release: str, mode: str, driver: str, nodes: int, networks: str
) -> None:
    stack = f"{networks}network_mode: {mode}\n" + (
        f"driver: {driver}\n" if driver != Driver.LIBVIRT else ""
    )
    computes = packstack_labs.COMPUTES if nodes == 3 else ""
    assert findings(packstack_labs.load(tmp_path, stack, release=release, nodes=computes)) == []


@pytest.mark.parametrize(("release", "mode"), devstack_labs.every_mode())
def test_devstacks(tmp_path: Path, release: str, mode: str) -> None:
    assert findings(devstack_labs.load(tmp_path, release=release, network_mode=mode)) == []


@pytest.mark.parametrize(
    ("release", "mode"), [(name, mode) for name, row in KOLLA.items() for mode in row.network_modes]
)
def test_kollas(tmp_path: Path, release: str, mode: str) -> None:
    assert findings(kolla_labs.load(tmp_path, release=release, network_mode=mode)) == []


@pytest.mark.parametrize("release", releases.of(Installer.OPENSDN))
def test_opensdns(release: str) -> None:
    assert findings(opensdn_labs.plain(release)) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_contrails(variant: str) -> None:
    assert findings(VARIANTS[variant]) == []


@pytest.mark.parametrize("release", PACKSTACK)
def test_a_rendered_answer_file_tells_its_release_by_its_keys(tmp_path: Path, release: str) -> None:
    lab = packstack_labs.load(tmp_path, release=release)
    path = tmp_path / "answers.txt"
    path.write_text(packstack_labs.render(lab)[packstack_labs.ANSWERS])
    assert [str(each) for each in lint.lint_files([path])] == []
