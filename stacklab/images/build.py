"""Builds of base images: get the source, let Packer boot and provision it, store the result."""

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
from stacklab.errors import AlreadyRunning, CommandFailed, CommandTimedOut, ImageError
from stacklab.images import bootstrap, download, store
from stacklab.images.catalogue import Image, ImageSourceKind
from stacklab.images.store import DISK, StoredImage
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from stacklab.process.command import Command, Runner, as_root
from stacklab.progress import Progress
from stacklab.tools import packer, qcow2, qemu_img
from stacklab.tools.console import tail
from stacklab.tools.host.accelerator import Accelerator

# An installer unpacks itself into memory. Under TCG a cloud image takes minutes until it accepts
# a login, and a whole installation takes hours.
_MEMORY_MIB = {
    ImageSourceKind.BOOTSTRAP: 1024,
    ImageSourceKind.CLOUD: 1024,
    ImageSourceKind.INSTALLER: 2048,
}
_SSH_TIMEOUT = {
    ImageSourceKind.BOOTSTRAP: "10m",
    ImageSourceKind.CLOUD: "20m",
    ImageSourceKind.INSTALLER: "3h",
}
_LOOK_EVERY_S = 0.5
_TIMEOUT_S = 4 * 3600.0
_WAIT_FOR_OTHER_BUILD_S = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """A build of images on this host; `pick_accelerator` is called with a kernel to try."""

    paths: HostPaths
    runner: Runner
    progress: Progress
    pick_accelerator: Callable[[Path | None], Accelerator]

    def build(self, image: Image, *, force: bool = False) -> StoredImage:
        """Return the image; build it if the store does not have it, or if forced.

        A build that fails leaves nothing behind. Raises ImageError or ToolError.
        """
        # Look before the lock, too: whoever needs the stored image must not wait for hours
        # because somebody else is forcing a newer one.
        stored = None if force else self._find_stored(image)
        if stored is not None:
            return stored
        row = f"image {image.name}"
        with locks.held(
            _lock_file(self.paths, image.name),
            row,
            wait_s=_WAIT_FOR_OTHER_BUILD_S,
            waiting=lambda text: self.progress.say(row, text),
        ):
            stored = None if force else self._find_stored(image)
            return stored or self._build_and_store(image)

    def _build_and_store(self, image: Image) -> StoredImage:
        started = time.monotonic()
        _clean_up(self.paths, image.name, self.runner)
        with self._work_directory(image) as work:
            built = self._make_image(image, work)
            with self.progress.stage(f"image {image.name}", "store"):
                files.make_directory(self.paths.images)
                elapsed = time.monotonic() - started
                stored = store.add(self.paths, image, built, now=time.time(), took_s=elapsed)
                kernel = work / "vmlinuz"
                if kernel.is_file():
                    kernel.replace(stored.path.with_suffix(".vmlinuz"))
        return stored

    def _find_stored(self, image: Image) -> StoredImage | None:
        """Return the stored image, if its file exists; raise ImageError if that was changed."""
        stored = store.find(self.paths, image)
        if stored is None or not stored.path.exists():
            return None
        store.check(stored)
        return stored

    @contextmanager
    def _work_directory(self, image: Image) -> Iterator[Path]:
        """Make a new directory for one build, and remove it afterwards.

        Its name was never used before, so that processes of a killed build can't write to it.
        """
        building = self.paths.building
        files.make_directory(building)
        work = Path(tempfile.mkdtemp(dir=building, prefix=f"{image.name}_"))
        try:
            work.chmod(0o755)  # apt reads files in it as its own user, _apt
            yield work
        finally:
            _remove_directory(work, self.runner)

    def _make_image(self, image: Image, work: Path) -> Path:
        row = f"image {image.name}"

        def say(text: str) -> None:
            self.progress.say(row, text)

        log = self.paths.logs / f"image.{image.name}.log"
        files.make_directory(log.parent)
        log.unlink(missing_ok=True)  # it may belong to root, who built this image before
        log.touch()  # it is watched before the first command writes to it
        key = self._make_build_key(work)
        kernel: Path | None = None
        if image.source is ImageSourceKind.BOOTSTRAP:
            with self.progress.stage(row, "bootstrap"):
                bootstrapped = bootstrap.bootstrap(
                    image, key.with_suffix(".pub"), work, self.runner, log=log, say=say
                )
            source = bootstrapped.disk
            kernel = bootstrapped.kernel
        else:
            with self.progress.stage(row, "download"):
                source = download.fetch(image.url, image.digest, self.paths.downloads, say=say)
                if image.source is ImageSourceKind.CLOUD:
                    _refuse_other_files(image, source)
        with self.progress.stage(row, "accelerator"):
            accelerator = self.pick_accelerator(kernel)
        say(f"packer boots it ({accelerator.name})")
        with self.progress.stage(row, "packer"):
            return self._run_packer(image, source, key, work, accelerator, log)

    def _make_build_key(self, work: Path) -> Path:
        """Make the key by which Packer logs in; it ends with the build."""
        key = work / "build_key"
        argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "build", "-f", str(key))
        self.runner.run(Command(argv=argv, what="making the build's key"))
        return key

    def _run_packer(
        self, image: Image, source: Path, key: Path, work: Path, accelerator: Accelerator, log: Path
    ) -> Path:
        """Boot and provision the source by Packer; return the built qcow2."""
        templates = work / "template"
        shutil.copytree(PROJECT / "packer" / "image", templates)
        version = packer.parse_version(self.runner.run(packer.version()).stdout)
        if packer.needs_plugins(version):
            (templates / "plugins.pkr.hcl.in").rename(templates / "plugins.pkr.hcl")
            self.runner.run(packer.init(templates))
        variables = _packer_variables(image, source, key, work, accelerator)
        variables_file = work / "variables.json"
        files.write(variables_file, packer.variables_json(variables), mode=0o600)
        command = packer.build(templates, variables_file, log=log, cache=work, timeout_s=_TIMEOUT_S)
        console = work / "out.console.log"  # packer/image gives QEMU this name by -serial
        with self._watch_packer(log, f"image {image.name}", console, _SSH_TIMEOUT[image.source]):
            try:
                self.runner.run(command)
            except (CommandFailed, CommandTimedOut) as error:
                # Of the same type: the type decides the exit code.
                last_lines = _last_lines(console)
                message = f"{error.message}\n  the machine's console ends with:{last_lines}"
                raise type(error)(message, hint=error.hint or f"look at {log}") from error
        built = work / "out" / "image.qcow2"
        self._refuse_odd_disk(built, log)
        return built

    def _refuse_odd_disk(self, built: Path, log: Path) -> None:
        """Raise ImageError unless Packer made what overlays can be put on."""
        info = qemu_img.parse_info(self.runner.run(qemu_img.info(built)).stdout)
        if not info.is_standalone_qcow2 or info.virtual_bytes != DISK.bytes:
            raise ImageError(
                f"packer made {info}, not a standalone qcow2 of {DISK}", hint=f"look at {log}"
            )

    @contextmanager
    def _watch_packer(self, log: Path, row: str, console: Path, ssh_limit: str) -> Iterator[None]:
        """Show what Packer does while it runs, and for how long it will wait at most."""
        is_over = threading.Event()
        start = log.stat().st_size  # earlier commands wrote to the log, too

        def follow_log() -> None:
            with log.open(errors="replace") as stream:
                stream.seek(start)
                line = step = ""
                while not is_over.wait(_LOOK_EVERY_S):
                    for piece in stream:
                        line += piece
                        if not line.endswith("\n"):  # the rest of the line is still to come
                            continue
                        new_step = packer.parse_step(line)
                        if new_step:
                            step = new_step
                            self.progress.say(row, f"packer: {step}"[:100])
                        line = ""
                    # Then Packer is silent for minutes: the console shows how far it has come.
                    if step.startswith("Waiting for SSH") and console.exists():
                        self._show_waiting(row, console, ssh_limit)

        thread = threading.Thread(target=follow_log, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _show_waiting(self, row: str, console: Path, ssh_limit: str) -> None:
        last_lines = tail(console, 1) or ("nothing yet",)
        last_words = last_lines[0][:60]
        text = f"packer waits for ssh, {ssh_limit} at most; console: {last_words}"
        self.progress.say(row, text)


def _refuse_other_files(image: Image, source: Path) -> None:
    """Raise ImageError for a downloaded disk that would have QEMU read other files of this host.

    Packer has qemu-img find out the format, which opens whatever the disk names.
    """
    try:
        qcow2.refuse_other_files(source)
    except qcow2.NotPlainQcow2 as error:
        raise ImageError(
            f"{image.url}: {error}; kept: {source}",
            hint="name a standalone qcow2 in packer/catalogue.yaml",
        ) from error


def _packer_variables(
    image: Image, source: Path, key: Path, work: Path, accelerator: Accelerator
) -> dict[str, object]:
    """Return the values of the variables that packer/image declares; write the files they name."""
    variables: dict[str, object] = {
        "source": str(source),
        "is_disk": image.source is not ImageSourceKind.INSTALLER,
        "memory_mib": _MEMORY_MIB[image.source],
        "ssh_timeout": _SSH_TIMEOUT[image.source],
        "output": str(work / "out"),
        "accelerator": accelerator.qemu_name,
        "cpu": accelerator.cpu_model if image.cpu == "qemu64" else image.cpu,
        "private_key": str(key),
        "files": str(PROJECT / "packer" / "files"),
        "scripts": [str(script) for script in _scripts(image)],
        "disk_mib": str(DISK.mib),
    }
    public_key = key.with_suffix(".pub").read_text().strip()
    if image.source is ImageSourceKind.CLOUD:
        seed = _fill_in_key("cloud", work / "cloud", public_key)
        variables["cd_files"] = [str(file) for file in seed]
    if image.source is ImageSourceKind.INSTALLER:
        template = (PROJECT / "packer" / "answers" / image.answers).read_text()
        files.write(work / "http" / "answers", template.replace("@KEY@", public_key))
        variables["http"] = str(work / "http")
        variables["boot_command"] = list(image.boot_command)
    return variables


def _scripts(image: Image) -> tuple[Path, ...]:
    """Return what Packer runs in the machine, in this order.

    The last script seals the machine, so a bake's own one comes before it.
    """
    *scripts, seal = sorted((PROJECT / "packer" / "scripts").glob("*.sh"))
    after = PROJECT / "packer" / image.bake / "after.sh"
    if image.bake and after.is_file():
        scripts.append(after)
    return (*scripts, seal)


def _last_lines(console: Path) -> str:
    if not console.exists():
        return " (there is no console log)"
    return "".join(f"\n  | {line}" for line in tail(console))


def _fill_in_key(kind: str, directory: Path, public_key: str) -> tuple[Path, ...]:
    """Copy the files under packer/KIND, with the build's public key filled in."""
    sources = sorted((PROJECT / "packer" / kind).iterdir())
    for source in sources:
        files.write(directory / source.name, source.read_text().replace("@KEY@", public_key))
    return tuple(directory / source.name for source in sources)


def clean_up(paths: HostPaths, runner: Runner) -> None:
    """Remove what killed builds left; running ones, which hold their image's lock, go on."""
    # Work directories are called NAME_RANDOM, images NAME-ADDRESS-DIGEST.qcow2.
    names = {work.name.partition("_")[0] for work in paths.building.glob("*_*")}
    names |= {stored.stem.rsplit("-", 2)[0] for stored in paths.images.glob("*.qcow2")}
    for name in sorted(names):
        with (
            contextlib.suppress(AlreadyRunning),
            locks.held(_lock_file(paths, name), f"image {name}"),
        ):
            _clean_up(paths, name, runner)


def _clean_up(paths: HostPaths, name: str, runner: Runner) -> None:
    """Remove what killed builds of one image left; the caller must hold its lock."""
    store.remove_halves(paths, name)
    for work in paths.building.glob(f"{name}_*"):
        _remove_directory(work, runner)


def _remove_directory(work: Path, runner: Runner) -> None:
    """Delete a build's directory, in which packages were unpacked as root."""
    shutil.rmtree(work, ignore_errors=True)
    if work.exists():  # we are not root
        argv = as_root(("rm", "-rf", "--one-file-system", str(work)))
        runner.run(Command(argv=argv, what="removing what a build left"))


def _lock_file(paths: HostPaths, name: str) -> Path:
    return paths.locks / f"image.{name}.lock"
