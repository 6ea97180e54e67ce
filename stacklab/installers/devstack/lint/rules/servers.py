"""Rules for the servers that DevStack clones from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding, at_first_line

RULES = (
    rule(
        "devstack-git-base",
        "sources by a protocol that was switched off",
        "openstack/devstack@mitaka-eol:stackrc",
    ),
    warning(
        "devstack-git-forwarded",
        "a server that only forwards",
        "openstack-discuss, March 2019: Migrating git repos to OpenDev",
    ),
)
_BOOK = Book(RULES)
# Servers that had git:// once.
_WITHOUT_GIT = ("opendev.org", "openstack.org", "github.com")
# What comes before a repository's path. With a password before @, it must not be repeated.
_BEFORE_PATH = re.compile(r".*openstack\.org[^/]*/(?:p/)?|[a-z]+://[^/]*/")


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules, one for each: all of a file are mended alike."""
    found: dict[str, list[Finding]] = {}
    for name in rc.settled:
        if name == "GIT_BASE" or name.endswith("_REPO"):
            host = "opendev.org" if name == "GIT_BASE" else "..."
            fix = f"{name}=https://{host}"
            _judge_url(rc, rc.value(name), rc.line(name), fix, found)
    for call in rc.calls_of("enable_plugin"):
        if len(call.args) > 1:
            url = call.args[1].text
            _judge_url(rc, url, call.line, _move_plugin(call.args[0].text, url), found)
    for findings in found.values():
        yield at_first_line(findings)


def _judge_url(rc: Localrc, url: str, line: int, fix: str, found: dict[str, list[Finding]]) -> None:
    """Add the finding of a URL to those of its rule, if there is one."""
    parts = urlsplit(url)
    # Any other host may be somebody's mirror.
    if parts.scheme == "git" and (parts.hostname or "").endswith(_WITHOUT_GIT):
        rule_id = "devstack-git-base"
        effect = "opendev.org and GitHub do not serve git:// any more: cloning fails or hangs"
    elif "git.openstack.org" in url:
        rule_id = "devstack-git-forwarded"
        effect = (
            "git.openstack.org has no repositories since 2019: it only forwards to opendev.org, "
            "as long as somebody keeps it"
        )
    else:
        return
    finding = _BOOK.finding(rule_id, rc.file, line, effect=effect, fix=fix)
    found.setdefault(rule_id, []).append(finding)


def _move_plugin(plugin: str, url: str) -> str:
    """Return an enable_plugin with the URL that the repository has today."""
    # OpenStack's repositories moved from openstack.org; others that git:// served are GitHub's.
    host = "opendev.org" if "openstack.org" in url else "github.com"
    path = _BEFORE_PATH.sub("", url)
    return f"enable_plugin {plugin} https://{host}/{path} ..."
