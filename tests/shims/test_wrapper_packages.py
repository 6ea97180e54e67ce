"""./invoke on machines that lack packages: what is installed, by whom, for which task."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stacklab.cli.tab.candidates import SHELLS
from stacklab.paths.project import PROJECT
from tests.shims.wrapper_world import DNF, FOR_TESTS, PYTHON, World


def test_missing_packages_are_named_and_then_installed(world: World) -> None:
    world.lacks("packer", "fping")
    world.note("no-venv-module")
    done = world.invoke("x")
    assert done.returncode == 0, done.stderr
    assert "about to install with apt-get: fping packer python3-venv\n" in done.stderr
    assert f"installing 3 packages (log: {world.checkout}/reports/setup.log)" in done.stderr
    update, install = world.calls_of("apt-get")
    assert update.endswith(" update")
    assert install.endswith(" install --no-install-recommends fping packer python3-venv")
    assert not world.calls_of("sudo")


def test_who_is_not_root_installs_by_sudo(world: World) -> None:
    world.lacks("packer")
    world.is_used_by(1000)
    done = world.invoke("x")
    assert done.returncode == 0, done.stderr
    assert "by sudo, which may ask for your password" in done.stderr
    assert [call.split()[:2] for call in world.calls_of("sudo")] == [
        ["sudo", "apt-get"],
        ["sudo", "env"],
    ]


def test_neither_root_nor_sudo_is_told_what_root_must_type(world: World) -> None:
    world.lacks("packer", "sudo")
    world.is_used_by(1000)
    done = world.invoke("x")
    assert done.returncode == 3
    assert "neither root nor is there sudo: packer" in done.stderr
    assert "next: as root: apt-get install packer" in done.stderr
    assert not world.calls


def test_a_checkout_that_cannot_be_written_to_is_told_in_a_sentence(world: World) -> None:
    (world.checkout / "reports").write_text("in the way")
    done = world.invoke("x")
    assert (done.returncode, world.calls) == (3, [])
    assert f"cannot write {world.checkout}/reports/setup.log" in done.stderr


def test_no_install_reports_what_is_missing_and_touches_nothing(world: World) -> None:
    world.lacks("packer", "gcc")
    done = world.invoke("x", STACKLAB_NO_INSTALL="1")
    assert done.returncode == 3
    assert "missing system packages: gcc packer\n" in done.stderr
    assert "next: apt-get install gcc packer\n" in done.stderr
    assert not world.calls
    assert not (world.checkout / "reports").exists()


def test_no_install_makes_no_venv_either(world: World) -> None:
    done = world.invoke("x", STACKLAB_NO_INSTALL="1")
    assert (done.returncode, world.calls) == (3, [])
    assert ".venv was not made" in done.stderr


def test_no_install_runs_as_usual_when_nothing_is_missing(world: World) -> None:
    world.invoke()
    assert world.invoke("x", STACKLAB_NO_INSTALL="1").returncode == 0


def test_a_compiler_is_asked_for_only_while_the_venv_is_made(world: World) -> None:
    world.invoke()
    world.lacks("gcc")
    assert world.invoke("x").returncode == 0
    assert not world.calls_of("apt-get")


def test_a_failing_apt_get_shows_the_logs_end_and_stops(world: World) -> None:
    world.lacks("packer")
    world.note("apt-fails")
    done = world.invoke("x")
    assert done.returncode == 3
    assert "reading package lists: failed with 100" in done.stderr
    assert "  | E: Unable to fetch some archives" in done.stderr
    assert not world.calls_of("venv")


def test_what_apt_does_not_have_is_named_after_the_rest_is_installed(world: World) -> None:
    world.lacks("fping")
    (world.bin / "packer").unlink()
    world.note("not-packaged", "packer\n")
    done = world.invoke("x")
    assert done.returncode == 3
    assert world.calls_of("apt-get")[-1].endswith("--no-install-recommends fping")
    assert "not to be had from apt-get here: packer\n" in done.stderr
    assert "install that by hand" in done.stderr


def test_fedora_gets_its_own_package_names_and_a_line_for_the_rest(world: World) -> None:
    world.lacks("virsh", "ssh")
    for name in ("apt-get", "packer"):
        (world.bin / name).unlink()
    world.put("dnf", DNF)
    done = world.invoke("x")
    assert done.returncode == 3
    assert world.calls == [
        "dnf -y --setopt=install_weak_deps=False install libvirt-client openssh-clients"
    ]
    assert "not to be had from dnf here: packer\n" in done.stderr


def test_another_distribution_is_told_what_to_install(world: World) -> None:
    for name in ("apt-get", "packer"):
        (world.bin / name).unlink()
    done = world.invoke("x")
    assert done.returncode == 3
    assert "missing: packer; neither apt-get nor dnf is here" in done.stderr


def test_an_old_python_is_told_before_anything_is_installed(world: World) -> None:
    world.lacks("packer")
    done = world.invoke("x", FAKE_PYTHON="3.9.2")
    assert done.returncode == 3
    assert "Python 3.11 or newer is needed; Python 3.9.2 is all there is" in done.stderr
    assert not world.calls


def test_a_newer_python_beside_an_old_one_is_used(world: World) -> None:
    world.put("python3.12", PYTHON)
    world.put("python3", '#!/bin/sh\necho "Python 3.9.2"\nexit 1\n')
    assert world.invoke("x").returncode == 0


def test_what_is_only_wished_for_comes_with_the_venv_and_never_alone(world: World) -> None:
    world.lacks("setfacl")
    done = world.invoke("x")
    assert done.returncode == 0, done.stderr
    assert "about to install with apt-get: acl\n" in done.stderr
    world.lacks("setfacl")
    done = world.invoke("x")
    assert (done.returncode, "install" in done.stderr) == (0, False)
    world.lacks("packer")
    assert "about to install with apt-get: acl packer\n" in world.invoke("x").stderr


def test_what_is_only_wished_for_stops_nobody(world: World) -> None:
    world.lacks("setfacl", "sudo")
    world.is_used_by(1000)
    assert world.invoke("x").returncode == 0
    world.lacks("packer")
    done = world.invoke("x")
    assert "neither root nor is there sudo: packer\n" in done.stderr
    world.is_used_by(0)
    world.note("not-packaged", "acl\n")
    done = world.invoke("x")
    assert (done.returncode, "not to be had" in done.stderr) == (0, False)


@pytest.mark.parametrize("ci", ["", "true"])
def test_what_tests_need_is_installed_when_they_are_asked_for(world: World, ci: str) -> None:
    world.can_get_what_tests_need()
    done = world.invoke("test", "--no-live", CI=ci)
    assert done.returncode == 0, done.stderr
    packages = " ".join(sorted(FOR_TESTS.values()))
    assert f"about to install with apt-get: {packages}\n" in done.stderr
    assert world.calls_of("apt-get")[-1].endswith(f"--no-install-recommends {packages}")


def test_what_consumers_tests_need_takes_no_browser(world: World) -> None:
    world.can_get_what_tests_need()
    assert world.invoke("test.consumers").returncode == 0
    assert world.calls_of("apt-get")[-1].endswith("--no-install-recommends bash git")


@pytest.mark.parametrize(
    "words",
    [
        ["lab.up", "mini-2node"],
        ["lab.exec", "mini-2node", "--", "test"],
        ["lab.check", "test"],
        ["lint"],
        ["--help", "test"],
        ["test", "--help"],
        ["-h", "test"],
        [],
    ],
    ids=" ".join,
)
def test_no_other_task_installs_what_tests_need(world: World, words: list[str]) -> None:
    world.can_get_what_tests_need()
    assert world.invoke(*words, CI="true").returncode == 0
    assert not world.calls_of("apt-get")


def lab_file(world: World, name: str, text: str) -> None:
    (world.checkout / "labs").mkdir(exist_ok=True)
    (world.checkout / "labs" / f"{name}.yaml").write_text(text)


VMS = "kind: vm # not a container\nnodes:\n  a: {}\n"
MIXED = "nodes:\n  a:\n    kind: container # as the second\n  b: {}"
CONTAINERS = "kind: container"  # without a newline at its end
WHAT_CONTAINERS_NEED = ("systemd-nspawn", "blkid", "nsenter", "unshare", "ethtool")


@pytest.mark.parametrize(
    "words",
    [
        ["lab.up", "vms", "--as", "containers"],
        ["lab.up", "--as=containers", "vms"],
        ["lab.up", "vms", "--as", "container"],
        ["lab.rebuild", "vms", "--as=container"],
        ["bench.up", "--as", "containers"],
        ["lab.up", "mixed"],
        ["-e", "lab.up", "--ttl", "2h", "mixed"],
        ["lab.rebuild", "containers", "--no-checks"],
        ["lab.validate", "lab.up", "containers"],
    ],
    ids=" ".join,
)
def test_what_containers_need_is_installed_when_a_lab_has_them(
    world: World, words: list[str]
) -> None:
    for name, text in (("vms", VMS), ("mixed", MIXED), ("containers", CONTAINERS)):
        lab_file(world, name, text)
    world.put("systemd-nspawn")
    world.lacks(*WHAT_CONTAINERS_NEED)
    done = world.invoke(*words)
    assert done.returncode == 0, done.stderr
    assert "about to install with apt-get: ethtool systemd-container util-linux\n" in done.stderr


@pytest.mark.parametrize("word", ["other", "mine", "DIR/other.yaml", "DIR/mine.yml"])
def test_labs_elsewhere_are_asked_for_containers_too(
    world: World, tmp_path: Path, word: str
) -> None:
    (tmp_path / "mine.yml").write_text(CONTAINERS)
    (tmp_path / "other.yaml").write_text(VMS)
    world.put("systemd-nspawn")
    world.lacks(*WHAT_CONTAINERS_NEED)
    path = word.replace("DIR", str(tmp_path))
    done = world.invoke("lab.up", path, STACKLAB_LABS=f"/nosuch:{tmp_path}")
    assert done.returncode == 0, done.stderr
    assert ("systemd-container" in done.stderr) is ("mine" in word)


@pytest.mark.parametrize(
    "words",
    [
        ["lab.up", "vms"],
        ["lab.up", "vms", "--as", "vms"],
        ["lab.up", "nosuch"],
        ["lab.up", "../labs"],
        ["lab.status", "containers"],
        ["lab.exec", "vms", "--", "run", "--as", "containers"],
        ["lab.exec", "vms", "--", "lab.up", "containers"],
        ["lab.up", "containers", "--help"],
        ["lint"],
        [],
    ],
    ids=" ".join,
)
def test_no_other_task_installs_what_containers_need(world: World, words: list[str]) -> None:
    lab_file(world, "vms", VMS)
    lab_file(world, "containers", CONTAINERS)
    world.lacks("blkid", "nsenter", "unshare", "ethtool")
    assert world.invoke(*words).returncode == 0
    assert not world.calls_of("apt-get")


@pytest.mark.parametrize("tool", WHAT_CONTAINERS_NEED)
def test_each_program_that_containers_need_is_asked_for(world: World, tool: str) -> None:
    world.put("systemd-nspawn")
    world.lacks(tool)
    assert world.invoke("lab.up", "vms", "--as", "containers").returncode == 0
    assert len(world.calls_of("apt-get")) == 2


def test_what_containers_need_has_its_names_on_fedora(world: World) -> None:
    (world.bin / "apt-get").unlink()
    world.put("dnf", DNF)
    world.put("systemd-nspawn")
    world.lacks("systemd-nspawn")
    assert world.invoke("lab.up", "vms", "--as", "containers").returncode == 0
    assert world.calls_of("dnf") == [
        "dnf -y --setopt=install_weak_deps=False install systemd-container"
    ]


def test_options_before_the_task_do_not_hide_it(world: World) -> None:
    world.can_get_what_tests_need()
    assert world.invoke("-e", "test").returncode == 0
    assert world.calls_of("apt-get")


@pytest.mark.parametrize("ci", ["", "true"])
def test_no_install_tells_what_tests_need(world: World, ci: str) -> None:
    world.invoke()
    calls = world.calls
    done = world.invoke("test", STACKLAB_NO_INSTALL="1", CI=ci)
    assert done.returncode == 3
    packages = " ".join(sorted(FOR_TESTS.values()))
    assert f"missing system packages: {packages}\n" in done.stderr
    assert world.calls == calls


def test_a_machine_that_has_all_installs_nothing_for_tests(world: World) -> None:
    for tool in FOR_TESTS:
        world.put(tool)
    assert world.invoke("test").returncode == 0
    assert not world.calls_of("apt-get")


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "google-chrome"])
def test_any_chromium_will_do(world: World, browser: str) -> None:
    for tool in (*FOR_TESTS, browser):
        if tool != "chromium" or tool == browser:
            world.put(tool)
    assert world.invoke("test").returncode == 0
    assert not world.calls_of("apt-get")


def programs_that_tests_ask_for() -> set[str]:
    """Find what is looked up by `shutil.which`, or stands in a tuple PROGRAMS, in all tests.

    The shells of the completion's tests are looked up by a variable.
    """
    names = set(SHELLS)
    for path in (PROJECT / "tests").rglob("*.py"):
        text = path.read_text()
        names.update(re.findall(r"""which\(["']([\w.+-]+)["']\)""", text))
        for programs in re.findall(r"^PROGRAMS = \(([^)]*)\)", text, re.MULTILINE):
            names.update(re.findall(r'"([\w.+-]+)"', programs))
    return names


def test_every_program_without_which_a_test_is_skipped_is_in_the_wrappers_tables() -> None:
    # Of packages that are in the tables for another program, or on every Linux machine.
    siblings = {"bridge", "ss", "iptables-save", "python3", "sh", "sed", "timeout"}
    needs = (PROJECT / "invoke").read_text()
    asked = programs_that_tests_ask_for() - siblings - {"chromium", "chromium-browser"}
    assert "dot" in asked
    assert {name for name in asked if not re.search(rf"^{re.escape(name)} ", needs, re.M)} == set()
