"""A lab's `stack` as it is written: which cloud, and all that can be set about it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from stacklab.model.stack import Installer
from stacklab.spec.form.fields import (
    Branch,
    ConfigFile,
    ConfigKey,
    ConfigSection,
    DriverWord,
    EnvName,
    FilePath,
    Flag,
    GitMirror,
    GitUrl,
    HostName,
    InstallerWord,
    KollaMode,
    ModeWord,
    NetworkName,
    NodeRoles,
    PluginName,
    Pool,
    Project,
    Ratio,
    ReleaseName,
    Scheme,
    SecretName,
    Service,
    Spec,
    Text,
    Url,
    Variable,
    VolumeType,
    Word,
    as_list,
)

# Every installer, for a description: "none, devstack, ... or opensdn".
_FIRST, *_MORE, _LAST = Installer
_INSTALLERS = f"{', '.join((_FIRST, *_MORE))} or {_LAST}"


class OvercommitSpec(Spec):
    """How much more than it has a compute may promise: 16 means sixteen times."""

    cpu: Ratio | None = Field(default=None, description="cpu_allocation_ratio.")
    ram: Ratio | None = Field(default=None, description="ram_allocation_ratio.")
    disk: Ratio | None = Field(default=None, description="disk_allocation_ratio.")


class GlanceSpec(Spec):
    """How others get images out of glance, past its API, on releases that can."""

    direct_copy: Flag | None = Field(
        default=None,
        description="true: nova copies images from glance's file system, which both see; with "
        "installer debian, cinder does, for volumes. Default: false.",
    )
    url_schemes: Annotated[tuple[Scheme, ...], BeforeValidator(as_list)] | None = Field(
        default=None,
        description="nova downloads images by their URL when it has one of these schemes.",
    )


class PluginSpec(Spec):
    """A DevStack plugin."""

    url: GitUrl = Field(description="Its repository.")
    ref: Branch | None = Field(
        default=None, description="Branch, tag or change. Default: the release's branch."
    )


class MirrorsSpec(Spec):
    """Where the nodes fetch packages from. Default: where the host does."""

    pip: Url | None = Field(default=None, description="The index of Python packages.")
    apt: Url | None = Field(default=None, description="The mirror of Debian or Ubuntu packages.")
    git: GitMirror | None = Field(
        default=None,
        description="The mirror of git repositories: a directory of this host, which is served to "
        "the nodes, or a URL. Default: what mirror.fill made, where it has all that the lab needs.",
    )


class ProxySpec(Spec):
    """The nodes' way out."""

    http: Url | None = Field(default=None, description="http_proxy.")
    https: Url | None = Field(default=None, description="https_proxy.")
    no_proxy: Annotated[tuple[HostName, ...], BeforeValidator(as_list)] | None = Field(
        default=None, description="What is reached directly; the lab's own addresses always are."
    )


class SecretSpec(Spec):
    """Where a secret of yours comes from; never the secret itself."""

    env: EnvName | None = Field(default=None, description="An environment variable that holds it.")
    file: FilePath | None = Field(default=None, description="A file whose first line it is.")


class StackSpec(Spec):
    """Which cloud is to be installed, and how. A release that lacks an option refuses it."""

    installer: InstallerWord | None = Field(
        default=None,
        description=f"{_INSTALLERS}. Default: none.",
    )
    release: ReleaseName | None = Field(
        default=None,
        description="The installer's release: mitaka, 2026.1, R2.20. Default: the first in "
        "localrc/releases.yaml.",
    )
    devstack_branch: Branch | None = Field(
        default=None,
        description="contrail: DevStack's branch. Default: the one that worked with `release`.",
    )
    # Networks of the lab, by what they carry.
    network: NetworkName | None = Field(
        default=None,
        description="The network that carries the cloud (HOST_IP, SERVICE_HOST); every "
        "node has a NIC on it. "
        "Default: the first one that no node is logged in by, else the first.",
    )
    api_network: NetworkName | None = Field(
        default=None, description="Where the APIs listen. Default: `network`."
    )
    data_network: NetworkName | None = Field(
        default=None,
        description="What carries the tenants' traffic between nodes. Default: `network`.",
    )
    external_network: NetworkName | None = Field(
        default=None,
        description="What carries floating addresses; the controller's NIC on it is given "
        "to the cloud.",
    )
    # What the cloud is to be; a release names the words that it has.
    network_mode: ModeWord | None = Field(
        default=None,
        description="flat, flat-dhcp and vlan are nova-network's; the others neutron's.",
    )
    driver: DriverWord | None = Field(
        default=None, description="What instances run on. Default: libvirt."
    )
    fixed_range: Pool | None = Field(default=None, description="The tenants' first network.")
    floating_range: Pool | None = Field(
        default=None, description="Where floating addresses come from."
    )
    overcommit: OvercommitSpec | None = Field(
        default=None, description="How much more than it has a compute may promise."
    )
    glance: GlanceSpec | None = Field(
        default=None, description="How nova gets images out of glance."
    )
    volume_types: Annotated[tuple[VolumeType, ...], BeforeValidator(as_list)] | None = Field(
        default=None, description="One back end of cinder, and one volume type, for each."
    )
    tls: Flag | None = Field(
        default=None,
        description="true: all APIs are reached by HTTPS, with an authority of the lab's own. "
        "Default: false.",
    )
    dashboard: Flag | None = Field(
        default=None,
        description="true: horizon, on the controller. Default: false.",
    )
    # Code: what is cloned, from where, and of which branch.
    plugins: dict[PluginName, PluginSpec] | None = Field(
        default=None, description="DevStack's plugins, in the order in which they are enabled."
    )
    git_base: GitUrl | None = Field(
        default=None, description="Where projects are cloned from, e.g. a mirror of yours."
    )
    refs: dict[Project, Branch] | None = Field(
        default=None,
        description="A project's branch, tag, or Gerrit change: nova: refs/changes/12/345612/3.",
    )
    # What is passed on as it is, for all that no key above is about.
    localrc: dict[NodeRoles, Annotated[tuple[Text, ...], BeforeValidator(as_list)]] | None = Field(
        default=None, description="Further lines of localrc: for all, or for the nodes of a role."
    )
    post_config: (
        dict[NodeRoles, dict[ConfigFile, dict[ConfigSection, dict[ConfigKey, Text]]]] | None
    ) = Field(
        default=None,
        description="Options of services, for all or for a role: file, section, option: value.",
    )
    answers: dict[Variable, Text] | None = Field(
        default=None,
        description="Further keys of answers.txt, globals.yml or contrail_configuration.",
    )
    # The nodes' surroundings.
    mirrors: MirrorsSpec | None = Field(
        default=None,
        description="Where the nodes fetch packages from. Default: where the host does.",
    )
    proxy: ProxySpec | None = Field(default=None, description="The nodes' way out.")
    secrets: dict[SecretName, SecretSpec] | None = Field(
        default=None,
        description="Secrets of yours, from the environment or a file. Default: made for the lab.",
    )
    # For some installers only.
    dev_mode: Annotated[tuple[Service, ...], BeforeValidator(as_list)] | None = Field(
        default=None, description="kolla: services whose source is mounted into their containers."
    )
    kolla_mode: KollaMode | None = Field(
        default=None,
        description="opensdn: patched or vanilla. Default: the one that the release still "
        "works with.",
    )
    openstack: Word | None = Field(default=None, description="opensdn: OpenStack's release.")
