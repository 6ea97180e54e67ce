"""Bundles that were cut off, altered or made to do harm: each is refused, and nothing is left."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.errors import LabError
from stacklab.workflow.bundles import exporting, importing
from stacklab.workflow.snapshots import listing, saving
from tests.unit.workflow.fake_host import FakeHost, make_host
from tests.unit.workflow.snapshots import fake_bundles
from tests.unit.workflow.snapshots.fake_bundles import LAB, Forged, RealGuests, disk, entry

SIZE = 20480 << 20
MEMORY = "nodes/compute1/memory"
DOMAIN = "nodes/compute1/domain.xml"
DISK = "nodes/compute1/disk0.qcow2"
# What libvirt starts is in the memory's file; what is defined, in the other one.
BOTH_DOMAINS = pytest.mark.parametrize("member", [DOMAIN, MEMORY])
Forge = Callable[[Forged], None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> FakeHost:
    """A host that has exported its lab, with the base image, to `good.tar.zst`."""
    with pytest.MonkeyPatch.context() as patched:
        host = make_host(tmp_path_factory.mktemp("good"), patched)
        guests = fake_bundles.install(host, patched)
        host.stock(content=disk("", SIZE))
        host.up(LAB)
        guests.work(1)
        saving.save(host.context, "trio", "first")
        exporting.export(host.context, "trio", "first", host.root / "good.tar.zst", with_image=True)
    return host


@dataclasses.dataclass
class There:
    """The host that a bundle is imported on."""

    host: FakeHost
    guests: RealGuests
    good: Path
    file: Path

    def forged(self) -> Forged:
        return Forged.of(self.good)

    def take(self) -> None:
        importing.import_(self.host.context, self.file, lambda _name: LAB)

    def refuses(self, match: str) -> None:
        """It is refused before anything but the staging directory is touched, and that is gone."""
        before = self.everything()
        with pytest.raises(LabError, match=match):
            self.take()
        assert self.everything() == before
        assert self.guests.states == {}
        assert not any(call[0] == "ensure_network" for call in self.guests.calls)

    def everything(self) -> set[Path]:
        made = {"images", "volumes", "labs", "building", "downloads", "locks", "logs", "snapshots"}
        parent = self.host.root.parent
        return {path for path in parent.rglob("*") if path.name not in made and path != self.file}


@pytest.fixture
def there(good: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    host = FakeHost(tmp_path / "there")
    host.root.mkdir()
    guests = fake_bundles.install(host, monkeypatch)
    return There(host, guests, good.root / "good.tar.zst", tmp_path / "bundle.tar.zst")


def test_what_is_not_forged_is_taken(there: There) -> None:
    there.forged().write(there.file)
    there.take()
    assert [one.name for one in listing.listed(there.host.context, "trio")] == ["first"]


# --- the stream


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.01, 0.5, 0.99, 0.99999])
def test_one_that_was_cut_off(there: There, share: float) -> None:
    data = there.good.read_bytes()
    there.file.write_bytes(data[: int(len(data) * share)])
    there.refuses("is not a bundle")


def test_one_in_which_a_byte_has_changed(there: There) -> None:
    data = bytearray(there.good.read_bytes())
    data[len(data) // 2] ^= 1
    there.file.write_bytes(data)
    there.refuses("is not a bundle")


def test_what_zstd_has_not_packed(there: There) -> None:
    there.file.write_text("hello")
    there.refuses("unsupported format")


def test_something_behind_its_end(there: There) -> None:
    there.file.write_bytes(there.good.read_bytes() + b"\0" * 512)
    there.refuses("follows its end")


def test_a_member_that_the_index_does_not_have(there: There) -> None:
    forged = there.forged()
    forged.agree()
    forged.members["zzz"] = b"more"
    forged.write(there.file, agree=False)
    there.refuses("more members than its index")


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/cron.d/evil", "nodes/compute1/../../../outside", "x" * 300]
)
def test_a_member_of_another_name(there: There, name: str) -> None:
    forged = there.forged()
    forged.agree()
    forged.members = {
        (name if known == DISK else known): data for known, data in forged.members.items()
    }
    forged.write(there.file, agree=False)
    there.refuses("something else in the place of")
    forged.write(there.file)  # and the index agrees
    there.refuses("its members are not those")


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.DIRTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
    ],
)
def test_a_member_that_is_not_a_file(there: There, kind: bytes) -> None:
    forged = there.forged()
    forged.write(there.file)
    data = there.file.read_bytes()
    odd = entry(DISK, len(forged.members[DISK]))
    plain = odd.tobuf(tarfile.GNU_FORMAT)
    odd.type, odd.linkname = kind, "/etc/shadow"
    assert data.count(plain) == 1
    there.file.write_bytes(data.replace(plain, odd.tobuf(tarfile.GNU_FORMAT)[-512:]))
    there.refuses("something else in the place of")


def test_a_member_twice(there: There) -> None:
    forged = there.forged()
    forged.agree()
    forged.index["members"].append(forged.index["members"][0])
    forged.write(there.file, agree=False)
    there.refuses("its members are not those")


@pytest.mark.parametrize("more", [1, -1, 1 << 20, -(1 << 62)])
def test_a_size_that_lies(there: There, more: int) -> None:
    forged = there.forged()
    forged.agree()
    forged.index["members"][3]["bytes"] += more
    forged.write(there.file, agree=False)
    there.refuses("something else in the place of|no size or digest")


def test_sizes_that_no_disk_holds(there: There) -> None:
    forged = there.forged()
    forged.agree()
    forged.index["members"][3]["bytes"] = 1 << 60
    forged.write(there.file, agree=False)
    there.refuses("GB free")


def test_a_content_that_is_not_the_index_s(there: There) -> None:
    forged = there.forged()
    forged.agree()
    forged.members[MEMORY] = forged.members[MEMORY][:-1] + b"2"
    forged.write(there.file, agree=False)
    there.refuses("is not what its index says")


def test_an_index_without_end(there: There) -> None:
    header = entry("index.json", 1 << 40).tobuf(tarfile.GNU_FORMAT)
    there.file.write_bytes(fake_bundles._MAGIC + header + b" " * 100_000)
    there.refuses("its index has 1099511627776 bytes")


@pytest.mark.parametrize(
    ("forge", "match"),
    [
        (lambda index: index.update(format=2), "another format"),
        (lambda index: index.update(more=1), "not a known field"),
        (lambda index: index.pop("chains"), "is missing"),
        (lambda index: index.update(home="relative"), "can't be the home"),
        (lambda index: index["manifest"].update(lab="../x"), "can't be a name"),
        (lambda index: index["manifest"].update(name="disks/../.."), "can't be a name"),
        (lambda index: index["manifest"].update(name="disks"), "can't be a snapshot's name"),
        (lambda index: index["manifest"].update(provider="os"), "can't be carried"),
        (lambda index: index["manifest"].update(provider="containers"), "can't be carried"),
        (lambda index: index["manifest"].update(image="../x"), "can't be its base image"),
        (lambda index: index["chains"].pop("compute1"), "a chain of disks for each node"),
        (lambda index: index["chains"].update(compute1=["../../x.qcow2"]), "do not begin"),
        (lambda index: index["chains"]["compute1"].append("../x.qcow2"), "can't be a disk"),
        (
            lambda index: index["manifest"]["nodes"]["compute1"].update(
                further_disks={"disk1": "x.qcow2"}
            ),
            "compute1 has further disks, which no bundle carries",
        ),
        (lambda index: index["image"].update(sha256="0"), "no size or digest"),
        (lambda index: index["image"].update(bytes=7), "another one than its index says"),
    ],
)
def test_an_index_that_is_wrong(
    there: There, forge: Callable[[dict[str, object]], None], match: str
) -> None:
    forged = there.forged()
    forge(forged.index)
    forged.write(there.file)
    there.refuses(match)


def test_a_node_that_would_be_a_path(there: There) -> None:
    forged = there.forged()
    text = json.dumps(forged.index).replace('"compute1"', '"../../x"')
    forged.index = json.loads(text)
    forged.write(there.file)
    there.refuses("can't be a name")


# --- domains


@BOTH_DOMAINS
def test_a_domain_that_has_what_no_node_has(there: There, member: str) -> None:
    """tests/unit/providers/libvirt/test_foreign_domain.py has all that is refused."""
    forged = there.forged()
    change_domain(forged, member, "<memballoon ", "<hostdev mode='subsystem'/><memballoon ")
    forged.write(there.file)
    there.refuses("compute1: its domain/devices has a 'hostdev'")


def change_domain(forged: Forged, member: str, old: str, new: str) -> None:
    """Replace text of the domain; in a save file, also the sizes in its head."""
    if member == DOMAIN:
        forged.change_text(member, old, new)
        return
    data = forged.members[member]
    fields = list(struct.unpack_from("<16sIIIII", data))
    size, head = fields[5], 92
    xml = data[head : head + size - 1].decode()
    assert old in xml
    forged.members[member] = fake_bundles.save_file(xml.replace(old, new), "memory")


@BOTH_DOMAINS
def test_a_domain_whose_entities_grow_without_end(there: There, member: str) -> None:
    laughs = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]><domain>&b;</domain>"
    forged = there.forged()
    forged.members[member] = (
        laughs.encode() if member == DOMAIN else fake_bundles.save_file(laughs, "x")
    )
    forged.write(there.file)
    there.refuses("declarations or comments")


@pytest.mark.parametrize(
    ("member", "match"),
    [
        (b"", "too short"),
        (b"LibvirtQemudPart".ljust(4096, b"\0"), "not a whole save file"),
        (struct.pack("<16sIIIII56x", b"LibvirtQemudSave", 2, 1 << 30, 0, 0, 0), "do not fit"),
        (struct.pack("<16sIIIII56x", b"LibvirtQemudSave", 2, 100, 0, 0, 101), "do not fit"),
        (struct.pack("<16sIIIII56x", b"LibvirtQemudSave", 2, 100, 0, 0, 0), "ends in its head"),
        (struct.pack("<16sIIIII56x", b"LibvirtQemudSave", 2, 100, 0, 5, 0), "memory is packed"),
        (struct.pack("<16sIIIII56x", b"LibvirtQemudSave", 3, 100, 0, 0, 0), "version 2"),
    ],
)
def test_memory_that_libvirt_has_not_saved(there: There, member: bytes, match: str) -> None:
    forged = there.forged()
    forged.members[MEMORY] = member
    forged.write(there.file)
    there.refuses(match)


def test_the_cookie_of_a_save_file_is_not_kept(there: There) -> None:
    forged = there.forged()
    assert b"<cookie/>" in forged.members[MEMORY]
    forged.write(there.file)
    there.take()
    memory = there.host.lab().snapshot("first").memory("compute1").read_bytes()
    assert b"<cookie/>" not in memory
    assert len(memory) == len(forged.members[MEMORY])


# --- disks


def own_base(forged: Forged) -> str:
    return f"{forged.index['home']}/images/{forged.index['image']['key']}.qcow2"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda _base: disk("/etc/shadow", SIZE), "lies on '/etc/shadow'"),
        (lambda _base: disk('json:{"driver":"file"}', SIZE), "lies on"),
        (lambda _base: disk("nbd://somewhere/x", SIZE), "lies on"),
        (lambda base: disk(f"{base}/../{Path(base).name}", SIZE), "lies on"),
        (lambda _base: disk("", SIZE), "lies on ''"),
        (lambda base: disk(base, SIZE, kind="raw"), r"\('raw'\)"),
        (lambda base: disk(base, SIZE, incompatible=4), "incompatible features 0x4"),
        (lambda base: disk(base, SIZE, incompatible=1 << 63), "incompatible features"),
        (lambda base: disk(base, SIZE + 1), "and the lab's has"),
        (lambda base: disk(base, 1 << 62), "and the lab's has"),
        (lambda _base: b"\0" * 4096, "not a qcow2 of version 3"),
        (lambda _base: b"QFI\xfb", "too short"),
        (lambda base: patched(disk(base, SIZE), 4, 2), "version 3"),
        (lambda base: patched(disk(base, SIZE), 32, 1), "encrypted"),
        (lambda base: patched(disk(base, SIZE), 60, 1), "snapshots of its own"),
        (lambda base: patched(disk(base, SIZE), 20, 40), "clusters have 2"),
        (lambda base: patched(disk(base, SIZE), 16, 5000), "does not fit"),
        (lambda base: patched(disk(base, SIZE), 104, 0x44415441), "extension 0x44415441"),
        (lambda base: patched(disk(base, SIZE), 104, 0x0537BE77), "extension 0x537be77"),
        (lambda base: patched(disk(base, SIZE), 108, 1 << 30), "do not fit"),
    ],
)
def test_a_disk_whose_content_is_elsewhere(
    there: There, make: Callable[[str], bytes], match: str
) -> None:
    forged = there.forged()
    forged.members[DISK] = make(own_base(forged))
    forged.write(there.file)
    there.refuses(match)
    assert there.host.ran("qemu-img") == []


def patched(data: bytes, position: int, number: int) -> bytes:
    return data[:position] + struct.pack(">I", number) + data[position + 4 :]


def test_a_base_image_that_lies_on_another_file(there: There) -> None:
    forged = there.forged()
    forged.members["image.qcow2"] = disk("/etc/shadow", SIZE)
    forged.agree()
    last = forged.index["members"][-1]
    forged.index["image"].update(sha256=last["sha256"], bytes=last["bytes"])
    forged.write(there.file)
    there.refuses("lies on another file")


def test_a_base_image_of_a_lab_that_takes_others(there: There) -> None:
    forged = there.forged()
    text = json.dumps(forged.index).replace("debian-12-", "debian-13-")
    forged.index = json.loads(text)
    forged.write(there.file)
    there.refuses("takes debian-12")


# --- the lab's own files


def in_record(old: str, new: str) -> Forge:
    def forge(forged: Forged) -> None:
        text = forged.file_of_lab("record.json").decode()
        assert old in text
        forged.change_files({"record.json": text.replace(old, new).encode()})

    return forge


def with_disks(forged: Forged) -> None:
    disk = '"disks": [{"name": "disk1", "size_mib": 9, "bus": "scsi", "serial": "a"}]'
    text = forged.file_of_lab("resolved.json").decode()
    assert '"disks": []' in text
    forged.change_files({"resolved.json": text.replace('"disks": []', disk).encode()})


def changed(**files: bytes | None) -> Forge:
    return lambda forged: forged.change_files(
        {name.replace("__", "/").replace("_DOT_", "."): data for name, data in files.items()}
    )


@pytest.mark.parametrize(
    ("forge", "match"),
    [
        (in_record("trio_compute1.qcow2", "other_node.qcow2"), "not a disk of this lab"),
        (in_record('"domain": "trio_compute1"', '"domain": "other_vm"'), "not a node of this lab"),
        (in_record('"bridge": "sl-trio1"', '"bridge": "eth0"'), "not a network of this lab"),
        (in_record('"uuid": "', '"uuid": "x'), "badly formed"),
        (in_record('"seed": ', '"disks": "../x", "seed": '), "not a disk's name"),
        (in_record('"provider": "libvirt"', '"provider": "containers"'), "record"),
        (in_record('"name": "trio"', '"name": "other"'), "it is of lab other"),
        (in_record('"image": "debian', '"image": "other'), "different base images"),
        (in_record('"answers": "', '"answers": "../'), "answers"),
        (changed(record_DOT_json=None), "lack record.json"),
        (changed(record_DOT_json=b"["), "record"),
        (changed(record_DOT_json=b"[" * 100_000), "record"),
        (changed(resolved_DOT_json=None), "lack resolved.json"),
        (changed(resolved_DOT_json=b"{}"), "not a resolved lab"),
        (with_disks, "the lab has further disks"),
        (changed(faults_DOT_json=b"[]"), "faults were on"),
        (changed(keys__id_ed25519=None), "lack keys/id_ed25519"),
        (changed(keys__id_ed25519_DOT_pub=b"x\nevil * ssh-rsa A"), "not a public key"),
        (changed(secrets_DOT_json=b'{"a": ["b"]}'), "something else than secrets"),
        (changed(secrets_DOT_json=b'{"a": "\\u001b[2J"}'), "something else than secrets"),
        (changed(impaired_DOT_json=b'["other"]'), "what is not a node"),
    ],
)
def test_files_that_are_not_the_lab_s(there: There, forge: Forge, match: str) -> None:
    forged = there.forged()
    forge(forged)
    forged.write(there.file)
    there.refuses(match)


@pytest.mark.parametrize("name", ["../outside", "/etc/x", "keys/../../x", "./record.json", "a//b"])
def test_a_file_with_a_path_that_leads_elsewhere(there: There, name: str) -> None:
    forged = there.forged()
    forged.change_files({name: b"x"})
    forged.write(there.file)
    there.refuses("have a member")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_a_file_that_is_a_link_or_a_device(there: There, kind: bytes) -> None:
    forged = there.forged()
    odd = entry("answers")
    odd.type, odd.linkname = kind, "/etc"
    buffer = io.BytesIO(forged.members["files.tar"])
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        archive.addfile(odd)
    forged.members["files.tar"] = buffer.getvalue()
    forged.write(there.file)
    there.refuses("have a member 'answers'")


def test_a_file_twice(there: There) -> None:
    forged = there.forged()
    buffer = io.BytesIO(forged.members["files.tar"])
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        archive.addfile(entry("record.json"))
    forged.members["files.tar"] = buffer.getvalue()
    forged.write(there.file)
    there.refuses("have a member 'record.json'")


def test_a_file_whose_size_lies(there: There) -> None:
    forged = there.forged()
    header = entry("answers/controller/x", 1 << 40).tobuf(tarfile.GNU_FORMAT)
    forged.members["files.tar"] = header + b"x" * 512
    forged.write(there.file)
    there.refuses("take more than|can't be read")


def test_no_program_of_this_host_reads_what_was_not_made_here(there: There) -> None:
    """Ruby and ssh would run what stands in these files."""
    forged = there.forged()
    odd = b"system('touch /tmp/evil')\nProxyCommand touch /tmp/evil\n"
    names = ["Vagrantfile", "ssh_config", "lab.json", "known_hosts", "cloud/clouds.yaml"]
    names += [".vagrant/rgloader/loader.rb", ".vagrant/machines/compute1/libvirt/id", "x.rb"]
    names += ["git-daemon.pid", "containers.json", "keys/evil", "answers/other/x"]
    forged.change_files(dict.fromkeys(names, odd))
    forged.write(there.file)
    there.take()
    with tarfile.open(there.host.lab().snapshot("first").files) as archive:
        kept = {
            member.name: stream.read()
            for member in archive
            if (stream := archive.extractfile(member)) is not None
        }
    assert [name for name, content in kept.items() if b"evil" in content] == []
    assert {"cloud/clouds.yaml", "x.rb", "keys/evil", "answers/other/x"}.isdisjoint(kept)
    assert "Vagrantfile" in kept
