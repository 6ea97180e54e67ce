"""Rules for kolla-ansible's globals.yml and passwords.yml; its inventory is in inventory.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from stacklab import releases
from stacklab.installers.kolla.lint import inventory as kolla_inventory
from stacklab.installers.kolla.lint import network as kolla_network
from stacklab.installers.kolla.lint.names import KnownNames, names
from stacklab.installers.kolla.lint.read import Globals
from stacklab.lint import yaml_tree
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Scope, Source
from stacklab.lint.yaml_tree import YamlEntry
from stacklab.model.release import Release
from stacklab.model.stack import Installer
from stacklab.words import nearest

_AT = "kolla-ansible@stable/2025.2"
_OWN = (
    rule("kolla-yaml", "a file that is not YAML, or not a mapping", "YAML 1.1, as PyYAML reads it"),
    warning(
        "kolla-duplicate-key",
        "a variable that is set twice",
        "ansible-core: `Using last defined value only`",
    ),
    rule(
        "kolla-unknown-variable",
        "a variable that is nearly one of kolla-ansible's",
        f"{_AT}:ansible/group_vars/all",
    ),
    rule("kolla-gone-variable", "a variable of another release", f"{_AT}:ansible/group_vars/all"),
    rule(
        "kolla-number",
        "an unquoted number that YAML changes",
        "YAML 1.1: float, octal and base-60 integers",
    ),
    rule(
        "kolla-flag",
        "a flag that is neither yes nor no",
        "ansible-core: filter `bool`, of any other text False",
    ),
    rule("kolla-word", "a word that the variable does not take", f"{_AT}:etc/kolla/globals.yml"),
    rule(
        "kolla-distro",
        "a base distribution without images for the release",
        f"{_AT}: kolla_base_distro_version",
    ),
    rule(
        "kolla-release",
        "openstack_release of another release",
        f"{_AT}:ansible/group_vars/all/common.yml",
    ),
    rule(
        "kolla-dev-directory",
        "a directory for sources that holds other things, too",
        f"{_AT}:tools/cleanup-host",
    ),
    rule(
        "kolla-password-empty",
        "a password that is empty",
        f"{_AT}:ansible/roles/prechecks/tasks/service_checks.yml",
    ),
)
RULES = (*_OWN, *kolla_network.RULES, *kolla_inventory.RULES)
_BOOK = Book(RULES)

# kolla-ansible's alone, or tf-kolla-ansible's: nobody calls a variable of his own so.
_ENABLE = re.compile(r"enable_(?!opencontrail|opensdn)[a-z0-9_]+")
_ALIKE = 0.9  # below, a variable of a role or of the user's own would be taken for a misspelling
_YES = ("yes", "on", "1", "true")
_NO = ("no", "off", "0", "false", "none", "null")
_WORDS = {
    "neutron_plugin_agent": (
        "openvswitch",
        "ovn",
        "opensdn",
    ),  # the last one is tf-ansible-deployer's
    "kolla_container_engine": ("docker", "podman"),
    "nova_console": ("novnc", "spice", "none"),
    "network_address_family": ("ipv4", "ipv6"),
}
_NAME = re.compile(r"[A-Za-z_]\w*")
_FLAG = re.compile(r"(kolla_)?enable_\w+|\w+_dev_mode")
_EMPTY = re.compile(r"[^#].*:\s*")


@dataclass(frozen=True, slots=True)
class _PasswordsAndGlobals:
    """A file as the rules of this module see it."""

    file: str
    root: YamlEntry
    scope: Scope
    release: Release | None
    names: KnownNames

    @property
    def word(self) -> str:
        """Return the release by the names' table; the newest stable one if none is known."""
        known = self.release.name if self.release else ""
        return known if known in self.names.releases else self.names.releases[-2]


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in a globals.yml, passwords.yml or inventory; its name tells which."""
    name = PurePosixPath(source.name).name
    if not name.endswith((".yml", ".yaml")):
        yield from kolla_inventory.lint(source, scope, _release(scope, ""))
        return
    root = yaml_tree.mapping(source, _BOOK, "kolla-yaml", "`key: value` lines")
    if isinstance(root, Finding):
        yield root
        return
    yield from yaml_tree.doubles(root, _BOOK, "kolla-duplicate-key", source.name)
    if name.startswith("passwords"):
        if scope.lab is None:  # a lab's are filled by kolla-genpwd before anything reads them
            yield from _passwords(source)
        return
    given = root.get("openstack_release")
    release = _release(scope, given.text if given else "")
    scene = _PasswordsAndGlobals(source.name, root, scope, release, names())
    for rule_check in (_unknown, _numbers, _flags, _words, _distro, _release_word, _dev_directory):
        yield from rule_check(scene)
    yield from kolla_network.check(Globals(file=source.name, root=root, scope=scope))


def _release(scope: Scope, word: str) -> Release | None:
    """Return the lab's release, else the one that the file names, else the table's first."""
    known = releases.of(Installer.KOLLA)
    if scope.release is not None:
        return scope.release
    return known.get(word) or next(iter(known.values()), None)


def _unknown(scene: _PasswordsAndGlobals) -> Iterator[Finding]:
    current, ever = scene.names.variables[scene.word], scene.names.ever
    used = _used(scene)
    nearest = Near(current, cutoff=_ALIKE)
    for entry in scene.root.items:
        if entry.key in current or entry.key in scene.names.roles:
            continue
        if entry.key in ever:
            yield _gone(scene, entry)
        elif entry.key in used:
            continue
        elif (near := nearest(entry.key)) or _ENABLE.fullmatch(entry.key):
            yield _BOOK.finding(
                "kolla-unknown-variable",
                scene.file,
                entry.line,
                f"kolla-ansible {scene.word} does not read {entry.key}",
                f"write {near}" if near else "remove the line",
            )


def _used(scene: _PasswordsAndGlobals) -> frozenset[str]:
    """Return names that the file itself uses in templates."""
    return frozenset(
        name
        for entry in scene.root.items
        if entry.is_template
        for name in _NAME.findall(entry.text)
    )


def _gone(scene: _PasswordsAndGlobals, entry: YamlEntry) -> Finding:
    having = ", ".join(scene.names.having(entry.key))
    fix = "remove the line"
    for old, new in (scene.release.replaced if scene.release else {}).items():
        if new and old in entry.key:
            fix = f"write {entry.key.replace(old, new)}"
    return _BOOK.finding(
        "kolla-gone-variable",
        scene.file,
        entry.line,
        f"kolla-ansible {scene.word} does not read {entry.key}, which is of {having}",
        fix,
    )


def _numbers(scene: _PasswordsAndGlobals) -> Iterator[Finding]:
    for entry in scene.root.items:
        if read := yaml_tree.changed(entry):
            yield _BOOK.finding(
                "kolla-number",
                scene.file,
                entry.line,
                f"YAML reads {entry.text} as the number {read}",
                f'{entry.key}: "{entry.text}"',
            )


def _flags(scene: _PasswordsAndGlobals) -> Iterator[Finding]:
    for entry in scene.root.items:
        if not _FLAG.fullmatch(entry.key) or entry.is_template:
            continue
        if entry.kind in ("seq", "map") or entry.text.lower() in (*_YES, *_NO):
            continue
        meant = "yes" if entry.text.lower() in ("y", "t", "enabled", "enable") else "no"
        shown = entry.text or "nothing"
        yield _BOOK.finding(
            "kolla-flag",
            scene.file,
            entry.line,
            f"Ansible takes {shown} for no, because it is neither yes nor no",
            f'{entry.key}: "{meant}"',
        )


def _words(scene: _PasswordsAndGlobals) -> Iterator[Finding]:
    for entry in scene.root.items:
        words = _WORDS.get(entry.key, ())
        if not words or entry.is_template or (entry.text in words and entry.kind == "str"):
            continue
        if entry.text.startswith("vmware_"):
            continue  # stable/2025.1 and older have VMware's agents
        near = nearest(entry.text.lower(), words)
        yield _BOOK.finding(
            "kolla-word",
            scene.file,
            entry.line,
            f"kolla-ansible leaves out what depends on it: {entry.text or 'nothing'} is not one of "
            f"{', '.join(words)}",
            f'{entry.key}: "{near or words[0]}"',
        )


def _distro(scene: _PasswordsAndGlobals) -> Iterator[Finding]:
    entry = scene.root.get("kolla_base_distro")
    known = (
        [word.partition("=")[0] for word in scene.release.words("base_distros")]
        if scene.release
        else []
    )
    if entry is None or not known or entry.is_template or entry.text in known:
        return
    yield _BOOK.finding(
        "kolla-distro",
        scene.file,
        entry.line,
        f"kolla-ansible {scene.word} stops at kolla_base_distro_version, because images of "
        f"{entry.text or 'nothing'} do not exist",
        f"kolla_base_distro: {nearest(entry.text, known) or known[0]} (of {', '.join(known)})",
    )


def _release_word(scene: _PasswordsAndGlobals) -> Iterator[Finding]:
    entry = scene.root.get("openstack_release")
    if (
        entry is None
        or scene.scope.release is None
        or entry.is_template
        or entry.text == scene.word
    ):
        return
    yield _BOOK.finding(
        "kolla-release",
        scene.file,
        entry.line,
        f"kolla-ansible {scene.word} would start containers of {entry.text}, which its "
        f"configuration is not made for",
        "remove the line",
    )


def _dev_directory(scene: _PasswordsAndGlobals) -> Iterator[Finding]:
    entry = scene.root.get("kolla_dev_repos_directory")
    if entry is None or entry.is_template:
        return
    path = PurePosixPath(entry.text)
    if not path.is_absolute():
        effect = f"containers cannot mount {entry.text or 'an empty path'}, which is not absolute"
    elif len(path.parts) < 3 or (path.parts[1] == "home" and len(path.parts) < 4):
        effect = f"`kolla-ansible destroy --include-dev` removes the whole of {entry.text}"
    else:
        return
    yield _BOOK.finding(
        "kolla-dev-directory", scene.file, entry.line, effect, f"{entry.key}: /opt/stack/"
    )


def _passwords(source: Source) -> Iterator[Finding]:
    """Yield empty passwords, by the expression that the prechecks grep for."""
    names_by_line = {
        number: line.partition(":")[0].strip()
        for number, line in enumerate(source.lines, start=1)
        if _EMPTY.fullmatch(line) and "ssh_key" not in line
    }
    if names_by_line:
        line, name = next(iter(names_by_line.items()))
        others = len(names_by_line) - 1
        shown = f"{name} and {others} more are" if others else f"{name} is"
        yield _BOOK.finding(
            "kolla-password-empty",
            source.name,
            line,
            f"`kolla-ansible prechecks` stops: {shown} empty",
            f"kolla-genpwd -p {source.name}",
        )
    root = yaml_tree.parse(source.text, source.name)
    for entry in root.items if isinstance(root, YamlEntry) else ():
        # The prechecks look at lines, so they miss "" and ~, which YAML reads as empty, too.
        if entry.line in names_by_line or "ssh_key" in entry.key or entry.text:
            continue
        if entry.kind in ("str", "null"):
            yield _BOOK.finding(
                "kolla-password-empty",
                source.name,
                entry.line,
                f"services start with an empty {entry.key}, because the prechecks do not see it",
                f"remove the value, then kolla-genpwd -p {source.name}",
            )
