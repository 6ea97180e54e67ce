"""The certificate of a lab's APIs: the text that is kept, and the commands that make it."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from stacklab.errors import CommandFailed, RenderError
from stacklab.installers.kit.templates.guard import check_secrets
from stacklab.model import certificate
from stacklab.model.certificate import ServerName
from stacklab.process import Command, Result
from stacklab.tools import openssl
from tests.conftest import FakeRunner

SERVER = ServerName(lab="trio", host="controller", address=IPv4Address("192.0.2.10"))


def block(kind: str, line: str) -> str:
    return f"-----BEGIN {kind}-----\n{line}\n-----END {kind}-----\n"


KEY = block("PRIVATE KEY", "MIGHAgEA")
CERTIFICATE = block("CERTIFICATE", "MIIBszCC")
AUTHORITY = block("CERTIFICATE", "MIIBhTCC")
KEPT = certificate.keep(SERVER, KEY, CERTIFICATE, AUTHORITY)


def fake_openssl(command: Command) -> Result:
    """Write what `-keyout` and `-out` name, as far as it matters."""
    for option, text in (("-keyout", KEY), ("-out", CERTIFICATE)):
        if option in command.argv:
            path = Path(command.argv[command.argv.index(option) + 1])
            path.write_text(AUTHORITY if path.name == "authority" else text)
    return Result(exit_code=0)


class TestText:
    def test_a_server_gets_the_key_and_clients_do_not(self) -> None:
        assert certificate.server_pem(KEPT) == KEY + CERTIFICATE
        assert certificate.authority_pem(KEPT) == AUTHORITY

    def test_a_placeholder_stays_what_it_is(self) -> None:
        assert certificate.server_pem("xxxx") == certificate.authority_pem("xxxx") == "xxxx"

    @pytest.mark.parametrize(
        "other",
        [
            ServerName(lab="trio", host="controller", address=IPv4Address("192.0.2.11")),
            ServerName(lab="trio", host="other", address=SERVER.address),
        ],
    )
    def test_it_is_for_one_name_and_one_address(self, other: ServerName) -> None:
        assert certificate.is_for(KEPT, SERVER)
        assert not certificate.is_for(KEPT, other)

    def test_one_that_lost_a_part_is_for_nobody(self) -> None:
        assert not certificate.is_for(KEPT.removesuffix(AUTHORITY), SERVER)
        assert not certificate.is_for("", SERVER)

    def test_the_guard_of_secrets_lets_it_pass_whole_and_under_its_name_only(self) -> None:
        check_secrets({certificate.SECRET: KEPT})
        for name, text in ((certificate.SECRET, f"{KEPT}$(reboot)\n"), ("admin_password", KEPT)):
            with pytest.raises(RenderError):
                check_secrets({name: text})


class TestMaking:
    def test_what_fits_is_kept_and_nothing_is_run(self, tmp_path: Path) -> None:
        assert openssl.kept_or_new(FakeRunner(), tmp_path, SERVER, KEPT) == KEPT

    @pytest.mark.parametrize("kept", ["", KEPT.replace("192.0.2.10", "192.0.2.99")])
    def test_what_does_not_fit_is_made_anew_and_no_key_stays_on_the_disk(
        self, tmp_path: Path, kept: str
    ) -> None:
        runner = FakeRunner().on("openssl", answer=fake_openssl)
        assert openssl.kept_or_new(runner, tmp_path, SERVER, kept) == KEPT
        assert list(tmp_path.iterdir()) == []

    def test_no_key_stays_on_the_disk_of_one_that_failed(self, tmp_path: Path) -> None:
        failing = [fake_openssl, CommandFailed("no space left")]
        runner = FakeRunner().on("openssl", "req", answer=failing)  # type: ignore[arg-type]
        with pytest.raises(CommandFailed):
            openssl.kept_or_new(runner, tmp_path, SERVER, "")
        assert list(tmp_path.iterdir()) == []
