"""instances.yaml: how it is told from others' YAML."""

from __future__ import annotations

import re
from pathlib import PurePath

from stacklab.installers.opensdn.lint import era, linter
from stacklab.lint.kinds import Claim, FileKind, Linting, Sureness
from stacklab.lint.scope import Source
from stacklab.lint.shape import is_assignments
from stacklab.lint.syntaxes import YAML
from stacklab.model.stack import Installer

# Sections that no other installer has; `instances` alone could be anybody's.
_SECTION = re.compile(
    r"^(provider_config|contrail_configuration|global_configuration)\s*:", re.MULTILINE
)
# What an instance has; a file with other keys alone is another program's list of instances.
_OF_INSTANCES = re.compile(r"^[ \t]+(roles|provider)\s*:", re.MULTILINE)
_KEY = re.compile(r"^\w+\s*:", re.MULTILINE)

INSTANCES = FileKind(
    title="instances.yaml of OpenSDN",
    installer=Installer.OPENSDN,
    names=frozenset({"instances.yaml"}),
    lint=linter.lint,
    consumer="tf-ansible-deployer",
    word="opensdn",
    syntax=YAML,
    era=era.find,
)


def _claim_instances(source: Source, path: PurePath) -> Claim | None:
    if is_assignments(source.text, path):
        return None
    if _SECTION.search(source.text):
        return Claim(kind=INSTANCES, sureness=Sureness.KEYS)
    is_anybodys = _KEY.search(source.text) and not _OF_INSTANCES.search(source.text)
    if path.name.startswith("instances.") and not is_anybodys:
        return Claim(kind=INSTANCES, sureness=Sureness.NAME)
    return None


LINTING = Linting(kinds=(INSTANCES,), rules=linter.RULES, claim=_claim_instances)
