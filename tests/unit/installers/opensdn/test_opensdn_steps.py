from __future__ import annotations

from dataclasses import replace

import pytest

from stacklab.installers import rendering as answers
from stacklab.installers.rendering import Step
from stacklab.model.lab import Lab
from tests.unit.installers.opensdn.opensdn_labs import (
    SECRETS,
    plain,
    shipped,
)


class TestSteps:
    def test_vanilla_is_finished_after_opensdn(self) -> None:
        assert _playbooks(shipped()) == [
            "configure_instances",
            "install_vanilla_openstack",
            "install_opensdn",
            "config_openstack",
        ]

    def test_patched_has_three_playbooks_and_r24_1_the_older_name(self) -> None:
        assert _playbooks(plain("R24.1")) == [
            "configure_instances",
            "install_openstack",
            "install_contrail",
        ]

    def test_each_playbook_reads_our_file_with_host_keys_checked(self) -> None:
        for step in _steps(shipped(), "ansible-playbook -e"):
            assert (
                "-e orchestrator=openstack -e config_file=/opt/stack/opensdn/instances.yaml"
                in step.command
            )
            assert "ANSIBLE_HOST_KEY_CHECKING=True" in step.command
            assert " -i " not in step.command
            assert step.user == "stack"

    def test_a_playbook_is_done_with_these_answers_alone(self) -> None:
        for step in _steps(shipped(), "ansible-playbook -e"):
            assert step.done.startswith("sha256sum --status -c /opt/stack/opensdn/")
            assert step.command.endswith(step.done.split()[-1])

    @pytest.mark.parametrize(
        ("name", "package"), [("R26.1", "ansible>=9,<10"), ("R25.1", "ansible>=4,<6")]
    )
    def test_ansible_is_of_openstacks_time(self, name: str, package: str) -> None:
        step = _steps(plain(name), "-m venv")[0]
        assert f"'{package}'" in step.command

    def test_all_is_done_on_the_deployer(self) -> None:
        assert {step.node for step in answers.steps(shipped())} == {"controller"}

    def test_a_vanilla_clone_is_mended_and_a_patched_one_left_alone(self) -> None:
        assert [step.title for step in _steps(shipped(), "sed -i")] == [
            "log neutron's plugin in with the lab's password",
            "leave neutron's passwords as they are",
            "pass over the services of nova that a node has not",
        ]
        assert not _steps(plain("R25.1"), "sed -i")
        vanilla = replace(plain("R25.1", kolla_mode="vanilla"), images=("ubuntu-22.04",))
        assert len(_steps(vanilla, "sed -i")) == 2  # R25.1's nova script has no loop

    def test_no_step_holds_a_secret_and_each_is_one_line(self) -> None:
        for step in answers.steps(shipped()):
            assert "\n" not in step.command + step.done
            assert not [value for value in SECRETS.values() if value in step.command]


def _steps(lab: Lab, part: str) -> list[Step]:
    return [step for step in answers.steps(lab) if part in step.command]


def _playbooks(lab: Lab) -> list[str]:
    return [
        step.command.partition("playbooks/")[2].partition(".yml")[0]
        for step in _steps(lab, "ansible-playbook -e")
    ]
