"""Rules for the instances.yaml of OpenSDN's tf-ansible-deployer."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab import releases
from stacklab.installers.opensdn.lint import cloud, instances, keys
from stacklab.installers.opensdn.lint.read import Instances
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.readers import yaml_tree
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer

_FORM = (
    rule(
        "opensdn-yaml", "a file that is not YAML, or not a mapping", "YAML 1.1, as PyYAML reads it"
    ),
    warning(
        "opensdn-duplicate-key",
        "a key that is given twice",
        "ansible-core: `Using last defined value only`",
    ),
)
RULES = (*_FORM, *keys.RULES, *instances.RULES, *cloud.RULES)
_BOOK = Book(RULES)


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in an instances.yaml."""
    root = yaml_tree.mapping(source, _BOOK, "opensdn-yaml", "`instances:`")
    if isinstance(root, Finding):
        yield root
        return
    release = scope.release
    is_in_table = scope.era is None or scope.era.is_in_table
    if release is None and is_in_table:  # the file does not tell it: the newest is the likeliest
        release = next(iter(releases.of(Installer.OPENSDN).values()), None)
    file = Instances(name=source.name, root=root, scope=scope, release=release)
    yield from _check_keys(file)
    yield from instances.check(file)
    yield from cloud.check(file)


def _check_keys(file: Instances) -> Iterator[Finding]:
    yield from yaml_tree.doubles(file.root, _BOOK, "opensdn-duplicate-key", file.name)
    yield from keys.check(file)
