"""Any stack that a spec can have, for tests that its values come out of every rendered file.

Every example starts bash, so these are no unit tests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, reject, settings
from hypothesis import strategies as st

from stacklab import releases, spec
from stacklab.errors import RenderError
from stacklab.installers import rendering as answers
from stacklab.installers.kit.templates.quoting import TRAIT, localrc_value, post_config_value
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release
from stacklab.model.stack import Glance, Installer
from stacklab.spec.rules.secrets import is_secret
from tests.contract.rendered import options_of, source_text

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


# Few examples, many values in each: every one starts bash. What fails is not made smaller, that
# takes minutes.
QUICK = settings(
    max_examples=20,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
NETWORKS = {
    "mgmt": "192.168.190.0/24",
    "fabric": "10.190.0.0/24",
    "api": "10.190.1.0/24",
    "data": "10.190.2.0/24",
}
ETC = {"$NOVA_CONF": "/etc/nova", "$CINDER_CONF": "/etc/cinder"}
words = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True).filter(
    lambda word: not is_secret(word)
)
values = st.one_of(
    words,
    st.from_regex(r"/[a-z]{1,5}(/[a-z0-9._-]{1,5}){0,2}", fullmatch=True),
    st.lists(words, min_size=2, max_size=3).map(",".join),
    st.integers(0, 99999).map(str),
    st.text("ab9 \"'`$&|;<>(){}[]!?~#%^=,.:/@+-_\\é", min_size=1, max_size=12)
    .map(str.strip)
    .filter(bool),
)
ratios = st.one_of(st.integers(1, 64), st.decimals("0.5", 16, places=1).map(float))
urls = words.map(lambda word: f"http://{word}.example:3128")
roles = st.sampled_from(("all", "controller", "compute"))
refs = st.one_of(
    st.sampled_from(("master", "stable/2025.1", "mitaka-eol")),
    st.integers(100, 999999).map(lambda n: f"refs/changes/{n % 100:02}/{n}/3"),
)
OPTIONS: Mapping[str, st.SearchStrategy[Any]] = {
    "overcommit": st.dictionaries(st.sampled_from(("cpu", "ram", "disk")), ratios, min_size=1),
    "proxy": st.fixed_dictionaries(
        {"http": urls}, optional={"https": urls, "no_proxy": st.just([".example.org"])}
    ),
    "data_network": st.just("data"),
    "api_network": st.sampled_from(("api", "fabric")),
    "git_base": words.map(lambda word: f"https://{word}.example"),
    "refs": st.dictionaries(st.sampled_from(("nova", "cinder", "keystone")), refs, min_size=1),
    "plugins": st.dictionaries(
        words.map("plugin-{}".format),
        st.fixed_dictionaries(
            {"url": words.map("https://x.example/{}".format)}, optional={"ref": refs}
        ),
        min_size=1,
        max_size=2,
    ),
    "fixed_range": st.integers(0, 255).map("10.66.{}.0/26".format),
    "glance.direct_copy": st.just("true"),
    "glance.url_schemes": st.lists(words, min_size=1, max_size=3, unique=True),
    "localrc": st.dictionaries(
        roles,
        st.dictionaries(
            words.map(lambda word: f"PROP_{word.upper()}"), values, min_size=1, max_size=3
        ),
    ),
    "post_config": st.dictionaries(
        roles,
        st.dictionaries(
            st.sampled_from(("$NOVA_CONF", "$CINDER_CONF")),
            st.dictionaries(
                st.sampled_from(("DEFAULT", "libvirt")),
                st.dictionaries(words.map("opt_{}".format), values, min_size=1, max_size=4),
                min_size=1,
            ),
            min_size=1,
        ),
        min_size=1,
    ),
}


@st.composite
def stacks(draw: st.DrawFn, release: Release) -> dict[str, Any]:
    """Some of the options that a release has, each with any value that can be written for it."""
    names = draw(st.sets(st.sampled_from(sorted(OPTIONS.keys() & release.options))))
    names |= {"localrc", "post_config"} & release.options  # what is written as it comes, always
    stack = {name: draw(OPTIONS[name]) for name in sorted(names)}
    if glance := {
        name.partition(".")[2]: stack.pop(name) for name in names if name.startswith("glance.")
    }:
        stack["glance"] = glance
    if "localrc" in stack:
        stack["localrc"] = {
            role: [f"{name}={localrc_value(value)}" for name, value in each.items()]
            for role, each in stack["localrc"].items()
        }
    for role, files in stack.get("post_config", {}).items():
        stack["post_config"][role] = {
            file: {name: writable(options, release) for name, options in sections.items()}
            for file, sections in files.items()
        }
    return stack


def writable(options: Mapping[str, str], release: Release) -> dict[str, str]:
    """The same options, with a plain word for a value that the release's scripts can't be given."""
    found = dict(options)
    for key, value in options.items():
        try:
            post_config_value(value, release.words(TRAIT))
        except RenderError:
            found[key] = "plain"
    return found


def secrets_of(lab: Lab) -> dict[str, str]:
    return {
        name: f"S{at:02}{name.replace('_', '').upper()}abcdefghijkl"[:20]
        for at, name in enumerate(answers.secret_names(lab))
    }


def load(installer: Installer, release: Release, stack: Mapping[str, Any], directory: Path) -> Lab:
    nics = [{"network": name} for name in NETWORKS]
    whole = {
        "image": [release.images[0]],
        "networks": {
            name: {"cidr": cidr, "mode": "nat" if name == "mgmt" else "isolated"}
            for name, cidr in NETWORKS.items()
        },
        "nodes": {
            "controller": {"role": "controller", "nics": nics},
            "compute": {"role": "compute", "nics": nics},
        },
        "stack": {
            "installer": str(installer),
            "release": release.name,
            "network": "fabric",
            **stack,
        },
    }
    path = directory / "any-lab.yaml"
    path.write_text(json.dumps(whole))  # JSON is YAML
    return spec.load(path)


def wanted_of(lab: Lab, node: Node) -> dict[tuple[str, str, str], str]:
    given = sorted(
        lab.stack.post_config, key=lambda each: each.role != "all"
    )  # the role's own word is the last
    return {
        (each.file, each.section, each.key): each.value
        for each in given
        if each.role in ("all", str(node.role))
    }


def lines_of(lab: Lab, node: Node) -> dict[str, str]:
    """What the spec's own lines set, by a bash that reads nothing else."""
    given = sorted(lab.stack.lines, key=lambda each: each.role != "all")
    lines = (line for each in given if each.role in ("all", str(node.role)) for line in each.lines)
    found = source_text("".join(f"{line}\n" for line in lines))
    return {name: value for name, value in found.items() if name.startswith("PROP_")}


