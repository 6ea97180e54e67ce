"""Rules for a spec's `stack`: a release that exists, and options that it understands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import NamedTuple

from stacklab import releases
from stacklab.model.release import Release, operating_system, plain_name
from stacklab.model.stack import NO_INSTALLER, Installer, Role
from stacklab.spec.rules import RuleContext, default_network, has_role, members, undeclared_network
from stacklab.spec.schema import STAND_IN, LabSpec, NodeSpec
from stacklab.spec.secret_rules import misnamed_sources, secrets_in
from stacklab.spec.source import Keys, SpecMistake
from stacklab.spec.stack import GlanceSpec, StackSpec
from stacklab.words import suggest

_NETWORK_KEYS = ("network", "api_network", "data_network", "external_network")

# What has words that depend on the release: a stack's key, the release's, and what both are called.
_WORD_KEYS = (
    ("network_mode", "network_modes", "modes", ""),
    ("driver", "drivers", "drivers", "driver "),
)

# Gerrit's short names of a change, and what git has to be asked for instead.
_CHANGE_WITHOUT_REFS = re.compile(r"[0-9]{1,2}/[0-9]+/[0-9]+")
_CHANGE_WITHOUT_PATCH_SET = re.compile(r"refs/changes/[0-9]{1,2}/[0-9]+")


class _Need(NamedTuple):
    """A network on which nodes of these roles need a NIC, and the key that names it."""

    key: str
    network: str | None
    purpose: str
    roles: tuple[Role, ...]


def check_stack(spec: LabSpec, context: RuleContext) -> Iterator[SpecMistake]:
    """Yield all problems of a spec's stack."""
    stack = spec.stack
    if stack is None:
        return
    yield from _check_network_names(stack, context)
    if stack.installer in (None, NO_INSTALLER):
        # Of a spec that lost a part, it may be the installer that was refused.
        if context.is_whole:
            yield from _check_no_keys(stack)
        return
    known = releases.of(stack.installer)
    if stack.release is not None and stack.release not in known:
        # Which options are right is not known without the release.
        yield SpecMistake(
            path=("stack", "release"),
            wrong=f"no release '{stack.release}' of {stack.installer} is known",
            right=suggest(stack.release, known, label="known"),
        )
        return
    release = chosen_release(stack)
    yield from _check_devstack_branch(stack, release)
    yield from _check_operating_system(spec, release, context)
    yield from _check_options(stack, release)
    yield from _check_words(stack, release)
    yield from _check_ranges(stack, spec, release)
    yield from _check_localrc(stack, release)
    yield from secrets_in(stack)
    yield from _check_refs(stack)
    yield from _check_volume_types(stack)
    yield from _check_direct_copy(stack, release)
    if context.is_whole:
        yield from misnamed_sources(stack)
        yield from _check_post_config_files(stack, spec, release)
        yield from _check_controllers(stack, spec, release)
        yield from _check_needed_nics(stack, spec)
        yield from _check_access_network(stack, spec)


def _check_no_keys(stack: StackSpec) -> Iterator[SpecMistake]:
    for key in _written_keys(stack):
        yield SpecMistake(
            path=("stack", key),
            wrong="means nothing without an installer",
            right="remove it",
            at_key=True,
        )


def chosen_release(stack: StackSpec) -> Release:
    """Return the release that a stack names, or its installer's default; it has an installer."""
    known = releases.of(stack.installer or NO_INSTALLER)
    # The default is the first one of localrc/releases.yaml, whose order is kept.
    name = stack.release or next(iter(known))
    return known[name]


def _title_of(release: Release) -> str:
    return f"{release.installer} {release.name}"


def _written_keys(stack: StackSpec) -> list[str]:
    """Return the keys that are written, beside the two that every stack has."""
    keys = [key for key in StackSpec.model_fields if key not in ("installer", "network")]
    return [key for key in keys if getattr(stack, key) is not None]


def _check_network_names(stack: StackSpec, context: RuleContext) -> Iterator[SpecMistake]:
    for key in _NETWORK_KEYS:
        name = getattr(stack, key)
        if name and context.is_undeclared(name):
            yield undeclared_network(("stack", key), name, context)


