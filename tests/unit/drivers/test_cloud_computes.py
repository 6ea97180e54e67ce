"""The program that has a cloud forget computes, against APIs and an OVN that are as strict."""

from __future__ import annotations

import ast
import configparser
import http.client
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from stacklab.drivers import cloud_computes as program
from stacklab.nodes import protocol

CONFIG = """\
[neutron]
auth_url = http://10.0.0.10:5000
username = neutron
password = secret%d
project_name = service
project_domain_name = Default
user_domain_name = Default
region_name = RegionOne
"""
NO_CHASSIS = program._NO_CHASSIS
Answer = dict[str, Any]
Body = dict[str, Any] | None


def agent(name: str, host: str, kind: str) -> dict[str, str]:
    return {"id": name, "host": host, "agent_type": kind}


@dataclass
class Cloud:
    """Nova, neutron, placement and OVN with compute1 and compute2, each with a VM."""

    is_down: int = 0  # so many requests are refused by a connection that fails
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    servers: dict[str, dict[str, str]] = field(default_factory=dict)
    agents: list[dict[str, str]] = field(default_factory=list)
    providers: dict[str, dict[str, Any]] = field(default_factory=dict)
    chassis: set[str] = field(default_factory=lambda: {"compute1", "compute2"})
    private: set[str] = field(default_factory=lambda: {"compute1", "compute2"})
    migrates: bool = False  # nova has a migration that never ends
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for node in ("compute1", "compute2"):
            self.services[f"s-{node}"] = {"id": f"s-{node}", "host": node, "forced_down": False}
            self.servers[f"v-{node}"] = {"id": f"v-{node}", "name": f"web on {node}", "host": node}
            self.providers[f"p-{node}"] = {
                "uuid": f"p-{node}",
                "name": node,
                "allocations": {f"v-{node}": {}},
            }
            self.agents.append(agent(node, node, "OVN Controller agent"))
            self.agents.append(agent(f"m-{node}", node, "OVN Metadata agent"))

    def request(self, method: str, url: str, body: Body) -> tuple[Answer, Any]:
        place = urlsplit(url)
        self.asked.append(f"{method} {place.path}")
        if self.is_down:
            self.is_down -= 1
            raise program.CloudError(f"{method} {url}: refused")
        query = {key: values[0] for key, values in parse_qs(place.query).items()}
        if place.path == "/v3/auth/tokens":
            assert body is not None
            assert body["auth"]["identity"]["password"]["user"]["password"] == "secret%d"
            return {"token": {"catalog": self.catalog()}}, {"X-Subject-Token": "token"}
        _, service, *rest = place.path.split("/")
        answer: Answer = getattr(self, service)(method, "/".join(rest), query, body)
        return answer, {}

    def catalog(self) -> list[dict[str, Any]]:
        return [
            {
                "type": word,
                "endpoints": [
                    {"region": "RegionTwo", "interface": "public", "url": "http://elsewhere/"},
                    {"region": "RegionOne", "interface": "public", "url": f"http://c/{word}/"},
                    {"region": "RegionOne", "interface": "admin", "url": "http://elsewhere/"},
                ],
            }
            for word in ("compute", "network", "placement")
        ]

    def compute(self, method: str, path: str, query: dict[str, str], body: Body) -> Answer:
        kind, _, name = path.partition("/")
        if kind == "servers" and method == "GET":
            assert query["all_tenants"] == "1"
            on_host = [one for one in self.servers.values() if one["host"] == query["host"]]
            names = [one["id"] for one in on_host]
            begin = names.index(query["marker"]) + 1 if "marker" in query else 0
            return {"servers": on_host[begin : begin + 1]}  # nova has a limit of its own
        if kind == "servers":
            return self.delete_server(name)
        if method == "GET":
            listed = [one for one in self.services.values() if one["host"] == query.get("host")]
            return {"services": listed}
        if name not in self.services:
            raise program.Refused(404, "no such service")
        if method == "PUT":
            self.services[name] |= body or {}
            return {}
        return self.delete_service(name)

    def delete_server(self, name: str) -> Answer:
        if name not in self.servers:
            raise program.Refused(404, "no such server")
        host = self.servers[name]["host"]
        if self.services[f"s-{host}"]["forced_down"]:
            # Else nova sends it to a compute that will never answer.
            del self.servers[name]
            self.providers[f"p-{host}"]["allocations"].pop(name, None)
        return {}

    def delete_service(self, name: str) -> Answer:
        host = self.services[name]["host"]
        if any(server["host"] == host for server in self.servers.values()) or self.migrates:
            raise program.Refused(409, "409 Unable to delete compute service")
        del self.services[name]
        if not self.providers[f"p-{host}"]["allocations"]:
            del self.providers[f"p-{host}"]
        return {}

    def network(self, method: str, path: str, _query: dict[str, str], _body: Body) -> Answer:
        if method == "GET":
            return {"agents": list(self.agents)}
        name = path.rpartition("/")[2]
        self.agents = [one for one in self.agents if one["id"] != name]
        return {}

    def placement(self, method: str, path: str, query: dict[str, str], _body: Body) -> Answer:
        _, _, name = path.partition("/")
        if method == "GET" and name:
            return {"allocations": self.providers[name.partition("/")[0]]["allocations"]}
        if method == "GET":
            found = [one for one in self.providers.values() if one["name"] == query["name"]]
            return {"resource_providers": found}
        if self.providers[name]["allocations"]:
            raise program.Refused(409, "409 it is in use")
        del self.providers[name]
        return {}

    def sbctl(self, *words: str) -> str:
        table = self.private if "Chassis_Private" in words else self.chassis
        if "find" in words:
            name = words[-1].removeprefix("name=")
            return f"{name}\n" if name in table else ""
        assert "--if-exists" in words
        table.discard(words[-1])
        return ""


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr(program, "_PAUSE_S", 0.0)
    monkeypatch.setattr(program, "_VMS_GONE_S", 0.01)
    monkeypatch.setattr(program, "_sbctl", made.sbctl)
    monkeypatch.setattr(program.Api, "_request", lambda _api, *words: made.request(*words))
    return made


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "nova.conf"
    path.write_text(CONFIG)
    return str(path)


