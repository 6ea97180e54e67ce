"""Rules for cinder in a globals.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.kolla.lint.read import YES, GlobalsFile
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.readers.yaml_tree import YamlEntry

RULES = (
    rule(
        "kolla-cinder-backend",
        "cinder without a backend",
        "kolla-ansible@21.2.0:ansible/roles/cinder/tasks/precheck.yml",
    ),
)
_BOOK = Book(RULES)
# Of any release and of anybody's: vendors' backends have such names, too.
_BACKEND = re.compile(r"(enable_)?cinder_backend_\w+|cinder_backends?|cinder_enabled_backends")


def check(given: GlobalsFile) -> Iterator[Finding]:
    """Yield cinder where prechecks ask for a backend, and the file enables none."""
    cinder = given.written_entry("enable_cinder")
    if cinder is None or not given.is_on("enable_cinder", default=False):
        return
    if given.is_on("skip_cinder_backend_check", default=False):
        return
    for entry in given.root.items:
        is_on = entry.is_template or entry.kind in ("seq", "map") or entry.text.lower() in YES
        if is_on and (_BACKEND.fullmatch(entry.key) or _is_own_ceph(given, entry)):
            return
    yield _BOOK.finding(
        "kolla-cinder-backend",
        given.file,
        cinder.line,
        effect="prechecks fail: Please enable at least one backend when enabling Cinder",
        fix='enable_cinder_backend_lvm: "yes", enable_cinder_backend_nfs or cinder_backend_ceph',
    )


def _is_own_ceph(given: GlobalsFile, entry: YamlEntry) -> bool:
    """Return True for enable_ceph of the releases that install Ceph themselves, up to Train."""
    name = "enable_ceph"
    has_it = not given.is_known or name in given.names.variables[given.release_name]
    return entry.key == name and has_it
