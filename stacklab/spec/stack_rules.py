"""Rules for a spec's `stack`: a release that exists, and options that it understands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network

from stacklab import releases
from stacklab.model.lab import NetworkMode
from stacklab.model.release import Release, operating_system, plain_name
from stacklab.model.stack import NO_INSTALLER, Installer, Role
from stacklab.spec.rules import Context, default_network, members
from stacklab.spec.schema import STAND_IN, LabSpec
from stacklab.spec.secret_rules import secrets_in
from stacklab.spec.source import Finding, Keys
from stacklab.spec.stack import StackSpec
from stacklab.words import suggest

_NETWORK_KEYS = ("network", "api_network", "data_network", "external_network")


def check_stack(spec: LabSpec, context: Context) -> Iterator[Finding]:
    """Yield all problems of a spec's stack."""
    stack = spec.stack
    if stack is None:
        return
    yield from _network_names(stack, context)
    if stack.installer in (None, NO_INSTALLER):
        if context.is_whole:
            yield from _keys_without_installer(stack)
        return
    known = releases.of(stack.installer)
    if stack.release is not None and stack.release not in known:
        wrong = f"no release '{stack.release}' of {stack.installer} is known"
        yield Finding(("stack", "release"), wrong, suggest(stack.release, known, label="known"))
        return
    release = chosen_release(stack)
    yield from _pairs(stack, spec, release, context)
    yield from _options(stack, release)
    yield from _words(stack, release)
    yield from _ranges(stack, spec, release)
    yield from _texts(stack, release)
    yield from secrets_in(stack)
    yield from _refs(stack)
    yield from _twice(stack)
    if context.is_whole:
        yield from _sources(stack)
        yield from _foreign_files(stack, spec, release)
        yield from _controllers(stack, spec, release)
        yield from _missing_nics(stack, spec)
        yield from _access_network(stack, spec)


def _keys_without_installer(stack: StackSpec) -> Iterator[Finding]:
    for key in _set_keys(stack):
        path = ("stack", key)
        yield Finding(path, "means nothing without an installer", "remove it", at_key=True)


def chosen_release(stack: StackSpec) -> Release:
    """Return the release that a stack names, or its installer's default; it has an installer."""
    known = releases.of(stack.installer or NO_INSTALLER)
    return known[stack.release or next(iter(known))]


def _set_keys(stack: StackSpec) -> list[str]:
    """Return the keys that are written, beside the two that every stack has."""
    keys = (key for key in StackSpec.model_fields if key not in ("installer", "network"))
    return [key for key in keys if getattr(stack, key) is not None]


def _network_names(stack: StackSpec, context: Context) -> Iterator[Finding]:
    for key in _NETWORK_KEYS:
        name = getattr(stack, key)
        if name and context.declared is not None and name not in context.declared:
            yield Finding(
                ("stack", key),
                f"no network '{name}'",
                suggest(name, context.declared, label="declared"),
            )


def _pairs(
    stack: StackSpec, spec: LabSpec, release: Release, context: Context
) -> Iterator[Finding]:
    """Yield a release with a DevStack, or on an operating system, on which it never worked."""
    title = f"{release.installer} {release.name}"
    if release.pairs and stack.devstack_branch is not None:
        branch = plain_name(stack.devstack_branch)
        if branch not in release.pairs:
            worked = ", ".join(
                f"{name} with {' or '.join(row.pairs)}"
                for name, row in releases.of(release.installer).items()
            )
            wrong = f"DevStack {stack.devstack_branch} does not go with {title}"
            yield Finding(("stack", "devstack_branch"), wrong, f"worked: {worked}")
    images = [image for image in spec.image if image != STAND_IN]
    if not images or not release.images:
        return
    if any(operating_system(image) in release.images for image in images):
        return
    if any(not _exists(image, context) for image in images):
        return  # that has a problem of its own
    wrong = f"{title} never worked on {' or '.join(images)}"
    yield Finding(("image",), wrong, f"worked: {', '.join(release.images)}")


def _exists(image: str, context: Context) -> bool:
    """Return True for an image of the catalogue, or if the catalogue is not known here."""
    return context.known_images is None or image in context.known_images


