"""All peers in turn, in rounds; what they made is gone at the end, whatever ends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence

from stacklab import locks
from stacklab.dev.peers import race
from stacklab.dev.peers.kcli import Kcli
from stacklab.dev.peers.peer import Peer, Site
from stacklab.dev.peers.race import Finish, Start, StoppableRunner
from stacklab.dev.peers.results import PeersBench
from stacklab.dev.peers.site import make_site, refuse_unfit
from stacklab.dev.peers.stacklab_lab import StacklabLab
from stacklab.dev.peers.vagrant import VagrantPeer
from stacklab.dev.peers.virt_lightning import VirtLightning
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.words import nearest
from stacklab.workflow.context import Context

# In this order: of the first one's rows the ratios are.
PEERS: Mapping[str, Callable[[Site], Peer]] = {
    StacklabLab.name: StacklabLab,
    VagrantPeer.name: VagrantPeer,
    Kcli.name: Kcli,
    VirtLightning.name: VirtLightning,
}

Race = Callable[[Start], Finish]


def chosen_names(only: str) -> tuple[str, ...]:
    """Return the names of the peers in a text with commas, all for ""; raises LabError."""
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    for word in wanted:
        if word not in PEERS:
            guess = nearest(word, PEERS) or VagrantPeer.name
            raise LabError(
                f"--only {word!a}: not a peer (there are: {', '.join(PEERS)})",
                hint=f"./invoke bench.peers --only {guess}",
            )
    return tuple(name for name in PEERS if not wanted or name in wanted)


def measure(
    context: Context, lab: Lab, runner: StoppableRunner, *, rounds: int, names: Sequence[str]
) -> PeersBench:
    """Measure these peers, and leave nothing of theirs behind.

    A peer that fails is out of the race, and its rows say why. Raises LabError, before anything is
    touched, where nothing can be measured; and at the end if something can't be removed.
    """
    refuse_unfit(context, lab, rounds)
    context.prepare_root()
    with locks.held(context.host.locks / "bench.peers.lock", "bench.peers"):
        site = make_site(context, lab, runner)
        peers = [PEERS[name](site) for name in names]
        return race_all(
            site,
            peers,
            lambda start: race.run(start, runner, saying=site.say),
            rounds=rounds,
        )


def race_all(site: Site, peers: Sequence[Peer], race_of: Race, *, rounds: int) -> PeersBench:
    """Have all peers bring their nodes up in each round; `race_of` times a start."""
    meeting = _Meeting(site, peers, race_of, rounds)
    try:
        meeting.prepare()
        for number in range(1, rounds + 1):
            meeting.run_round(number)
    finally:
        meeting.clean()
    return meeting.result


class _Meeting:
    """All peers, and what was measured of them."""

    def __init__(self, site: Site, peers: Sequence[Peer], race_of: Race, rounds: int) -> None:
        self._site = site
        self._peers = peers
        self._race = race_of
        self._progress = site.context.progress
        self.result = PeersBench(
            lab=site.lab.name,
            nodes=len(site.lab.nodes),
            image=site.lab_image,
            accelerator=str(site.accelerator),
            rounds=rounds,
        )
        for peer in peers:
            self.result.expect(peer.name, peer.up_row)
            self.result.expect(peer.name, peer.restore_row)

    def prepare(self) -> None:
        """Remove what a killed bench has left; then install and write what peers need."""
        for peer in self._peers:
            left = peer.clean()
            if left:
                self._progress.note("host", f"removed what a killed bench had left: {left}")
        shutil.rmtree(self._site.work, ignore_errors=True)
        self._site.work.mkdir(mode=0o711)
        for peer in self._peers:
            try:
                with self._progress.stage("host", f"prepare {peer.name}"):
                    peer.prepare()
            except LabError as error:
                self._drop(peer, f"preparing: {error.message}")

    def run_round(self, number: int) -> None:
        """Have each peer that is in the race bring its nodes up, and remove them again."""
        for peer in self._peers:
            if self.result.has_failed(peer.up_row):
                continue
            try:
                self._time(number, peer.up_row, peer.up)
                if peer.restore_row and not self.result.has_failed(peer.restore_row):
                    self._keep_and_restore(number, peer)
                with self._progress.stage("host", f"{peer.name}: remove the nodes"):
                    peer.down()
            except LabError as error:
                self._drop(peer, f"round {number}: {error.message}")

    def clean(self) -> None:
        """Remove all that the peers have made; raises LabError, naming what is left."""
        problems = [problem for peer in self._peers if (problem := self._clean_peer(peer))]
        shutil.rmtree(self._site.work, ignore_errors=True)
        if problems:
            raise LabError("\n".join(problems), hint="./invoke bench.peers tries again first")

    def _keep_and_restore(self, number: int, peer: Peer) -> None:
        try:
            with self._progress.stage("host", f"{peer.name}: keep the nodes"):
                peer.before_restore()
            self._time(number, peer.restore_row, peer.restore)
        except LabError as error:
            self.result.fail(peer.restore_row, f"round {number}: {error.message}")

    def _time(self, number: int, row: str, start_of: Callable[[], Start]) -> None:
        start = start_of()
        self._progress.note("host", f"round {number}: {start.command}")
        with self._progress.stage("host", row):
            self.result.add(row, self._race(start))

    def _drop(self, peer: Peer, why: str) -> None:
        """Take a peer out of the race, at once: what it left running would slow the others."""
        self._progress.note("host", f"{peer.name} is out: {why}")
        for row in (peer.up_row, peer.restore_row):
            if row:
                self.result.fail(row, why)
        problem = self._clean_peer(peer)
        if problem:
            self._progress.note("host", problem)

    def _clean_peer(self, peer: Peer) -> str:
        """Remove all of a peer; return why that failed, so that others are cleaned all the same."""
        try:
            with self._progress.stage("host", f"{peer.name}: remove all of it"):
                peer.clean()
        except LabError as error:
            return f"{peer.name}: {error}"
        return ""
