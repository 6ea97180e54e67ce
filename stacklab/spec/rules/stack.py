"""Rules for a spec's `stack`: a release that exists, and options that it understands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab import releases
from stacklab.model.release import Release
from stacklab.model.stack import NO_INSTALLER, Role
from stacklab.spec.defaults import members
from stacklab.spec.form.schema import LabSpec
from stacklab.spec.form.stack import StackSpec
from stacklab.spec.mistakes import Keys, SpecMistake
from stacklab.spec.rules.context import RuleContext, has_role
from stacklab.spec.rules.secrets import misnamed_sources, secrets_in
from stacklab.spec.rules.stack_networks import (
    check_access_network,
    check_needed_nics,
    check_network_names,
    check_ranges,
)
from stacklab.spec.rules.stack_release import (
    check_devstack_branch,
    check_operating_system,
    check_options,
    check_words,
    chosen_release,
    written_keys,
)
from stacklab.words import suggest

# Gerrit's short names of a change, and what git has to be asked for instead.
_CHANGE_WITHOUT_REFS = re.compile(r"[0-9]{1,2}/[0-9]+/[0-9]+")
_CHANGE_WITHOUT_PATCH_SET = re.compile(r"refs/changes/[0-9]{1,2}/[0-9]+")


def check_stack(spec: LabSpec, context: RuleContext) -> Iterator[SpecMistake]:
    """Yield all problems of a spec's stack."""
    stack = spec.stack
    if stack is None:
        return
    yield from check_network_names(stack, context)
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
    yield from check_devstack_branch(stack, release)
    yield from check_operating_system(spec, release, context)
    yield from check_options(stack, release)
    yield from check_words(stack, release)
    yield from check_ranges(stack, spec, release)
    yield from _check_localrc(stack, release)
    yield from secrets_in(stack)
    yield from _check_refs(stack)
    yield from _check_volume_types(stack)
    yield from _check_direct_copy(stack, release)
    if context.is_whole:
        yield from misnamed_sources(stack)
        yield from _check_post_config_files(stack, spec, release)
        yield from _check_controllers(stack, spec, release)
        yield from check_needed_nics(stack, spec)
        yield from check_access_network(stack, spec)


def _check_no_keys(stack: StackSpec) -> Iterator[SpecMistake]:
    for key in written_keys(stack):
        yield SpecMistake(
            path=("stack", key),
            wrong="means nothing without an installer",
            right="remove it",
            at_key=True,
        )


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
