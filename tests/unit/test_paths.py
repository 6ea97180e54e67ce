from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.errors import LabError
from stacklab.paths import HostPaths, LabPaths
from stacklab.paths.project import PROJECT
from stacklab.spec.form.values import NAME

_HOST = HostPaths(Path("/h"))


def _properties(kind: type) -> list[str]:
    return [name for name, value in vars(kind).items() if isinstance(value, property)]


def test_the_project_is_where_the_package_lies() -> None:
    assert (PROJECT / "stacklab" / "paths" / "project.py").is_file()


def test_a_hosts_files_are_in_var_lib_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    assert not {getattr(one, n) for n in _properties(LabPaths)} & {
        getattr(two, n) for n in _properties(LabPaths)
    }
    assert one.overlay("a") != two.overlay("a")


def test_a_nodes_file_names_are_told_apart_from_other_labs_nodes() -> None:
    assert _HOST.lab("a-b").overlay("c") != _HOST.lab("a").overlay("b-c")


def test_a_shared_connections_socket_fits_into_a_sockets_path() -> None:
    longest = HostPaths(Path("/var/lib/stacklab")).lab("l" * 24).sockets / ("n" * 30)
    assert len(str(longest)) <= 107 - 17  # ssh adds a dot and 16 characters while it makes one


def test_a_home_is_absolute_whatever_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKLAB_HOME", "some/../home")
    assert HostPaths.default().root == tmp_path / "home"
    monkeypatch.setenv("STACKLAB_HOME", "")
    assert HostPaths.default().root == Path("/var/lib/stacklab")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../images", "a/b", "/etc", "a\n", "-a", "a-", "A", "a_b", "a b", "aio.bak"],
)
def test_what_can_be_no_lab_s_name_never_becomes_a_path(name: str) -> None:
    with pytest.raises(LabError, match="is not a lab's name"):
        _HOST.lab(name)


@given(name=st.from_regex(NAME, fullmatch=True))
@settings(deadline=None, max_examples=50)
def test_whatever_a_spec_may_be_called_has_paths(name: str) -> None:
    assert _HOST.lab(name).root.parent == _HOST.labs
