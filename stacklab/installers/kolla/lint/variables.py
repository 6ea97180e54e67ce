"""Rules for a globals.yml's variables that the release does not read: another's, or nobody's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from stacklab.installers.kolla.lint.read import GlobalsFile
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.readers.yaml_tree import YamlEntry

_AT = "kolla-ansible@stable/2025.2"
RULES = (
    rule(
        "kolla-unknown-variable",
        "a variable that is nearly one of kolla-ansible's",
        f"{_AT}:ansible/group_vars/all",
    ),
    rule(
        "kolla-gone-variable",
        "a variable of another release",
        f"{_AT}:ansible/group_vars/all",
        is_of_age=True,
    ),
)
_BOOK = Book(RULES)

# kolla-ansible's alone, or tf-kolla-ansible's: nobody calls a variable of his own so.
_ENABLE = re.compile(r"enable_(?!opencontrail|opensdn)[a-z0-9_]+")
# Its APIs' addresses; keepalived.conf.j2 gives them neither a prefix nor a gateway.
_VIP = re.compile(r"(kolla_)?(internal|external)_vip_[a-z0-9_]+")
_ALIKE = 0.9  # below, a variable of a role or of the user's own would be taken for a misspelling
_NAME = re.compile(r"[A-Za-z_]\w*")
# Variables that went, with the value that is the only way since: there the line does no harm.
_ONLY_WAY = {"kolla_install_type": "source"}


def check(given: GlobalsFile) -> Iterator[Finding]:
    """Yield variables that kolla-ansible does not read, if they can't be somebody's own."""
    if not given.is_known:
        return
    current = given.names.variables[given.release_name]
    ever = given.names.ever  # asked once, as it is put together each time
    # Names that the file itself uses have a reader, whatever they resemble.
    accepted = current | given.names.roles
    used = _names_in_templates(given)
    nearest_known = Near(current, cutoff=_ALIKE)
    present = {entry.key for entry in given.root.items}
    for entry in given.root.items:
        if entry.key in accepted:
            continue
        if entry.key in ever:
            if not _is_as_ever(given, entry):
                yield _tell_gone(given, entry)
            continue
        if entry.key in used:
            continue
        is_kollas = _is_kollas(entry.key, current)
        near = _swap_enable(entry.key, current) or nearest_known(entry.key)
        if near in present:
            near = ""  # the file has it beside this one
        if near or is_kollas:
            yield _BOOK.finding(
                "kolla-unknown-variable",
                given.file,
                entry.line,
                effect=f"kolla-ansible {given.release_name} does not read {entry.key}",
                fix=f"write {near}" if near else "remove the line",
            )


def _is_as_ever(given: GlobalsFile, entry: YamlEntry) -> bool:
    """Return True for a variable that went, if its value is what there is without it."""
    # Nobody misses what was off, and is not there any more.
    is_off = entry.key.startswith("enable_") and entry.text.lower() in ("no", "false", "off")
    if is_off and not given.names.successor(entry.key, given.release_name):
        return True
    return _ONLY_WAY.get(entry.key) == entry.text


def _is_kollas(name: str, current: Set[str]) -> bool:
    """Return True for a name that nobody would give to a variable of his own."""
    if _ENABLE.fullmatch(name) or _VIP.fullmatch(name):
        return True
    return "_backend_" in name and f"enable_{name}" in current


def _swap_enable(name: str, current: Set[str]) -> str:
    """Return the known name with enable_ for one without it, or the other way round; "" for none.

    cinder_backend_ceph enables a backend without that word; manila_backend_generic needs it.
    """
    bare = name.removeprefix("enable_")
    if bare in current:
        return bare
    with_word = f"enable_{name}"
    return with_word if "_backend_" in name and with_word in current else ""


def _names_in_templates(given: GlobalsFile) -> set[str]:
    """Return names that the file itself uses in templates."""
    used: set[str] = set()
    for entry in given.root.items:
        if entry.is_template:
            used.update(_NAME.findall(entry.text))
    return used


def _tell_gone(given: GlobalsFile, entry: YamlEntry) -> Finding:
    """Return the finding for a variable of other releases."""
    instead = given.names.successor(entry.key, given.release_name)
    having = given.names.lifetime(entry.key)
    return _BOOK.finding(
        "kolla-gone-variable",
        given.file,
        entry.line,
        effect=(
            f"kolla-ansible {given.release_name} does not read {entry.key}, which is of {having}"
        ),
        fix=_suggest_successor(given, entry, instead) if instead else "remove the line",
    )


def _suggest_successor(given: GlobalsFile, entry: YamlEntry, instead: str) -> str:
    """Return what to write instead of a variable, whose value may have another form there."""
    form = given.names.forms.get(instead, "")
    if not form:
        return f"write {instead}"
    if not entry.text or entry.is_template:
        return f"{instead}: {form}, with the old value for ..."
    return f"{instead}: {form.replace('...', entry.text)}"
