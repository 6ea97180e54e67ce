"""Answer files outside of lab.up: show them, compare them with what nodes have, lint them."""

from __future__ import annotations

import base64
import dataclasses
import difflib
import shlex
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from stacklab import record, releases
from stacklab.errors import HostError, LabError
from stacklab.foreign import printable
from stacklab.installers import KITS, is_secret_file, releases_in
from stacklab.installers import rendering as answers
from stacklab.installers.kit.masking.mask import masked, without
from stacklab.installers.kit.write import digest, write_into
from stacklab.installers.rendering import Rendered, Step
from stacklab.model.lab import Lab
from stacklab.model.release import Bug, Release
from stacklab.model.release_names import operating_system
from stacklab.model.stack import NO_INSTALLER
from stacklab.nodes import protocol, session
from stacklab.nodes.protocol import Part, Phase
from stacklab.nodes.session import Reply
from stacklab.paths import LabPaths
from stacklab.process.command import Runner
from stacklab.tools.host.mirrors import host_mirrors
from stacklab.words import plural, suggest
from stacklab.workflow import spec_files
from stacklab.workflow.context import Context, read_own, running_lab
from stacklab.workflow.node_names import node_named
from stacklab.workflow.placing import Difference, place_answers, render_answers

_READ_LIMIT_S = 60.0

_NOT_THERE = 44  # the exit code of a part whose file does not exist
# In lines that a session takes whole; sudo reads what the user `stack` may not.
_READER = """\
sudo -n test -e {file} || exit {not_there}
sudo -n base64 -w 3000 {file}"""


def rendered(context: Context, lab: Lab) -> tuple[Rendered, Mapping[str, str]]:
    """Return every file as lab.up would write it, and the lab's secrets, made now if need be."""
    if lab.stack.installer is NO_INSTALLER:
        return answers.render(lab, {}), {}
    with context.lab_lock(lab.name) as paths:
        return render_answers(context, lab, paths)


def preview(lab: Lab, runner: Runner) -> Rendered:
    """Return every file with masks for secrets: it makes none, and writes nowhere."""
    previews = answers.preview(lab, mirrors=host_mirrors(runner))
    placeholders = dict.fromkeys(answers.secret_names(lab), answers.PLACEHOLDER)
    # A file may hold a secret in the form that its reader wants.
    secret = answers.secret_texts(lab, placeholders)
    return {
        node: {path: without(text, secret) for path, text in files.items()}
        for node, files in previews.items()
    }


def steps(lab: Lab, runner: Runner) -> tuple[Step, ...]:
    """Return what is done with the files on the nodes, in order."""
    return answers.steps(lab, mirrors=host_mirrors(runner))


def check_node(lab: Lab, node: str) -> None:
    """Raise LabError, listing the lab's nodes, for an unknown one; "" is all of them."""
    if node:
        node_named(lab, node, hint=f"./invoke answers.render {lab.name}")


def only(rendered: Rendered, node: str) -> Rendered:
    """Return one node's files, or all if none is named."""
    return {node: rendered[node]} if node else rendered


def write(rendered: Rendered, directory: Path) -> tuple[Path, ...]:
    """Write them below a directory of the user, 0600; return those that changed."""
    try:
        return write_into(rendered, directory)
    except OSError as error:
        # What mkdir says of a file where a directory should be helps nobody.
        why = (
            "it is not a directory"
            if isinstance(error, FileExistsError | NotADirectoryError)
            else error.strerror
        )
        raise HostError(
            f"{error.filename}: {why}", hint="--out: name a directory of yours"
        ) from error


def diff(context: Context, lab: Lab) -> tuple[Difference, ...]:
    """Compare what the running nodes have with what would be rendered from today's spec."""
    _, paths = running_lab(context, lab.name)
    spec_files.refuse_other(paths, lab.source)
    wanted, known = rendered(context, lab)
    return _compare(context, lab, wanted, known)


