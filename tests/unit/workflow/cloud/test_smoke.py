"""The proof of a cloud: what its program is told, what it says, and what becomes of that."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from stacklab import locks, spec
from stacklab.errors import AlreadyRunning, CheckFailed, LabError, NotChecked
from stacklab.images.root import RootDisk
from stacklab.model import certificate
from stacklab.model.lab import Lab
from stacklab.paths.project import PROJECT
from stacklab.process import Command, Result
from stacklab.views import cloud as views
from stacklab.workflow import placing
from stacklab.workflow.cloud import client, smoke, tenant
from tests.unit.test_certificate import AUTHORITY, KEY, fake_openssl
from tests.unit.workflow.fake_host import FakeHost, host

__all__ = ["host"]

NAME = "openstack-3node"
DRIVER = (str(client.VENV.python), "-m", "stacklab.drivers.cloud_smoke")


@pytest.fixture
def lab() -> Lab:
    return spec.load(PROJECT / "labs" / f"{NAME}.yaml")


@pytest.fixture
def up(host: FakeHost, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A lab that is up, whose image has a tenant's image in it."""
    host.stock("debian-12-openstack")
    host.up(lab, with_stack=False)  # its nodes are fakes, which run no units
    disk = RootDisk(
        path=Path("/images/it.raw"),
        offset=1048576,
        filesystem="ext4",
        sha256="",
        size_bytes=0,
        mtime_ns=0,
    )
    monkeypatch.setattr(tenant.root, "ensure", lambda *_arguments: disk)
    monkeypatch.setattr(client, "prepare_venv", lambda _context: None)
    host.runner.on("debugfs", answer=extract)
    return host


def extract(command: Command) -> Result:
    assert command.cwd is not None
    _dump, _source, target = command.argv[2].split()
    (command.cwd / target).write_text("kernel")
    return Result(exit_code=0)


def said(*lines: object) -> Result:
    return Result(exit_code=0, stdout="".join(f"{json.dumps(line)}\n" for line in lines))


def step(name: str, *, ok: bool = True, detail: str = "") -> dict[str, object]:
    return {"name": name, "ok": ok, "seconds": 1.5, "detail": detail}


def test_the_program_is_told_all_on_stdin_and_no_password_on_its_command_line(
    up: FakeHost, lab: Lab
) -> None:
    up.runner.on(*DRIVER, answer=said(step("log in")))
    (done,) = smoke.run(up.context, NAME, keep=True)
    assert (done.name, done.is_ok, done.elapsed_s) == ("log in", True, 1.5)
    (command,) = [one for one in up.runner.commands if one.argv[:3] == DRIVER]
    orders = json.loads(command.stdin or b"")
    password = orders["auth"]["auth"]["password"]
    assert password == json.loads(up.lab(NAME).secrets.read_text())["admin_password"]
    assert password not in str(command.argv)
    assert password in command.secrets
    assert orders["computes"] == ["compute1", "compute2"]
    assert orders["external"] == {
        "name": "",
        "physical_network": "external",
        "cidr": "172.30.170.0/24",
        "gateway": "172.30.170.1",
        "first": "172.30.170.193",
        "last": "172.30.170.254",
    }
    assert orders["keep"] is True
    assert (orders["has_volumes"], orders["can_migrate"]) == (False, True)
    # Nova drops a property that is longer.
    assert len(orders["tenant"]["command_line"]) <= 255


def test_a_step_that_failed_is_shown_and_ends_with_code_5(up: FakeHost) -> None:
    lines = (
        {"begins": "boot"},
        step("boot", ok=False, detail="No valid host\x1b[2J was found\nits console:\n  login"),
    )
    up.runner.on(*DRIVER, answer=said(*lines))
    steps = smoke.run(up.context, NAME, keep=False)
    assert [one.is_ok for one in steps] == [False]
    assert "\x1b" not in steps[0].detail
    with pytest.raises(CheckFailed) as failed:
        smoke.raise_for(NAME, steps)
    assert "boot" in failed.value.message
    table, clues = views.proof(steps)
    assert isinstance(table, Table)
    assert table.row_count == 1
    assert list(table.columns[3].cells) == [Text("No valid host was found")]
    # A console or a trace would tear a table apart.
    assert str(clues).endswith("was found\n    its console:\n      login")


def test_all_steps_that_passed_raise_nothing(up: FakeHost) -> None:
    up.runner.on(*DRIVER, answer=said(step("boot")))
    smoke.raise_for(NAME, smoke.run(up.context, NAME, keep=False))


def test_warnings_of_libraries_between_the_lines_are_passed_over(up: FakeHost) -> None:
    text = f"DeprecationWarning: old\n{json.dumps(step('boot'))}\n"
    up.runner.on(*DRIVER, answer=Result(exit_code=0, stdout=text))
    assert [one.name for one in smoke.run(up.context, NAME, keep=False)] == ["boot"]


def test_a_program_that_says_nothing_has_proved_nothing(up: FakeHost) -> None:
    up.runner.on(*DRIVER, answer=Result(exit_code=1, stderr="No module named openstack"))
    with pytest.raises(NotChecked, match="No module named openstack"):
        smoke.run(up.context, NAME, keep=False)


