"""Package mirrors: images are made from the APT sources that this host uses itself."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.errors import CommandFailed, ToolNotFound
from stacklab.process import Command, Runner

_FORMAT = "$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(CODENAME)"


def apt_sources(suite: str, runner: Runner) -> tuple[str, ...]:
    """Return this host's sources of `suite` and its updates, one line each.

    They are () on a host of another distribution; mmdebstrap then takes its own default mirror.
    """
    argv = ("apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages")
    # The second form does not need package lists, which a fresh host or a container lacks.
    for options in ((), ("--no-release-info",)):
        command = Command(
            argv=(*argv[:2], *options, *argv[2:]), what="reading this host's APT sources"
        )
        try:
            sources = parse_targets(suite, runner.run(command).stdout.splitlines())
        except (CommandFailed, ToolNotFound):
            return ()
        if sources:
            return sources
    return ()


def parse_targets(suite: str, lines: Sequence[str]) -> tuple[str, ...]:
    """Return the sources of `suite`, its updates and its security updates, each once, in order.

    A host may use another name, such as stable, for the suite: the codename tells which it is.
    """
    wanted = (suite, f"{suite}-updates", f"{suite}-security")
    components_of: dict[tuple[int, str, str], list[str]] = {}
    for line in lines:
        fields = line.split("|")
        if len(fields) != 4:
            continue
        release, component, uri, codename = fields
        name = release if release in wanted else codename
        if name not in wanted:
            continue
        components = components_of.setdefault((wanted.index(name), release, uri), [])
        if component not in components:
            components.append(component)
    # Updates alone would not do: the suite itself is missing.
    if not any(position == 0 for position, _, _ in components_of):
        return ()
    return tuple(
        f"deb {uri} {release} {' '.join(components)}"
        for (_, release, uri), components in sorted(components_of.items())
    )