def _compare(
    context: Context, lab: Lab, wanted: Rendered, known: Mapping[str, str]
) -> tuple[Difference, ...]:
    paths = context.host.lab(lab.name)
    secret = answers.secret_texts(lab, known)
    nodes = [node for node, files in wanted.items() if files]

    def read_node(node: str) -> Mapping[PurePosixPath, str | None]:
        return _read_files(context, paths, node, wanted[node])

    with ThreadPoolExecutor(max_workers=max(len(nodes), 1)) as pool:
        # A list, so that a node that can't be read raises before anything is compared.
        contents = list(pool.map(read_node, nodes))
    differences = []
    for node, content in zip(nodes, contents, strict=True):
        for path, text in wanted[node].items():
            lines = _unified_diff(node, path, content[path], text, secret)
            if lines:
                differences.append(Difference(node=node, path=path, lines=lines))
    return tuple(differences)


def _read_files(
    context: Context, paths: LabPaths, node: str, files: Mapping[PurePosixPath, str]
) -> Mapping[PurePosixPath, str | None]:
    """Return what a node has of these files, None for one that it has not; raises LabError."""
    parts = {path: _reading_part(number, path) for number, path in enumerate(files)}
    reply = session.ask(context.runner, paths, node, tuple(parts.values()), limit_s=_READ_LIMIT_S)
    if not reply.answer.is_begun:
        raise LabError(
            f"{node} can't be read: {reply.why}",
            hint=f"./invoke lab.check {paths.name}",
        )
    contents: dict[PurePosixPath, str | None] = {}
    for path, part in parts.items():
        contents[path] = _content(reply, part.tag, f"{node}:{path}", paths.name)
    return contents


def _reading_part(number: int, path: PurePosixPath) -> Part:
    # In a subshell: `exit` must end this part, and not the session.
    shell = _READER.format(file=shlex.quote(str(path)), not_there=_NOT_THERE)
    return Part(tag=f"answers.{number}", shell=f"(\n{shell}\n)", phase=Phase.FACTS)


def _content(reply: Reply, tag: str, place: str, lab: str) -> str | None:
    """Return a file's text as the node sent it, None if it does not exist; raises LabError."""
    sent = reply.answer.of(tag)
    if sent.code == _NOT_THERE:
        return None
    why = _why_unread(reply, tag)
    if not why:
        try:
            data = base64.b64decode("".join(sent.lines), validate=True)
            return data.decode("utf-8", errors="replace")
        except ValueError:  # not base64, or not even ASCII
            why = "its answer is broken"
    raise LabError(f"{place} can't be read: {printable(why)}", hint=f"./invoke lab.check {lab}")


def _why_unread(reply: Reply, tag: str) -> str:
    """Return why a part did not send its file whole; "" if it did."""
    why = reply.missing(tag)
    if why:
        return why
    sent = reply.answer.of(tag)
    if sent.code != 0:
        return sent.text or f"exit code {sent.code}"
    # So many lines are all that a session keeps of a part: the file's end is missing.
    if len(sent.lines) >= protocol.LINES_MAX:
        return "the file is too large"
    return ""


def _unified_diff(
    node: str, path: PurePosixPath, there: str | None, here: str, secret: Collection[str]
) -> tuple[str, ...]:
    """Return what differs between the node's file and what would be rendered; () if nothing."""
    if there == here:
        return ()
    # Masked before they are compared: else a diff would show which secret changed to which.
    is_all_secret = is_secret_file(path)
    old = masked(there or "", secret, is_all_secret=is_all_secret)
    new = masked(here, secret, is_all_secret=is_all_secret)
    old_name, new_name = f"{node}:{path}", "from the spec"
    if there is None:
        old_name, new_name = "/dev/null", f"{node}:{path}"
    lines = difflib.unified_diff(
        old.splitlines(),
        new.splitlines(),
        fromfile=old_name,
        tofile=new_name,
        lineterm="",
    )
    why_empty = "only secrets or the end of the file differ"
    return tuple(lines) or (f"--- {old_name}", f"+++ {new_name}", why_empty)


