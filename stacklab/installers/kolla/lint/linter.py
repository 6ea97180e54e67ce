"""Rules for kolla-ansible's globals.yml and passwords.yml; its inventory is in inventory.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from stacklab import releases
from stacklab.installers.kolla.lint import inventory as kolla_inventory
from stacklab.installers.kolla.lint import network as kolla_network
from stacklab.installers.kolla.lint import variables as kolla_variables
from stacklab.installers.kolla.lint import volumes as kolla_volumes
from stacklab.installers.kolla.lint.names import known_names
from stacklab.installers.kolla.lint.read import YES, GlobalsFile
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.readers import yaml_tree
from stacklab.lint.readers.yaml_tree import YamlEntry
from stacklab.lint.scope import Scope, Source
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
RULES = (
    *_OWN,
    *kolla_variables.RULES,
    *kolla_network.RULES,
    *kolla_volumes.RULES,
    *kolla_inventory.RULES,
)
_BOOK = Book(RULES)

_NO = ("no", "off", "0", "false", "none", "null")
# The words of variables that roles compare with texts, without a precheck that stops at others.
_WORDS = {
    "neutron_plugin_agent": (
        "openvswitch",
        "ovn",
        "opensdn",  # tf-ansible-deployer's
    ),
    "kolla_container_engine": ("docker", "podman"),
    "nova_console": ("novnc", "spice", "none"),
    "network_address_family": ("ipv4", "ipv6"),
}
# Plugins that went -> the first release without them.
_PLUGINS_UNTIL = {"linuxbridge": "2025.1", "opendaylight": "ussuri"}
_MEANT_YES = ("y", "t", "enabled", "enable")  # other texts that are not a flag probably mean no
_CURLY_QUOTES = "\u201c\u201d\u201e\u2018\u2019"  # an editor's, which YAML takes for letters
# Flags by their names, of which there are hundreds; roles' own count, too.
_FLAG = re.compile(r"(kolla_)?enable_\w+|\w+_dev_mode")
# A group at the left margin, which no YAML begins with, and a variable, which no inventory has.
_GROUP = re.compile(r"^\[[\w:-]+\]\s*$", re.MULTILINE)
_VARIABLE = re.compile(r"^[a-z]\w*:(\s|$)", re.MULTILINE)
_EMPTY = re.compile(r"[^#].*:\s*")  # what the prechecks grep for


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in a globals.yml, passwords.yml or inventory; its name tells which."""
    name = PurePosixPath(source.name).name
    if is_inventory(source, name):
        # An inventory does not name its release.
        yield from kolla_inventory.lint(source, scope, _choose_release(scope, ""))
        return
    root = yaml_tree.mapping(source, _BOOK, "kolla-yaml", "`key: value` lines")
    if isinstance(root, Finding):
        yield root
        return
    yield from yaml_tree.doubles(root, _BOOK, "kolla-duplicate-key", source.name)
    if not name.startswith("passwords"):
        yield from _lint_globals(source, scope, root)
    elif scope.lab is None:  # a lab's are filled by kolla-genpwd before anything reads them
        yield from _check_passwords(source, root)


def is_inventory(source: Source, name: str) -> bool:
    """Return True for an inventory in INI form: by its groups, else by a name that is no YAML's."""
    if _GROUP.search(source.text):
        return True
    return not name.endswith((".yml", ".yaml")) and not _VARIABLE.search(source.text)


def _lint_globals(source: Source, scope: Scope, root: YamlEntry) -> Iterator[Finding]:
    """Yield every finding in a globals.yml that is a mapping."""
    given = read_globals(source, scope, root)
    yield from kolla_variables.check(given)
    yield from _check_numbers(given)
    yield from _check_flags(given)
    yield from _check_words(given)
    yield from _check_distro(given)
    yield from _check_release(given)
    yield from _check_dev_directory(given)
    yield from kolla_network.check(given)
    yield from kolla_volumes.check(given)


def read_globals(source: Source, scope: Scope, root: YamlEntry) -> GlobalsFile:
    """Return a globals.yml with its release."""
    named_release = root.get("openstack_release")
    release = _choose_release(scope, named_release.text if named_release else "")
    return GlobalsFile(
        file=source.name,
        root=root,
        scope=scope,
        release=releases.of(Installer.KOLLA).get(release),
        release_name=release,
        names=known_names(),
    )


def _choose_release(scope: Scope, named: str) -> str:
    """Return the lab's release, else the one that the file names, else the table's first."""
    if scope.era is not None:
        return scope.era.release
    if scope.release is not None:
        return scope.release.name
    known = releases.of(Installer.KOLLA)
    named = known_names().release_of_version(named)
    return named if named in known else next(iter(known))


def _check_numbers(given: GlobalsFile) -> Iterator[Finding]:
    """Yield numbers that YAML reads as others: the release 2025.10 as 2025.1."""
    for entry in given.root.items:
        number = yaml_tree.changed(entry)
        if number:
            yield _BOOK.finding(
                "kolla-number",
                given.file,
                entry.line,
                effect=f"YAML reads {entry.text} as the number {number}",
                fix=f'{entry.key}: "{entry.text}"',
            )


def _check_flags(given: GlobalsFile) -> Iterator[Finding]:
    """Yield flags that are neither yes nor no; Ansible stops at a list by itself."""
    for entry in given.root.items:
        word = entry.text.lower().strip(_CURLY_QUOTES)
        if not _FLAG.fullmatch(entry.key) or entry.is_template:
            continue
        if entry.kind in ("seq", "map") or entry.text.lower() in (*YES, *_NO):
            continue
        # A guess, which the fix shows: Ansible itself takes either for no.
        meant = "yes" if word in (*_MEANT_YES, *YES) else "no"
        yield _BOOK.finding(
            "kolla-flag",
            given.file,
            entry.line,
            effect=(
                f"Ansible takes {entry.text or 'nothing'} for no, because it is neither yes nor no"
            ),
            fix=f'{entry.key}: "{meant}"',
        )


