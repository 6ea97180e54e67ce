"""Package mirrors: images are made from the APT sources that this host uses itself."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab.errors import CommandFailed, ToolNotFound
from stacklab.process import Command, Runner

_ONLY_PACKAGES = "Created-By: Packages"  # not the lists of sources, translations, contents
_FORMAT = "$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(CODENAME)"


def apt_sources(suite: str, runner: Runner) -> tuple[str, ...]:
    """Return this host's sources of `suite` and its updates, one line each.

    They are () on a host of another distribution; mmdebstrap then takes its own default mirror.
    """
    # The second form does not need package lists, which a fresh host or a container lacks.
    for options in ((), ("--no-release-info",)):
        command = Command(
            argv=("apt-get", "indextargets", *options, "--format", _FORMAT, _ONLY_PACKAGES),
            what="reading this host's APT sources",
        )
        try:
            result = runner.run(command)
        except (CommandFailed, ToolNotFound):
            return ()
        sources = parse_targets(suite, result.stdout.splitlines())
        if sources:
            return sources
    return ()


def parse_targets(suite: str, lines: Sequence[str]) -> tuple[str, ...]:
    """Return the sources of `suite`, its updates and its security updates, each once, in order.

    A host may use another name, such as stable, for the suite: the codename tells which it is.
    """
    wanted = (suite, f"{suite}-updates", f"{suite}-security")
    # By position among those wanted, release and URI: so sorted, the suite itself is first.
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
    positions = {position for position, _release, _uri in components_of}
    if 0 not in positions:
        return ()
    sources = []
    for (_position, release, uri), components in sorted(components_of.items()):
        sources.append(f"deb {uri} {release} {' '.join(components)}")
    return tuple(sources)
