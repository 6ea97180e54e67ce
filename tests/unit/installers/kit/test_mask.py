from __future__ import annotations

import time
from pathlib import PurePosixPath

import pytest

from stacklab.installers import is_secret_file
from stacklab.installers.kit.mask import MASK, masked, without

OLD = "Swordfish2026"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("ADMIN_PASSWORD=?", "ADMIN_PASSWORD=*"),
        ("export  ADMIN_PASSWORD=?", "export  ADMIN_PASSWORD=*"),
        ("A=1 X_PASSWORD=?", "A=1 X_PASSWORD=*"),
        ("#ADMIN_PASSWORD=?", "#ADMIN_PASSWORD=*"),
        ("openstack --os-password=? token issue", "openstack --os-password=*"),
        ("CONFIG_KEYSTONE_ADMIN_PW=?", "CONFIG_KEYSTONE_ADMIN_PW=*"),
        ("admin_password = a ?", "admin_password = *"),
        ('rabbitmq_cluster_cookie: "?"', "rabbitmq_cluster_cookie: *"),
        ("memcache_secret_key: ?", "memcache_secret_key: *"),
        ("barbican_crypto_key: ?=", "barbican_crypto_key: *"),
        ("designate_rndc_key: '?'", "designate_rndc_key: *"),
        ('prometheus_bcrypt_salt: "?"', "prometheus_bcrypt_salt: *"),
        ("  - password: ?", "  - password: *"),
        ("{password: ?, user: nova}", "{password: *"),
        ('  "admin_password": "?",', '  "admin_password": *,'),
        ('{"admin_password": "?", "region": "R1"}', '{"admin_password": *, "region": "R1"}'),
        ('X_PASSWORD="a?\\"?"; A=1', "X_PASSWORD=*; A=1"),
        ("X_PASSWORD='a '\"?\"", "X_PASSWORD=*"),
        ("X_PASSWORD='?", "X_PASSWORD=*"),
        ("X_PASSWORD=${Y:-?}", "X_PASSWORD=*"),
        (
            "connection = mysql+pymysql://nova:?@10.0.0.1/nova",
            "connection = mysql+pymysql://nova:*@10.0.0.1/nova",
        ),
        ("transport_url: rabbit://a:?@h1,b:?@h2/", "transport_url: rabbit://a:*@h2/"),
        ("  private_key: ?", "  private_key: *"),
    ],
)
def test_a_secret_of_an_earlier_day_is_known_by_its_name(line: str, wanted: str) -> None:
    shown = masked(f"a: 1\n{line.replace('?', OLD)}\nb: 2\n", ())
    assert shown == f"a: 1\n{wanted.replace('*', MASK)}\nb: 2\n"


@pytest.mark.parametrize(
    "line",
    [
        "MYSQL_PASSWORD=$ADMIN_PASSWORD",
        'password = "${ADMIN_PASSWORD}"',
        "admin_password: {{ x }}",
        "nova_ssh_key:",
        "passwords: {a: 1}",
        "CONFIG_SSH_KEY=/root/.ssh/id_ed25519.pub",
        "ssh_key: ~/.ssh/id_rsa",
        "keystone_token: ",
        "LOGDAYS=1",
        "monkey: x",
        "the key: x",
        "git_base: https://git.example.org:8443/a@b",
    ],
)
def test_what_says_only_where_a_secret_is_stays(line: str) -> None:
    assert masked(f"{line}\n", ()) == f"{line}\n"


def test_a_path_in_a_password_makes_it_no_file() -> None:
    assert masked('admin_password: "a_key=/etc/x"\n', ()) == f"admin_password: {MASK}\n"


@pytest.mark.parametrize("header", ["|", "|-", ">2", "|+"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_block_of_a_key_goes_whole_whatever_is_in_it(header: str, end: str) -> None:
    text = f"nova_ssh_key:\n  private_key: {header}\n    {OLD}\n\n    more of it{end}"
    assert masked(text, ()) == f"nova_ssh_key:\n  private_key: {MASK}{end}"
    assert masked(f"{text.rstrip()}\n  public: b\nc: d\n", ()).endswith(
        f"_key: {MASK}\n  public: b\nc: d\n"
    )


@pytest.mark.parametrize(
    "key",
    [
        "    -----BEGIN PRIVATE KEY-----\n    Swordfish2026\n    -----END PRIVATE KEY-----\n",
        "    -----BEGIN RSA PRIVATE KEY-----\n    Swordfish2026\n",  # cut off
    ],
)
def test_a_key_in_pem_is_not_shown_whatever_its_name(key: str) -> None:
    assert OLD not in masked(f"nova:\n  pair: |\n{key}", ())
    assert masked(f"a: b\n{key}", ()).startswith("a: b\n")


@pytest.mark.parametrize("name", ["passwords.yml", "passwords.lab.yml"])
def test_kollas_kit_says_which_files_hold_nothing_but_secrets(name: str) -> None:
    assert is_secret_file(PurePosixPath("/etc/kolla", name))


@pytest.mark.parametrize("name", ["globals.yml", "localrc", "answers.txt", "my-passwords.yml"])
def test_other_files_are_not_masked_whole(name: str) -> None:
    assert not is_secret_file(PurePosixPath("/etc/kolla", name))


def test_every_value_of_a_file_of_passwords_is_a_secret() -> None:
    text = (
        f"# /etc/kolla/passwords.yml\n\ngnocchi_user_id: {OLD}\nempty:\nnova_ssh_key:\n"
        f"  private_key: '-----BEGIN PRIVATE KEY-----\n\n    {OLD}\n\n"
        "    -----END PRIVATE KEY-----\n\n    '\n"
        f"  public_key: ssh-rsa {OLD}\nlong: >-\n  {OLD}\n"
    )
    shown = masked(text, (), is_all_secret=True)
    assert OLD not in shown
    kept = [line for line in shown.splitlines() if line != MASK]
    assert kept == [
        "# /etc/kolla/passwords.yml",
        "",
        f"gnocchi_user_id: {MASK}",
        "empty:",
        "nova_ssh_key:",
        f"  private_key: {MASK}",
        "",
        f"  public_key: {MASK}",
        f"long: {MASK}",
    ]
    assert "gnocchi_user_id: Swordfish2026" in masked(text, ())  # elsewhere an id is none


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    assert without("abcd ab", ["ab", "abcd", ""]) == f"{MASK} {MASK}"


def test_long_lines_take_no_minutes() -> None:
    pieces = (
        "a_",
        "password",
        "password ",
        " ",
        "my_key: |\n  a\n",
        "\n \n",
        "://a:",
        "a='",
        'password: "\\',
    )
    begun = time.process_time()
    for piece in pieces:
        masked(piece * 20_000, ())
        masked(f"my_key: |\n{piece * 20_000}", (), is_all_secret=True)
    assert time.process_time() - begun < 5
