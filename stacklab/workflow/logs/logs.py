"""`lab.logs`: collect all that tells what happened to a lab, in a bundle with an index page.

Secrets are masked. It works whatever is broken: the index names what is missing, with the
reason. It changes nothing and takes no lock: people need it most while a command hangs.
"""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stacklab import files
from stacklab.errors import LabError, ProviderError
from stacklab.installers import is_secret_file
from stacklab.installers.kit import mask
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.providers.contract import LogSource
from stacklab.record import LabRecord
from stacklab.workflow.context import Context, not_up
from stacklab.workflow.logs import node as logs_node
from stacklab.workflow.logs.host import Host
from stacklab.workflow.masking import known_secrets, masked
from stacklab.workflow.trace.lines import line_text
from stacklab.workflow.trace.requests import known as known_request

# Stands near the top of every bundle's index: only such a directory is replaced.
MARK = '<meta name="generator" content="stacklab lab.logs">'
_TOP_OF_PAGE = 1000
# A node chooses the names of its files. A name that can't be written must cost only its file.
_OF_ITS_NAME = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_MOST_BYTES = 64 * 1024 * 1024
_FULL = f"the bundle is full at {_MOST_BYTES // 1024 // 1024} MiB"
_AT_ONCE = 8
_MINUTES = 60.0  # how far back requests are looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file of the bundle; with `why_not`, one that could not be collected (its `size` is 0)."""

    section: str  # host, a node's name, answers, requests
    path: str
    title: str
    size: int = 0
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The collected files, and the state of each node where the provider could be asked."""

    lab: str
    taken_at: float
    states: Mapping[str, str]
    items: tuple[Item, ...]

    @property
    def missing(self) -> tuple[Item, ...]:
        """Return the items that could not be collected."""
        return tuple(item for item in self.items if item.why_not)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A bundle where it was written."""

    path: Path
    bundle: Bundle


