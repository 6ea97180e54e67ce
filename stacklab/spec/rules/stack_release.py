"""Rules: a stack asks for nothing that its release does not have."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab import releases
from stacklab.model.release import Release
from stacklab.model.release_names import operating_system, plain_name
from stacklab.model.stack import NO_INSTALLER, Installer
from stacklab.spec.form.schema import STAND_IN, LabSpec
from stacklab.spec.form.stack import GlanceSpec, StackSpec
from stacklab.spec.mistakes import SpecMistake
from stacklab.spec.rules.context import RuleContext, title_of

# What has words that depend on the release: a stack's key, the release's, and what both are called.
_WORD_KEYS = (
    ("network_mode", "network_modes", "modes", ""),
    ("driver", "drivers", "drivers", "driver "),
)


def chosen_release(stack: StackSpec) -> Release:
    """Return the release that a stack names, or its installer's default; it has an installer."""
    known = releases.of(stack.installer or NO_INSTALLER)
    # The default is the first one of localrc/releases.yaml, whose order is kept.
    name = stack.release or next(iter(known))
    return known[name]


def written_keys(stack: StackSpec) -> list[str]:
    """Return the keys that are written, beside the two that every stack has."""
    keys = [key for key in StackSpec.model_fields if key not in ("installer", "network")]
    return [key for key in keys if getattr(stack, key) is not None]


def check_devstack_branch(stack: StackSpec, release: Release) -> Iterator[SpecMistake]:
    """Yield a DevStack with which the release never worked."""
    if stack.devstack_branch is None or not release.pairs:
        return
    if plain_name(stack.devstack_branch) in release.pairs:
        return
    worked: list[str] = []
    for name, other in releases.of(release.installer).items():
        worked.append(f"{name} with {' or '.join(other.pairs)}")
    yield SpecMistake(
        path=("stack", "devstack_branch"),
        wrong=f"DevStack {stack.devstack_branch} does not go with {title_of(release)}",
        right=f"worked: {', '.join(worked)}",
    )


def check_operating_system(
    spec: LabSpec, release: Release, context: RuleContext
) -> Iterator[SpecMistake]:
    """Yield images on none of which the release ever worked."""
    images = [image for image in spec.image if image != STAND_IN]
    if not images or not release.images:
        return
    for image in images:
        # One that fits is enough. An image that does not exist has a problem of its own.
        if operating_system(image) in release.images or not context.is_known_image(image):
            return
    yield SpecMistake(
        path=("image",),
        wrong=f"{title_of(release)} never worked on {' or '.join(images)}",
        right=f"worked: {', '.join(release.images)}",
    )


def check_options(stack: StackSpec, release: Release) -> Iterator[SpecMistake]:
    """Yield options that the release does not have."""
    for path in _option_paths(stack):
        option = ".".join(path)
        if option not in release.options:
            yield SpecMistake(
                path=("stack", *path),
                wrong=f"{title_of(release)} does not have this option",
                right=_way_out_of_option(option, release),
                at_key=True,
            )


def _way_out_of_option(option: str, release: Release) -> str:
    """Return what to do about an option that a release does not have."""
    having = _releases_with(option, release.installer)
    if having:
        return f"remove it, or take a release that has it: {', '.join(having)}"
    others = [str(word) for word in Installer if _releases_with(option, word)]
    if others:
        return f"remove it; it is for {', '.join(others)}"
    return "remove it"


def _releases_with(option: str, installer: Installer) -> list[str]:
    known = releases.of(installer)
    return [name for name, release in known.items() if option in release.options]


def _option_paths(stack: StackSpec) -> Iterator[tuple[str, ...]]:
    """Yield each option that is written, by the path that `options` of a release has for it."""
    for key in written_keys(stack):
        # `release` was compared before. Of glance, a release may have one option without the other.
        if key not in ("release", "glance"):
            yield (key,)
        elif key == "glance" and stack.glance is not None:
            yield from _glance_paths(stack.glance)


def _glance_paths(glance: GlanceSpec) -> Iterator[tuple[str, ...]]:
    if glance.direct_copy:
        yield "glance", "direct_copy"
    if glance.url_schemes:
        yield "glance", "url_schemes"


def check_words(stack: StackSpec, release: Release) -> Iterator[SpecMistake]:
    """Yield a network mode or a driver that the release does not have."""
    known = releases.of(release.installer)
    for key, words_key, kind, noun in _WORD_KEYS:
        word = getattr(stack, key)
        words = getattr(release, words_key)
        if word is None or word in words:
            continue
        right = f"its {kind}: {', '.join(words)}"
        having = [name for name, other in known.items() if word in getattr(other, words_key)]
        if having:
            right += f"; {word} is in {', '.join(having)}"
        yield SpecMistake(
            path=("stack", key),
            wrong=f"{title_of(release)} does not have {noun}{word}",
            right=right,
        )
