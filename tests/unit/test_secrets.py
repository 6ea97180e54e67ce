from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab import secrets
from stacklab.errors import LabError
from stacklab.installers.kit.templates.guard import check_secrets
from stacklab.model.stack import SecretSource

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


def test_a_password_is_twenty_letters_and_digits_and_begins_with_a_letter(tmp_path: Path) -> None:
    for number in range(50):
        for made in secrets.load_or_make(tmp_path / str(number), NAMES).values():
            assert made[0].isalpha()
            assert made.isalnum()
            assert made.isascii()
            assert len(made) == 20


def test_a_uuid_is_one(path: Path) -> None:
    made = secrets.load_or_make(path, ("cinder_rbd_secret_uuid",))["cinder_rbd_secret_uuid"]
    assert str(uuid.UUID(made)) == made
    check_secrets({"cinder_rbd_secret_uuid": made})


def test_a_secret_of_another_kind_has_its_maker_which_sees_what_was_kept(path: Path) -> None:
    seen = []

    def make(kept: str) -> str:
        seen.append(kept)
        return "made\nof lines"

    names = ("admin_password", "tls_pem")
    first = secrets.load_or_make(path, names, makers={"tls_pem": make})
    assert first["tls_pem"] == "made\nof lines"
    assert secrets.load_or_make(path, names, makers={"tls_pem": make}) == first
    assert seen == ["", "made\nof lines"]


@given(
    names=st.lists(st.sampled_from(["a_password", "b_password", "c_token", "d_token"]), max_size=4)
)
@settings(deadline=None, max_examples=30)
def test_whatever_is_made_survives_the_installers(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
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


ENV = SecretSource(name="admin_password", env="STACKLAB_SECRET_ADMIN")


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, SecretSource]:
    """A file with a secret of the user's, and the source that names it."""
    file = tmp_path / "mine"
    file.write_text("Swordfish2026\nsecond line\n")
    file.chmod(0o600)
    return file, SecretSource(name="admin_password", file=str(file))


def test_a_secret_of_the_users_comes_from_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKLAB_SECRET_ADMIN", "Swordfish2026")
    found = secrets.load_or_make(path, NAMES, (ENV,))
    assert found["admin_password"] == "Swordfish2026"
    assert len(found["service_token"]) == 20


def test_or_from_the_first_line_of_a_file(path: Path, own: tuple[Path, SecretSource]) -> None:
    assert (
        secrets.load_or_make(path, NAMES, (own[1],), allowed=[own[1].file])["admin_password"]
        == "Swordfish2026"
    )


def test_it_is_kept_for_the_day_on_which_its_source_is_not_there(
    path: Path, own: tuple[Path, SecretSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKLAB_SECRET_ADMIN", "Swordfish2026")
    secrets.load_or_make(path, NAMES, (ENV,))
    monkeypatch.delenv("STACKLAB_SECRET_ADMIN")
    own[0].unlink()
    for source in (ENV, own[1]):
        found = secrets.load_or_make(path, NAMES, (source,), allowed=[own[1].file])
        assert found["admin_password"] == "Swordfish2026"


def test_a_changed_source_counts_and_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("Swordfish2026", "Haddock2027"):
        monkeypatch.setenv("STACKLAB_SECRET_ADMIN", value)
        assert secrets.load_or_make(path, NAMES, (ENV,))["admin_password"] == value
    monkeypatch.delenv("STACKLAB_SECRET_ADMIN")
    assert secrets.load_or_make(path, NAMES)["admin_password"] == "Haddock2027"


def test_a_source_that_was_never_there_is_named_with_what_to_type(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STACKLAB_SECRET_ADMIN", raising=False)
    with pytest.raises(
        LabError, match=r"stack\.secrets\.admin_password: \$STACKLAB_SECRET_ADMIN is not set"
    ) as caught:
        secrets.load_or_make(path, NAMES, (ENV,))
    assert "export STACKLAB_SECRET_ADMIN" in (caught.value.hint or "")
    with pytest.raises(LabError, match="No such file"):
        secrets.load_or_make(
            path,
            NAMES,
            (SecretSource(name="admin_password", file="/nowhere/at/all"),),
            allowed=["/nowhere/at/all"],
        )


def test_a_file_that_others_can_read_is_refused(path: Path, own: tuple[Path, SecretSource]) -> None:
    own[0].chmod(0o640)
    with pytest.raises(LabError, match="can be read by others") as caught:
        secrets.load_or_make(path, NAMES, (own[1],), allowed=[own[1].file])
    assert str(caught.value.hint).startswith("chmod 600 ")


def test_an_empty_file_is_refused(path: Path, own: tuple[Path, SecretSource]) -> None:
    own[0].write_text("\nSwordfish2026\n")
    with pytest.raises(LabError, match="is empty"):
        secrets.load_or_make(path, NAMES, (own[1],), allowed=[own[1].file])


@pytest.mark.parametrize("value", ["short", "x" * 21, "sword fish", "a&b12345678", "ümlaut12345"])
def test_a_secret_that_scripts_would_mangle_is_refused_unseen(
    path: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKLAB_SECRET_ADMIN", value)
    with pytest.raises(LabError, match="scripts do not survive") as caught:
        secrets.load_or_make(path, NAMES, (ENV,))
    assert value not in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize(
    "source",
    [
        SecretSource(name="admin_password", env="AWS_ACCESS_KEY_ID"),
        SecretSource(name="admin_password", file="/etc/ci/token"),
        SecretSource(name="admin_password", file="~/secrets/../.netrc"),
    ],
)
def test_a_spec_reads_nothing_that_the_user_did_not_mean_for_labs(
    path: Path, source: SecretSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spec may be of a pull request, and its nodes get what it names."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    allowed = ["OTHER", "~/secrets/admin", "/etc/ci"]
    path.parent.mkdir()
    for known in ({}, {"admin_password": "Swordfish2026"}):
        path.write_text(json.dumps(known))
        with pytest.raises(LabError, match="is not among what labs may read") as refused:
            secrets.load_or_make(path, NAMES, (source,), allowed=allowed)
        assert "settings.yaml" in (refused.value.hint or "")
        assert "AKIA" not in str(refused.value)
        assert json.loads(path.read_text()) == known
    with pytest.raises(LabError, match="is not among"):
        secrets.changed((source,), {}, allowed=allowed)


def test_the_user_allows_further_variables_by_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOTHER", "Swordfish2026")
    source = SecretSource(name="admin_password", env="ANOTHER")
    found = secrets.load_or_make(path, NAMES, (source,), allowed=["ANOTHER"])
    assert found["admin_password"] == "Swordfish2026"