def collect(
    context: Context,
    name: str,
    out: str,
    *,
    index: Callable[[Bundle], str],
    requests: Sequence[str] = (),
) -> Written:
    """Write the bundle: a directory, or an archive if `out` ends in .tar.gz or is "".

    `index` renders the page. Of `requests`, ids of the cloud's, what its services have logged in
    the last hour is a file each. Raises LabError if nothing of the lab exists, or if the
    bundle can't be written.
    """
    paths = context.host.lab(name)
    if not paths.root.is_dir():
        raise not_up(context, name)
    target = _absolute_target(out or f"{name}-logs.tar.gz")
    is_archive = target.name.endswith((".tar.gz", ".tgz"))
    _refuse_foreign(target, is_archive=is_archive)
    try:
        files.make_directory(target.parent)
        # Beside the target: it is renamed, which works within a file system only.
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise _unwritable_target(target, error) from error
    try:
        # In an archive the directory's name is what people see when they unpack it.
        name_inside = "bundle"
        if is_archive:
            name_inside = target.name.removesuffix(".tar.gz").removesuffix(".tgz")
        inside = work / name_inside
        bundle = _Collecting(context, paths, inside).run(requests)
        _write_file(inside / "index.html", index(bundle).encode())
        _move_to_target(inside, target, work, is_archive=is_archive)
    except OSError as error:
        raise _unwritable_target(target, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Written(path=target, bundle=bundle)


def _absolute_target(out: str) -> Path:
    try:
        return Path(out).expanduser().absolute()
    except RuntimeError as error:  # ~USER of an unknown user
        raise LabError(
            f"{out}: that user does not exist", hint="--out DIR, or --out FILE.tar.gz"
        ) from error


def _refuse_foreign(target: Path, *, is_archive: bool) -> None:
    if is_archive or not target.exists():
        return
    try:
        is_ours = target.is_dir() and (_is_empty(target) or _has_our_index(target))
    except OSError:
        is_ours = False
    if not is_ours:
        raise LabError(
            f"{target} exists and is not a bundle of lab.logs: left alone",
            hint="name a directory that does not exist yet, or a file that ends in .tar.gz",
        )


def _is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


def _has_our_index(directory: Path) -> bool:
    with (directory / "index.html").open("rb") as stream:
        return MARK.encode() in stream.read(_TOP_OF_PAGE)


def _unwritable_target(target: Path, error: OSError) -> LabError:
    return LabError(
        f"{target}: {error.strerror or error}",
        hint="--out DIR, or --out FILE.tar.gz, where you may write",
    )


def _move_to_target(inside: Path, target: Path, work: Path, *, is_archive: bool) -> None:
    """Move the finished bundle to its target at once, so that no half bundle is ever there."""
    if not is_archive:
        if target.exists():
            target.replace(work / "before")  # removed with `work`
        inside.replace(target)
        return
    # 0600 before it has its name: logs may tell more than their masks hide.
    made = work / "made.tar.gz"
    with tarfile.open(made, "w:gz") as archive:
        archive.add(inside, arcname=inside.name)
    made.chmod(0o600)
    made.replace(target)


class _Collecting:
    """One run of lab.logs: each file is fetched, masked and written before the next one."""

    def __init__(self, context: Context, paths: LabPaths, root: Path) -> None:
        self._context = context
        self._paths = paths
        self._root = root
        self._items: list[Item] = []
        self._size = 0
        self._fetched: list[int] = []  # from nodes; several threads append
        self._secrets = known_secrets(paths)

    def run(self, requests: Sequence[str]) -> Bundle:
        """Collect this host's files, then the nodes', then the rendered answers."""
        self._root.mkdir(mode=0o700)
        lab_record = self._record()
        states, why_not = self._read_states(lab_record)
        with self._context.progress.stage("host", "logs"):
            provider = self._context.provider(lab_record)
            host = Host(self._context.runner, self._paths, lab_record, provider, why_not)
            self._add_host(host)
        names = [node.name for node in lab_record.nodes] if lab_record else []
        # A few at a time: each holds as much as a node may send in memory.
        with ThreadPoolExecutor(max_workers=max(1, min(len(names), _AT_ONCE))) as pool:
            collected = pool.map(lambda name: self._fetch_node(name, states), names)
            # Written here, one after the other: what is in the bundle counts against its limit.
            for name, node_logs in zip(names, collected, strict=True):
                self._add_node(name, node_logs)
        self._add_answers()
        for request_id in requests:
            self._add_request(request_id)
        return Bundle(
            lab=self._paths.name,
            taken_at=time.time(),
            states={name: str(state) for name, state in states.items()},
            items=tuple(self._items),
        )

    def _add_host(self, host: Host) -> None:
        sources = list(host.sources())
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            for source, (text, why_not) in zip(
                sources, pool.map(_read_source, sources), strict=True
            ):
                self._add_item(
                    section="host",
                    path=source.path,
                    title=source.title,
                    text=text,
                    why_not=why_not,
                    original=source.original,
                )

    def _add_node(self, name: str, node_logs: logs_node.NodeLogs) -> None:
        for path, text in logs_node.texts(node_logs):
            end = "\n(cut off here)\n" if path in node_logs.cut else ""
            title = path.removeprefix("files")
            self._add_item(
                section=name,
                path=f"nodes/{name}/{path}",
                title=title,
                text=text + end,
            )
        if node_logs.why_not:
            title = "the rest" if node_logs.files else "what the node itself tells"
            self._add_item(
                section=name,
                path=f"nodes/{name}",
                title=title,
                why_not=node_logs.why_not,
            )

    def _record(self) -> LabRecord | None:
        try:
            return registry.read(self._paths)
        except LabError as error:
            self._add_item(
                section="host",
                path="host/record",
                title="the lab's record",
                why_not=error.message,
            )
            return None

    def _read_states(self, lab_record: LabRecord | None) -> tuple[Mapping[str, NodeState], str]:
        """Return what is known of what the nodes do, and why their provider can't be asked."""
        unreachable = self._context.provider(lab_record).why_unreachable()
        why_not = str(unreachable) if unreachable else ""
        try:
            return (self._context.states(lab_record) if lab_record else {}), why_not
        except ProviderError as error:
            return {}, why_not or error.message

    def _fetch_node(self, name: str, states: Mapping[str, NodeState]) -> logs_node.NodeLogs:
        with self._context.progress.stage(name, "logs"):
            self._context.progress.say(
                name, f"fetching its logs, {logs_node.LIMIT_S:.0f} s at most"
            )
            state = states.get(name, NodeState.RUNNING)
            if state is not NodeState.RUNNING:
                return logs_node.NodeLogs(why_not=f"the node is {state}")
            if not self._paths.ssh_config.exists():
                return logs_node.NodeLogs(why_not="the lab was never far enough up to log in")
            if sum(self._fetched) > _MOST_BYTES:
                return logs_node.NodeLogs(why_not=_FULL)
            node_logs = logs_node.collect(self._paths, self._context.runner, name)
            self._fetched.append(sum(map(len, node_logs.files.values())))
            return node_logs

    def _add_request(self, request_id: str) -> None:
        """Add what the cloud's services have logged about a request."""
        text, why_not = "", ""
        try:
            name = self._paths.name
            trace = known_request(self._context, name, request_id, since_minutes=_MINUTES)
            text = "".join(f"{line_text(line)}\n" for line in trace.lines)
        except LabError as error:
            why_not = error.message
        self._add_item(
            section="requests",
            path=logs_node.safe_path(f"requests/{request_id}.log"),
            title=f"{request_id}: what services have logged about it",
            text=text,
            why_not=why_not,
        )

    def _add_answers(self) -> None:
        """Add the rendered answer files, as they were written for the nodes."""
        root = self._paths.answers
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            # Its first part is the node, the others are the path there.
            inner = PurePosixPath(file.relative_to(root))
            on_node = PurePosixPath("/", *inner.parts[1:])
            try:
                text, why = file.read_text(errors="replace"), ""
            except OSError as error:
                text, why = "", str(error.strerror)
            path = f"answers/{logs_node.safe_path(str(inner))}"
            self._add_item(
                section="answers",
                path=path,
                title=f"{inner.parts[0]}: {on_node}",
                text=text,
                why_not=why,
                original=on_node,
            )

    def _add_item(
        self,
        *,
        section: str,
        path: str,
        title: str,
        text: str = "",
        why_not: str = "",
        original: PurePosixPath | None = None,
    ) -> None:
        """Write a file into the bundle, masked; or list why it is not there.

        `original` is the file's path where it came from, which tells whether all of it is secret.
        """
        if not why_not and self._size > _MOST_BYTES:
            why_not = _FULL
        if why_not:
            shown = mask.in_any_form(why_not, self._secrets)
            self._items.append(Item(section=section, path=path, title=title, why_not=shown))
            return
        path = logs_node.plain_name(path)
        is_all_secret = original is not None and is_secret_file(original)
        data = masked(text, self._secrets, is_all_secret=is_all_secret).encode()
        target = self._root / path
        try:
            files.make_directory(target.parent, mode=0o700)
            _write_file(target, data)
        except OSError as error:
            if error.errno not in _OF_ITS_NAME:
                raise
            self._items.append(
                Item(
                    section=section,
                    path=path[:200],
                    title=title[:200],
                    why_not=f"its name can't be written here: {error.strerror}",
                )
            )
            return
        self._size += len(data)
        item = Item(section=section, path=path, title=title, size=len(data))
        self._items.append(item)


def _write_file(target: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whatever the umask."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as stream:
        stream.write(data)


def _read_source(source: LogSource) -> tuple[str, str]:
    try:
        return source.read(), ""
    except LabError as error:
        # A command's error has its output behind a margin; here it is to be one line.
        lines = error.message.splitlines()[:3]
        return "", " ".join(line.strip(" |") for line in lines)
    except FileNotFoundError:
        return "", "it does not exist"
    except OSError as error:
        return "", str(error.strerror or error)
