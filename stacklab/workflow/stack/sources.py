"""Try every source that stages will fetch from, from the nodes that will, before they run.

An installer that stops after an hour because a repository moved has changed half a node by
then. So `lab.stack` asks first, all nodes and all sources at once, and refuses by name.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stacklab.errors import SourceUnreached
from stacklab.foreign import INDENT, printable
from stacklab.installers import remote_sources
from stacklab.installers.kit.host import proxy_variables
from stacklab.installers.kit.sources import RemoteSource, SourceKind
from stacklab.installers.kit.ways import dialled_place, mirror_of
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Mirrors
from stacklab.nodes import session
from stacklab.nodes.protocol import Part, Said
from stacklab.paths import LabPaths
from stacklab.stages.stage import Stage
from stacklab.tools.host.mirrors import host_mirrors
from stacklab.words import plural
from stacklab.workflow.context import Context
from stacklab.workflow.stack import source_scripts
from stacklab.workflow.stack.source_scripts import NO_REF, PART_LIMIT_S, SourceTrial

_SESSION_LIMIT_S = PART_LIMIT_S + 30
_BY = "by "  # begins the line in which a node says how it tried a source
_WORDS_MAX = 300
_LINES_MAX = 3
_OWN_PACKAGES = "the node's own APT sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSource:
    """A source that stages on a node fetch from; `url` is a mirror's, where there is one."""

    node: str
    source: RemoteSource
    url: str
    stages: tuple[str, ...]

    @property
    def words(self) -> str:
        """Return what it is, for people."""
        words = f"{self.source.kind} {self.url or _OWN_PACKAGES}"
        if self.source.is_base:
            words += ", all projects"
        return f"{words}, {self.source.ref}" if self.source.ref else words


def has_sources(lab: Lab) -> bool:
    """Return True if the lab's installer fetches anything."""
    return any(remote_sources(lab, node) for node in lab.nodes)


def planned(context: Context, lab: Lab, stages: Sequence[Stage]) -> tuple[WantedSource, ...]:
    """Return what these stages fetch from, with this host's mirrors."""
    return wanted(lab, stages, host_mirrors(context.runner))


def wanted(lab: Lab, stages: Sequence[Stage], mirrors: Mirrors) -> tuple[WantedSource, ...]:
    """Return what these stages fetch from, by node, each once."""
    found: dict[tuple[str, RemoteSource], WantedSource] = {}
    for node in lab.nodes:
        for source in remote_sources(lab, node):
            names = _stages_that_fetch(stages, node, source)
            url = mirror_of(lab, mirrors, source) or source.url
            is_named = bool(url) or source.kind is SourceKind.PACKAGES
            if names and is_named:
                found[node.name, source] = WantedSource(
                    node=node.name, source=source, url=url, stages=names
                )
    return tuple(found.values())


def _stages_that_fetch(
    stages: Sequence[Stage], node: Node, source: RemoteSource
) -> tuple[str, ...]:
    names: list[str] = []
    for stage in stages:
        phase = stage.name.partition("@")[0]
        if node.name in stage.nodes and (not source.phases or phase in source.phases):
            names.append(stage.name)
    return tuple(names)


def refuse_unreached(context: Context, lab: Lab, paths: LabPaths, stages: Sequence[Stage]) -> None:
    """Raise SourceUnreached if a source that these stages need can't be had from their nodes.

    A node that can't be asked is passed over: its stages wait for it by themselves.
    """
    mirrors = host_mirrors(context.runner)
    sources = wanted(lab, stages, mirrors)
    if not sources:
        return
    by_node: dict[str, list[WantedSource]] = {}
    for one in sources:
        by_node.setdefault(one.node, []).append(one)
    count = plural(len({(one.source.kind, one.url, one.source.ref) for one in sources}), "source")
    with context.progress.stage("host", f"try {count} from {', '.join(by_node)}"):
        missing = _try_all(context, lab, paths, by_node, has_authorities=bool(mirrors.authorities))
    if missing:
        raise SourceUnreached(
            "\n".join(_refusal_lines(lab, missing)),
            hint=f"./invoke lab.stack {lab.name} --plan shows all sources; with --no-sources "
            "nothing is tried beforehand",
        )