def _options(stack: StackSpec, release: Release) -> Iterator[Finding]:
    title = f"{release.installer} {release.name}"
    for path in _option_paths(stack):
        option = ".".join(path)
        if option in release.options:
            continue
        having = [
            name for name, row in releases.of(release.installer).items() if option in row.options
        ]
        others = [
            str(word)
            for word in Installer
            if any(option in row.options for row in releases.of(word).values())
        ]
        if having:
            right = f"remove it, or take a release that has it: {', '.join(having)}"
        else:
            right = f"remove it; it is for {', '.join(others)}" if others else "remove it"
        yield Finding(("stack", *path), f"{title} does not have this option", right, at_key=True)


def _option_paths(stack: StackSpec) -> Iterator[tuple[str, ...]]:
    for key in _set_keys(stack):
        if key == "glance" and stack.glance is not None:
            if stack.glance.direct_copy:
                yield "glance", "direct_copy"
            if stack.glance.url_schemes:
                yield "glance", "url_schemes"
        elif key != "release":
            yield (key,)


def _words(stack: StackSpec, release: Release) -> Iterator[Finding]:
    """Yield a network mode or a driver that the release does not have."""
    yield from _word(
        release, "network_mode", stack.network_mode, "modes", "", lambda one: one.network_modes
    )
    yield from _word(release, "driver", stack.driver, "drivers", "driver ", lambda one: one.drivers)


def _word(
    release: Release,
    key: str,
    word: str | None,
    kind: str,
    noun: str,
    has: Callable[[Release], tuple[str, ...]],
) -> Iterator[Finding]:
    if word is None or word in has(release):
        return
    having = [name for name, one in releases.of(release.installer).items() if word in has(one)]
    right = f"its {kind}: {', '.join(has(release))}" + (
        f"; {word} is in {', '.join(having)}" if having else ""
    )
    yield Finding(
        ("stack", key), f"{release.installer} {release.name} does not have {noun}{word}", right
    )


def _ranges(stack: StackSpec, spec: LabSpec, release: Release) -> Iterator[Finding]:
    """Yield ranges of the cloud that overlap: a node would lose its way to the lab."""
    seen: list[tuple[str, IPv4Network]] = []
    for key in ("fixed_range", "floating_range"):
        written = getattr(stack, key)
        default = release.text(key) if key in release.options else ""
        if written is None and not default:
            continue
        cidr = written or IPv4Network(default)
        for wrong in _overlaps(stack, spec, key, cidr, seen):
            if written:
                path: Keys = ("stack", key)
                yield Finding(path, f"{key} {cidr} {wrong}", "choose another range")
            else:  # the release's default is at fault, and the spec has to say something else
                yield Finding(
                    ("stack",),
                    f"{release.installer} {release.name}'s own {key}, {cidr}, {wrong}",
                    f"write stack.{key} with a range of its own",
                    at_key=True,
                )
        seen.append((key, cidr))


def _overlaps(
    stack: StackSpec,
    spec: LabSpec,
    key: str,
    cidr: IPv4Network,
    seen: list[tuple[str, IPv4Network]],
) -> Iterator[str]:
    """Yield what a range overlaps, of the lab's networks and the ranges before it."""
    for name, network in spec.networks.items():
        # Floating addresses are meant to be on the network that carries them.
        is_outside = key == "floating_range" and name == stack.external_network
        if network.cidr.overlaps(cidr) and not is_outside:
            yield f"overlaps network {name} ({network.cidr})"
    for other, taken in seen:
        if taken.overlaps(cidr):
            yield f"overlaps {other} {taken}"


def _texts(stack: StackSpec, release: Release) -> Iterator[Finding]:
    """Yield lines of localrc that DevStack takes for a section's header, which ends localrc."""
    for role, lines in (stack.localrc or {}).items():
        for index, line in enumerate(lines):
            if line.startswith("[[") or (release.text("headers") == "anywhere" and "]]" in line):
                path: Keys = ("stack", "localrc", role, index)
                yield Finding(
                    path,
                    "a section's header would end localrc here",
                    "write it under stack.post_config",
                )


