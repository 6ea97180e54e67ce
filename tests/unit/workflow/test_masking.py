"""No secret leaves this host.

What is shown of a lab is looked through for its passwords and keys.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.errors import LabError
from stacklab.paths import HostPaths, LabPaths
from stacklab.workflow import masking
from stacklab.workflow.check import checking
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost

PASSWORD = "Tr0ub4dorAndThree"
KEY = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz"
DIGEST = "d" * 64


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    found = HostPaths(tmp_path).lab("trio")
    give_secrets(found)
    return found


def give_secrets(paths: LabPaths) -> None:
    paths.keys.mkdir(parents=True, exist_ok=True)
    paths.secrets.write_text(
        json.dumps({"admin_password": PASSWORD, "longer": PASSWORD + "X", "empty": ""})
    )
    paths.private_key.write_text(
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n-----END OPENSSH PRIVATE KEY-----\n"
    )


def result(**fields: str) -> CheckResult:
    check = Check(
        kind=CheckKind.LOGIN, node="controller", network="net0", address="192.0.2.1", device="eth0"
    )
    return CheckResult(
        check=check,
        status=CheckStatus.FAILED,
        reason=Reason.REFUSED,
        **{"detail": "refused", **fields},
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["detail", "command", "output", "clues"])
def test_no_result_tells_a_secret(paths: LabPaths, field: str) -> None:
    said = f"console: ADMIN={PASSWORD} {PASSWORD}X\n{KEY}\njoined{KEY}too\n{DIGEST}"
    (found,) = masking.results(paths, [result(**{field: said})])
    text = str(getattr(found, field))
    assert PASSWORD not in text
    assert KEY not in text
    assert text.startswith("console: ADMIN=******** ********\n********\n")
    assert DIGEST in text


def test_what_tells_none_is_the_same(paths: LabPaths) -> None:
    whole = [result(output="x")]
    assert masking.results(paths, whole)[0] is whole[0]


def test_secrets_that_cannot_be_read_keep_no_check_from_being_told(paths: LabPaths) -> None:
    """Who may not read them may not log in either: all they get is that."""
    paths.secrets.unlink()
    paths.secrets.mkdir()
    assert masking.results(paths, [result()])[0].detail == "refused"
    assert masking.text(paths, "x") == "x"


def test_many_results_of_a_large_lab_cost_no_second(paths: LabPaths) -> None:
    for number in range(200):
        (paths.keys / f"n{number}").write_text(
            "".join(f"{number:03}{line:02}{'k' * 60}\n" for line in range(6))
        )
    many = [
        result(output=f"no answer {number}", clues="ARP: nobody answers\n" * 5)
        for number in range(20_000)
    ]
    started = time.process_time()
    masking.results(paths, many)
    assert time.process_time() - started < 2


def test_a_check_masks_what_it_found(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.up()
    give_secrets(host.lab())
    monkeypatch.setattr(
        checking.Mesh, "check", lambda _self, *_args, **_rest: (result(output=f"said {PASSWORD}"),)
    )
    monkeypatch.setattr(checking, "explained", lambda _c, _l, _p, results: results)
    monkeypatch.setattr(checking, "host_mirrors", lambda _runner: None)
    (found,) = checking.check(host.context, make_lab(), host.lab())
    assert found.output == "said ********"


def test_a_bundle_is_told_that_secrets_cannot_be_read(paths: LabPaths) -> None:
    paths.secrets.unlink()
    paths.secrets.mkdir()
    with pytest.raises(LabError, match="secrets could not be masked"):
        masking.known_secrets(paths)


def test_of_a_certificate_the_key_is_a_secret_line_by_line_and_nothing_else(
    paths: LabPaths,
) -> None:
    key, certificate = "k" * 64, "c" * 64
    text = f"controller\n-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"
    text += f"-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"
    paths.secrets.write_text(json.dumps({"tls_pem": text}))
    shown = masking.text(paths, f"haproxy: {key} {certificate}")
    assert key not in shown
    assert certificate in shown
