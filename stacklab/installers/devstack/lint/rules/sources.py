"""Rules for what DevStack clones, and where to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from stacklab import releases
from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.rules.plugins import tag_at
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding, at_first_line
from stacklab.model.release_names import plain_name
from stacklab.model.stack import Installer

_COMMON = "openstack/devstack@493835a:functions-common"
RULES = (
    rule("devstack-change", "a change under review without its full ref", f"{_COMMON}: git_clone"),
    rule("devstack-branch-gone", "a branch that was deleted", "localrc/releases.yaml: ref"),
    warning("devstack-branches-mixed", "branches of several releases", f"{_COMMON}: git_clone"),
    warning(
        "devstack-dest",
        "DEST in a home directory",
        "openstack/devstack@493835a:functions: check_path_perm_sanity",
    ),
)
_BOOK = Book(RULES)

# A Gerrit change: its number, and the patch set if there is one. The rest of
# refs/changes/56/123456/7 may be left out.
_CHANGE = re.compile(
    r"(?:refs/)?(?:changes/)?(?:[0-9]{1,2}/)?(?P<number>[0-9]{4,})(?:/(?P<patch>[0-9]+))?/?"
)
_STABLE = re.compile(
    r"(?:stable|unmaintained)/(?P<branch>[a-z0-9.]+)|(?P<tag>[a-z0-9.]+)-(?:eol|eom)"
)
_TEMPEST = "TEMPEST_BRANCH"
_FIRST_WITHOUT_TEMPEST = "icehouse"
# Releases of which nothing but their tags is known here.
_BEFORE_TABLE = frozenset({"diablo", "essex", "folsom", "grizzly"})
_ONLY_NAME = re.compile(r'"?\$\{?([A-Za-z_]\w*)\}?"?')  # a value that is another variable's
# Whose branches are known here: OpenStack's own repositories, by each name that they had.
_OPENSTACKS = re.compile(
    r"(?:opendev\.org|openstack\.org(?:/p)?|github\.com)[:/]"
    r"(?:openstack|openstack-dev|openstack-infra|stackforge|x)/",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ref:
    """A branch, tag or change, and the variable or enable_plugin that has it."""

    name: str
    line: int
    ref: str
    url: str = ""  # of the repository, where the file itself names one

    @property
    def is_forks(self) -> bool:
        """Return True for a repository of somebody's own, which may have any branch."""
        is_path = self.url.startswith(("/", "file:"))
        return is_path or ("://" in self.url and _OPENSTACKS.search(self.url) is None)

    @property
    def is_plugins(self) -> bool:
        """Return True for the third word of an enable_plugin."""
        return self.name.startswith("enable_plugin")

    def write(self, ref: str) -> str:
        """Return the line with another ref."""
        return f"{self.name} ... {ref}" if self.is_plugins else f"{self.name}={ref}"


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (
        _find_bad_changes,
        _find_deleted_branches,
        _check_tempest,
        _find_mixed_branches,
        _check_destination,
    ):
        yield from rule_check(rc)


def named_release(rc: Localrc) -> str:
    """Return the release that most branches in the file name; "" if none does."""
    # Of equals, the first in the file wins.
    counts = Counter(_release_in(ref) for ref in _find_refs(rc))
    del counts[""]  # refs that do not name a release
    return counts.most_common(1)[0][0] if counts else ""


def is_before_table(release: str) -> bool:
    """Return True for a release that is older than those of which more than tags is known."""
    return release in _BEFORE_TABLE


def naming_line(rc: Localrc, release: str) -> tuple[int, str]:
    """Return the first line that names a release, and by which branch; (0, "") if none does."""
    for ref in _find_refs(rc):
        if _release_in(ref) == release:
            return ref.line, ref.ref
    return 0, ""


def _release_in(ref: _Ref) -> str:
    """Return the release that a branch or tag names; "" if it does not name one."""
    match = _STABLE.fullmatch(ref.ref)
    if match is None:
        return ""
    release = match["branch"] or match["tag"]
    is_known = release in releases.of(Installer.DEVSTACK) or release in _BEFORE_TABLE
    return release if is_known else ""


def _find_refs(rc: Localrc) -> Iterator[_Ref]:
    """Yield all refs that the file names: those of variables, then those of plugins."""
    for name in rc.settled:
        value = rc.value(name)
        if value and name.endswith("_BRANCH"):
            url = rc.value(f"{name.removesuffix('_BRANCH')}_REPO")
            # origin/stable/newton is that branch, too.
            ref_of_any = value.removeprefix("origin/")
            yield _Ref(name=name, line=rc.line(name), ref=ref_of_any, url=url)
    for call in rc.calls_of("enable_plugin"):
        if len(call.args) < 3 or call.args[2].is_dynamic:
            continue
        plugin, source, ref = call.args[:3]
        name = f"enable_plugin {plugin.text}"
        yield _Ref(name=name, line=call.line, ref=ref.text, url=source.text)


