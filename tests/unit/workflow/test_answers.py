from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from stacklab import releases
from stacklab.errors import LabError
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.model.release import Bug
from stacklab.model.stack import NO_MIRRORS, Driver, Installer
from stacklab.process import Command, Result
from stacklab.workflow import answers as workflow
from tests.conftest import FakeRunner
from tests.unit.checks.fake_lab import make_lab as make_plain
from tests.unit.installers.contrail.labs import make_lab
from tests.unit.installers.kolla.kolla_labs import PASSWORDS
from tests.unit.installers.kolla.kolla_labs import load as load_kolla
from tests.unit.nodes import fake_session
from tests.unit.nodes.fake_session import Said
from tests.unit.workflow.fake_host import FakeHost

LOCALRC = PurePosixPath("/opt/stack/devstack/localrc")


@pytest.fixture(autouse=True)
def _no_mirrors_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "host_mirrors", lambda _runner: NO_MIRRORS)


@pytest.fixture
def up(host: FakeHost) -> FakeHost:
    """contrail-3node is up, and its nodes have what was rendered."""
    host.up(make_lab())
    host.runner.on("ssh", answer=holding(host))
    return host


def holding(host: FakeHost, **changed: Callable[[str], str | None]) -> Callable[[Command], Result]:
    """Nodes that hold the rendered files, some of them changed.

    Node name -> what became of DevStack's localrc.
    """

    def answer(command: Command) -> Result:
        node = command.argv[-2]

        def respond(tag: str, shell: str) -> Said:
            if tag == "answers.place":
                return ""
            name = shell.partition("test -e ")[2].split()[0]
            path = host.lab("contrail-3node").answers / node / name.lstrip("/")
            text: str | None = path.read_text()
            if node in changed and name == str(LOCALRC):
                text = changed[node](text or "")
            return ("", 44) if text is None else encoded(text)

        return fake_session.answering(respond)(command)

    return answer


def encoded(text: str) -> str:
    """A file as base64 -w 3000 writes it."""
    whole = base64.b64encode(text.encode()).decode()
    return "\n".join(whole[at : at + 3000] for at in range(0, len(whole), 3000))


def kept(host: FakeHost) -> dict[str, str]:
    return dict(json.loads(host.lab("contrail-3node").secrets.read_text()))


def test_nothing_differs_right_after_up(up: FakeHost) -> None:
    assert workflow.diff(up.context, make_lab()) == ()
    workflow.raise_for_differences("contrail-3node", ())


def test_a_line_that_somebody_changed_on_a_node_is_shown(up: FakeHost) -> None:
    up.runner.on(
        "ssh", answer=holding(up, compute1=lambda text: text.replace("LOGDAYS=1", "LOGDAYS=7"))
    )
    (found,) = workflow.diff(up.context, make_lab())
    assert (found.node, found.path) == ("compute1", LOCALRC)
    assert {"-LOGDAYS=7", "+LOGDAYS=1"} < set(found.lines)
    with pytest.raises(LabError, match="1 file of lab contrail-3node differ") as caught:
        workflow.raise_for_differences("contrail-3node", (found,))
    assert str(caught.value.hint).startswith("./invoke answers.push contrail-3node")


def test_a_change_of_the_spec_is_shown_against_what_the_nodes_have(up: FakeHost) -> None:
    found = workflow.diff(up.context, make_lab("R3.0"))
    assert {difference.node for difference in found} == {"controller", "compute1", "compute2"}
    assert "+CONTRAIL_BRANCH=R3.0" in found[0].lines


def test_a_file_that_is_gone_is_shown_whole(up: FakeHost) -> None:
    up.runner.on("ssh", answer=holding(up, controller=lambda _text: None))
    (found,) = workflow.diff(up.context, make_lab())
    assert found.lines[0].startswith("--- /dev/null")
    assert "+Q_PLUGIN=opencontrail" in found.lines


def test_no_secret_is_shown_neither_todays_nor_the_nodes(up: FakeHost) -> None:
    def other(text: str) -> str:
        return re.sub(r"^(ADMIN_PASSWORD)=.*$", r"\1=Swordfish2026", text, flags=re.M).replace(
            "LOGDAYS=1", "LOGDAYS=7"
        )

    up.runner.on("ssh", answer=holding(up, compute2=other))
    shown = "\n".join(
        line for found in workflow.diff(up.context, make_lab()) for line in found.lines
    )
    assert "LOGDAYS=7" in shown
    assert "Swordfish2026" not in shown
    assert not any(value in shown for value in kept(up).values())


def test_where_only_a_password_differs_that_is_said(up: FakeHost) -> None:
    admin = kept(up)["admin_password"]
    up.runner.on(
        "ssh", answer=holding(up, compute2=lambda text: text.replace(admin, "Swordfish2026"))
    )
    (found,) = workflow.diff(up.context, make_lab())
    assert "only secrets" in found.lines[-1]