_Missing = tuple[WantedSource, Said]


def _try_all(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    by_node: dict[str, list[WantedSource]],
    *,
    has_authorities: bool,
) -> list[_Missing]:
    """Ask all nodes at once, and return what they could not have, in the order of the nodes."""
    done: queue.SimpleQueue[tuple[str, list[_Missing] | BaseException]] = queue.SimpleQueue()

    def ask(node: str, sources: Sequence[WantedSource]) -> None:
        try:
            trials = [_trial(lab, one, has_authorities=has_authorities) for one in sources]
            done.put((node, _try_on(context, paths, node, sources, trials)))
        except BaseException as error:  # raised again below, in the thread of the command
            done.put((node, error))

    for node, sources in by_node.items():
        # Daemons: Ctrl-C must not wait for a node that hangs.
        threading.Thread(target=ask, args=(node, sources), daemon=True).start()
    answers = dict(done.get() for _ in by_node)
    missing: list[_Missing] = []
    for node in by_node:
        answer = answers[node]
        if isinstance(answer, BaseException):
            raise answer
        missing += answer
    return missing


def _trial(lab: Lab, one: WantedSource, *, has_authorities: bool) -> SourceTrial:
    source = one.source
    return SourceTrial(
        kind=source.kind,
        url=one.url,
        place=dialled_place(lab, one.url),
        ref=source.ref,
        is_base=source.is_base,
        proxy=proxy_variables(lab),
        trusts_anything=has_authorities,
    )


def _try_on(
    context: Context,
    paths: LabPaths,
    node: str,
    sources: Sequence[WantedSource],
    trials: Sequence[SourceTrial],
) -> list[_Missing]:
    parts = [
        Part(tag=f"source.{number}", shell=source_scripts.render(trial), limit_s=PART_LIMIT_S)
        for number, trial in enumerate(trials)
    ]
    reply = session.ask(context.runner, paths, node, parts, limit_s=_SESSION_LIMIT_S)
    missing: list[_Missing] = []
    for part, one in zip(parts, sources, strict=True):
        said = reply.answer.of(part.tag)
        if said.code is None:
            why = printable(reply.missing(part.tag))
            context.progress.note(node, f"{one.words} was not tried: {why}")
        elif said.code != 0:
            missing.append((one, said))
    return missing


def _refusal_lines(lab: Lab, missing: Sequence[_Missing]) -> Iterator[str]:
    """Yield each source once, with all nodes that could not have it."""
    by_words: dict[str, list[_Missing]] = {}
    for one, said in missing:
        by_words.setdefault(one.words, []).append((one, said))
    count = plural(len(by_words), "source")
    yield f"{count} of lab {lab.name} can't be had; nothing was changed:"
    for words, cases in by_words.items():
        one, said = cases[0]
        nodes = ", ".join(case.node for case, _ in cases)
        yield f"{INDENT}{words}"
        yield f"{INDENT}  from {nodes}, {_what_came(said, one)}"
        yield f"{INDENT}  needed by {', '.join(_stages_of(cases))}"
        yield f"{INDENT}  replaced by: {one.source.replaced_by}"


def _stages_of(cases: Iterable[_Missing]) -> Iterable[str]:
    return dict.fromkeys(name for one, _ in cases for name in one.stages)


def _what_came(said: Said, one: WantedSource) -> str:
    """Return how a node tried a source, and what came; foreign text, made printable."""
    way = ""
    lines: list[str] = []
    for line in said.lines:
        words = printable(line[:_WORDS_MAX]).strip()
        if words.startswith(_BY):
            way = words
        elif words:
            lines.append(words)
    if said.code == NO_REF:
        lines = [f"it has no branch, tag or change {one.source.ref}"]
    came = "; ".join(list(dict.fromkeys(lines))[-_LINES_MAX:]) or f"exit code {said.code}"
    return f"{way}: {came}" if way else came
