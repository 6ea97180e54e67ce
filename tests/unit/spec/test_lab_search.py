"""Labs from anywhere: by path, and by name in several directories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.errors import HostError, SpecError
from stacklab.paths.project import LABS
from stacklab.spec import lab_search

Make = Callable[[str], Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host without settings, and without directories of labs but the project's."""
    monkeypatch.setenv("STACKLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STACKLAB_LABS", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a file, and return its directory."""

    def make(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return path.parent

    return make


def test_a_lab_is_found_by_its_name_in_the_project() -> None:
    assert spec.lab_file("mini-2node") == LABS / "mini-2node.yaml"


@pytest.mark.parametrize("word", ["mine.yaml", "mine.yml", "./mine", "some/mini-2node", "/x/y"])
def test_what_looks_like_a_path_is_one_whether_it_is_there_or_not(word: str) -> None:
    assert spec.lab_file(word) == Path(word)


def test_a_directory_in_the_way_does_not_hide_a_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mini-2node").mkdir()
    monkeypatch.chdir(tmp_path)
    assert spec.lab_file("mini-2node") == LABS / "mini-2node.yaml"


def test_a_home_that_nobody_has_is_a_path_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spec.lab_file("~nobody-at-all/x.yaml") == Path("~nobody-at-all/x.yaml")
    monkeypatch.setenv("STACKLAB_LABS", "~nobody-at-all")
    assert spec.lab_file("mini-2node") == LABS / "mini-2node.yaml"


def test_a_link_to_itself_hides_no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    monkeypatch.setenv("STACKLAB_LABS", str(tmp_path))
    assert {"loop", "mini-2node"} <= set(lab_search.known())
    with pytest.raises(SpecError, match="cannot be read"):
        spec.load(spec.lab_file("loop"))


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert spec.lab_file("~/labs/mine.yaml") == Path("/home/me/labs/mine.yaml")


def test_the_variable_and_the_settings_add_directories(
    make: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = make("a/one.yaml"), make("b/two.yml"), make("c/three.yaml")
    monkeypatch.setenv("STACKLAB_LABS", f"{a}:{b}:")
    (home / "settings.yaml").write_text(f"labs: {c}\n")
    assert lab_search.directories() == (LABS, a, b, c)
    assert lab_search.own_directory() == a
    assert [spec.lab_file(name) for name in ("one", "two", "three")] == [
        a / "one.yaml",
        b / "two.yml",
        c / "three.yaml",
    ]
    assert {"one", "two", "three", "mini-2node"} <= set(lab_search.known())


def test_without_any_a_new_lab_goes_where_the_others_are() -> None:
    assert lab_search.own_directory() == LABS


@pytest.mark.parametrize("names", [("a/one.yaml", "b/one.yaml"), ("a/one.yaml", "a/one.yml")])
def test_a_name_that_two_labs_have_names_both(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: tuple[str, str]
) -> None:
    monkeypatch.setenv("STACKLAB_LABS", ":".join(dict.fromkeys(str(make(name)) for name in names)))
    with pytest.raises(spec.AmbiguousLab, match="several labs are called one: ") as caught:
        spec.lab_file("one")
    for name in names:
        assert str(tmp_path / name) in caught.value.message
    assert caught.value.exit_code == 2


def test_a_directory_that_is_named_twice_is_one(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(make("a/one.yaml"))
    monkeypatch.setenv("STACKLAB_LABS", f"{tmp_path}/a:{tmp_path}/link:{tmp_path}/a")
    assert spec.lab_file("one") == tmp_path / "a" / "one.yaml"


def test_an_unknown_name_names_all_directories(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make("a/my-own.yaml")
    monkeypatch.setenv("STACKLAB_LABS", str(directory))
    with pytest.raises(spec.UnknownLab) as caught:
        spec.lab_file("my-owm")
    assert f"{directory}/ (did you mean my-own?)" in caught.value.message
    with pytest.raises(SpecError):
        spec.lab_file("a\nb")


def test_settings_that_are_wrong_are_said(home: Path) -> None:
    (home / "settings.yaml").write_text("labs: 1\n")
    with pytest.raises(HostError, match="labs: it has to be"):
        spec.lab_file("mini-2node")