def check_overcommit(lab: Lab, found: Mapping[str, Mapping[str, list[str]]]) -> None:
    for name in ("cpu", "ram", "disk"):
        ratio = getattr(lab.stack.overcommit, name)
        if ratio is not None:
            values = [
                each[f"{name}_allocation_ratio"]
                for each in found.values()
                if f"{name}_allocation_ratio" in each
            ]
            assert [float(value) for (value,) in values] == [ratio]


def check_glance(lab: Lab, files: Mapping[str, Mapping[str, str]], release: str) -> None:
    """Who copies knows the file system that glance tells of.

    Who downloads has the schemes, in their order.
    """
    found = {
        node: options_of(texts.get("local.conf", ""), release, {}) for node, texts in files.items()
    }
    glance, row = lab.stack.glance, releases.find(Installer.DEVSTACK, release)
    told = found[lab.controller.name].get("/etc/glance_api_conf", {})
    if glance.direct_copy:
        (path,) = told[row.text("store_section")]["filesystem_store_metadata_file"]
        metadata = json.loads(files[lab.controller.name][PurePosixPath(path).name])
    assert (told.get("DEFAULT", {}).get("show_multiple_locations") == ["True"]) is (
        glance != Glance()
    )
    for node in lab.computes:
        nova = found[node.name].get("/etc/nova_conf", {})
        schemes = dict.fromkeys((*(("file",) if glance.direct_copy else ()), *glance.url_schemes))
        written = nova.get(row.text("direct_url_section"), {}).get("allowed_direct_url_schemes", [])
        assert written == ([",".join(schemes)] if schemes else [])
        if glance.direct_copy:
            (known,) = nova["image_file_url"]["filesystems"]
            assert {key: [value] for key, value in metadata.items()} == nova[
                f"image_file_url:{known}"
            ]


def by_name(rendered: answers.Rendered) -> dict[str, dict[str, str]]:
    """Node -> file's name -> text, of what DevStack and glance read."""
    return {
        node: {
            path.name: text
            for path, text in files.items()
            if path.parent.name != "contrail-installer"
        }
        for node, files in rendered.items()
    }


def render_or_reject(lab: Lab, secrets: Mapping[str, str]) -> answers.Rendered:
    """The lab's files; what a renderer refuses is none of its files' faults."""
    try:
        return answers.render(lab, secrets)
    except RenderError:
        reject()


plain = st.one_of(
    words,
    st.from_regex(r"/[a-z]{2,5}(/[a-z._-]{1,5}){0,2}", fullmatch=True),
    st.integers(10, 9999).map(str),
)


def with_answers(
    release: Release, keys: st.SearchStrategy[str], found: st.SearchStrategy[str]
) -> st.SearchStrategy[dict[str, Any]]:
    """Any stack, with further keys of the installer's own file."""
    more = st.fixed_dictionaries({"answers": st.dictionaries(keys, found, min_size=1, max_size=4)})
    return st.tuples(stacks(release), more).map(lambda pair: {**pair[0], **pair[1]})
