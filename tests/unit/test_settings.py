from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import settings
from stacklab.errors import HostError
from stacklab.paths import HostPaths
from stacklab.settings import Settings


@pytest.fixture
def host(tmp_path: Path) -> HostPaths:
    return HostPaths(tmp_path)


@pytest.mark.parametrize("text", [None, "", "# nothing\n"])
def test_a_host_without_settings_has_the_defaults(host: HostPaths, text: str | None) -> None:
    if text is not None:
        host.settings.write_text(text)
    assert settings.read(host) == Settings(cache_bytes=None, memory_overcommit=1.0, labs=())


def test_all_settings_together(host: HostPaths) -> None:
    host.settings.write_text("cache: 1GiB\novercommit: {memory: 1.5}\nlabs: [/srv/labs, mine]\n")
    assert settings.read(host) == Settings(
        cache_bytes=1 << 30,
        memory_overcommit=1.5,
        labs=(Path("/srv/labs"), host.root / "mine"),
    )


def test_directories_with_labs_may_begin_at_home(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    host.settings.write_text("labs: ~/labs\n")
    assert settings.read(host).labs == (Path("/home/me/labs"),)


def test_what_specs_may_read_is_a_list_of_variables_and_files(host: HostPaths) -> None:
    host.settings.write_text("cache: 0\nsecrets: [ADMIN, ~/secrets/admin, /etc/lab/token]\n")
    assert settings.read(host).secrets == ("ADMIN", "~/secrets/admin", "/etc/lab/token")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("overcommit: 1.5", "with the key memory alone"),
        ("overcommit: {memory: 1.5, cpu: 2}", "with the key memory alone"),
        ("overcommit: {memory: 0.5}", "is not a number from 1 to 10"),
        ("overcommit: {memory: 1000}", "is not a number from 1 to 10"),
        ("overcommit: {memory: .nan}", "is not a number from 1 to 10"),
        ("overcommit: {memory: yes}", "is not a number from 1 to 10"),
        ("labs: {a: b}", "a directory or a list"),
        ("labs: [1]", "a directory or a list"),
        ('labs: [""]', "a directory or a list"),
        ("secrets: ADMIN", "it has to be a list"),
        ("secrets: ['*']", "neither the name of a variable nor a path"),
        ("secrets: [$ADMIN]", "neither the name of a variable nor a path"),
        ("secrets: [1]", "neither the name of a variable nor a path"),
        ("secrets: [relative/path]", "neither the name of a variable nor a path"),
        ("lab: /srv", "known: cache, labs, overcommit, secrets"),
        ("x: 2001-99-99", "can't be read"),
        ("[" * 5000, "can't be read"),
    ],
)
def test_settings_that_are_wrong_name_their_file_and_key(
    host: HostPaths, text: str, why: str
) -> None:
    host.settings.write_text(text)
    with pytest.raises(HostError, match=why) as caught:
        settings.read(host)
    assert str(host.settings) in caught.value.message
    assert caught.value.hint