def _check_devstack_branch(stack: StackSpec, release: Release) -> Iterator[SpecMistake]:
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
        wrong=f"DevStack {stack.devstack_branch} does not go with {_title_of(release)}",
        right=f"worked: {', '.join(worked)}",
    )


def _check_operating_system(
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
        wrong=f"{_title_of(release)} never worked on {' or '.join(images)}",
        right=f"worked: {', '.join(release.images)}",
    )


def _check_options(stack: StackSpec, release: Release) -> Iterator[SpecMistake]:
    for path in _option_paths(stack):
        option = ".".join(path)
        if option not in release.options:
            yield SpecMistake(
                path=("stack", *path),
                wrong=f"{_title_of(release)} does not have this option",
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
    for key in _written_keys(stack):
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


def _check_words(stack: StackSpec, release: Release) -> Iterator[SpecMistake]:
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
            wrong=f"{_title_of(release)} does not have {noun}{word}",
            right=right,
        )


def _check_ranges(stack: StackSpec, spec: LabSpec, release: Release) -> Iterator[SpecMistake]:
    """Yield ranges of the cloud that overlap: a node would lose its way to the lab."""
    earlier: dict[str, IPv4Network] = {}
    # In this order: a floating range is compared with the fixed one.
    for key in ("fixed_range", "floating_range"):
        written = getattr(stack, key)
        default = release.text(key) if key in release.options else ""
        if written is None and not default:
            continue
        cidr = written or IPv4Network(default)
        for overlap in _overlaps_of(stack, spec, key, cidr, earlier):
            if written:
                yield SpecMistake(
                    path=("stack", key),
                    wrong=f"{key} {cidr} {overlap}",
                    right="choose another range",
                )
            else:  # the release's default is at fault, and the spec has to say something else
                yield SpecMistake(
                    path=("stack",),
                    wrong=f"{_title_of(release)}'s own {key}, {cidr}, {overlap}",
                    right=f"write stack.{key} with a range of its own",
                    at_key=True,
                )
        earlier[key] = cidr


def _overlaps_of(
    stack: StackSpec,
    spec: LabSpec,
    key: str,
    cidr: IPv4Network,
    earlier: Mapping[str, IPv4Network],
) -> Iterator[str]:
    """Yield what a range overlaps, of the lab's networks and the ranges before it."""
    for name, network in spec.networks.items():
        # Floating addresses are meant to be on the network that carries them.
        is_outside = key == "floating_range" and name == stack.external_network
        if not is_outside and network.cidr.overlaps(cidr):
            yield f"overlaps network {name} ({network.cidr})"
    for other, taken in earlier.items():
        if taken.overlaps(cidr):
            yield f"overlaps {other} {taken}"


def _check_localrc(stack: StackSpec, release: Release) -> Iterator[SpecMistake]:
    """Yield lines of localrc that DevStack takes for a section's header, which ends localrc."""
    # Some releases of DevStack look for `]]` anywhere in a line, all for `[[` at its beginning.
    is_anywhere = release.text("headers") == "anywhere"
    for role, lines in (stack.localrc or {}).items():
        for index, line in enumerate(lines):
            if line.startswith("[[") or (is_anywhere and "]]" in line):
                yield SpecMistake(
                    path=("stack", "localrc", role, index),
                    wrong="a section's header would end localrc here",
                    right="write it under stack.post_config",
                )


def _check_refs(stack: StackSpec) -> Iterator[SpecMistake]:
    """Yield changes by Gerrit's short name, which git cannot fetch."""
    for project, ref in (stack.refs or {}).items():
        path: Keys = ("stack", "refs", project)
        if _CHANGE_WITHOUT_REFS.fullmatch(ref):
            yield SpecMistake(
                path=path,
                wrong=f"{ref} is not a branch or a tag",
                right=f"write refs/changes/{ref}",
            )
        elif _CHANGE_WITHOUT_PATCH_SET.fullmatch(ref):
            yield SpecMistake(
                path=path,
                wrong=f"{ref} does not name a patch set",
                right=f"write {ref}/1, or its newest",
            )