def _check_words(given: GlobalsFile) -> Iterator[Finding]:
    """Yield words that a variable does not take: roles compare them, and are left out then."""
    for entry in given.root.items:
        words = _WORDS.get(entry.key)
        if words is None or entry.is_template:
            continue
        # A 1 or a yes without quotes is not a text, whatever it looks like.
        if entry.text in words and entry.kind == "str":
            continue
        if entry.text.startswith("vmware_"):
            continue  # stable/2025.1 and older have VMware's agents
        if entry.text in _PLUGINS_UNTIL and _is_before(given, _PLUGINS_UNTIL[entry.text]):
            continue
        near = nearest(entry.text.lower(), words)
        yield _BOOK.finding(
            "kolla-word",
            given.file,
            entry.line,
            effect=(
                f"kolla-ansible leaves out what depends on it: {entry.text or 'nothing'} is not "
                f"one of {', '.join(words)}"
            ),
            fix=f'{entry.key}: "{near or words[0]}"',
        )


def _is_before(given: GlobalsFile, release: str) -> bool:
    """Return True if the file is for an older release; so is any that the table lacks."""
    known = given.names.releases
    if given.release_name not in known:
        return True
    return known.index(given.release_name) < known.index(release)


def _check_distro(given: GlobalsFile) -> Iterator[Finding]:
    """Yield a distribution whose images nobody builds for the release."""
    entry = given.fixed_entry("kolla_base_distro")
    if entry is None or given.release is None:
        return
    # Each is DISTRIBUTION=VERSION.
    rows = given.release.words("base_distros")
    known = [row.partition("=")[0] for row in rows]
    if not known or entry.text in known:
        return
    near = nearest(entry.text, known)
    yield _BOOK.finding(
        "kolla-distro",
        given.file,
        entry.line,
        effect=(
            f"kolla-ansible {given.release_name} stops at kolla_base_distro_version, because "
            f"images of {entry.text or 'nothing'} do not exist"
        ),
        fix=f"kolla_base_distro: {near or known[0]} (of {', '.join(known)})",
    )


def _check_release(given: GlobalsFile) -> Iterator[Finding]:
    """Yield a release that is not the one which the file is for; without that, it may be any."""
    entry = given.fixed_entry("openstack_release")
    if entry is None or given.scope.release is None:
        return
    if given.names.release_of_version(entry.text) == given.release_name:
        return
    yield _BOOK.finding(
        "kolla-release",
        given.file,
        entry.line,
        effect=(
            f"kolla-ansible {given.release_name} would start containers of {entry.text}, which "
            "its configuration is not made for"
        ),
        fix="remove the line",
    )


def _check_dev_directory(given: GlobalsFile) -> Iterator[Finding]:
    """Yield a directory of sources that cannot be mounted, or that holds other things, too."""
    entry = given.fixed_entry("kolla_dev_repos_directory")
    if entry is None:
        return
    path = PurePosixPath(entry.text)
    if not path.is_absolute():
        effect = f"containers cannot mount {entry.text or 'an empty path'}, which is not absolute"
    elif _is_shared_directory(path):
        effect = f"`kolla-ansible destroy --include-dev` removes the whole of {entry.text}"
    else:
        return
    yield _BOOK.finding(
        "kolla-dev-directory",
        given.file,
        entry.line,
        effect=effect,
        fix=f"{entry.key}: /opt/stack/",
    )


def _is_shared_directory(path: PurePosixPath) -> bool:
    """Return True for /, for one below it such as /opt, and for somebody's home."""
    # "/" is a part of its own: /opt/stack has three.
    is_in_home = path.parts[1:2] == ("home",)
    return len(path.parts) < (4 if is_in_home else 3)


def _check_passwords(source: Source, root: YamlEntry) -> Iterator[Finding]:
    """Yield empty passwords: those that the prechecks find, as one, and those that they miss."""
    empty_names = _empty_names_by_line(source)
    if empty_names:
        first_line, first_name = next(iter(empty_names.items()))
        others = len(empty_names) - 1
        shown = f"{first_name} and {others} more are" if others else f"{first_name} is"
        yield _BOOK.finding(
            "kolla-password-empty",
            source.name,
            first_line,
            effect=f"`kolla-ansible prechecks` stops: {shown} empty",
            fix=f"kolla-genpwd -p {source.name}",
        )
    for entry in root.items:
        # The prechecks look at lines, so they miss "" and ~, which YAML reads as empty, too.
        if entry.line in empty_names or entry.text or entry.kind not in ("str", "null"):
            continue
        if "ssh_key" in entry.key:
            continue  # a mapping, or what kolla-genpwd makes into one
        yield _BOOK.finding(
            "kolla-password-empty",
            source.name,
            entry.line,
            effect=(
                f"services start with an empty {entry.key}, because the prechecks do not see it"
            ),
            fix=f"remove the value, then kolla-genpwd -p {source.name}",
        )


def _empty_names_by_line(source: Source) -> Mapping[int, str]:
    """Return passwords without a value, by the expression that the prechecks grep for."""
    empty_names: dict[int, str] = {}
    for number, line in enumerate(source.lines, start=1):
        # Pairs of keys are mappings, whose first line looks empty.
        if _EMPTY.fullmatch(line) and "ssh_key" not in line:
            empty_names[number] = line.partition(":")[0].strip()
    return empty_names
