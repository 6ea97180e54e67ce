"""The proof at horizon: its form is filled in as a browser does, and the right page is read."""

from __future__ import annotations

import sys
import urllib.parse
import urllib.request
from email.message import Message
from io import BytesIO
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.response import addinfourl

import pytest

if TYPE_CHECKING:  # it imports what stands in for openstacksdk
    from stacklab.drivers.cloud_smoke.dashboard import Dashboard

URL = "http://192.0.2.10/"
AUTH = {"auth": {"username": "admin", "password": "s3&cret"}}
FORM = """<form action="/auth/login/" method="POST">
<input type="hidden" name="csrfmiddlewaretoken" value="t0ken">
<input type='hidden' name='region' value='default' id='id_region'>
<input type="text" name="username"><input type="password" name="password" id="id_password">
</form>"""


@pytest.fixture(autouse=True)
def openstacksdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for what the venv of these tests lacks."""
    monkeypatch.setitem(sys.modules, "openstack", ModuleType("openstack"))


class Horizon(urllib.request.BaseHandler):
    """Answers for the network; `lets_in` is whether the password is right."""

    def __init__(self, *, lets_in: bool = True, servers: str = "smoke-vm-a smoke-vm-b") -> None:
        self.lets_in = lets_in
        self.servers = servers
        self.posted: list[dict[str, list[str]]] = []

    def http_open(self, request: urllib.request.Request) -> addinfourl:
        path = urllib.parse.urlsplit(request.full_url).path
        if request.data is not None:
            assert isinstance(request.data, bytes)
            assert request.get_header("Referer") == f"{URL}auth/login/"
            self.posted.append(urllib.parse.parse_qs(request.data.decode()))
            return self.redirect("/" if self.lets_in else "/auth/login/", request)
        if path == "/auth/login/":
            return self.page(FORM, request)
        return self.page(self.servers if path == "/project/instances/" else "overview", request)

    def page(self, text: str, request: urllib.request.Request, code: int = 200) -> addinfourl:
        answer: Any = addinfourl(BytesIO(text.encode()), Message(), request.full_url, code)
        answer.msg = "OK"
        return answer

    def redirect(self, place: str, request: urllib.request.Request) -> addinfourl:
        answer = self.page("", request, code=302)
        answer.headers["Location"] = place
        return answer


def dashboard(horizon: Horizon, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    from stacklab.drivers.cloud_smoke.dashboard import Dashboard

    made = Dashboard(URL, AUTH)
    opener = urllib.request.OpenerDirector()
    for handler in (
        horizon,
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    monkeypatch.setattr(made, "_opener", opener)
    return made


def test_the_form_is_sent_with_its_token_and_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    horizon = Horizon()
    made = dashboard(horizon, monkeypatch)
    made.log_in()
    assert horizon.posted == [
        {
            "csrfmiddlewaretoken": ["t0ken"],
            "region": ["default"],
            "username": ["admin"],
            "password": ["s3&cret"],
        }
    ]
    assert made.find_servers(["smoke-vm-a", "smoke-vm-b"]) == f"{URL}project/instances/"


def test_a_login_that_is_shown_again_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from stacklab.drivers.cloud_smoke.steps import StepFailed

    with pytest.raises(StepFailed, match="login again"):
        dashboard(Horizon(lets_in=False), monkeypatch).log_in()


@pytest.mark.parametrize("names", [["smoke-vm-a", "smoke-vm-c"], []])
def test_a_vm_that_is_not_listed_is_a_failure(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from stacklab.drivers.cloud_smoke.steps import StepFailed

    with pytest.raises(StepFailed, match="does not have"):
        dashboard(Horizon(), monkeypatch).find_servers(names)


def test_a_server_s_error_names_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from stacklab.drivers.cloud_smoke.steps import StepFailed

    horizon = Horizon()
    monkeypatch.setattr(horizon, "http_open", lambda request: horizon.page("", request, code=500))
    with pytest.raises(StepFailed, match=r"auth/login/.*500"):
        dashboard(horizon, monkeypatch).log_in()


def test_the_proof_looks_for_the_vms_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stub: Any = sys.modules["openstack"]
    stub.connect = lambda **_options: SimpleNamespace()
    stub.connection = SimpleNamespace(Connection=object)
    stub.exceptions = SimpleNamespace(SDKException=Exception)
    from stacklab.drivers.cloud_smoke import __main__ as program
    from tests.unit.drivers.test_cloud_smoke import ORDERS

    seen: list[object] = []

    class Stub:
        def __init__(self, url: str, _auth: object) -> None:
            seen.append(url)

        def log_in(self) -> None:
            seen.append("login")

        def find_servers(self, names: list[str]) -> str:
            return f"found {names}"

    monkeypatch.setattr(program, "Dashboard", Stub)
    smoke: Any = program.Smoke({**ORDERS, "dashboard_url": URL}, program.StepRunner(lambda: ""))
    smoke._resources.servers = lambda: [SimpleNamespace(name="smoke-vm-a")]
    assert smoke._look_at_dashboard() == "found ['smoke-vm-a']"
    assert seen == [URL, "login"]
