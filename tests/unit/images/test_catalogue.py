from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.errors import ImageError
from stacklab.images import catalogue
from stacklab.images.catalogue import ImageSourceKind
from stacklab.model.lab import NetworkStyle
from stacklab.paths.project import PROJECT

CLOUD = """\
tiny-1:
  description: a tiny one
  source: cloud
  url: https://x.test/tiny.img
  digest: sha256:{digest}
  network: networkd
""".format(digest="0" * 64)


def load(directory: Path, text: str) -> object:
    path = directory / "catalogue.yaml"
    path.write_text(text)
    return catalogue.load(path)


def test_our_own_catalogue_is_sound() -> None:
    images = catalogue.load()
    assert images["debian-12"].source is ImageSourceKind.BOOTSTRAP
    assert {"ubuntu-14.04", "centos-7", "fedora-20"} <= set(images)
    assert all(image.name == name for name, image in images.items())


def test_images_without_a_systemd_of_today_cannot_be_containers() -> None:
    refused = {image.name for image in catalogue.load().values() if image.no_container}
    assert refused == {"ubuntu-14.04", "centos-7", "fedora-20"}


def test_every_kind_of_source_is_in_our_catalogue_with_its_files() -> None:
    images = catalogue.load().values()
    assert {image.source for image in images} == set(ImageSourceKind)
    for image in images:
        if image.source is ImageSourceKind.INSTALLER:
            answers = PROJECT / "packer" / "answers" / image.answers
            assert "@KEY@" in answers.read_text()
            assert "answers" in "".join(image.boot_command)


def test_an_entry_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text(CLOUD)
    image = catalogue.load(path)["tiny-1"]
    assert (image.url, image.cpu, image.network) == (
        "https://x.test/tiny.img",
        "qemu64",
        NetworkStyle.NETWORKD,
    )
    assert (image.packages, image.boot_command, image.suite) == ((), (), "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("source: cloud", "source: clod"),
            "tiny-1.source: 'clod' is none of bootstrap, cloud, installer",
        ),
        (("  network: networkd\n", ""), "missing keys ['network']"),
        (("description:", "colour: red\n  description:"), "unknown keys ['colour']"),
        (("sha256:", "md5:"), "tiny-1.digest: write sha256:"),
        (("0000", "000"), "tiny-1.digest: write sha256:"),
        (
            ("network: networkd", "network: wicked"),
            "'wicked' is not a valid NetworkStyle (known: networkd, ",
        ),
        (("https:", "gopher:"), "tiny-1.url: gopher://x.test/tiny.img is neither"),
        (("tiny-1:", "tiny_1:"), "tiny_1: write a name of a-z"),
        (("tiny-1:", "../tiny:"), "../tiny: write a name of a-z"),
        (("description: a tiny one", "description: [a"), "while parsing"),
    ],
)
def test_a_wrong_entry_is_told_by_name(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(ImageError) as caught:
        load(tmp_path, CLOUD.replace(*change, 1))
    assert told in str(caught.value)
    assert "catalogue.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n", "tiny-1: words\n", "tiny-1:\n"])
def test_what_is_no_catalogue_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImageError) as caught:
        load(tmp_path, text)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("packages", ["udev, sudo", "[]"])
def test_packages_are_a_list(tmp_path: Path, packages: str) -> None:
    text = (
        "d:\n  description: d\n  source: bootstrap\n  suite: s\n  network: networkd\n"
        f"  packages: {packages}\n"
    )
    with pytest.raises(ImageError, match="packages: write a list"):
        load(tmp_path, text)


# --- an entry that is like another, and a bake

PLAIN = """\
plain:
  description: a plain one
  source: bootstrap
  suite: bookworm
  network: networkd
  packages: [udev, sudo]
"""
BAKED = """\
baked:
  description: a baked one
  like: plain
  bake: oven
  packages: [keystone]
"""


def write_catalogue(directory: Path, text: str) -> Path:
    """Write a catalogue; of the folders beside it, only `oven` has all that a bake needs."""
    for folder, scripts in {"oven": ("before.sh", "bake.sh"), "half": ("bake.sh",)}.items():
        (directory / folder).mkdir()
        for script in scripts:
            (directory / folder / script).touch()
    path = directory / "catalogue.yaml"
    path.write_text(text)
    return path


