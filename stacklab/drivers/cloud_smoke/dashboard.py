"""Horizon as a browser uses it: log in at its form, and read a page of the project."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any

from stacklab.drivers.cloud_smoke.steps import StepFailed

_TIMEOUT_S = 300.0  # an emulated one compiles its templates at the first page
_LOGIN = "auth/login/"
_SERVERS = "project/instances/"


class Dashboard:
    """One session at the dashboard of this URL; `auth` are the arguments of openstack.connect."""

    def __init__(self, url: str, auth: Mapping[str, Any]) -> None:
        self._url = url
        self._auth = auth["auth"]
        context = ssl.create_default_context(cafile=auth.get("cacert"))
        # A proxy of this host does not know the lab.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPCookieProcessor(CookieJar()),
        )

    def log_in(self) -> None:
        """Fill in the form; raises StepFailed if horizon shows it again."""
        _, page = self._open(_LOGIN)
        fields = {
            **hidden_fields(page),
            "username": self._auth["username"],
            "password": self._auth["password"],
        }
        address, _ = self._open(_LOGIN, urllib.parse.urlencode(fields).encode())
        if f"/{_LOGIN}" in address:
            raise StepFailed("the dashboard shows its login again")

    def find_servers(self, names: Sequence[str]) -> str:
        """Return where the project's VMs are listed; raises StepFailed unless all of them are."""
        address, page = self._open(_SERVERS)
        missing = [name for name in names if name not in page]
        if missing or not names:
            raise StepFailed(f"{address} does not have {', '.join(missing) or 'any VM'}")
        return address

    def _open(self, path: str, form: bytes | None = None) -> tuple[str, str]:
        """Return the address of a page, after all redirections, and its text."""
        url = self._url + path
        # By HTTPS, Django takes a form only from a page of its own.
        request = urllib.request.Request(url, data=form, headers={"Referer": url})
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return answer.geturl(), answer.read().decode(errors="replace")
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise StepFailed(f"{url}: {error}") from error


def hidden_fields(page: str) -> Mapping[str, str]:
    """Return the hidden fields of a page's forms: the token against forged forms is one."""
    form = _LoginForm()
    form.feed(page)
    return form.hidden


class _LoginForm(HTMLParser):
    """Collects the hidden fields of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one element."""
        field = dict(attrs)
        if tag == "input" and field.get("type") == "hidden" and field.get("name"):
            self.hidden[str(field["name"])] = field.get("value") or ""
