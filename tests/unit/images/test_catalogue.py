from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.errors import ImageError
from stacklab.images import catalogue
from stacklab.images.catalogue import ImageSourceKind
from stacklab.model.lab import NetworkStyle
from stacklab.paths import PROJECT

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


def test_a_catalogue_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.yaml"):
        catalogue.load(tmp_path / "none.yaml")


def test_an_unknown_image_is_told_with_the_known_ones() -> None:
    with pytest.raises(ImageError, match=r"no image 'debian' \(known: debian-12, "):
        catalogue.get(catalogue.load(), "debian")
    assert catalogue.get(catalogue.load(), "debian-12").name == "debian-12"