def _find_bad_changes(rc: Localrc) -> Iterator[Finding]:
    """Yield refs of changes that git cannot fetch.

    A ref is refs/changes/, the number's last two digits, the number, the patch set.
    """
    for ref in _find_refs(rc):
        change = _CHANGE.fullmatch(ref.ref)
        # A number alone may be a tag or a branch.
        if change is None or "/" not in ref.ref:
            continue
        number, patch = change["number"], change["patch"]
        right = f"refs/changes/{number[-2:]}/{number}/{patch or 'PATCHSET'}"
        if ref.ref == right:
            continue
        reason = "is not a change's whole name" if patch else "does not name a patch set"
        yield _BOOK.finding(
            "devstack-change",
            rc.file,
            ref.line,
            effect=f"{ref.ref} {reason}: fetching it fails, and stack.sh stops",
            fix=ref.write(right),
        )


def _find_deleted_branches(rc: Localrc) -> Iterator[Finding]:
    """Yield stable branches that became unmaintained, or a tag, when their release ended."""
    known = releases.of(Installer.DEVSTACK)
    found: dict[str, list[Finding]] = {}
    for ref in _find_origins(rc):
        if ref.ref in ("stable/", "unmaintained/"):
            finding = _BOOK.finding(
                "devstack-branch-gone",
                rc.file,
                ref.line,
                effect=f"there is no branch {ref.ref}: cloning it fails",
                fix=ref.write(f"{ref.ref}RELEASE"),
            )
            found.setdefault(ref.ref, []).append(finding)
            continue
        name = plain_name(ref.ref)
        release = known.get(name)
        if not ref.ref.startswith("stable/") or (release is None and name not in _BEFORE_TABLE):
            continue
        if ref.is_forks:
            continue
        instead = tag_at(ref.url, name)
        if release is not None and release.ref.startswith("stable/"):
            continue
        if release is not None and release.ref.startswith("unmaintained/"):
            instead = release.ref
        finding = _BOOK.finding(
            "devstack-branch-gone",
            rc.file,
            ref.line,
            effect=f"{ref.ref} was deleted: cloning it fails",
            fix=ref.write(instead),
        )
        found.setdefault(ref.ref, []).append(finding)
    for findings in found.values():
        yield at_first_line(findings)


def _is_without_tempest(release: str) -> bool:
    """Return True if a release has no branch or tag of its name in tempest's repository."""
    if release not in releases.of(Installer.DEVSTACK):
        return False
    return not known.is_before(release, _FIRST_WITHOUT_TEMPEST)


def _check_tempest(rc: Localrc) -> Iterator[Finding]:
    """Yield a branch of tempest's, which has none since Icehouse, and no tags of releases."""
    branch = rc.value(_TEMPEST)
    match = _STABLE.fullmatch(branch)
    release = match["branch"] or match["tag"] if match else ""
    if not _is_without_tempest(release):
        return
    row = releases.of(Installer.DEVSTACK)[release]
    pins = [line for bug in row.bugs for line in bug.localrc if line.startswith(f"{_TEMPEST}=")]
    yield _BOOK.finding(
        "devstack-branch-gone",
        rc.file,
        rc.line(_TEMPEST),
        effect=f"cloning tempest fails: it has no {branch}, and its tags are versions",
        fix=pins[0] if pins else "remove the line",
    )


def _find_origins(rc: Localrc) -> Iterator[_Ref]:
    """Yield all refs at the lines where they are written: NOVA_BRANCH=$BRANCH leads to BRANCH."""
    for ref in _find_refs(rc):
        name = ref.name
        if name == _TEMPEST and _is_without_tempest(_release_in(ref)):
            continue  # what is told of the others does not hold for it
        seen = {name}
        while not ref.is_plugins:
            used = _ONLY_NAME.fullmatch(rc.settled[name].value.raw)
            if used is None or used[1] not in rc.settled or used[1] in seen:
                break
            name = used[1]
            seen.add(name)
        yield replace(ref, name=name, line=ref.line if name == ref.name else rc.line(name))


def _find_mixed_branches(rc: Localrc) -> Iterator[Finding]:
    """Yield branches of another release than most; plugins may be of any release."""
    common = named_release(rc)
    for ref in _find_refs(rc):
        release = _release_in(ref)
        if ref.is_plugins or release in ("", common):
            continue
        yield _BOOK.finding(
            "devstack-branches-mixed",
            rc.file,
            ref.line,
            effect=f"{ref.name} is of {release}, the others of {common}: one set of requirements "
            "serves one release",
            fix=f"write {common}'s branch, unless the mix is what you test",
        )


def _check_destination(rc: Localrc) -> Iterator[Finding]:
    """Yield a DEST that services may not be able to enter."""
    assignment = rc.settled.get("DEST")
    if assignment is None:
        return
    # The text as it is written: bash alone knows $HOME and ~, unless the file says it.
    text = rc.value("DEST") if "HOME" in rc.settled else assignment.value.text
    if not re.match(r"/home/|/root\b|~|\$\{?HOME", text):
        return
    yield _BOOK.finding(
        "devstack-dest",
        rc.file,
        assignment.line,
        effect="stack.sh stops if the home directory is closed to other users (0700), because "
        "services run as such users",
        fix="DEST=/opt/stack",
    )
