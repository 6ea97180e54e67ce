from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from stacklab.errors import ImageError
from stacklab.images import catalogue, download
from stacklab.images.catalogue import Image, ImageSourceKind
from stacklab.images.store import StoredImage
from stacklab.model.lab import Lab, NodeKind
from stacklab.workflow import base_image as base
from stacklab.workflow.base_image import Choice
from tests.unit.checks.fake_lab import make_lab
from tests.unit.images.fake_images import make_image
from tests.unit.workflow.fake_host import FakeHost


@dataclass
class FakeBuilder:
    """Builds what it has a result for, and remembers what it was asked for."""

    results: Mapping[str, StoredImage | BaseException] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def build(self, image: Image) -> StoredImage:
        self.asked.append(image.name)
        found = self.results[image.name]
        if isinstance(found, BaseException):
            raise found
        return found


@pytest.fixture
def builder(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> FakeBuilder:
    """A catalogue of three: two in clouds, neither built nor in reach, and one of our own."""
    entries = [
        make_image("first", ImageSourceKind.CLOUD),
        make_image("second", ImageSourceKind.CLOUD),
        make_image("own"),
    ]
    monkeypatch.setattr(catalogue, "load", lambda: {image.name: image for image in entries})
    monkeypatch.setattr(download, "is_reachable", lambda _url: False)
    made = FakeBuilder()
    monkeypatch.setattr(base, "builder", lambda _context: made)
    return made


def stored(name: str, host: FakeHost) -> StoredImage:
    path = host.paths.images / f"{name}-aaaaaaaaaaaa-bbbbbbbb.qcow2"
    return StoredImage(
        name=name,
        address="aaaaaaaaaaaa",
        path=path,
        sha256="",
        size_bytes=0,
        mtime_ns=0,
        built_at=0,
        took_s=0,
    )


def choose(host: FakeHost, *images: str) -> Choice:
    lab: Lab = dataclasses.replace(make_lab(), images=images)
    return base.choose(host.context, lab)


def test_the_first_whose_source_answers_is_taken(
    host: FakeHost, builder: FakeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "is_reachable", lambda _url: True)
    builder.results = {"first": stored("first", host)}
    choice = choose(host, "first", "own")
    assert (choice.image.name, choice.stored.name, choice.passed_over) == ("first", "first", {})
    assert builder.asked == ["first"]


def test_what_cannot_be_reached_is_passed_over_with_the_reason_and_told(
    host: FakeHost, builder: FakeBuilder
) -> None:
    builder.results = {"own": stored("own", host)}
    choice = choose(host, "first", "second", "own")
    why = "its source can't be reached"
    assert choice.stored.name == "own"
    assert list(choice.passed_over.items()) == [("first", why), ("second", why)]
    assert builder.asked == ["own"]
    assert ("host", f"image own taken, not first: {why}; second: {why}") in host.listener.heard


UPSTART = "it boots by upstart"


@pytest.fixture
def with_upstart(monkeypatch: pytest.MonkeyPatch, builder: FakeBuilder) -> None:
    """The same catalogue, whose `first` and `second` can't be containers."""
    entries = dict(catalogue.load())
    for name in ("first", "second"):
        entries[name] = dataclasses.replace(entries[name], no_container=UPSTART)
    monkeypatch.setattr(catalogue, "load", lambda: entries)
    monkeypatch.setattr(download, "is_reachable", lambda _url: True)


def choose_for_containers(host: FakeHost, *images: str) -> Choice:
    lab = dataclasses.replace(make_lab(), images=images).all_as(NodeKind.CONTAINER)
    return base.choose(host.context, lab)


@pytest.mark.parametrize("images", [("first", "own"), ("own", "first")])
def test_what_cannot_be_a_container_is_passed_over_wherever_it_stands(
    host: FakeHost, builder: FakeBuilder, with_upstart: None, images: tuple[str, ...]
) -> None:
    builder.results = {"own": stored("own", host)}
    choice = choose_for_containers(host, *images)
    assert (choice.image.name, choice.passed_over) == ("own", {"first": UPSTART})
    assert builder.asked == ["own"]
    assert ("host", f"image own taken, not first: {UPSTART}") in host.listener.heard


def test_a_lab_whose_images_cannot_be_containers_is_refused_by_name(
    host: FakeHost, builder: FakeBuilder, with_upstart: None
) -> None:
    with pytest.raises(ImageError) as caught:
        choose_for_containers(host, "first", "second")
    assert caught.value.message == (
        "no image of lab trio can be a container (controller, compute1, compute2): "
        f"first: {UPSTART}; second: {UPSTART}"
    )
    assert "leave out --as containers" in str(caught.value.hint)
    assert builder.asked == []


def test_vms_are_made_from_what_cannot_be_a_container(
    host: FakeHost, builder: FakeBuilder, with_upstart: None
) -> None:
    builder.results = {"first": stored("first", host)}
    assert choose(host, "first", "own").image.name == "first"


def test_a_built_image_that_cannot_be_used_does_not_spare_a_build(
    host: FakeHost, with_upstart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = {"first": stored("first", host)}
    monkeypatch.setattr(base.store, "find", lambda _paths, image: built.get(image.name))
    lab = dataclasses.replace(make_lab(), images=("first", "own"))
    assert base.is_built(host.context, lab)
    assert not base.is_built(host.context, lab.all_as(NodeKind.CONTAINER))


def test_what_cannot_be_built_is_passed_over_with_the_first_line_of_why(
    host: FakeHost, builder: FakeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "is_reachable", lambda _url: True)
    builder.results = {
        "first": ImageError("not what is pinned\n  found: x", hint="h"),
        "own": stored("own", host),
    }
    assert choose(host, "first", "own").passed_over == {"first": "not what is pinned"}


def test_the_last_one_s_own_error_is_raised(host: FakeHost, builder: FakeBuilder) -> None:
    builder.results = {
        "second": ImageError("http://x.test: name not known", hint="check the network")
    }
    with pytest.raises(ImageError, match="name not known") as caught:
        choose(host, "first", "second")
    assert caught.value.hint == "check the network"
    assert builder.asked == [
        "second"
    ]  # asked, though it does not answer: it knows best what to say


def test_what_is_built_already_needs_no_source(
    host: FakeHost, builder: FakeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base.store, "find", lambda _paths, image: stored(image.name, host))
    builder.results = {"first": stored("first", host)}
    assert choose(host, "first", "own").stored.name == "first"


def test_what_is_downloaded_already_needs_no_source(
    host: FakeHost, builder: FakeBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "is_complete", lambda _url, _digest, _directory: True)
    builder.results = {"first": stored("first", host)}
    assert choose(host, "first", "own").stored.name == "first"


def test_an_image_that_no_catalogue_knows_is_refused_with_those_it_knows(
    host: FakeHost, builder: FakeBuilder
) -> None:
    with pytest.raises(ImageError, match=r"no image 'nosuch' \(known: first, second, own\)"):
        choose(host, "nosuch", "own")


def test_a_lab_without_images_is_an_error(host: FakeHost, builder: FakeBuilder) -> None:
    with pytest.raises(ImageError, match="names no image"):
        choose(host)
