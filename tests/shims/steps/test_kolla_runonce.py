"""When what an init-runonce made has to go, by the client's answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stacklab.installers import rendering as answers
from stacklab.installers.rendering import Step
from stacklab.model.lab import Lab
from tests.unit.installers.kolla.kolla_labs import load


def step_of(lab: Lab, words: str) -> Step:
    return next(step for step in answers.steps(lab) if words in step.title)


@pytest.mark.parametrize(
    ("has", "is_nothing_to_do"),
    [((), True), (("cirros",), False), (("cirros", "m2.tiny"), True)],
)
def test_what_it_made_goes_if_it_broke_off_and_stays_if_it_came_through(
    tmp_path: Path, has: tuple[str, ...], is_nothing_to_do: bool
) -> None:
    client = tmp_path / "openstack"
    client.write_text(f'#!/bin/sh\ncase " {" ".join(has)} " in *" $5 "*) ;; *) exit 1 ;; esac\n')
    client.chmod(0o755)
    done = step_of(load(tmp_path), "broke off").done
    done = done.replace("/opt/stack/kolla-ansible/bin", str(tmp_path))
    run = subprocess.run(("bash", "-c", done), timeout=60, check=False)
    assert (run.returncode == 0) is is_nothing_to_do