def test_a_secret_in_a_form_of_its_own_is_shown_neither_before_nor_on_the_nodes(
    host: FakeHost, tmp_path: Path
) -> None:
    lab = load_kolla(tmp_path)
    text = workflow.preview(lab, FakeRunner())["controller"][PASSWORDS]
    values = {
        line.partition(": ")[2].strip('"') for line in text.splitlines() if not line.startswith("#")
    }
    assert values == {"********", "null"}  # the registry's has none
    host.up(lab)
    kept = (host.lab(lab.name).answers / "controller" / str(PASSWORDS)[1:]).read_text()
    old = kept.replace("nova_database_password:", "gone_database_password:")

    def respond(_tag: str, shell: str) -> Said:
        return encoded(old) if str(PASSWORDS) in shell else ("", 44)

    host.runner.on("ssh", answer=fake_session.answering(respond))
    (found,) = (each for each in workflow.diff(host.context, lab) if each.path == PASSWORDS)
    shown = "\n".join(found.lines)
    assert "+nova_database_password: ********" in found.lines
    secret = {
        line.partition(": ")[2].strip('"') for line in kept.splitlines() if not line.startswith("#")
    } - {"null"}
    assert len(secret) > 90
    assert not any(value in shown for value in secret)


def test_a_node_that_does_not_answer_is_named(up: FakeHost) -> None:
    up.runner.on("ssh", answer=Result(exit_code=255, stderr="Connection refused"))
    with pytest.raises(LabError, match="controller can't be read: refused") as caught:
        workflow.diff(up.context, make_lab())
    assert caught.value.hint == "./invoke lab.check contrail-3node"


def sent(command: Command) -> bytes:
    """The archive that a session brings to a node."""
    shell = fake_session.parts_of(command)["answers.place"]
    assert "| sudo -n tar -xpf - -C /" in shell.splitlines()[0]
    return base64.b64decode("".join(shell.splitlines()[1:-1]))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (("!!!", 0), "its answer is broken"),
        (("\u0661\u0662", 0), "its answer is broken"),
        (("QUJ", 0), "its answer is broken"),
        (("sudo: a password is required", 1), "sudo: a password is required"),
        (("no\x1b]0;owned\x07\n::error::forged", 1), "no\n    : :error::forged"),
        (("", 1), "exit code 1"),
        (("QUJD\n" * 5000, 0), "the file is too large"),
    ],
)
def test_a_file_that_a_node_does_not_send_whole_is_named(
    up: FakeHost, said: Said, why: str
) -> None:
    up.runner.on("ssh", answer=fake_session.answering(lambda _tag, _shell: said))
    with pytest.raises(LabError) as caught:
        workflow.diff(up.context, make_lab())
    assert re.fullmatch(rf"controller:/\S+ can't be read: {re.escape(why)}", caught.value.message)


def test_push_replaces_what_differs_and_nothing_else(up: FakeHost) -> None:
    up.runner.on(
        "ssh", answer=holding(up, compute1=lambda text: text.replace("LOGDAYS=1", "LOGDAYS=7"))
    )
    up.runner.commands.clear()
    found = workflow.push(up.context, make_lab())
    assert [(each.node, each.path) for each in found] == [("compute1", LOCALRC)]
    placed = [command for command in up.ran("ssh") if b"answers.place" in (command.stdin or b"")]
    assert [command.argv[-2] for command in placed] == ["compute1"]
    assert b"LOGDAYS=1" in sent(placed[0])


def test_push_remembers_what_the_node_has_now(up: FakeHost) -> None:
    workflow.push(up.context, make_lab("R3.0"))
    up.runner.commands.clear()
    up.up(make_lab("R3.0"))
    assert not [c for c in up.ran("ssh") if b"answers.place" in (c.stdin or b"")]


def test_a_lab_that_is_not_up_has_nothing_to_compare_with(host: FakeHost) -> None:
    with pytest.raises(LabError, match="lab contrail-3node is not up"):
        workflow.diff(host.context, make_lab())


def test_a_preview_makes_nothing_and_masks_secrets(host: FakeHost) -> None:
    text = workflow.preview(make_lab(), FakeRunner())["compute1"][LOCALRC]
    assert "ADMIN_PASSWORD=********\n" in text
    assert answers.PLACEHOLDER not in text
    assert not host.lab("contrail-3node").root.exists()


def test_what_is_written_out_is_what_lab_up_uses_then(host: FakeHost, tmp_path: Path) -> None:
    found, known = workflow.rendered(host.context, make_lab())
    written = workflow.write(found, tmp_path / "out")
    assert len(written) == 6
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    assert (
        known["admin_password"]
        in (tmp_path / "out/compute1/opt/stack/devstack/localrc").read_text()
    )
    host.up(make_lab())
    assert kept(host) == known
    assert workflow.write(found, tmp_path / "out") == ()


