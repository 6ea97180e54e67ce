"""Tell what an answer file is for: first by what it says, then by its name."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePath

from stacklab.installers.contrail import lint as contrail
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Source
from stacklab.model.stack import Installer

RULES = (rule("file-kind", "a file that no installer reads", "the names that installers look for"),)
_BOOK = Book(RULES)


class Kind(StrEnum):
    """The files that have rules here."""

    DEVSTACK = "localrc of DevStack"
    LOCAL_CONF = "local.conf of DevStack"
    CONTRAIL = "localrc of contrail-installer"
    PACKSTACK = "answers.txt of Packstack"
    KOLLA = "globals.yml, passwords.yml or inventory of kolla-ansible"
    OPENSDN = "instances.yaml of OpenSDN"

    @property
    def installer(self) -> Installer:
        """Whose releases it has."""
        return _INSTALLERS[self]


_INSTALLERS = {
    Kind.DEVSTACK: Installer.DEVSTACK,
    Kind.LOCAL_CONF: Installer.DEVSTACK,
    Kind.CONTRAIL: Installer.CONTRAIL,
    Kind.PACKSTACK: Installer.PACKSTACK,
    Kind.KOLLA: Installer.KOLLA,
    Kind.OPENSDN: Installer.OPENSDN,
}

# Names that only contrail.sh reads; DevStack's half of a Contrail lab shares the others.
_CONTRAIL_ONLY = re.compile(
    r"^\s*(?:export\s+)?(INSTALL_PROFILE|CONTRAIL_\w+|CASS_\w+|LAUNCHPAD_BRANCH|COMPUTE_HOST_IP)\s*=",
    re.MULTILINE,
)
_HEADER = re.compile(
    r"^\s*\[\[?\s*(local|post-config|extra|post-extra|test-config)\s*\|", re.MULTILINE
)
_OPENSDN = re.compile(
    r"^(provider_config|contrail_configuration|global_configuration)\s*:", re.MULTILINE
)
_KOLLA = re.compile(
    r"^(kolla_\w+|openstack_release|network_interface|enable_\w+)\s*:", re.MULTILINE
)
_INVENTORY = re.compile(
    r"^\[(control|baremetal:children)\]", re.MULTILINE
)  # kolla-ansible's, by whatever name
_PACKSTACK = re.compile(r"^\s*CONFIG_[A-Z0-9_]+\s*=", re.MULTILINE)
_SHELL = re.compile(
    r"^\s*(?:(?:export\s+)?[A-Z][A-Z0-9_]*\s*\+?=|(?:en|dis)able_(?:service|plugin)\b)",
    re.MULTILINE,
)


def detect(source: Source, path: PurePath) -> Kind | None:
    """What the file is; None where nothing tells."""
    text, name = source.text, path.name
    if is_inventory(text) or name in ("multinode", "all-in-one", "inventory"):
        return Kind.KOLLA
    if name.startswith("passwords.") and "_password:" in text:
        return Kind.KOLLA
    if name.startswith("local.conf") or _HEADER.search(text):
        return Kind.LOCAL_CONF
    if path.suffix in (".yml", ".yaml") or not _SHELL.search(text):
        return _yaml(text, name)
    if _PACKSTACK.search(text) or text.lstrip().startswith("[general]"):
        return Kind.PACKSTACK
    if "contrail-installer" in path.parts:
        return Kind.CONTRAIL
    if "devstack" in path.parts:
        return Kind.DEVSTACK
    is_localrc = "localrc" in name or path.suffix in ("", ".sh", ".conf", ".env", ".auto")
    names = {found[1] for found in _CONTRAIL_ONLY.finditer(text)}
    is_devstack = "enable_service" in text or "Q_PLUGIN" in text or "n-cpu" in text
    if {"INSTALL_PROFILE", "CONTRAIL_DEFAULT_INSTALL"} & names or (
        len(names & contrail.NAMES) > 1 and not is_devstack
    ):
        return Kind.CONTRAIL
    return Kind.DEVSTACK if is_localrc or is_devstack or "ENABLED_SERVICES" in text else None


def is_inventory(text: str) -> bool:
    """Whether it is an inventory of kolla-ansible's in INI form."""
    return _INVENTORY.search(text) is not None


def _yaml(text: str, name: str) -> Kind | None:
    if name.startswith("instances.") or _OPENSDN.search(text):
        return Kind.OPENSDN
    if name.startswith("globals.") or _KOLLA.search(text):
        return Kind.KOLLA
    if name.startswith("answers") or "[general]" in text:
        return Kind.PACKSTACK
    return Kind.DEVSTACK if name.startswith("localrc") else None


def unknown(source: Source) -> Finding:
    """The finding for a file that nothing tells about."""
    return _BOOK.finding(
        "file-kind",
        source.name,
        0,
        f"neither name nor text tells what it is for (known: {', '.join(Kind)})",
        "give it the name that its installer looks for: localrc, local.conf, answers.txt, globals.yml, instances.yaml",
    )
