from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab import secrets
from stacklab.answers.guard import check_secrets
from stacklab.errors import LabError

NAMES = ("admin_password", "service_token")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab" / "secrets.json"


def test_secrets_are_made_once_and_are_the_same_ever_after(path: Path) -> None:
    first = secrets.load_or_make(path, NAMES)
    assert secrets.load_or_make(path, NAMES) == first
    assert set(first) == set(NAMES)
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_labs_have_nothing_in_common(tmp_path: Path) -> None:
    values = [v for name in "ab" for v in secrets.load_or_make(tmp_path / name, NAMES).values()]
    assert len(set(values)) == 4


def test_a_name_that_is_new_gets_a_secret_and_the_others_keep_theirs(path: Path) -> None:
    first = secrets.load_or_make(path, NAMES)
    more = secrets.load_or_make(path, (*NAMES, "rabbit_password"))
    assert {name: more[name] for name in NAMES} == first
    assert len(more["rabbit_password"]) == 20


def test_a_name_that_is_no_longer_asked_for_is_kept_for_when_it_is(path: Path) -> None:
    first = secrets.load_or_make(path, NAMES)
    assert secrets.load_or_make(path, ("admin_password", "rabbit_password")).keys() == {
        "admin_password",
        "rabbit_password",
    }
    assert secrets.load_or_make(path, NAMES) == first


def test_nothing_is_written_for_a_lab_without_secrets(path: Path) -> None:
    assert secrets.load_or_make(path, ()) == {}
    assert not path.exists()


def test_a_token_is_hex_and_a_password_begins_with_a_letter(tmp_path: Path) -> None:
    for number in range(50):
        made = secrets.load_or_make(tmp_path / str(number), NAMES)
        assert made["admin_password"][0].isalpha()
        assert made["admin_password"].isalnum()
        assert len(made["admin_password"]) == 20
        assert len(bytes.fromhex(made["service_token"])) == 16


@given(names=st.lists(st.sampled_from(["a_password", "b_password", "c_token", "d_token"]), max_size=4))
@settings(deadline=None, max_examples=30)
def test_whatever_is_made_survives_the_installers(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    check_secrets(secrets.load_or_make(tmp_path_factory.mktemp("s") / "secrets.json", names))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "\x00", "{'a': 1}"])
def test_a_damaged_file_is_an_error_and_stays_as_it_is(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(LabError, match=r"secrets\.json is damaged") as caught:
        secrets.load_or_make(path, NAMES)
    assert caught.value.hint is not None
    assert path.read_text() == text


def test_no_secret_is_told_in_the_error_about_a_damaged_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"admin_password": "Swordfish"})[:-1])
    with pytest.raises(LabError) as caught:
        secrets.load_or_make(path, NAMES)
    assert "Swordfish" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told_in_one_line(path: Path) -> None:
    path.mkdir(parents=True)  # root may read everything else
    with pytest.raises(LabError, match=r"secrets\.json can't be read: Is a directory"):
        secrets.load_or_make(path, NAMES)
