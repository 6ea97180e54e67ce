from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import releases
from stacklab.installers import rendering as answers
from stacklab.installers.rendering import Step
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from tests.unit.installers.kolla.kolla_labs import FOUR, load

CONTROLLER = ("mgmt", "fabric", "external")


def _with(lab: Lab, words: str) -> Step:
    found = [step for step in answers.steps(lab) if words in step.title or words in step.command]
    assert found, f"no step with {words!r}"
    return found[0]


def test_the_deployer_does_kollas_verbs_in_their_order(tmp_path: Path) -> None:
    steps = answers.steps(load(tmp_path))
    verbs = [
        step.title.removeprefix("kolla-ansible ")
        for step in steps
        if step.title.startswith("kolla-ansible ")
    ]
    assert verbs == ["install-deps", "bootstrap-servers", "prechecks", "deploy", "post-deploy"]
    assert {step.node for step in steps if "kolla" in step.command} == {"controller"}
    for step in steps:
        if step.title.removeprefix("kolla-ansible ") in verbs[1:]:
            # The verb goes before -i since 2024.2; the directory holds our file and the services'
            # groups.
            assert step.command.endswith(f"{step.title} -i /etc/kolla/inventory")


@pytest.mark.parametrize("release", releases.of(Installer.KOLLA))
def test_kolla_and_ansible_are_those_of_the_release(tmp_path: Path, release: str) -> None:
    command = _with(load(tmp_path, release=release), "-m venv").command
    row = releases.find(Installer.KOLLA, release)
    assert f"'ansible-core{row.text('ansible_core')}'" in command
    assert row.text("package") in command


def test_a_change_under_review_is_cloned_by_a_step_since_ansibles_git_can_not(
    tmp_path: Path,
) -> None:
    lab = load(tmp_path, refs={"nova": "refs/changes/12/345612/3", "keystone": "master"})
    steps = [step for step in answers.steps(lab) if "refs/changes" in step.command]
    assert [(step.node, step.user) for step in steps] == [
        ("controller", "root"),
        ("compute1", "root"),
        ("compute2", "root"),
    ]
    assert "https://opendev.org/openstack/nova refs/changes/12/345612/3" in steps[0].command
    assert "/opt/stack/nova checkout -q -B change-12-345612-3 FETCH_HEAD" in steps[0].command
    titles = [step.title for step in answers.steps(lab)]
    assert titles.index(steps[0].title) < titles.index(
        "kolla-ansible deploy"
    )  # which leaves a clone alone


def test_the_external_nic_loses_its_address(tmp_path: Path) -> None:
    lab = load(tmp_path, networks=FOUR, external_network="external", controller_nics=CONTROLLER)
    step = _with(lab, "take the address off")
    assert (step.node, step.user) == ("controller", "root")
    # Anew, not only --now: the unit may run already, for another device.
    assert step.command.endswith(
        "enable stacklab-external.service && systemctl restart stacklab-external.service"
    )
    assert step.done.endswith("! ip -4 -o address show dev eth2 | grep -q inet")


@pytest.mark.parametrize(
    ("stack", "wanted"),
    [
        ({}, "EXT_NET_RANGE=start=10.250.2.224,end=10.250.2.254"),
        (
            {"floating_range": "10.250.2.240/28"},
            "EXT_NET_RANGE=start=10.250.2.241,end=10.250.2.254",
        ),
        (
            {"fixed_range": "10.9.0.0/16"},
            "DEMO_NET_CIDR=10.9.0.0/16 DEMO_NET_GATEWAY=10.9.0.1 "
            "EXT_NET_CIDR=10.250.2.0/24 EXT_NET_GATEWAY=10.250.2.1 ",
        ),
    ],
)
def test_the_first_networks_are_those_of_the_spec(
    tmp_path: Path, stack: dict[str, object], wanted: str
) -> None:
    lab = load(
        tmp_path, networks=FOUR, external_network="external", controller_nics=CONTROLLER, **stack
    )
    assert wanted in _with(lab, "/init-runonce").command


def test_without_an_external_network_there_is_none_in_the_cloud(tmp_path: Path) -> None:
    command = _with(load(tmp_path), "/init-runonce").command
    assert "ENABLE_EXT_NET=0" in command
    assert "DEMO_NET_CIDR=10.0.0.0/24" in command


def test_a_verb_is_judged_by_its_exit_code_since_half_of_it_leaves_files_too(
    tmp_path: Path,
) -> None:
    steps = answers.steps(load(tmp_path))
    verbs = [step for step in steps if step.title.startswith("kolla-ansible ")]
    assert [step.done for step in verbs] == [""] * 5


def test_prechecks_are_a_stage_between_bootstrap_and_deploy(tmp_path: Path) -> None:
    stages = {stage.name: stage for stage in answers.stages(load(tmp_path))}
    assert stages["prechecks"].after == ("bootstrap",)
    assert stages["deploy"].after == ("prechecks",)
    assert [step.title for step in stages["prechecks"].steps] == ["kolla-ansible prechecks"]


class TestInitRunonce:
    """It makes an image first, a flavor last, and does nothing where it finds the image."""

    def test_the_image_by_which_it_is_found_goes_last(self, tmp_path: Path) -> None:
        undo = _with(load(tmp_path), "broke off")
        assert undo.command.endswith("openstack image delete cirros")
        titles = [step.title for step in answers.steps(load(tmp_path))]
        assert titles[-2:] == [undo.title, "make first networks, an image and flavors"]
