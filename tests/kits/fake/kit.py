"""The fake installer's kit."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.fake.answers import files

from stacklab.installers.contract import Kit
from stacklab.installers.kit.sources import RemoteSource, git_source
from stacklab.lint.kinds import Linting
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer


def _linting() -> Linting:
    from stacklab.installers.fake.lint.linting import LINTING

    return LINTING


def _sources(_lab: Lab, _node: Node) -> Iterator[RemoteSource]:
    yield git_source("https://fake.example.org/fake.git")


KIT = Kit(
    word=Installer.FAKE,
    secret_names=files.secret_names,
    render=files.render,
    stages=files.stages,
    linting=_linting,
    sources=_sources,
)
