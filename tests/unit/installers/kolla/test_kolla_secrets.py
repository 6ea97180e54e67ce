from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
import yaml

from stacklab import releases
from stacklab.errors import LabError, RenderError
from stacklab.installers import rendering as answers
from stacklab.installers.kolla.answers.passwords import password_kinds, secret_names, shape_secret
from stacklab.model.stack import Installer
from tests.unit.installers.kolla.kolla_labs import (
    PASSWORDS,
    deployer,
    load,
    secrets,
)

RELEASES = tuple(releases.of(Installer.KOLLA))


@pytest.mark.parametrize("release", RELEASES)
def test_every_password_has_a_value_but_pairs_of_keys_and_the_registrys(
    tmp_path: Path, release: str
) -> None:
    lab = load(tmp_path, release=release)
    found = yaml.safe_load(deployer(lab)[PASSWORDS])
    # An empty pair of ours would take the place of the one that kolla-genpwd has made.
    assert set(found) == {name for name in password_kinds(release) if not name.endswith("_ssh_key")}
    assert {name for name, value in found.items() if value is None} == {"docker_registry_password"}
    # kolla-ansible's prechecks grep for a key without anything behind it.
    assert not re.search(r"(?m)^[^#].*:\s*$", deployer(lab)[PASSWORDS])


def test_releases_ask_for_the_passwords_of_their_services(tmp_path: Path) -> None:
    assert "zun_keystone_password" in password_kinds("2025.2")
    assert "zun_keystone_password" not in password_kinds("2026.1")
    assert "vmware_vcenter_host_password" in password_kinds("2025.1")
    assert "redis_master_password" not in password_kinds("master")


def test_a_registrys_password_is_asked_for_when_the_lab_has_a_source_for_it(tmp_path: Path) -> None:
    assert "docker_registry_password" not in secret_names(load(tmp_path))
    lab = load(tmp_path, secrets={"docker_registry_password": {"env": "REGISTRY"}})
    assert (
        yaml.safe_load(deployer(lab)[PASSWORDS])["docker_registry_password"]
        == secrets(lab)["docker_registry_password"]
    )


@pytest.mark.parametrize(
    ("name", "form", "near"),
    [
        ("barbican_crypto_key", "a Fernet key", "barbican_keystone_password"),
        ("designate_pool_id", "a UUID", "designate_keystone_password"),
        ("cinder_rbd_secret_uuid", "a UUID", "cinder_"),
        ("prometheus_bcrypt_salt", "a salt for bcrypt", "prometheus_"),
        ("designate_rndc_key", "32 hex digits", "designate_"),
        ("nova_ssh_key", "a pair of keys", "nova_"),
    ],
)
def test_a_source_for_what_is_no_plain_word_is_refused_since_its_value_would_not_be_used(
    tmp_path: Path, name: str, form: str, near: str
) -> None:
    lab = load(tmp_path, secrets={name: {"env": "MINE"}})
    with pytest.raises(
        RenderError, match=f"stack.secrets.{name}: kolla-ansible wants {form}"
    ) as error:
        answers.secret_names(lab)
    assert near in str(error.value.hint)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("admin_password", "keystone_admin_password"), ("rabbit_password", "rabbitmq_password")],
)
def test_other_installers_words_for_a_secret_are_understood(
    tmp_path: Path, name: str, meant: str
) -> None:
    lab = load(tmp_path, secrets={name: {"env": "MINE"}})
    with pytest.raises(RenderError, match=f"kolla does not ask for '{name}'") as error:
        answers.secret_names(lab)
    assert str(error.value.hint).startswith(f"did you mean {meant}? its secrets: ")


def test_every_form_of_a_secret_that_is_rendered_is_told_to_who_masks_it(tmp_path: Path) -> None:
    lab = load(tmp_path)
    known = secrets(lab)
    shown = answers.shown_secrets(lab, known)
    texts = {text for forms in shown.values() for text in forms}
    values = {value for value in yaml.safe_load(deployer(lab)[PASSWORDS]).values() if value}
    assert values <= texts
    assert {name for name, forms in shown.items() if len(forms) > 1} == {
        name
        for name in password_kinds("2025.2")
        if password_kinds("2025.2")[name] in ("uuid", "hmac", "fernet", "salt")
    }


def test_a_secret_has_the_form_that_its_reader_wants_and_has_it_again_after_a_rebuild() -> None:
    secret = "Abcdefghij0123456789"
    assert uuid.UUID(shape_secret("uuid", secret)).version == 4
    assert re.fullmatch(r"[0-9a-f]{32}", shape_secret("hmac", secret))
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}=", shape_secret("fernet", secret))
    assert re.fullmatch(r"[./A-Za-z0-9]{21}[.Oeu]", shape_secret("salt", secret))
    assert shape_secret("plain", secret) == secret
    assert (
        shape_secret("uuid", secret)
        == shape_secret("uuid", secret)
        != shape_secret("uuid", secret + "1")
    )


def test_no_error_shows_a_secret(tmp_path: Path) -> None:
    lab = load(tmp_path)
    with pytest.raises(LabError) as error:
        answers.render(lab, {**secrets(lab), "database_password": "it's short"})
    assert "short" not in f"{error.value} {error.value.hint}"
