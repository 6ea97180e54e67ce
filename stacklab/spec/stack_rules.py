"""What a spec's `stack` must fulfil: a release that exists, and nothing that it has not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network

from stacklab import releases
from stacklab.model.lab import NetworkMode
from stacklab.model.stack import NO_INSTALLER, Installer, Role
from stacklab.releases import Release, operating_system
from stacklab.spec.rules import Context, default_network, members
from stacklab.spec.schema import STAND_IN, LabSpec
from stacklab.spec.secret_rules import secrets_in
from stacklab.spec.source import Finding, Keys
from stacklab.spec.stack import StackSpec
from stacklab.words import suggest

_NETWORK_KEYS = ("network", "api_network", "data_network", "external_network")


def check_stack(spec: LabSpec, context: Context) -> Iterator[Finding]:
    """All that is wrong with a spec's stack."""
    stack = spec.stack
    if stack is None:
        return
    yield from _network_names(stack, context)
    if stack.installer in (None, NO_INSTALLER):
        if context.is_whole:
            for key in _set_keys(stack):
                yield Finding(
                    ("stack", key), "means nothing without an installer", "remove it", at_key=True
                )
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
        yield from _nodes(stack, spec, release)


def chosen_release(stack: StackSpec) -> Release:
    """The release that a stack names, or its installer's default; the installer is not `none`."""
    known = releases.of(stack.installer or NO_INSTALLER)
    return known[stack.release or next(iter(known))]


def _set_keys(stack: StackSpec) -> list[str]:
    """Keys that are written, beside the two that every stack has."""
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
    """What never worked together: this release with that DevStack, or on that operating system."""
    title = f"{release.installer} {release.name}"
    if release.pairs and stack.devstack_branch is not None:
        branch = releases.plain_name(stack.devstack_branch)
        if branch not in release.pairs:
            worked = ", ".join(
                f"{name} with {' or '.join(each.pairs)}"
                for name, each in releases.of(release.installer).items()
            )
            wrong = f"DevStack {stack.devstack_branch} does not go with {title}"
            yield Finding(("stack", "devstack_branch"), wrong, f"worked: {worked}")
    images = [image for image in spec.image if image != STAND_IN]
    if (
        images
        and release.images
        and not any(operating_system(image) in release.images for image in images)
    ):
        if context.known_images is not None and any(
            image not in context.known_images for image in images
        ):
            return  # that it does not exist is said already
        wrong = f"{title} never worked on {' or '.join(images)}"
        yield Finding(("image",), wrong, f"worked: {', '.join(release.images)}")


def _options(stack: StackSpec, release: Release) -> Iterator[Finding]:
    title = f"{release.installer} {release.name}"
    for path in _option_paths(stack):
        option = ".".join(path)
        if option in release.options:
            continue
        having = [
            name for name, each in releases.of(release.installer).items() if option in each.options
        ]
        others = [
            str(word)
            for word in Installer
            if any(option in each.options for each in releases.of(word).values())
        ]
        if having:
            right = f"remove it, or take a release that has it: {', '.join(having)}"
        else:
            right = f"remove it; it is for {', '.join(others)}" if others else "remove it"
        yield Finding(("stack", *path), f"{title} has no such option", right, at_key=True)


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
    """A network mode or a driver that the release has not."""
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
    yield Finding(("stack", key), f"{release.installer} {release.name} has no {noun}{word}", right)


def _ranges(stack: StackSpec, spec: LabSpec, release: Release) -> Iterator[Finding]:
    """The cloud's own ranges must be nobody else's: a node would lose its way to the lab."""
    seen: list[tuple[str, IPv4Network]] = []
    for key in ("fixed_range", "floating_range"):
        written = getattr(stack, key)
        default = release.text(key) if key in release.options else ""
        if written is None and not default:
            continue
        cidr = written or IPv4Network(default)
        path: Keys = ("stack", key) if written else ("stack",)
        label = (
            f"{key} {cidr}"
            if written
            else f"{release.installer} {release.name}'s own {key}, {cidr},"
        )
        right = "choose another range" if written else f"write stack.{key} with a range of its own"
        for name, network in spec.networks.items():
            is_outside = key == "floating_range" and name == stack.external_network
            if network.cidr.overlaps(cidr) and not is_outside:
                yield Finding(
                    path,
                    f"{label} overlaps network {name} ({network.cidr})",
                    right,
                    at_key=not written,
                )
        for other, range_ in seen:
            if range_.overlaps(cidr):
                yield Finding(path, f"{label} overlaps {other} {range_}", right, at_key=not written)
        seen.append((key, cidr))


def _texts(stack: StackSpec, release: Release) -> Iterator[Finding]:
    """A section's header would end localrc."""
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
    """Gerrit's own way of naming a change is short of what git fetches."""
    for project, ref in (stack.refs or {}).items():
        path: Keys = ("stack", "refs", project)
        if re.fullmatch(r"[0-9]{1,2}/[0-9]+/[0-9]+", ref):
            yield Finding(path, f"{ref} is no branch or tag", f"write refs/changes/{ref}")
        elif re.fullmatch(r"refs/changes/[0-9]{1,2}/[0-9]+", ref):
            yield Finding(path, f"{ref} names no patch set", f"write {ref}/1, or its newest")


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
                wrong = f"computes have no {file}: stack.sh would stop there"
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


def _nodes(stack: StackSpec, spec: LabSpec, release: Release) -> Iterator[Finding]:
    has_several = release.text("controllers") == "several"  # its control plane can be spread
    controllers = [member.name for member in members(spec) if member.spec.role is Role.CONTROLLER]
    if not controllers or (len(controllers) > 1 and not has_several):
        found = ", ".join(controllers) or "none"
        wrong = f"{stack.installer} needs {'a' if has_several else 'exactly one'} controller"
        yield Finding(("stack", "installer"), wrong, f"role: controller has {found}")
    network = stack.network or default_network(spec)
    everyone, cloud, first = tuple(Role), (Role.CONTROLLER, Role.COMPUTE), (Role.CONTROLLER,)
    needs = (
        (network, "network", "carries the cloud", everyone),
        (stack.api_network, "api_network", "carries the APIs", cloud),
        (stack.data_network, "data_network", "carries the tenants' traffic", cloud),
        (stack.external_network, "external_network", "carries floating addresses", first),
    )
    for name, key, what, roles in needs:
        for owner, node in spec.nodes.items():
            has = {nic.network for nic in node.nics}
            if name in spec.networks and name not in has and (node.role or Role.NODE) in roles:
                wrong = f"no NIC on {name}, which {what}"
                yield Finding(
                    ("nodes", owner, "nics"), wrong, f"add `- network: {name}`, or set stack.{key}"
                )
    external = spec.networks.get(stack.external_network or "")
    if external is not None and external.mode is NetworkMode.NAT:
        access = {node.nics[0].network for node in spec.nodes.values()}
        if stack.external_network in access:
            wrong = f"the host logs in by {stack.external_network}; the cloud would take its NIC"
            yield Finding(("stack", "external_network"), wrong, "give it a network of its own")