def test_an_entry_that_is_like_another_adds_its_packages_and_changes_the_rest(
    tmp_path: Path,
) -> None:
    images = catalogue.load(write_catalogue(tmp_path, PLAIN + BAKED))
    plain, baked = images["plain"], images["baked"]
    assert baked.packages == ("udev", "sudo", "keystone")
    assert (baked.name, baked.description, baked.bake) == ("baked", "a baked one", "oven")
    assert (baked.source, baked.suite, baked.network) == (
        plain.source,
        plain.suite,
        plain.network,
    )
    assert (plain.packages, plain.bake) == (("udev", "sudo"), "")


def test_an_entry_may_be_like_one_that_is_like_another(tmp_path: Path) -> None:
    third = "third:\n  description: d\n  like: baked\n  suite: trixie\n"
    images = catalogue.load(write_catalogue(tmp_path, PLAIN + BAKED + third))
    assert images["third"].packages == ("udev", "sudo", "keystone")
    assert (images["third"].suite, images["third"].bake) == ("trixie", "oven")


def test_an_entry_may_be_like_a_download(tmp_path: Path) -> None:
    other = "tiny-2:\n  description: d\n  like: tiny-1\n  cpu: max\n"
    images = catalogue.load(write_catalogue(tmp_path, CLOUD + other))
    assert images["tiny-2"].url == images["tiny-1"].url
    assert (images["tiny-2"].packages, images["tiny-2"].cpu) == ((), "max")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PLAIN + BAKED.replace("plain", "plane"), "'plane' is not an image above this one"),
        (BAKED + PLAIN, "'plain' is not an image above this one (above: nothing)"),
        (PLAIN + BAKED.replace("like: plain", "like: baked"), "(above: plain)"),
        (PLAIN + BAKED.replace("like: plain", "like: [plain]"), "is not an image above this one"),
        (PLAIN + BAKED.replace("[keystone]", "keystone"), "baked.packages: write a list"),
        (PLAIN + BAKED.replace("  description: a baked one\n", "  colour: red\n"), "['colour']"),
        (PLAIN + BAKED.replace("oven", "stove"), "baked.bake: 'stove' is not a folder beside"),
        (PLAIN + BAKED.replace("oven", "half"), "with before.sh and bake.sh"),
        (PLAIN + BAKED.replace("oven", "../oven"), "baked.bake: '../oven' is not a folder beside"),
        (PLAIN + BAKED.replace("oven", "."), "baked.bake: '.' is not a folder beside"),
        (CLOUD + "  bake: oven\n", "tiny-1: unknown keys ['bake']"),
    ],
)
def test_a_wrong_like_or_bake_is_told_by_name(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ImageError) as caught:
        catalogue.load(write_catalogue(tmp_path, text))
    assert told in str(caught.value)
    assert "catalogue.yaml" in str(caught.value)


def test_the_image_with_openstack_is_debian_12_and_more() -> None:
    images = catalogue.load()
    plain, baked = images["debian-12"], images["debian-12-openstack"]
    assert baked.packages[: len(plain.packages)] == plain.packages
    assert {"keystone", "nova-compute", "ovn-central"} <= set(baked.packages)
    assert len(set(baked.packages)) == len(baked.packages)
    assert (plain.bake, baked.bake) == ("", "openstack")


def test_the_image_with_cloud_init_differs_from_debian_12_by_its_kernel() -> None:
    """The peers of bench.peers are to boot the same system as the lab's nodes."""
    images = catalogue.load()
    plain, other = images["debian-12"], images["debian-12-cloud-init"]
    assert set(plain.packages) - set(other.packages) == {"linux-image-cloud-amd64"}
    assert set(other.packages) - set(plain.packages) == {"linux-image-amd64", "cloud-init"}
    assert (other.suite, other.network, other.cpu) == (plain.suite, plain.network, plain.cpu)


def test_a_catalogue_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.yaml"):
        catalogue.load(tmp_path / "none.yaml")


def test_an_unknown_image_is_told_with_the_known_ones() -> None:
    with pytest.raises(ImageError, match=r"no image 'debian' \(known: debian-12, "):
        catalogue.get(catalogue.load(), "debian")
    assert catalogue.get(catalogue.load(), "debian-12").name == "debian-12"