def test_an_image_without_a_tenant_s_image_is_told(up: FakeHost) -> None:
    up.runner.on("debugfs", answer=Result(exit_code=0, stderr="File not found by ext2_lookup"))
    with pytest.raises(LabError, match=r"does not have /usr/lib/stacklab/tenant/vmlinuz"):
        smoke.run(up.context, NAME, keep=False)


def test_the_client_s_file_is_for_its_owner_alone(up: FakeHost) -> None:
    variables = client.write_clouds_yaml(up.context, NAME)
    path = up.lab(NAME).clouds_yaml
    assert variables["OS_CLIENT_CONFIG_FILE"] == str(path)
    assert variables["OS_CLOUD"] == NAME
    assert path.stat().st_mode & 0o077 == 0
    cloud = json.loads(path.read_text())["clouds"][NAME]
    assert cloud["auth"]["auth_url"] == "http://192.168.170.10:5000/v3"


def test_no_variable_of_another_cloud_reaches_a_client_and_no_proxy_is_asked(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two, the client takes the variable and not what clouds.yaml says."""
    monkeypatch.setenv("OS_AUTH_URL", "https://production.example.org")
    monkeypatch.setenv("no_proxy", "localhost")
    up.runner.on(*DRIVER, answer=said(step("log in")))
    smoke.run(up.context, NAME, keep=False)
    (command,) = [one for one in up.runner.commands if one.argv[:3] == DRIVER]
    for environment in (command.env, client.write_clouds_yaml(up.context, NAME)):
        assert environment["OS_AUTH_URL"] is None
        assert environment["no_proxy"] == "localhost,192.168.170.10"


def test_a_second_one_beside_the_first_is_refused(
    up: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "_WAIT_S", 0.0)
    directory = up.lab(NAME).cloud
    directory.mkdir()
    with locks.held(directory / "smoke.lock", "the first"), pytest.raises(AlreadyRunning):
        smoke.run(up.context, NAME, keep=False)


def test_an_end_by_an_error_of_its_own_is_no_success(up: FakeHost) -> None:
    text = f"{json.dumps(step('boot'))}\n"
    up.runner.on(*DRIVER, answer=Result(exit_code=1, stdout=text, stderr="Traceback"))
    with pytest.raises(NotChecked, match="Traceback"):
        smoke.run(up.context, NAME, keep=False)


def test_a_lab_without_a_cloud_of_ours_is_refused_with_one_that_has(host: FakeHost) -> None:
    host.up()
    with pytest.raises(LabError, match="has no cloud"):
        client.write_clouds_yaml(host.context, "trio")


def test_a_lab_that_is_not_up_is_refused(host: FakeHost) -> None:
    with pytest.raises(LabError, match="not up"):
        smoke.run(host.context, NAME, keep=False)


class TestTLS:
    """A lab whose APIs have TLS: what its clients are told."""

    @pytest.fixture
    def lab(self, lab: Lab) -> Lab:
        return dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, has_tls=True))

    @pytest.fixture
    def host(self, host: FakeHost) -> FakeHost:
        host.runner.on("openssl", answer=fake_openssl)
        return host

    def test_the_certificate_is_made_once_and_kept_with_the_secrets(
        self, up: FakeHost, lab: Lab
    ) -> None:
        secrets = up.lab(NAME).secrets
        kept = json.loads(secrets.read_text())[certificate.SECRET]
        assert KEY in kept
        assert secrets.stat().st_mode & 0o077 == 0
        made = len(up.ran("openssl"))
        before = placing.render_answers(up.context, lab, up.lab(NAME))
        assert before == placing.render_answers(up.context, lab, up.lab(NAME))
        assert len(up.ran("openssl")) == made == 3

    def test_every_client_gets_the_authority_and_no_key(self, up: FakeHost) -> None:
        up.runner.on(*DRIVER, answer=said(step("log in")))
        smoke.run(up.context, NAME, keep=False)
        (command,) = [one for one in up.runner.commands if one.argv[:3] == DRIVER]
        variables = client.write_clouds_yaml(up.context, NAME)
        cloud = json.loads(up.lab(NAME).clouds_yaml.read_text())["clouds"][NAME]
        orders = json.loads(command.stdin or b"")
        authority = str(up.lab(NAME).authority)
        assert [variables["OS_CACERT"], cloud["cacert"], orders["auth"]["cacert"]] == [
            authority
        ] * 3
        assert Path(authority).read_text() == AUTHORITY
        assert cloud["auth"]["auth_url"].startswith("https://")
        assert "PRIVATE KEY" not in str((variables, cloud, orders))

    def test_a_lab_that_lost_its_certificate_says_so(self, up: FakeHost) -> None:
        secrets = up.lab(NAME).secrets
        left = json.loads(secrets.read_text())
        del left[certificate.SECRET]
        secrets.write_text(json.dumps(left))
        with pytest.raises(LabError, match=certificate.SECRET):
            client.write_clouds_yaml(up.context, NAME)


def test_a_lab_without_tls_names_no_authority(up: FakeHost) -> None:
    variables = client.write_clouds_yaml(up.context, NAME)
    assert "OS_CACERT" not in variables or variables["OS_CACERT"] is None
    assert "cacert" not in json.loads(up.lab(NAME).clouds_yaml.read_text())["clouds"][NAME]
