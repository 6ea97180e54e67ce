from __future__ import annotations

import base64
import re
import time
import tracemalloc
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.installers import is_secret_file
from stacklab.installers.kit.masking.mask import MASK, masked, without

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


PASSWORD = "Tr0ub4dorAndThree9xy"


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
        "--os-password ",
        "-password",
        "a:b",
        "a:bbbbbbb@",
        "://a:b@",
        "$6$",
        "Bearer 1",
        "-u a:",
        "\\\n ",
        "\x1b[",
        "A1",
    )
    begun = time.process_time()
    for piece in pieces:
        masked(piece * 10_000, (PASSWORD,))
        masked(f"my_key: |\n{piece * 10_000}", (), is_all_secret=True)
    assert time.process_time() - begun < 5


def forms_of(secret: str) -> dict[str, str]:
    data = secret.encode()
    return {
        "base64 alone": base64.b64encode(data).decode(),
        "base64 of a login": base64.b64encode(b"nova:" + data).decode(),
        "base64 within a file": base64.encodebytes(b"x" * 50 + data + b"y" * 40).decode(),
        "base64 for a URL": base64.urlsafe_b64encode(b"\xff\xfe" + data + b"\xff").decode(),
        "hex": data.hex(),
        "hex of a dump": data.hex(" "),
        "broken by a terminal": f"{secret[:7]}\r\n{secret[7:]}",
        "broken by a shell": f"{secret[:9]}\\\n    {secret[9:]}",
        "broken by a log": f"{secret[:9]}\n  | {secret[9:]}",
        "coloured": f"{secret[:3]}\x1b[1;31m{secret[3:]}\x1b[0m",
        "each letter on a line": "\n".join(secret),
    }


@pytest.mark.parametrize("form", forms_of(PASSWORD))
def test_a_known_secret_is_masked_in_every_form(form: str) -> None:
    text = f"before {forms_of(PASSWORD)[form]} after\n"
    shown = masked(text, [PASSWORD, "other"])
    assert MASK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after\n")
    joined = re.sub(r"\s|\\|\||\x1b\[[\d;]*m", "", shown)
    assert PASSWORD not in joined
    assert not any(piece in joined for piece in forms_of(PASSWORD).values())


@given(
    st.text("abcXYZ019", min_size=8, max_size=20),
    st.binary(max_size=20),
    st.binary(max_size=20),
)
def test_no_base64_of_a_known_secret_is_left_whatever_is_around_it(
    secret: str, before: bytes, after: bytes
) -> None:
    text = base64.b64encode(before + secret.encode() + after).decode()
    assert MASK in masked(text, [secret])


@given(st.lists(st.sampled_from(["\n", "\r\n", "\\\n ", "\x1b[0m", "", "\n\n"]), min_size=20))
def test_no_break_hides_a_known_secret(breaks: list[str]) -> None:
    broken = "".join(map("".join, zip(PASSWORD, breaks, strict=False)))
    shown = masked(f"a\nb {broken} c\nd", [PASSWORD])
    assert shown.startswith("a\nb ")
    assert shown.endswith("c\nd")
    assert MASK in shown


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("openstack --os-password ? token issue", "openstack --os-password * token issue"),
        ("x --db-password '?' y", "x --db-password * y"),
        ("curl -u admin:? http://x", "curl -u admin:* http://x"),
        ("sshpass -p ? ssh x", "sshpass -p * ssh x"),
        ("Authorization: Bearer ?.abc", "Authorization: Bearer *"),
        ('{"auth": "bearer ?"}', '{"auth": "bearer *"}'),
        ("authorization: Basic bm92YTp4", "authorization: Basic *"),
        ("mysql://nova:a/b/?@db/nova", "mysql://nova:*@db/nova"),
        ("nova:?@10.0.0.1:3306", "nova:*@10.0.0.1:3306"),
        ("root:$6$saltsalt$" + "a/" * 43 + ":19000:", "root:*:19000:"),
        ("stack:$y$j9T$" + "b." * 30 + ":1:", "stack:*:1:"),
    ],
)
def test_what_is_given_as_a_secret_is_masked_though_nobody_knows_it(line: str, wanted: str) -> None:
    assert masked(line.replace("?", OLD), ()) == wanted.replace("*", MASK)


@pytest.mark.parametrize(
    "line",
    [
        "--password-file /etc/kolla/passwords",
        "debian:bookworm12@sha256:0123456789abcdef",
        "git@git.example.org:openstack/nova",
        "12:34:56 login of foo@bar",
        "Bearer of bad news",
        "10.0.0.1:8774/v2.1/servers@x",
        "$6 and $5$ for lunch",
    ],
)
def test_what_only_looks_a_little_like_a_secret_stays(line: str) -> None:
    assert masked(line, ["Swordfish2026"]) == line


def test_the_forms_of_many_secrets_are_looked_for_in_seconds() -> None:
    secrets = [f"{number:02}secretsecretsecret" for number in range(40)]
    text = "".join(
        f"2026-11-20 10:30:00 nova.api[{n}] GET /v2.1/servers/{n:032x}\n" for n in range(40_000)
    )
    begun = time.process_time()
    assert masked(text, secrets) == text
    assert time.process_time() - begun < 5


def test_a_text_of_short_lines_costs_no_more_memory_than_a_few_copies_of_it() -> None:
    text = "\u0124\n" * 500_000  # Python has no copy of this letter that all strings share
    broken = f"{PASSWORD[:5]}\n{PASSWORD[5:]}\n"
    tracemalloc.start()
    assert masked(text, [PASSWORD]) == text
    assert masked(broken * 20_000, [PASSWORD]) == MASK
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(text)
