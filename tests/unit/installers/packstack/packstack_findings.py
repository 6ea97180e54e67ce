"""Answer files of Packstack to lint, and the rules that they break."""

from __future__ import annotations

from stacklab import releases
from stacklab.installers.packstack.lint import linter as packstack
from stacklab.lint.scope import Scope, Source
from stacklab.model.stack import Installer

HEAD = "[general]\n"
HOSTS = (
    "CONFIG_CONTROLLER_HOST=10.0.5.10\nCONFIG_COMPUTE_HOSTS=10.0.5.11\n"
    "CONFIG_NETWORK_HOSTS=10.0.5.10\n"
    "CONFIG_AMQP_HOST=10.0.5.10\nCONFIG_MARIADB_HOST=10.0.5.10\nCONFIG_REDIS_HOST=10.0.5.10\n"
)


ICEHOUSE = Scope(release=releases.of(Installer.PACKSTACK)["icehouse"])


def told(text: str, scope: Scope | None = None) -> list[str]:
    """Rules with their lines: `yes-no:2`."""
    found = packstack.lint(Source(name="answers.txt", text=text), scope or Scope())
    return [f"{each.rule.removeprefix('packstack-')}:{each.line}" for each in sorted(found)]