def _refs(stack: StackSpec) -> Iterator[Finding]:
    """Yield changes by Gerrit's short name, which git cannot fetch."""
    for project, ref in (stack.refs or {}).items():
        path: Keys = ("stack", "refs", project)
        if re.fullmatch(r"[0-9]{1,2}/[0-9]+/[0-9]+", ref):
            yield Finding(path, f"{ref} is not a branch or a tag", f"write refs/changes/{ref}")
        elif re.fullmatch(r"refs/changes/[0-9]{1,2}/[0-9]+", ref):
            yield Finding(path, f"{ref} does not name a patch set", f"write {ref}/1, or its newest")


def _twice(stack: StackSpec) -> Iterator[Finding]:
    for index, name in enumerate(stack.volume_types or ()):
        if name in (stack.volume_types or ())[:index]:
            yield Finding(
                ("stack", "volume_types", index), f"{name} is written twice", "remove one"
            )


def _foreign_files(stack: StackSpec, spec: LabSpec, release: Release) -> Iterator[Finding]:
    """Yield files of the controller's services that computes are to change.

    On a compute such a file's directory is missing, and stack.sh stops there.
    """
    if not any(node.role is Role.COMPUTE for node in spec.nodes.values()):
        return
    for role in ("all", "compute"):
        for file in (stack.post_config or {}).get(role, {}):
            if file in release.words("controller_files"):
                wrong = f"stack.sh stops on computes, which do not have {file}"
                yield Finding(
                    ("stack", "post_config", role, file),
                    wrong,
                    "write it under controller",
                    at_key=True,
                )


def _sources(stack: StackSpec) -> Iterator[Finding]:
    for name, secret in (stack.secrets or {}).items():
        if (secret.env is None) == (secret.file is None):
            yield Finding(
                ("stack", "secrets", name),
                "needs one source",
                "env: NAME or file: PATH",
                at_key=True,
            )


def _controllers(stack: StackSpec, spec: LabSpec, release: Release) -> Iterator[Finding]:
    has_several = release.text("controllers") == "several"  # its control plane can be spread
    controllers = [member.name for member in members(spec) if member.spec.role is Role.CONTROLLER]
    if len(controllers) == 1 or (controllers and has_several):
        return
    wrong = f"{stack.installer} needs {'a' if has_several else 'exactly one'} controller"
    right = f"role: controller has {', '.join(controllers) or 'none'}"
    yield Finding(("stack", "installer"), wrong, right)


def _missing_nics(stack: StackSpec, spec: LabSpec) -> Iterator[Finding]:
    """Yield nodes without a NIC on a network that they need for their role."""
    network = stack.network or default_network(spec)
    everyone, cloud, first = tuple(Role), (Role.CONTROLLER, Role.COMPUTE), (Role.CONTROLLER,)
    needs = (
        (network, "network", "carries the cloud", everyone),
        (stack.api_network, "api_network", "carries the APIs", cloud),
        (stack.data_network, "data_network", "carries the tenants' traffic", cloud),
        (stack.external_network, "external_network", "carries floating addresses", first),
    )
    for name, key, purpose, roles in needs:
        if name not in spec.networks:
            continue
        for owner, node in spec.nodes.items():
            is_connected = any(nic.network == name for nic in node.nics)
            if not is_connected and (node.role or Role.NODE) in roles:
                yield Finding(
                    ("nodes", owner, "nics"),
                    f"no NIC on {name}, which {purpose}",
                    f"add `- network: {name}`, or set stack.{key}",
                )


def _access_network(stack: StackSpec, spec: LabSpec) -> Iterator[Finding]:
    """Yield an external network by which the host logs in: the cloud takes its NIC over."""
    external = spec.networks.get(stack.external_network or "")
    if external is None or external.mode is not NetworkMode.NAT:
        return
    access = {node.nics[0].network for node in spec.nodes.values()}
    if stack.external_network in access:
        wrong = f"the host logs in by {stack.external_network}; the cloud would take its NIC"
        yield Finding(("stack", "external_network"), wrong, "give it a network of its own")
