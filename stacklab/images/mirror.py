"""The host's own APT sources for a suite: mirrors are inherited, never written down here."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.errors import CommandFailed, ToolNotFound
from stacklab.process import Command, Runner

_FORMAT = "$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(CODENAME)"


def apt_sources(suite: str, runner: Runner) -> tuple[str, ...]:
    """One-line sources of `suite` and its updates as this host has them; () where it has none.

    A host of another distribution has none; mmdebstrap then takes its own default mirror.
    """
    argv = ("apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages")
    # a host whose package lists were never fetched, or thrown away (containers), tells only without their content
    for options in ((), ("--no-release-info",)):
        command = Command(
            argv=(*argv[:2], *options, *argv[2:]), what="reading this host's APT sources"
        )
        try:
            found = parse_targets(suite, runner.run(command).stdout.splitlines())
        except (CommandFailed, ToolNotFound):
            return ()
        if found:
            return found
    return ()


def parse_targets(suite: str, lines: Sequence[str]) -> tuple[str, ...]:
    """Sources of `suite`, `suite-updates` and `suite-security`, each once, the suite itself first.

    A host may call them by another name (stable): the codename tells which they are.
    """
    wanted = (suite, f"{suite}-updates", f"{suite}-security")
    found: dict[tuple[int, str, str], list[str]] = {}
    for line in lines:
        fields = line.split("|")
        if len(fields) != 4:
            continue
        release, component, uri, codename = fields
        real = next((name for name in (release, codename) if name in wanted), None)
        if real is None:
            continue
        components = found.setdefault((wanted.index(real), release, uri), [])
        if component not in components:
            components.append(component)
    if not any(position == 0 for position, _, _ in found):
        return ()
    return tuple(
        f"deb {uri} {release} {' '.join(parts)}"
        for (_, release, uri), parts in sorted(found.items())
    )
