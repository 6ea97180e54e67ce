"""Services of OpenStack under uWSGI: oslo.log must not take eventlet's locks there."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from stacklab import spec
from stacklab.installers.debian.answers import dashboard, services
from stacklab.paths.project import LABS
from tests.unit.installers.debian.test_debian import LAB, text, with_stack


def test_oslo_log_is_told_before_a_service_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    log = ModuleType("oslo_log.log")
    log._fix_eventlet_logging = lambda: pytest.fail("it took eventlet's locks")  # type: ignore[attr-defined]
    package = ModuleType("oslo_log")
    package.log = log  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "oslo_log", package)
    monkeypatch.setitem(sys.modules, "oslo_log.log", log)
    exec(text(LAB, "controller", str(services.UWSGI_LOCKS)), {})
    log._fix_eventlet_logging()


@pytest.mark.parametrize("name", ["keystone", "placement", "glance", "cinder"])
def test_uwsgi_imports_that_for_each_of_them(name: str) -> None:
    lines = text(LAB, "controller", f"/etc/stacklab/{name}-uwsgi.ini").splitlines()
    assert f"pythonpath = {services.UWSGI_LOCKS.parent}" in lines
    assert f"import = {services.UWSGI_LOCKS.stem}" in lines


def test_horizon_which_has_no_oslo_log_imports_nothing() -> None:
    lab = with_stack(spec.load(LABS / "openstack-aio.yaml"), has_dashboard=True)
    assert "import =" not in text(lab, "openstack", dashboard.UWSGI)
