"""stacklab itself, by its commands, as any other peer."""

from __future__ import annotations

from stacklab import record
from stacklab.dev.peers.peer import LIMIT_S, RESTORE_LIMIT_S, Site
from stacklab.dev.peers.race import Start
from stacklab.dev.peers.results import COLD, FROM_SNAPSHOT
from stacklab.errors import LabError
from stacklab.paths.project import PROJECT
from stacklab.process.command import Command
from stacklab.workflow import base_image
from stacklab.workflow.snapshots import pristine


class StacklabLab:
    """See Peer. What it makes has the lab's own names."""

    name = "stacklab"
    up_row = COLD
    restore_row = FROM_SNAPSHOT

    def __init__(self, site: Site) -> None:
        self.site = site
        self._lab = site.lab.name
        self._paths = site.context.host.lab(self._lab)
        # Whoever had one keeps it: it is as good as the one that the bench makes.
        self._had_pristine = self._paths.pristine().manifest.exists()
        self._is_ours = False

    def prepare(self) -> None:
        """See Peer.prepare: all is there, as the lab is known to be down."""
        self._is_ours = True

    def up(self) -> Start:
        """See Peer.up."""
        return self._start("--cold", "--no-checks", limit_s=LIMIT_S)

    def before_restore(self) -> None:
        """See Peer.before_restore: the pristine snapshot is made of a lab that was checked."""
        self._destroy()
        if self._why_cold() is not None:
            self._run("lab.up", self._lab, "--cold")
            self._destroy()
        why_cold = self._why_cold()
        if why_cold is not None:
            raise LabError(
                f"lab.up would be a cold start: {why_cold}",
                hint=f"./invoke lab.plan {self._lab}; ./invoke cache.list",
            )

    def restore(self) -> Start:
        """See Peer.restore."""
        return self._start("--no-checks", limit_s=RESTORE_LIMIT_S)

    def down(self) -> None:
        """See Peer.down."""
        self._destroy()

    def clean(self) -> str:
        """See Peer.clean; a lab that the bench did not bring up is left alone."""
        if not self._is_ours:
            return ""
        was_up = record.read(self._paths) is not None
        made_pristine = not self._had_pristine and self._paths.pristine().manifest.exists()
        if made_pristine:
            self._destroy("--purge")
        elif was_up:
            self._destroy()
        return f"lab {self._lab}" if was_up else ""

    def _why_cold(self) -> str | None:
        """Return why lab.up would not use the pristine snapshot; None if it would."""
        context, lab = self.site.context, self.site.lab
        image = base_image.built_key(context, lab) or ""
        why = pristine.why_cold_start(context, lab, self._paths, image=image)
        if why is None:
            return "there is no pristine snapshot; lab.up says why on its last lines"
        return why or None

    def _destroy(self, *options: str) -> None:
        self._run("lab.destroy", self._lab, *options)

    def _start(self, *options: str, limit_s: float) -> Start:
        addresses = tuple(str(node.access.address.ip) for node in self.site.lab.nodes)
        command = self._command("lab.up", self._lab, *options)
        return Start(command=command, addresses=addresses, limit_s=limit_s)

    def _command(self, *words: str) -> Command:
        return Command(
            argv=(str(PROJECT / "invoke"), *words),
            cwd=PROJECT,
            env={"STACKLAB_NO_INSTALL": "1"},
            log=self.site.log,
            timeout_s=LIMIT_S,
            what=f"bench: {words[0]}",
        )

    def _run(self, *words: str) -> None:
        self.site.runner.run(self._command(*words))
