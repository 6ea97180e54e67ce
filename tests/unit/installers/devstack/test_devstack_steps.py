"""What is done with DevStack's answers, in which order, on which node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacklab import releases
from stacklab.installers import rendering as answers
from stacklab.installers.devstack.answers import steps as devstack_steps
from stacklab.installers.rendering import Step
from stacklab.model.lab import NodeKind
from stacklab.model.stack import Installer
from tests.unit.installers.devstack import devstack_labs as labs


def steps(tmp_path: Path, **stack: Any) -> list[Step]:  # noqa: ANN401
    return list(answers.steps(labs.load(tmp_path, **stack)))


def titles(found: list[Step], node: str) -> list[str]:
    return [step.title for step in found if step.node == node]


def test_the_controller_is_stacked_whole_before_any_compute(tmp_path: Path) -> None:
    found = [step.node for step in steps(tmp_path) if step.title == "run stack.sh"]
    assert found == ["controller", "compute1", "compute2"]


def test_computes_are_discovered_at_the_end_since_ocata(tmp_path: Path) -> None:
    last = steps(tmp_path, release="ocata")[-1]
    assert (last.node, last.command) == (
        "controller",
        "cd /opt/stack/devstack && ./tools/discover_hosts.sh",
    )
    assert "discover" not in str(steps(tmp_path, release="newton"))
    assert "discover" not in str(steps(tmp_path, computes=0))  # stack.sh itself does it there


def test_devstack_is_cloned_at_what_exists_today_or_at_the_specs_ref(tmp_path: Path) -> None:
    found = steps(tmp_path, release="mitaka")
    assert found[0].title == "install git"
    assert (
        "fetch -q --depth 1 https://opendev.org/openstack/devstack mitaka-eol" in found[1].command
    )
    change = steps(tmp_path, refs={"devstack": "refs/changes/1/2/3"})[1]
    assert " refs/changes/1/2/3 " in change.command


@pytest.mark.parametrize("base", ["https://git.example/mirror", "https://git.example/mirror/"])
def test_devstack_itself_comes_from_the_specs_git_base_too(tmp_path: Path, base: str) -> None:
    # Otherwise an offline lab ends at its first step.
    found = steps(tmp_path, release="liberty", driver="docker", git_base=base)
    urls = {
        word
        for step in found
        if step.title.startswith("clone ")
        for word in step.command.split()
        if "://" in word
    }
    assert urls == {
        "https://git.example/mirror/openstack/devstack",
        "https://git.example/mirror/x/nova-docker",
    }
    assert "GIT_BASE=https://git.example/mirror\n" in labs.rendered(tmp_path, git_base=base)


def get_pip(found: list[Step], node: str = "compute1") -> list[Step]:
    return [
        step for step in found if step.node == node and step.title.startswith("work around get-pip")
    ]


@pytest.mark.parametrize(
    ("release", "version", "cap"),
    [
        ("havana", "2.6", False),
        ("kilo", "2.6", False),
        ("liberty", "2.7", True),
        ("mitaka", "2.7", True),
    ],
)
def test_an_old_get_pip_is_put_between_the_clone_and_stack_sh(
    tmp_path: Path, release: str, version: str, *, cap: bool
) -> None:
    # install_pip.sh names today's URL itself, which ends at Python 2.7; a file that is there it
    # takes as it is.
    found = steps(tmp_path, release=release)
    (step,) = get_pip(found)
    names = titles(found, "compute1")
    assert names.index(
        f"clone devstack at {releases.find(Installer.DEVSTACK, release).ref}"
    ) < names.index(step.title)
    assert names.index(step.title) < names.index("run stack.sh")
    assert step.user == "stack"  # root's file could not be replaced
    assert step.command.startswith("cd /opt/stack/devstack && ")
    assert f"-o files/get-pip.py https://bootstrap.pypa.io/pip/{version}/get-pip.py" in step.command
    # pip 20 would be taken for a pip 2, which is too old.
    assert ("echo 'pip<10' > tools/cap-pip.txt" in step.command) is cap


@pytest.mark.parametrize(
    ("release", "version"),
    [("newton", "2.7"), ("ocata", "2.7"), ("victoria", "3.8"), ("pike", ""), ("wallaby", "")],
)
def test_a_get_pip_that_a_variable_names_is_named(
    tmp_path: Path, release: str, version: str
) -> None:
    found = labs.values(labs.rendered(tmp_path, "compute1", release=release)).get(
        "PIP_GET_PIP_URL", ""
    )
    assert found == (f"https://bootstrap.pypa.io/pip/{version}/get-pip.py" if version else "")
    assert bool(get_pip(steps(tmp_path, release=release))) is (
        release == "newton"
    )  # its cap of pip


@pytest.mark.parametrize("kind", NodeKind)
def test_a_node_is_unstacked_before_stack_sh_runs_over_it_again(
    tmp_path: Path, kind: NodeKind
) -> None:
    """Neutron answers 503 to the first network of a stack.sh over a cloud that runs."""
    lab = labs.load(tmp_path).all_as(kind)
    for stage in devstack_steps.stages(lab):
        if stage.name.startswith("stack@"):
            found = [step.title for step in stage.steps]
            assert found[0] == "stop what stack.sh has started before"
            assert found[-1] == "run stack.sh"
            # unstack.sh stops Open vSwitch, and forgets how OVN makes its bridge.
            is_prepared = "prepare the container for what expects a machine" in found[1:-1]
            assert is_prepared is (kind is NodeKind.CONTAINER)
            assert stage.steps[0].done.startswith("test ! -e /opt/stack/devstack/.stackenv || ")


def named(listed: list[Step]) -> dict[str, str]:
    """Return the command by which each node gives its nova-compute a UUID."""
    title = "give nova-compute a UUID that outlives stack.sh"
    return {step.node: step.command for step in listed if step.title == title}


def test_a_compute_that_is_stacked_again_has_the_uuid_of_before(tmp_path: Path) -> None:
    """With another one, nova-compute ends: its name is taken by the record of before."""
    first, again = named(steps(tmp_path)), named(steps(tmp_path))
    assert first == again
    assert set(first) == {"compute1", "compute2"}
    assert first["compute1"] != first["compute2"]


@pytest.mark.parametrize(
    ("release", "is_named"),
    [("yoga", False), ("zed", False), ("xena", False), ("2023.1", True), ("2024.1", True)],
)
def test_nova_reads_that_uuid_since_2023_1(tmp_path: Path, release: str, is_named: bool) -> None:
    assert bool(named(steps(tmp_path, release=release))) is is_named


def test_fake_computes_keep_their_own(tmp_path: Path) -> None:
    assert not named(steps(tmp_path, driver="fake"))


def looks(listed: list[Step]) -> list[Step]:
    return [step for step in listed if step.title == "see that no service has ended"]


def test_at_the_end_each_node_is_asked_for_services_that_have_ended(tmp_path: Path) -> None:
    """A nova-compute ended after its stack.sh was content, and nothing said so."""
    listed = steps(tmp_path)
    assert [step.node for step in looks(listed)] == ["controller", "compute1", "compute2"]
    assert listed[-3:] == looks(listed)
    assert looks(steps(tmp_path, release="queens"))
    # Before, they run in screen.
    assert not looks(steps(tmp_path, release="pike"))


def test_nobody_stacks_as_root(tmp_path: Path) -> None:
    # stack.sh refuses to.
    assert {step.user for step in steps(tmp_path) if "stack.sh" in step.command} == {"stack"}


def test_a_stacked_node_is_known_by_the_summary_of_the_last_run(tmp_path: Path) -> None:
    """By its stage alone: a step with a test of its own would not run again when it is asked to."""
    lab = labs.load(tmp_path)
    stacked = [stage for stage in devstack_steps.stages(lab) if stage.name.startswith("stack@")]
    assert {stage.done for stage in stacked} == {
        "grep -qs 'stack.sh completed' /opt/stack/logs/stack.sh.log.summary"
    }
    runs = [step for stage in stacked for step in stage.steps if step.title == "run stack.sh"]
    assert {step.done for step in runs} == {""}


def test_nova_docker_is_copied_by_hand_and_never_by_its_own_script(tmp_path: Path) -> None:
    found = steps(tmp_path, release="liberty", driver="docker")
    assert "prepare_devstack" not in str(found)
    of_compute = titles(found, "compute1")
    assert "give DevStack nova-docker's hypervisor-docker" in of_compute
    assert "give DevStack nova-docker's 70-docker.sh" in of_compute
    assert of_compute.index("clone nova-docker at stable/liberty") < of_compute.index(
        "run stack.sh"
    )


def test_nova_docker_of_mitaka_still_needs_its_hypervisor_file(tmp_path: Path) -> None:
    # lib/nova sources lib/nova_plugins/hypervisor-$VIRT_DRIVER if it is there, and says nothing if
    # not.
    found = titles(steps(tmp_path, release="mitaka", driver="docker"), "compute1")
    assert "give DevStack nova-docker's hypervisor-docker" in found
    assert "give DevStack nova-docker's 70-docker.sh" not in found


def test_a_ref_of_nova_docker_is_honoured(tmp_path: Path) -> None:
    for release in ("liberty", "mitaka"):
        found = steps(
            tmp_path, release=release, driver="docker", refs={"nova-docker": "refs/changes/4/5/6"}
        )
        assert "clone nova-docker at refs/changes/4/5/6" in titles(found, "compute1")


def test_havanas_own_docker_is_installed_before_stack_sh(tmp_path: Path) -> None:
    found = titles(steps(tmp_path, release="havana", driver="docker"), "compute1")
    assert found.index("install docker and its images") < found.index("run stack.sh")


def test_computes_see_glances_images_before_their_nova_starts(tmp_path: Path) -> None:
    found = steps(tmp_path, release="mitaka", glance={"direct_copy": "true"})
    shared = next(
        i for i, step in enumerate(found) if step.title == "share glance's images with the computes"
    )
    seen = next(i for i, step in enumerate(found) if step.title.startswith("see glance's images"))
    stacked = [i for i, step in enumerate(found) if step.title == "run stack.sh"]
    assert stacked[0] < shared < seen < stacked[1]
    assert "10.170.0.11:/opt/stack/data/glance" in found[seen].command
    assert "glance" not in str(
        steps(tmp_path, release="mitaka", computes=0, glance={"direct_copy": "true"})
    )


def test_the_external_nic_is_given_to_br_ex_by_hand_before_newton(tmp_path: Path) -> None:
    wanted = {"network_mode": "ovs", "external_network": "outside"}
    found = [
        step for step in steps(tmp_path, release="mitaka", **wanted) if "br-ex" in step.command
    ]
    assert [(step.node, step.user) for step in found] == [("controller", "root")]
    assert "add-port br-ex eth2" in found[0].command
    assert "br-ex" not in str(steps(tmp_path, release="newton", **wanted))


def test_icehouse_makes_back_ends_without_their_volume_types(tmp_path: Path) -> None:
    found = steps(tmp_path, release="icehouse", volume_types=["fast", "bronze"])
    assert [
        step.command.partition("cinder ")[2] for step in found if "volume type" in step.title
    ] == [
        "type-create fast && cinder type-key fast set volume_backend_name=LVM_iSCSI",
        "type-create bronze && cinder type-key bronze set volume_backend_name=LVM_iSCSI_2",
    ]
    assert "volume type" not in str(steps(tmp_path, volume_types=["fast"]))


@pytest.mark.parametrize(("release", "driver"), labs.every_driver())
def test_no_step_names_a_secret(tmp_path: Path, release: str, driver: str) -> None:
    text = str(steps(tmp_path, release=release, driver=driver))
    assert not any(secret in text for secret in labs.SECRETS.values())
    assert "PASSWORD" not in text
