"""Build a base image: its source, then Packer's qemu builder, then the store."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stacklab import files, locks
from stacklab.accelerator import Accelerator
from stacklab.errors import AlreadyRunning, CommandFailed, CommandTimedOut, ImageError
from stacklab.images import bootstrap, download, store
from stacklab.images.catalogue import Image, SourceKind
from stacklab.images.store import DISK, StoredImage
from stacklab.paths import PROJECT, HostPaths
from stacklab.process import Command, Runner, as_root
from stacklab.progress import Progress
from stacklab.tools import packer, qemu_img
from stacklab.tools.console import tail

# An installer unpacks itself into memory. Under TCG a cloud image takes minutes to let us in,
# a whole installation hours.
_MEMORY_MIB = {SourceKind.BOOTSTRAP: 1024, SourceKind.CLOUD: 1024, SourceKind.INSTALLER: 2048}
_SSH_TIMEOUT = {SourceKind.BOOTSTRAP: "10m", SourceKind.CLOUD: "20m", SourceKind.INSTALLER: "3h"}
_TIMEOUT_S = 4 * 3600.0  # an installer under TCG takes hours
_WAIT_FOR_OTHER_BUILD_S = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """What a build needs of its host; `pick_accelerator` is asked once a kernel to try is at hand."""

    paths: HostPaths
    runner: Runner
    progress: Progress
    pick_accelerator: Callable[[Path | None], Accelerator]

    def build(self, image: Image, *, force: bool = False) -> StoredImage:
        """Return the image, building it if today's inputs have none in the store, or if forced.

        Nothing is left of a build that fails, whatever ends it. Raises ImageError, ToolError.
        """
        # Before the lock too: who has what it needs does not wait for somebody's newer one.
        if not force and (found := self._find(image)):
            return found
        row = f"image {image.name}"
        lock = _lock(self.paths, image.name)
        with locks.held(
            lock,
            row,
            wait_s=_WAIT_FOR_OTHER_BUILD_S,
            waiting=lambda text: self.progress.say(row, text),
        ):
            if not force and (found := self._find(image)):
                return found
            started = time.monotonic()
            _clean_up(self.paths, image.name, self.runner)
            with self._work(image) as work:
                built = self._make(image, work)
                with self.progress.stage(row, "store"):
                    self.paths.images.mkdir(parents=True, exist_ok=True)
                    took = time.monotonic() - started
                    stored = store.add(self.paths, image, built, now=time.time(), took_s=took)
                    kernel = work / "vmlinuz"
                    if kernel.is_file():
                        kernel.replace(stored.path.with_suffix(".vmlinuz"))
            return stored

    def _find(self, image: Image) -> StoredImage | None:
        """The image from the store, unless its file is gone; raises ImageError if it was changed."""
        found = store.find(self.paths, image)
        if found is None or not found.path.exists():
            return None
        store.check(found)
        return found

    @contextmanager
    def _work(self, image: Image) -> Iterator[Path]:
        """A directory for one build, never used before: whatever a killed one left running can't write to it."""
        building = self.paths.building
        building.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=building, prefix=f"{image.name}_"))
        try:
            work.chmod(0o755)  # apt's own user goes through it
            yield work
        finally:
            _remove(work, self.runner)

    def _make(self, image: Image, work: Path) -> Path:
        row = f"image {image.name}"

        def say(text: str) -> None:
            self.progress.say(row, text)

        log = self.paths.image_log(image.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)  # root's, perhaps
        log.touch()  # who watches it may be first
        key = work / "build_key"
        argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "build", "-f", str(key))
        self.runner.run(Command(argv=argv, what="making the build's key"))
        public = key.with_suffix(".pub")
        kernel: Path | None = None
        if image.source is SourceKind.BOOTSTRAP:
            with self.progress.stage(row, "bootstrap"):
                made = bootstrap.bootstrap(image, public, work, self.runner, log=log, say=say)
            source, kernel = made.disk, made.kernel
        else:
            with self.progress.stage(row, "download"):
                source = download.fetch(image.url, image.digest, self.paths.downloads, say=say)
        with self.progress.stage(row, "accelerator"):
            accelerator = self.pick_accelerator(kernel)
        say(f"packer boots it ({accelerator.name})")
        with self.progress.stage(row, "packer"):
            return self._packer(image, source, key, work, accelerator, log)

    def _packer(
        self, image: Image, source: Path, key: Path, work: Path, accelerator: Accelerator, log: Path
    ) -> Path:
        templates = work / "template"
        shutil.copytree(PROJECT / "packer" / "image", templates)
        version = packer.parse_version(self.runner.run(packer.version()).stdout)
        if packer.needs_plugins(version):
            (templates / "plugins.pkr.hcl.in").rename(templates / "plugins.pkr.hcl")
            self.runner.run(packer.init(templates))
        variables: dict[str, object] = {
            "source": str(source),
            "is_disk": image.source is not SourceKind.INSTALLER,
            "memory_mib": _MEMORY_MIB[image.source],
            "ssh_timeout": _SSH_TIMEOUT[image.source],
            "output": str(work / "out"),
            "accelerator": accelerator.qemu_name,
            "cpu": accelerator.cpu_model if image.cpu == "qemu64" else image.cpu,
            "private_key": str(key),
            "files": str(PROJECT / "packer" / "files"),
            "scripts": [
                str(path) for path in sorted((PROJECT / "packer" / "scripts").glob("*.sh"))
            ],
            "disk_mib": str(DISK.mib),
        }
        public = key.with_suffix(".pub").read_text().strip()
        if image.source is SourceKind.CLOUD:
            variables["cd_files"] = [
                str(path) for path in _with_key("cloud", work / "cloud", public)
            ]
        if image.source is SourceKind.INSTALLER:
            answers = (
                (PROJECT / "packer" / "answers" / image.answers)
                .read_text()
                .replace("@KEY@", public)
            )
            files.write(work / "http" / "answers", answers)
            variables |= {"http": str(work / "http"), "boot_command": list(image.boot_command)}
        var_file = work / "variables.json"
        files.write(var_file, packer.variables_json(variables), mode=0o600)
        command = packer.build(templates, var_file, log=log, cache=work, timeout_s=_TIMEOUT_S)
        console = work / "out.console.log"  # beside the output: packer/image's -serial
        with self._watch(log, f"image {image.name}", console, _SSH_TIMEOUT[image.source]):
            try:
                self.runner.run(command)
            except (CommandFailed, CommandTimedOut) as error:
                last = (
                    "".join(f"\n  | {line}" for line in tail(console))
                    if console.exists()
                    else " (there is none)"
                )
                message = f"{error.message}\n  the machine's console ends with:{last}"
                raise type(error)(message, hint=error.hint or f"look at {log}") from error
        built = work / "out" / "image.qcow2"
        info = qemu_img.parse_info(self.runner.run(qemu_img.info(built)).stdout)
        if info.format != "qcow2" or info.backing is not None or info.virtual_bytes != DISK.bytes:
            raise ImageError(
                f"packer made {info}, not a standalone qcow2 of {DISK}", hint=f"look at {log}"
            )
        return built

    @contextmanager
    def _watch(self, log: Path, row: str, console: Path, ssh_limit: str) -> Iterator[None]:
        """Tell what Packer prints while it runs, so that nobody waits without knowing for what, and how long."""
        over = threading.Event()
        start = log.stat().st_size  # the log has earlier commands' lines too

        def follow() -> None:
            with log.open(errors="replace") as stream:
                stream.seek(start)
                line = text = ""
                while not over.wait(0.5):
                    for piece in stream:
                        line += piece
                        if not line.endswith("\n"):  # the rest of it is still to come
                            continue
                        if step := packer.parse_step(line):
                            text = step
                            self.progress.say(row, f"packer: {text}"[:100])
                        line = ""
                    if text.startswith("Waiting for SSH") and console.exists():
                        last = (tail(console, 1) or ("nothing yet",))[0]
                        self.progress.say(
                            row, f"packer waits for ssh, {ssh_limit} at most; console: {last[:60]}"
                        )

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _with_key(kind: str, directory: Path, public_key: str) -> tuple[Path, ...]:
    """Copies of the files under packer/KIND, with the build's public key filled in."""
    sources = sorted((PROJECT / "packer" / kind).iterdir())
    for source in sources:
        files.write(directory / source.name, source.read_text().replace("@KEY@", public_key))
    return tuple(directory / source.name for source in sources)


def clean_up(paths: HostPaths, runner: Runner) -> None:
    """Remove what killed builds left; a build that runs holds its image's lock and is left alone."""
    works = paths.building.glob("*_*")
    halves = paths.images.glob("*.qcow2")
    names = {work.name.partition("_")[0] for work in works} | {
        half.stem.rsplit("-", 2)[0] for half in halves
    }
    for name in sorted(names):
        with contextlib.suppress(AlreadyRunning), locks.held(_lock(paths, name), f"image {name}"):
            _clean_up(paths, name, runner)


def _clean_up(paths: HostPaths, name: str, runner: Runner) -> None:
    """What killed builds of one image left, by who holds its lock."""
    store.remove_halves(paths, name)
    for work in paths.building.glob(f"{name}_*"):
        _remove(work, runner)


def _remove(work: Path, runner: Runner) -> None:
    """Delete a build's directory; packages were unpacked there as root."""
    shutil.rmtree(work, ignore_errors=True)
    if work.exists():
        argv = as_root(("rm", "-rf", "--one-file-system", str(work)))
        runner.run(Command(argv=argv, what="removing what a build left"))


def _lock(paths: HostPaths, name: str) -> Path:
    return paths.locks / f"image.{name}.lock"