def push(context: Context, lab: Lab) -> tuple[Difference, ...]:
    """Bring the running nodes' files to what the spec says today; return what was replaced."""
    _, paths = running_lab(context, lab.name)
    spec_files.refuse_other(paths, lab.source)
    wanted, known = rendered(context, lab)
    differences = _compare(context, lab, wanted, known)
    with context.lab_lock(lab.name) as paths:
        lab_record = read_own(paths)
        for name in dict.fromkeys(difference.node for difference in differences):
            place_answers(context, lab, paths, name, wanted[name])
            # The lab may have been destroyed before this command got its lock.
            node = lab_record.node(name) if lab_record else None
            if lab_record is None or node is None:
                continue
            # So that the next lab.up does not place the same files again.
            changed = dataclasses.replace(node, answers=digest(wanted[name]))
            lab_record = lab_record.with_node(changed)
            record.write(paths, lab_record)
    return differences


def raise_for_differences(name: str, differences: Sequence[Difference]) -> None:
    """Raise LabError if something differs; its hint brings the nodes up to date."""
    if differences:
        verb = "differs" if len(differences) == 1 else "differ"
        wrong = f"{plural(len(differences), 'file')} of lab {name} {verb} from its spec"
        raise LabError(wrong, hint=f"./invoke answers.push {name} (it replaces them on the nodes)")


def releases_of(words: Sequence[str]) -> tuple[Release, ...]:
    """Return every release of these installers, or of all."""
    known = list(KITS)
    for word in words:
        if word not in known:
            raise LabError(f"no installer {word!r} ({suggest(word, known, label='known')})")
    chosen: list[Release] = []
    # In the order of KITS, whatever the order of the words.
    for word in known:
        if not words or word in words:
            chosen += releases.of(word).values()
    return tuple(chosen)


def fate(lab: Lab) -> tuple[str, ...]:
    """Return what a user should know of a release: upstream ended it, or it never ran here."""
    if lab.stack.installer is NO_INSTALLER:
        return ()
    release = releases.find(lab.stack.installer, lab.stack.release)
    title = f"{release.installer} {release.name}"
    warnings = []
    if not release.is_alive:
        warnings.append(f"{title}: upstream ended it in {release.dead}: {release.grave}")
    foreign = [image for image in lab.images if operating_system(image) not in release.images]
    # A release that names no image runs on all of them.
    if release.images and foreign:
        images = ", ".join(foreign)
        warnings.append(f"{title} never ran on {images}: nodes come up on it, the cloud won't")
    for bug in _unmended_bugs(lab, release):
        warnings.append(f"{title} on {lab.images[0]}: {bug.symptom}; {bug.fix}")
    return tuple(warnings)


def _unmended_bugs(lab: Lab, release: Release) -> tuple[Bug, ...]:
    """Return the bugs of the lab's first image, and of its driver, that nothing works around."""
    system = operating_system(lab.images[0])
    bugs: list[Bug] = []
    for bug in release.bugs:
        is_met = system in bug.images and bug.concerns(lab.stack.driver)
        if is_met and not bug.is_worked_around:
            bugs.append(bug)
    return tuple(bugs)


def notes(lab: Lab) -> tuple[str, ...]:
    """Return the fate of a lab's release, and its known bugs with the ways around them."""
    if lab.stack.installer is NO_INSTALLER:
        return ()
    # Other installers' releases may run beside it, with bugs of their own.
    running = releases_in(lab)
    # `fate` names these already.
    unmended = _unmended_bugs(lab, running[0])
    lines = [*fate(lab)]
    for release in running:
        for bug in release.bugs:
            if bug.concerns(lab.stack.driver) and bug not in unmended:
                lines.append(_way_around(bug))
    return tuple(lines)


def _way_around(bug: Bug) -> str:
    done = " (done here)" if bug.is_worked_around else ""
    return f"known bug {bug.id}: {bug.symptom}; way around{done}: {bug.fix}"