def _check_direct_copy(stack: StackSpec, release: Release) -> Iterator[SpecMistake]:
    """Yield a copy of images where nobody would make one."""
    is_wanted = stack.glance is not None and stack.glance.direct_copy
    if is_wanted and release.text("direct_copy_by") == "cinder" and not stack.volume_types:
        yield SpecMistake(
            path=("stack", "glance", "direct_copy"),
            wrong="cinder copies images in this release, and the cloud has no cinder",
            right="add volume_types: [lvm], or remove it",
            at_key=True,
        )


def _check_volume_types(stack: StackSpec) -> Iterator[SpecMistake]:
    names = stack.volume_types or ()
    for index, name in enumerate(names):
        if name in names[:index]:
            yield SpecMistake(
                path=("stack", "volume_types", index),
                wrong=f"{name} is written twice",
                right="remove one",
            )


def _check_post_config_files(
    stack: StackSpec, spec: LabSpec, release: Release
) -> Iterator[SpecMistake]:
    """Yield files of the controller's services that computes are to change.

    On a compute such a file's directory is missing, and stack.sh stops there.
    """
    if not has_role(spec, Role.COMPUTE):
        return
    # What is under controller, computes never get.
    post_config = stack.post_config or {}
    controller_files = release.words("controller_files")
    for role in ("all", "compute"):
        for file in post_config.get(role, {}):
            if file in controller_files:
                yield SpecMistake(
                    path=("stack", "post_config", role, file),
                    wrong=f"stack.sh stops on computes, which do not have {file}",
                    right="write it under controller",
                    at_key=True,
                )


def _check_controllers(stack: StackSpec, spec: LabSpec, release: Release) -> Iterator[SpecMistake]:
    has_several = release.text("controllers") == "several"  # its control plane can be spread
    controllers = [member.name for member in members(spec) if member.spec.role is Role.CONTROLLER]
    if len(controllers) == 1 or (controllers and has_several):
        return
    number = "a" if has_several else "exactly one"
    yield SpecMistake(
        path=("stack", "installer"),
        wrong=f"{stack.installer} needs {number} controller",
        right=f"role: controller has {', '.join(controllers) or 'none'}",
    )


def _check_needed_nics(stack: StackSpec, spec: LabSpec) -> Iterator[SpecMistake]:
    """Yield nodes without a NIC on a network that they need for their role."""
    carrier = stack.network or default_network(spec)
    cloud, first = (Role.CONTROLLER, Role.COMPUTE), (Role.CONTROLLER,)
    needs = (
        _Need("network", carrier, "carries the cloud", tuple(Role)),
        _Need("api_network", stack.api_network, "carries the APIs", cloud),
        _Need("data_network", stack.data_network, "carries the tenants' traffic", cloud),
        _Need("external_network", stack.external_network, "carries floating addresses", first),
    )
    for need in needs:
        # One that is not declared is a finding already.
        if need.network not in spec.networks:
            continue
        for name, node in spec.nodes.items():
            if _lacks_nic(node, need):
                yield SpecMistake(
                    path=("nodes", name, "nics"),
                    wrong=f"no NIC on {need.network}, which {need.purpose}",
                    right=f"add `- network: {need.network}`, or set stack.{need.key}",
                )


def _lacks_nic(node: NodeSpec, need: _Need) -> bool:
    networks = [nic.network for nic in node.nics]
    role = node.role or Role.NODE
    return role in need.roles and need.network not in networks


def _check_access_network(stack: StackSpec, spec: LabSpec) -> Iterator[SpecMistake]:
    """Yield an external network by which the host logs in: the cloud takes its NIC over."""
    name = stack.external_network or ""
    if name not in spec.networks:
        return
    access_networks = {node.nics[0].network for node in spec.nodes.values()}
    if name in access_networks:
        yield SpecMistake(
            path=("stack", "external_network"),
            wrong=f"the host logs in by {name}; the cloud would take its NIC",
            right="give it a network of its own",
        )