def run(config: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[Any]]:
    code = program.main(["--config", config, "--ovn", *words])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def assert_forgotten(cloud: Cloud, node: str, other: str) -> None:
    assert set(cloud.services) == {f"s-{other}"}
    assert set(cloud.servers) == {f"v-{other}"}
    assert set(cloud.providers) == {f"p-{other}"}
    assert {one["host"] for one in cloud.agents} == {other}
    assert cloud.chassis == cloud.private == {other}
    assert not cloud.services[f"s-{other}"]["forced_down"]


def test_all_that_the_cloud_has_of_a_node_is_forgotten_and_nothing_else(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = run(config, capsys, "forget", "compute2")
    assert code == 0
    assert_forgotten(cloud, "compute2", "compute1")
    assert lines == [
        {"done": "neutron's OVN Controller agent of compute2"},
        {"done": "neutron's OVN Metadata agent of compute2"},
        {"done": "OVN's chassis compute2"},
        {"done": "VM web on compute2, which was lost with compute2"},
        {"done": "nova's service of compute2"},
    ]


def test_a_node_that_is_forgotten_already_is_no_error(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, capsys, "forget", "compute2")
    assert run(config, capsys, "forget", "compute2") == (0, [])


def test_what_a_killed_run_left_is_forgotten_by_the_next(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its chassis is gone, so that neutron does not tell the node of its agents any more."""
    cloud.chassis.discard("compute2")
    for one in cloud.agents:
        if one["host"] == "compute2":
            one["host"] = NO_CHASSIS
    code, _ = run(config, capsys, "forget", "compute2")
    assert code == 0
    assert_forgotten(cloud, "compute2", "compute1")


def test_a_provider_that_has_allocations_is_left_with_the_names_of_who_has_them(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.providers["p-compute2"]["allocations"]["a-migration"] = {}
    code, lines = run(config, capsys, "forget", "compute2")
    assert code == 1
    (left,) = [line["left"] for line in lines if "left" in line]
    assert left.startswith("placement's provider compute2: 409 it is in use")
    assert left.endswith("it has allocations of: a-migration")
    assert "s-compute2" not in cloud.services


def test_a_service_that_nova_keeps_is_not_left_forced_down(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A compute of that name that comes back would never be scheduled to."""
    cloud.migrates = True
    code, lines = run(config, capsys, "forget", "compute2")
    assert code == 1
    assert any("Unable to delete" in line.get("left", "") for line in lines)
    assert cloud.services["s-compute2"]["forced_down"] is False


def test_without_apis_ovn_forgets_its_chassis_all_the_same(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sync of all chassis, for which a stage waits, would wait for one that is gone."""
    cloud.is_down = 100
    code, lines = run(config, capsys, "forget", "compute2")
    assert code == 1
    assert cloud.chassis == cloud.private == {"compute1"}
    assert "the cloud's APIs: POST http://10.0.0.10:5000/v3/auth/tokens" in lines[0]["left"]
    assert set(cloud.services) == {"s-compute1", "s-compute2"}


def test_what_goes_by_itself_meanwhile_is_no_error(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def network(method: str, *_words: object) -> Answer:
        if method == "DELETE":
            raise program.Refused(404, "404 no such agent")
        return {"agents": list(cloud.agents)}

    monkeypatch.setattr(cloud, "network", network)
    code, lines = run(config, capsys, "forget", "compute2")
    assert code == 0
    assert not [line for line in lines if "left" in line]


def test_no_line_is_longer_than_a_session_takes(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.servers["v-compute2"]["name"] = "long" * 2000
    _, (line,) = run(config, capsys, "vms", "compute2")
    assert line["vm"].startswith("longlong")
    assert len(json.dumps(line)) < protocol.LINE_MAX


def test_apis_that_come_up_are_waited_for(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.is_down = 3
    code, _ = run(config, capsys, "--patience", "60", "forget", "compute2")
    assert code == 0
    assert_forgotten(cloud, "compute2", "compute1")


def test_without_ovn_its_program_is_not_called(
    cloud: Cloud, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: str) -> str:
        raise AssertionError

    monkeypatch.setattr(program, "_sbctl", refuse)
    assert program.main(["--config", config, "forget", "compute2"]) == 0


def test_the_vms_of_nodes_are_listed_and_nothing_is_changed(
    cloud: Cloud, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.servers["v2"] = {"id": "v2", "name": "db", "host": "compute2"}
    code, lines = run(config, capsys, "vms", "compute2")
    assert code == 0
    assert lines == [
        {"vm": "web on compute2", "node": "compute2"},
        {"vm": "db", "node": "compute2"},
    ]
    assert {word.partition(" ")[0] for word in cloud.asked[1:]} == {"GET"}


@pytest.mark.parametrize("text", ["", "[DEFAULT]\nmy_ip = 1\n"])
def test_a_controller_without_nova_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "nova.conf"
    if text:
        path.write_text(text)
    code, lines = run(str(path), capsys, "forget", "compute2")
    assert code == 1
    assert lines == [{"left": f"{path} of the controller does not say how to log in"}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"conflictingRequest": {"code": 409, "message": "has\\n instances"}}', "has instances"),
        (b'{"errors": [{"status": 409, "detail": "in use"}]}', "in use"),
        (b"<html>proxy</html>", "<html>proxy</html>"),
        (b'"word"', "word"),
    ],
)
def test_an_api_s_own_words_are_found(text: bytes, words: str) -> None:
    assert program._words_of(text) == words


def test_an_authority_that_is_missing_is_told(tmp_path: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(f"{CONFIG}cafile = {tmp_path}/none.pem\n")
    with pytest.raises(program.CloudError, match=r"none\.pem"):
        program.Api(parser["neutron"])


def test_it_imports_nothing_that_a_node_may_lack() -> None:
    tree = ast.parse(Path(program.__file__).read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    assert names
    assert names <= sys.stdlib_module_names


# --- what lies below


class Response(io.BytesIO):
    headers: ClassVar = {"X-Subject-Token": "a token"}


def make_api() -> program.Api:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(CONFIG)
    return program.Api(parser["neutron"])


def test_a_token_is_sent_to_the_service_of_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[urllib.request.Request] = []

    def open_url(_opener: object, request: urllib.request.Request, timeout: float) -> Response:
        assert timeout > 0
        sent.append(request)
        answers = [{"token": {"catalog": Cloud().catalog()}}, {"services": []}, None]
        answer = answers[len(sent) - 1]
        return Response(json.dumps(answer).encode() if answer else b"")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", open_url)
    api = make_api()
    api.log_in()
    assert api.call("compute", "GET", "/os-services") == {"services": []}
    assert api.call("compute", "DELETE", "/os-services/1", {"a": 1}) == {}
    assert [(one.get_method(), one.full_url) for one in sent] == [
        ("POST", "http://10.0.0.10:5000/v3/auth/tokens"),
        ("GET", "http://c/compute/os-services"),
        ("DELETE", "http://c/compute/os-services/1"),
    ]
    assert sent[1].get_header("X-auth-token") == "a token"
    assert sent[1].get_header("Openstack-api-version") == "compute 2.53"
    assert sent[2].data == b'{"a": 1}'
    with pytest.raises(program.CloudError, match="no volume"):
        api.call("volume", "GET", "/")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            urllib.error.HTTPError(
                "u", 409, "m", Message(), io.BytesIO(b'{"x": {"message": "no"}}')
            ),
            409,
            "409 no",
        ),
        (urllib.error.URLError("refused"), None, "refused"),
        (http.client.RemoteDisconnected("closed"), None, "closed"),
        (http.client.BadStatusLine("odd"), None, "odd"),
        (TimeoutError("late"), None, "late"),
    ],
)
def test_whatever_an_api_does_is_an_error_with_its_address(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int | None, words: str
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", fail)
    with pytest.raises(program.CloudError, match=words) as caught:
        make_api().log_in()
    assert "POST http://10.0.0.10:5000/v3/auth/tokens" in str(caught.value)
    assert getattr(caught.value, "status", None) == status


def test_ovn_s_program_that_fails_is_told_by_its_last_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = subprocess.CompletedProcess((), 1, "", "a\novn-sbctl: no socket\n")
    monkeypatch.setattr(subprocess, "run", lambda argv, **_options: done)
    with pytest.raises(program.CloudError, match="ended with 1: ovn-sbctl: no socket"):
        program._sbctl("show")