def test_a_directory_of_the_users_keeps_its_files_and_its_mode(
    host: FakeHost, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / "thesis.tex").write_text("years of work")
    found, _ = workflow.rendered(host.context, make_lab())
    workflow.write(found, home)
    assert (home / "thesis.tex").read_text() == "years of work"
    assert home.stat().st_mode & 0o777 == 0o755
    assert {
        path.stat().st_mode & 0o777 for path in (home / "compute1").rglob("*") if path.is_dir()
    } == {0o700}


def test_a_directory_that_can_not_be_written_to_is_named(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found, _ = workflow.rendered(host.context, make_lab())
    with pytest.raises(LabError, match="it is not a directory") as caught:
        workflow.write(found, tmp_path / "file")
    assert "--out" in str(caught.value.hint)


def test_one_node_can_be_asked_for_and_an_unknown_one_is_refused() -> None:
    lab = make_lab()
    found = workflow.preview(lab, FakeRunner())
    assert list(workflow.only(found, "compute2")) == ["compute2"]
    assert workflow.only(found, "") is found
    workflow.check_node(lab, "compute2")
    with pytest.raises(
        LabError,
        match=r"'compute3' is not a node of lab \S+ \(it has: controller, compute1, compute2\)",
    ):
        workflow.check_node(lab, "compute3")


def test_a_release_that_upstream_ended_says_so_with_the_year() -> None:
    found = workflow.notes(with_images(make_lab(), "debian-12"))
    assert found[0].startswith("contrail master: upstream ended it in 2017: ")
    assert (
        found[1] == "contrail master never ran on debian-12: nodes come up on it, the cloud won't"
    )
    assert any(note.startswith("known bug contrail-shebang: ") for note in found)


def test_a_lab_without_an_installer_has_nothing_to_note() -> None:
    assert workflow.notes(make_plain()) == workflow.fate(make_plain()) == ()


def test_an_operating_system_of_the_release_is_no_note() -> None:
    assert not any(
        "never ran" in note for note in workflow.notes(with_images(make_lab(), "ubuntu-14.04"))
    )


def with_bugs(monkeypatch: pytest.MonkeyPatch, *bugs: Bug) -> Lab:
    lab = make_lab()
    row = dataclasses.replace(releases.find(Installer.CONTRAIL, "master"), bugs=bugs, pairs=())
    monkeypatch.setattr(releases, "find", lambda *_: row)
    return with_images(lab, "ubuntu-14.04-cloud", "centos-7")


@pytest.mark.parametrize(
    ("changes", "is_fate"),
    [
        ({"images": ("ubuntu-14.04",)}, True),
        ({"images": ("ubuntu-14.04",), "driver": Driver.LIBVIRT}, True),
        ({"images": ("centos-7",)}, False),  # the lab takes its first image
        ({}, False),  # everybody's: known before the image is chosen
        ({"images": ("ubuntu-14.04",), "commands": ("x",)}, False),  # the steps see to it
        ({"images": ("ubuntu-14.04",), "localrc": ("X=1",)}, False),
    ],
)
def test_a_bug_of_the_labs_own_image_and_driver_is_its_fate_unless_it_is_worked_around(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], *, is_fate: bool
) -> None:
    lab = with_bugs(monkeypatch, Bug(id="id", symptom="it breaks", fix="take another", **changes))
    told = "contrail master on ubuntu-14.04-cloud: it breaks; take another"
    assert (told in workflow.fate(lab)) is is_fate
    assert sum("it breaks" in note for note in workflow.notes(lab)) == 1


def test_a_clouds_other_half_has_bugs_too_and_what_is_done_about_them_is_said() -> None:
    (note,) = [each for each in workflow.notes(make_lab()) if "tempest-master" in each]
    assert note.startswith("known bug tempest-master: ")
    assert "; way around (done here): " in note


def test_a_bug_of_another_driver_is_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    bug = Bug(
        id="id",
        symptom="it breaks",
        fix="take another",
        images=("ubuntu-14.04",),
        driver=Driver.ZUN,
    )
    assert "it breaks" not in str(workflow.notes(with_bugs(monkeypatch, bug)))


def with_images(lab: Lab, *images: str) -> Lab:
    return dataclasses.replace(lab, images=images)


def test_releases_are_listed_by_installer_and_a_misspelt_one_is_told() -> None:
    assert {one.installer for one in workflow.releases_of(["kolla"])} == {Installer.KOLLA}
    assert {one.installer for one in workflow.releases_of([])} == set(Installer) - {Installer.NONE}
    with pytest.raises(LabError, match=r"no installer 'colla' \(did you mean kolla\?"):
        workflow.releases_of(["colla"])
