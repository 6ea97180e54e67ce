from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.paths import PROJECT, HostPaths, LabPaths

_HOST = HostPaths(Path("/h"))


def _properties(kind: type) -> list[str]:
    return [name for name, value in vars(kind).items() if isinstance(value, property)]


def test_the_project_is_where_the_package_lies() -> None:
    assert (PROJECT / "stacklab" / "paths.py").is_file()


def test_a_hosts_files_are_in_var_lib_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACKLAB_HOME", raising=False)
    assert HostPaths.default().root == Path("/var/lib/stacklab")
    monkeypatch.setenv("STACKLAB_HOME", "/elsewhere")
    assert HostPaths.default().root == Path("/elsewhere")


def test_everything_lies_under_the_hosts_root_and_nothing_twice() -> None:
    lab = _HOST.lab("l")
    places = [getattr(_HOST, name) for name in _properties(HostPaths)]
    places += [getattr(lab, name) for name in _properties(LabPaths)]
    places += [lab.host_key("a"), lab.console("a"), lab.overlay("a"), lab.seed("a")]
    assert all(place.is_relative_to("/h") for place in places)
    assert len(set(places)) == len(places)


def test_two_labs_share_no_file() -> None:
    one, two = _HOST.lab("one"), _HOST.lab("two")
    assert not {getattr(one, n) for n in _properties(LabPaths)} & {getattr(two, n) for n in _properties(LabPaths)}
    assert one.overlay("a") != two.overlay("a")


def test_a_nodes_file_names_are_told_apart_from_other_labs_nodes() -> None:
    assert _HOST.lab("a-b").overlay("c") != _HOST.lab("a").overlay("b-c")


def test_a_shared_connections_socket_fits_into_a_sockets_path() -> None:
    longest = HostPaths(Path("/var/lib/stacklab")).lab("l" * 24).sockets / ("n" * 30)
    assert len(str(longest)) <= 107 - 17  # ssh adds a dot and 16 characters while it makes one
