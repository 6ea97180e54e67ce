"""What other programs made for a bench is found by its names, and nothing else is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.errors import LabError, ProviderError
from stacklab.paths import HostPaths
from stacklab.process import Command, Result
from stacklab.progress import Progress
from stacklab.providers.foreign_things import HasForeignThings, Things
from stacklab.providers.libvirt.benches.foreign_things import LibvirtForeignThings
from tests.conftest import FakeRunner
from tests.unit.providers.libvirt.fake_libvirt import FakeLibvirt, make_provider

DOMAINS = ["slpeer-kc-compute1", "slpeer-kc-controller", "slpeer-vl-controller", "web"]
LABS = ["slpeer-kc-x_controller"]  # a node of a lab that somebody called slpeer-kc-x


class Virsh:
    """virsh on lists of names; `stubborn` ones stay."""

    def __init__(self, stubborn: str = "") -> None:
        self.names = {
            "list": [*DOMAINS, *LABS],
            "net-list": ["default", "slpeer-kc-net"],
            "pool-list": ["slpeer-kc-pool", "slpeer-vg-pool"],
        }
        self.stubborn = stubborn
        self.done: list[tuple[str, ...]] = []

    def __call__(self, command: Command) -> Result:
        assert command.argv[:4] == ("virsh", "-q", "-c", "qemu:///system")
        assert command.timeout_s
        word, *words = command.argv[4:]
        if word in self.names:
            assert words == ["--all", "--name"]
            return Result(exit_code=0, stdout="\n".join([*self.names[word], "", ""]))
        assert 1 in command.ok_codes  # what is off can't be cut off
        self.done.append((word, *words))
        kind, _, verb = word.rpartition("-")
        if verb == "undefine" and words[0] != self.stubborn:
            self.names[f"{kind}-list" if kind else "list"].remove(words[0])
        return Result(exit_code=1 if verb == "destroy" else 0)


def make_things(virsh: Virsh) -> LibvirtForeignThings:
    return LibvirtForeignThings(FakeRunner().on("virsh", answer=virsh), FakeLibvirt)  # type: ignore[arg-type]


def test_things_are_found_by_a_peer_s_own_prefix() -> None:
    assert make_things(Virsh()).find("slpeer-kc-") == Things(
        domains=("slpeer-kc-compute1", "slpeer-kc-controller"),
        networks=("slpeer-kc-net",),
        pools=("slpeer-kc-pool",),
    )


def test_only_what_was_found_is_removed_domains_first() -> None:
    virsh = Virsh()
    removed = make_things(virsh).remove("slpeer-kc-")
    assert str(removed) == (
        "slpeer-kc-compute1, slpeer-kc-controller, slpeer-kc-net, slpeer-kc-pool"
    )
    assert virsh.names == {
        "list": ["slpeer-vl-controller", "web", *LABS],
        "net-list": ["default"],
        "pool-list": ["slpeer-vg-pool"],
    }
    assert [words[0] for words in virsh.done] == [
        *["destroy", "undefine"] * 2,
        "net-destroy",
        "net-undefine",
        "pool-destroy",
        "pool-undefine",
    ]
    assert (
        "undefine",
        "slpeer-kc-compute1",
        "--managed-save",
        "--snapshots-metadata",
    ) in virsh.done


def test_where_nothing_is_nothing_is_removed() -> None:
    virsh = Virsh()
    assert not make_things(virsh).remove("slpeer-xx-")
    assert virsh.done == []


def test_what_stays_is_named() -> None:
    virsh = Virsh(stubborn="slpeer-kc-net")
    with pytest.raises(ProviderError, match=r"^slpeer-kc-net: made for a bench, and can't be"):
        make_things(virsh).remove("slpeer-kc-")


@pytest.mark.parametrize(
    "prefix", ["", "slpeer", "slpeer-", "slpeer-kc", "kc-", "web", "slpeer-k_-", "slpeer--"]
)
def test_any_other_prefix_is_refused(prefix: str) -> None:
    virsh = Virsh()
    with pytest.raises(LabError, match="is not a bench's prefix"):
        make_things(virsh).remove(prefix)
    assert virsh.done == []


def test_a_pool_is_made_and_removed(tmp_path: Path) -> None:
    libvirt = FakeLibvirt()
    provider = make_provider(HostPaths(tmp_path), libvirt, Progress())
    assert isinstance(provider, HasForeignThings)
    provider.foreign_things().make_pool("bench", tmp_path)
    assert libvirt.pools == {"bench": tmp_path}
    provider.foreign_things().remove_pool("bench")
    assert libvirt.pools == {}
