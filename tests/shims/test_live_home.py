"""The home of the live tests, which must outlive a lab that could not be destroyed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.live.labs import LABS, MINI
from tests.live.typed import Run, Stacklab, remove_home


@dataclass
class Recorded(Stacklab):
    """Runs nothing, but notes what was asked for; `lab.destroy` of some labs is refused."""

    refuses: tuple[str, ...] = ()
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *words: str) -> Run:
        self.commands.append(words)
        code = 4 if words[-1] in self.refuses else 0
        return Run(code, "", "libvirt does not answer" if code else "", 0.1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "labs" / MINI).mkdir(parents=True)
    return home


def test_a_home_is_removed_when_all_its_labs_are_gone(home: Path) -> None:
    stacklab = Recorded()
    remove_home(stacklab, home)
    assert stacklab.commands == [("lab.destroy", lab) for lab in LABS]
    assert not home.exists()


def test_a_home_whose_lab_could_not_be_destroyed_is_kept(home: Path) -> None:
    stacklab = Recorded(refuses=(MINI,))
    with pytest.raises(AssertionError, match=f"{MINI}.*libvirt does not answer"):
        remove_home(stacklab, home)
    assert stacklab.commands == [("lab.destroy", lab) for lab in LABS], "the others are gone"
    assert (home / "labs" / MINI).is_dir()


def test_without_a_home_nothing_is_destroyed(tmp_path: Path) -> None:
    stacklab = Recorded()
    remove_home(stacklab, tmp_path / "home")
    assert stacklab.commands == []
