from __future__ import annotations

import pytest

from stacklab.spec.rules.secrets import is_secret


@pytest.mark.parametrize(
    "name",
    [
        "ADMIN_PASSWORD",
        "admin_password",
        "ADMIN_PASS",
        "password",
        "adminPw",
        "CONFIG_NOVA_KS_PW",
        "SERVICE_TOKEN",
        "SWIFT_HASH",
        "metadata_proxy_shared_secret",
        "horizon_secret_key",
        "Foo_Password",
        "CONFIG_HEAT_AUTH_ENC_KEY",
        "api_keys",
    ],
)
def test_the_last_word_says_that_it_is_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "KEYSTONE_TOKEN_FORMAT",
        "token_expiration",
        "max_password_length",
        "auth_type",
        "CONFIG_SSL_CACERT_KEY_FILE",
        "compass",
        "opt_pa",
        "bypass",
        "HOST_IP",
        "monkey",
        "",
        "password_hash_rounds",
    ],
)
def test_other_words_do_not(name: str) -> None:
    assert not is_secret(name)
