"""kolla-ansible's files: how they are told from others'."""

from __future__ import annotations

import re
from pathlib import PurePath

from stacklab.installers.kolla.lint import across, era, linter
from stacklab.installers.kolla.lint.names import known_names
from stacklab.lint.kinds import Claim, FileKind, Linting, Sureness
from stacklab.lint.scope import Source
from stacklab.lint.shape import is_assignments
from stacklab.lint.syntaxes import YAML
from stacklab.model.stack import Installer

# Of these, a globals.yml nearly always has one at the left margin.
_VARIABLE = re.compile(
    r"^(kolla_\w+|openstack_release|network_interface|enable_\w+)\s*:", re.MULTILINE
)
# Groups that kolla-ansible's plays ask for, whatever else there is.
_GROUP = re.compile(r"^\[(control|baremetal:children)\]", re.MULTILINE)
_INVENTORIES = ("multinode", "all-in-one", "inventory")
_ANY_VARIABLE = re.compile(r"^([A-Za-z_]\w*)\s*:", re.MULTILINE)  # at the left margin
_SEVERAL = 2  # names or lines: a single one may be misspelt

FILES = FileKind(
    title="globals.yml, passwords.yml or inventory of kolla-ansible",
    installer=Installer.KOLLA,
    names=frozenset({"globals.yml", "passwords.yml"}),
    lint=linter.lint,
    consumer="kolla-ansible",
    word="kolla",
    syntax=YAML,
    releases=era.newest_first,
    era=era.find,
    is_compared=lambda _source, _scope: True,
)


def is_inventory(text: str) -> bool:
    """Return True for an inventory in INI form, whatever its name."""
    return _GROUP.search(text) is not None


def _claim(source: Source, path: PurePath) -> Claim | None:
    """Claim a file by its form, else by its name, else by a variable in it."""
    text, name = source.text, path.name
    # Other tools, too, call a file passwords.yml; kolla's variables end like this.
    has_passwords = name.startswith("passwords.") and "_password:" in text
    if is_inventory(text) or has_passwords:
        return Claim(kind=FILES, sureness=Sureness.FORM)
    # Assignments, as in a localrc, are never a globals.yml, whatever texts they hold.
    if is_assignments(text, path) and name not in _INVENTORIES:
        return None
    if _VARIABLE.search(text):
        return Claim(kind=FILES, sureness=Sureness.KEYS)
    if name in _INVENTORIES or (name.startswith("globals.") and not _is_anothers(text)):
        return Claim(kind=FILES, sureness=Sureness.NAME)
    return None


def _is_anothers(text: str) -> bool:
    """Return True if a globals.yml sets several variables, none of which kolla-ansible reads."""
    names = set(_ANY_VARIABLE.findall(text))
    table = known_names()
    lines = [line for line in text.splitlines() if line.strip(" -")]
    return bool(names) and len(lines) >= _SEVERAL and not names & (table.ever | table.roles)


LINTING = Linting(
    kinds=(FILES,),
    rules=linter.RULES,
    claim=_claim,
    compare=across.check,
    has_rules=is_inventory,
)
