"""The options of services in local.conf's post-config sections.

The lab's wishes end where they are read.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from stacklab.errors import RenderError
from tests.unit.installers.devstack import devstack_labs as labs

Options = dict[str, dict[str, dict[str, str]]]
METADATA = PurePosixPath("/opt/stack/glance-filesystem.json")


def sections(text: str) -> Options:
    """File -> section -> option -> what stands behind it."""
    found: Options = {}
    options: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    start = text.find("\n[[post-config")
    for line in text[start:].splitlines() if start >= 0 else ():
        if line.startswith("[["):
            options = found.setdefault(line[2:-2].partition("|")[2], {})
        elif line.startswith("["):
            section = options.setdefault(line[1:-1], {})
        elif line:
            key, _, value = line.partition(" = ")
            assert key not in section  # DevStack would make two values of it
            section[key] = value
    return found


def options_of(tmp_path: Path, node: str = "controller", **stack: Any) -> Options:  # noqa: ANN401
    files = labs.render(labs.load(tmp_path, **stack))[node]
    return sections(files.get(labs.LOCAL_CONF, ""))


def test_a_plain_lab_has_no_sections(tmp_path: Path) -> None:
    assert options_of(tmp_path) == {}


@pytest.mark.parametrize("node", ["controller", "compute1"])
@pytest.mark.parametrize("release", [release.name for release in labs.every_release()])
def test_overcommit_ends_in_nova_conf_of_every_node(
    tmp_path: Path, release: str, node: str
) -> None:
    # Computes tell their inventory; before that the controller's scheduler decided itself.
    found = options_of(
        tmp_path, node, release=release, overcommit={"cpu": 8, "ram": 1.2, "disk": 1}
    )
    nova = found["$NOVA_CONF"]["DEFAULT"]
    assert {key: nova[key] for key in nova if key.endswith("_ratio")} == {
        "cpu_allocation_ratio": "8.0",
        "ram_allocation_ratio": "1.2",
        "disk_allocation_ratio": "1.0",
    }


@pytest.mark.parametrize(
    ("release", "nova_section", "glance_section"),
    [
        ("havana", "DEFAULT", "DEFAULT"),
        ("icehouse", "DEFAULT", "DEFAULT"),
        ("juno", "glance", "glance_store"),
        ("mitaka", "glance", "glance_store"),
    ],
)
def test_both_ends_of_a_direct_copy_know_the_same_file_system(
    tmp_path: Path, release: str, nova_section: str, glance_section: str
) -> None:
    lab = labs.load(
        tmp_path, release=release, glance={"direct_copy": "true", "url_schemes": ["http"]}
    )
    files = labs.render(lab)
    glance = sections(files["controller"][labs.LOCAL_CONF])["$GLANCE_API_CONF"]
    nova = sections(files["compute1"][labs.LOCAL_CONF])["$NOVA_CONF"]
    assert glance["DEFAULT"]["show_multiple_locations"] == "True"
    assert glance[glance_section]["filesystem_store_metadata_file"] == str(METADATA)
    assert nova[nova_section]["allowed_direct_url_schemes"] == "file,http"
    metadata = json.loads(files["controller"][METADATA])
    own = nova["image_file_url"]["filesystems"]
    assert nova[f"image_file_url:{own}"] == metadata  # id and mountpoint, which nova compares
    assert metadata["mountpoint"] == "/opt/stack/data/glance/images"
    assert METADATA not in files["compute1"]


def test_download_by_url_needs_no_shared_file_system(tmp_path: Path) -> None:
    lab = labs.load(tmp_path, release="ussuri", glance={"url_schemes": ["http", "ftp"]})
    files = labs.render(lab)
    nova = sections(files["compute1"][labs.LOCAL_CONF])["$NOVA_CONF"]
    assert nova == {"glance": {"allowed_direct_url_schemes": "http,ftp"}}
    assert METADATA not in files["controller"]


def test_an_all_in_one_node_has_both_ends(tmp_path: Path) -> None:
    found = options_of(tmp_path, release="mitaka", computes=0, glance={"direct_copy": "true"})
    assert set(found) == {"$NOVA_CONF", "$GLANCE_API_CONF"}


def test_each_volume_type_has_a_back_end_of_its_name(tmp_path: Path) -> None:
    stack = {"volume_types": ["fast", "bronze"]}
    assert "\nCINDER_ENABLED_BACKENDS=lvm:fast,lvm:bronze\n" in labs.rendered(tmp_path, **stack)
    assert "CINDER" not in labs.rendered(
        tmp_path, "compute1", **stack
    )  # volumes are the controller's
    assert "\nCINDER_MULTI_LVM_BACKEND=True\n" in labs.rendered(
        tmp_path, release="icehouse", **stack
    )


def test_icehouse_has_two_back_ends_at_most(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="two back ends, these are 3"):
        labs.rendered(tmp_path, release="icehouse", volume_types=["a", "b", "c"])


def test_the_specs_options_go_by_role_file_and_section(tmp_path: Path) -> None:
    post_config = {
        "all": {"$NOVA_CONF": {"DEFAULT": {"debug": "False"}, "libvirt": {"cpu_mode": "none"}}},
        "compute": {"/etc/own.conf": {"s": {"k": "v"}}},
    }
    assert options_of(tmp_path, post_config=post_config) == post_config["all"]
    assert options_of(tmp_path, "compute1", post_config=post_config) == {
        **post_config["all"],
        **post_config["compute"],
    }


def test_the_specs_own_value_takes_the_place_of_ours(tmp_path: Path) -> None:
    own = {
        "all": {"$NOVA_CONF": {"DEFAULT": {"cpu_allocation_ratio": "2"}}},
        "compute": {"$NOVA_CONF": {"DEFAULT": {"cpu_allocation_ratio": "3"}}},
    }
    for node, ratio in (("controller", "2"), ("compute1", "3")):
        found = options_of(tmp_path, node, overcommit={"cpu": 16}, post_config=own)
        assert found["$NOVA_CONF"]["DEFAULT"]["cpu_allocation_ratio"] == ratio


def test_a_value_that_devstack_would_change_is_quoted_or_refused(tmp_path: Path) -> None:
    def with_value(value: str) -> Options:
        return options_of(
            tmp_path, post_config={"all": {"$NOVA_CONF": {"DEFAULT": {"host": value}}}}
        )

    assert with_value("a $b")["$NOVA_CONF"]["DEFAULT"]["host"] == r"a \\$b"
    with pytest.raises(RenderError, match=r"stack\.post_config"):
        labs.rendered(
            tmp_path, post_config={"all": {"$NOVA_CONF": {"DEFAULT": {"host": "two  blanks"}}}}
        )


def test_docker_images_are_let_in_by_a_glance_that_has_no_compute_beside_it(tmp_path: Path) -> None:
    # nova-docker's own script says so on the compute, where no glance is.
    for release in ("liberty", "mitaka"):
        formats = options_of(tmp_path, release=release, driver="docker")["$GLANCE_API_CONF"][
            "DEFAULT"
        ]
        assert "docker" in formats["container_formats"].split(",")
        assert options_of(tmp_path, release=release, driver="docker", computes=0) == {}


def test_options_stand_in_local_conf_also_beside_a_localrc(tmp_path: Path) -> None:
    # stack.sh of every era merges local.conf's sections whether or not localrc has won.
    post_config = {"compute": {"$NOVA_CONF": {"DEFAULT": {"debug": "False"}}}}
    files = labs.render(
        labs.load(tmp_path, release="liberty", driver="docker", post_config=post_config)
    )["compute1"]
    assert set(files) == {labs.LOCALRC, labs.LOCAL_CONF}
    assert sections(files[labs.LOCAL_CONF]) == post_config["compute"]


def test_computes_before_juno_are_told_about_consoles_by_nova_conf(tmp_path: Path) -> None:
    # create_nova_conf switches VNC off where no proxy is enabled, and NOVA_VNC_ENABLED is not read.
    found = options_of(tmp_path, "compute1", release="icehouse")["$NOVA_CONF"]["DEFAULT"]
    assert (found["vnc_enabled"], found["vncserver_listen"]) == ("True", "10.170.0.12")
    assert options_of(tmp_path, "compute1", release="juno") == {}
