"""Answer files: what a lab's installer asks for, rendered from the lab and its secrets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stacklab.errors import RenderError
from stacklab.installers import kit_of
from stacklab.installers.contract import Kit
from stacklab.installers.kit import host
from stacklab.installers.kit.release import release_of
from stacklab.installers.kit.request import Rendered, Request
from stacklab.installers.kit.templates.guard import check_secrets
from stacklab.model.certificate import ServerName
from stacklab.model.lab import Lab
from stacklab.model.stack import NO_MIRRORS, Mirrors
from stacklab.paths.project import PROJECT
from stacklab.stages.stage import Stage, Step, check_order, steps_of, with_steps
from stacklab.words import suggest

__all__ = [
    "PLACEHOLDER",
    "Rendered",
    "Stage",
    "Step",
    "certified",
    "preview",
    "render",
    "secret_names",
    "secret_texts",
    "shown_secrets",
    "stages",
    "steps",
]

PLACEHOLDER = "x" * 20  # what preview() puts where a secret belongs


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Return the names of the secrets that `render` wants for this lab.

    Raises RenderError for a secret in the spec that the installer does not ask for.
    """
    kit = kit_of(lab.stack.installer)
    names = kit.secret_names(lab) if kit else ()
    for source in lab.stack.secrets:
        if source.name not in names:
            raise RenderError(
                f"stack.secrets: {lab.stack.installer} does not ask for {source.name!r}",
                hint=_suggest_secret(kit, source.name, names),
            )
    return names


def _suggest_secret(kit: Kit | None, name: str, names: tuple[str, ...]) -> str:
    # First what another installer calls it: such a name is not misspelt.
    alias = kit.secret_aliases.get(name) if kit else None
    if alias in names:
        return f"did you mean {alias}? its secrets: {', '.join(names)}"
    return suggest(name, names, label="its secrets")


def certified(lab: Lab) -> ServerName | None:
    """Return who the certificate of the lab's APIs is for; None: they have none."""
    kit = kit_of(lab.stack.installer)
    return kit.certified(lab) if kit else None


def shown_secrets(lab: Lab, secrets: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Return, for each secret, every string that may stand in a rendered file for it.

    That is the secret itself, and the form that its reader wants.
    """
    kit = kit_of(lab.stack.installer)
    shaped = kit.shaped_secrets(lab, secrets) if kit else {}
    shown: dict[str, tuple[str, ...]] = {}
    for name, value in secrets.items():
        shown[name] = (value, shaped[name]) if name in shaped else (value,)
    return shown


def secret_texts(lab: Lab, secrets: Mapping[str, str]) -> tuple[str, ...]:
    """Return every string that is in a rendered file because of a secret, each once."""
    texts: list[str] = []
    for forms in shown_secrets(lab, secrets).values():
        texts += forms
    return tuple(dict.fromkeys(texts))


def render(
    lab: Lab,
    secrets: Mapping[str, str],
    *,
    mirrors: Mirrors = NO_MIRRORS,
    templates: Path = PROJECT / "localrc",
) -> Rendered:
    """Render every answer file of every node; nothing is written.

    `mirrors` are the host's own, for what the lab's stack leaves open. Raises
    RenderError, with template and line, for a secret or a variable that is missing,
    and for a value that would not survive the installer's scripts.
    """
    from stacklab.installers.kit.templates.environment import environment  # loads Jinja2

    kit = kit_of(lab.stack.installer)
    if kit is None:
        return {node.name: {} for node in lab.nodes}
    names = secret_names(lab)
    # Others may be left from an earlier stack of the lab: their form does not matter.
    wanted = {name: value for name, value in secrets.items() if name in names}
    check_secrets(wanted)
    request = Request(
        lab=lab,
        release=release_of(lab),
        secrets=wanted,
        env=environment(templates),
    )
    rendered = kit.render(request)
    settings = host.render_settings(lab, mirrors)
    # Where both have a file, the installer's own goes before the host's settings.
    return {name: {**settings[name], **files} for name, files in rendered.items()}


def preview(lab: Lab, *, mirrors: Mirrors = NO_MIRRORS) -> Rendered:
    """Render with placeholders for secrets: it shows files, or an error, before anything exists."""
    placeholders = dict.fromkeys(secret_names(lab), PLACEHOLDER)
    return render(lab, placeholders, mirrors=mirrors)


def stages(lab: Lab, *, mirrors: Mirrors = NO_MIRRORS) -> tuple[Stage, ...]:
    """Return what is done with the files, in order: settings of every node, then the installer.

    Stages without steps are left out. A stage waits for the settings of the nodes it runs on.
    """
    kit = kit_of(lab.stack.installer)
    if kit is None:
        return ()
    release = release_of(lab)
    settings = host.settings_stages(lab, mirrors, (release, *kit.companions(release)))
    with_work = with_steps((*settings.values(), *_after_settings(kit.stages(lab), settings)))
    check_order(with_work)
    return with_work


def _after_settings(stages: Iterable[Stage], settings: Mapping[str, Stage]) -> Iterator[Stage]:
    """Have each stage wait for the settings of its nodes, where no stage before it does."""
    # The settings for which a stage waits, by way of others, too.
    waited_for: dict[str, set[str]] = {}
    for stage in stages:
        known: set[str] = set()
        for name in stage.after:
            known |= waited_for.get(name, set())
        own = [settings[node].name for node in stage.nodes if node in settings]
        missing = [name for name in own if name not in known]
        waited_for[stage.name] = known.union(missing)
        yield dataclasses.replace(stage, after=(*stage.after, *missing))


def steps(lab: Lab, *, mirrors: Mirrors = NO_MIRRORS) -> tuple[Step, ...]:
    """Return the steps of all stages, in order."""
    return steps_of(stages(lab, mirrors=mirrors))
