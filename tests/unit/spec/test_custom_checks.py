"""Checks that a lab's author adds: what is filled in, and who they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import SpecError
from stacklab.model.checks import CheckPolicy, CustomCheck, CustomKind
from stacklab.spec.rules.secrets import secret_in_command

LAB = """\
image: debian-12
networks: {net: {cidr: 10.0.0.0/24, mode: nat}}
nodes:
  compute: {role: controller, nics: [{network: net}]}
  worker: {role: compute, count: 2, nics: [{network: net}]}
  other: {nics: [{network: net}]}
checks:
"""


def policy(directory: Path, checks: str) -> CheckPolicy:
    path = directory / "lab.yaml"
    path.write_text(f"{LAB}  {checks}\n")
    return spec.load(path).checks


def custom(directory: Path, check: str) -> CustomCheck:
    (found,) = policy(directory, f"custom: [{{name: a, {check}}}]").custom
    return found


def test_all_that_is_not_written_is_filled_in(tmp_path: Path) -> None:
    everyone = ("compute", "worker1", "worker2", "other")
    assert custom(tmp_path, "command: uptime") == CustomCheck(
        name="a",
        kind=CustomKind.COMMAND,
        nodes=everyone,
        command="uptime",
        exit_code=0,
        host="",
        port=0,
        url="",
        http_status=200,
        text="",
        retries=0,
        interval_s=1.0,
        timeout_s=10.0,
        is_warning=False,
    )
    assert custom(tmp_path, "port: 22") == CustomCheck(
        name="a", kind=CustomKind.PORT, nodes=everyone, port=22
    )
    url = "http://other:80/"
    assert custom(tmp_path, f"http: '{url}'") == CustomCheck(
        name="a", kind=CustomKind.HTTP, nodes=everyone, url=url
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("all", ["compute", "worker1", "worker2", "other"]),
        ("compute", ["compute"]),  # a node's name, though it is a role, too
        ("worker", ["worker1", "worker2"]),
        ("worker2", ["worker2"]),
        ("controller", ["compute"]),
        ("node", ["other"]),
        ("[other, worker1, worker]", ["worker1", "worker2", "other"]),  # the lab's order, each once
    ],
)
def test_nodes_are_named_one_by_one_by_count_or_by_role(
    tmp_path: Path, written: str, meant: list[str]
) -> None:
    assert list(custom(tmp_path, f"command: 'true', nodes: {written}").nodes) == meant


def test_a_spec_counts_tries_and_the_model_those_after_the_first(tmp_path: Path) -> None:
    assert policy(tmp_path, "retries: 1").retries == 0
    assert policy(tmp_path, "interval: 5").retries == 2
    assert custom(tmp_path, "port: 22, retries: 4").retries == 3


@pytest.mark.parametrize("key", ["interval", "exit_code"])
def test_zero_is_no_default(tmp_path: Path, key: str) -> None:
    found = custom(tmp_path, f"command: 'true', {key}: 0")
    assert (found.interval_s, found.exit_code) == (0.0 if key == "interval" else 1.0, 0)


def test_a_warning_is_one_by_its_level(tmp_path: Path) -> None:
    assert custom(tmp_path, "port: 22, level: warning").is_warning
    assert not custom(tmp_path, "port: 22, level: failure").is_warning


def test_a_script_keeps_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    script = "        if true; then\n          id\n        fi\n"
    path.write_text(f"{LAB}  custom:\n    - name: a\n      command: |\n{script}")
    (found,) = spec.load(path).checks.custom
    assert found.command == "if true; then\n  id\nfi"


@pytest.mark.parametrize(
    "check",
    [
        "command: 'true', port: 22",
        "port: 22, text: a",
        "http: 'http://a/', host: other",
        "nodes: all",
    ],
)
def test_it_is_one_of_the_three_with_its_own_keys(tmp_path: Path, check: str) -> None:
    with pytest.raises(SpecError, match=r"checks\.custom\[0\]"):
        custom(tmp_path, check)


@pytest.mark.parametrize(
    "command",
    [
        "OS_PASSWORD=letmein openstack",
        "true\nexport TOKEN='abc'",
        "wget https://me:letmein@host/",
        'x; PW="a b" y',
    ],
)
def test_a_command_holds_no_secret(command: str) -> None:
    assert secret_in_command(command)


@pytest.mark.parametrize(
    "command",
    [
        "TOKEN=$(cat f)",
        "PW=`cat f`",
        "PASSWORD=$OTHER",
        "TOKEN=/etc/t",
        "curl http://host/",
        "PASSWORD= x",
    ],
)
def test_a_command_may_read_one(command: str) -> None:
    assert secret_in_command(command) == ""
