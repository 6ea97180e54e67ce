"""The types of a spec's values: how each is read, and its JSON Schema for editors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_plain_validator_function

from stacklab.model.lab import Checkpoint, DiskBus, NetworkMode, NodeKind, Size
from stacklab.model.stack import Driver, Installer, NetworkingMode, Role
from stacklab.spec.form import ip_ranges, quantities, values
from stacklab.spec.form.values import LAB_NAME_LENGTH, NAME, NAME_LENGTH, NODE_NAME

SMALLEST_MEMORY = Size.parse("128MiB")
SMALLEST_DISK = Size.parse("48GiB")
SMALLEST_FURTHER_DISK = Size.parse("1MiB")
LARGEST_FURTHER_DISK = Size.parse("8TiB")
MOST_NODES = 64  # of one count


class Spec(BaseModel):
    """A mapping in a spec; it refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _text_schema(pattern: str, *, longest: int | None = None) -> WithJsonSchema:
    # Anchored: unlike ours, the patterns of a JSON Schema match anywhere in a text.
    schema: dict[str, object] = {"type": "string", "pattern": f"^{pattern}$"}
    if longest is not None:
        schema["maxLength"] = longest
    return WithJsonSchema(schema)


def as_list(value: object) -> object:
    """Return a list of one for a single value, which a spec may have in place of a list."""
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a text, for `Annotated[str, Form(...)]`; `what` and `right` are for the error."""

    pattern: str
    what: str
    right: str
    is_shown: bool = True  # False: the error does not repeat the text, it might be a secret

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate by the pattern (a hook of pydantic)."""
        read = values.pattern_reader(self.pattern, self.what, self.right, is_shown=self.is_shown)
        return no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON Schema, which editors use (a hook of pydantic)."""
        return {"type": "string", "pattern": f"^{self.pattern}$"}


@dataclass(frozen=True, slots=True)
class Range:
    """The range of a number, for `Annotated[int, Range(int, ...)]`; `unit` is for the error."""

    kind: type[int] | type[float]
    low: int
    high: int
    unit: str = ""

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate by the range (a hook of pydantic)."""
        read = values.number_reader(self.kind, self.low, self.high, self.unit)
        return no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON Schema, which editors use (a hook of pydantic)."""
        json_type = "integer" if self.kind is int else "number"
        return {"type": json_type, "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class WordOf:
    """A word of an enum, for `Annotated[Role, WordOf(Role)]`."""

    kind: type[StrEnum]

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate by the enum's words (a hook of pydantic)."""
        return no_info_plain_validator_function(values.word_reader(self.kind))

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON Schema, which editors use (a hook of pydantic)."""
        return {"type": "string", "enum": [str(word) for word in self.kind]}


# Names in a lab, and texts.
LabName = Annotated[
    str,
    PlainValidator(values.name_reader(LAB_NAME_LENGTH)),
    _text_schema(NAME, longest=LAB_NAME_LENGTH),
]
NetworkName = Annotated[
    str,
    PlainValidator(values.name_reader(NAME_LENGTH)),
    _text_schema(NAME, longest=NAME_LENGTH),
]
NodeName = Annotated[
    str,
    PlainValidator(values.name_reader(NAME_LENGTH, NODE_NAME)),
    _text_schema(NODE_NAME, longest=NAME_LENGTH),
]
ImageName = Annotated[str, Form(values.IMAGE, "image name", "e.g. debian-12")]
Bridge = Annotated[
    str,
    Form(values.BRIDGE, "bridge name", "a bridge of the host, e.g. br0; 15 characters"),
]
HostDevice = Annotated[
    str,
    Form(values.BRIDGE, "interface name", "one of the host, e.g. eno1; 15 characters"),
]
Text = Annotated[str, PlainValidator(values.read_line), WithJsonSchema({"type": "string"})]
Flag = Annotated[bool, PlainValidator(values.read_flag), WithJsonSchema({"type": "boolean"})]

# Sizes of a node.
_read_memory = quantities.size_reader(SMALLEST_MEMORY, "nothing boots in less")
_read_disk = quantities.size_reader(
    SMALLEST_DISK, "the base image is that large; on the host a disk takes only what is written"
)
Memory = Annotated[Size, PlainValidator(_read_memory), _text_schema(quantities.SIZE)]
_read_further_disk = quantities.size_reader(
    SMALLEST_FURTHER_DISK,
    "a disk has at least that",
    largest=LARGEST_FURTHER_DISK,
    why_largest="ext4 on the host holds no file of 16TiB",
)
FurtherDisk = Annotated[Size, PlainValidator(_read_further_disk), _text_schema(quantities.SIZE)]
BusWord = Annotated[DiskBus, WordOf(DiskBus)]
# SCSI and ATA have more room; virtio has 20 bytes.
Serial = Annotated[
    str, Form(r"[A-Za-z0-9_-]{1,20}", "serial number", "letters, digits, - and _; 20 at most")
]
Disk = Annotated[Size, PlainValidator(_read_disk), _text_schema(quantities.SIZE)]
Cpus = Annotated[int, Range(int, 1, 64)]
Count = Annotated[int, Range(int, 1, MOST_NODES)]
RoleWord = Annotated[Role, WordOf(Role)]
KindWord = Annotated[NodeKind, WordOf(NodeKind)]
CheckpointWord = Annotated[Checkpoint, WordOf(Checkpoint)]

# Networks, and what they do to packets.
Cidr = Annotated[IPv4Network, PlainValidator(ip_ranges.read_cidr), _text_schema(ip_ranges.CIDR)]
Pool = Annotated[IPv4Network, PlainValidator(ip_ranges.read_pool), _text_schema(ip_ranges.CIDR)]
Address = Annotated[
    IPv4Address, PlainValidator(ip_ranges.read_address), _text_schema(ip_ranges.ADDRESS)
]
Mode = Annotated[NetworkMode, WordOf(NetworkMode)]
# Every IPv4 host must take 576 bytes; above 9216, network cards differ.
Mtu = Annotated[int, Range(int, 576, 9216, "bytes")]
Delay = Annotated[float, PlainValidator(quantities.read_delay), _text_schema(quantities.DELAY)]
Loss = Annotated[float, PlainValidator(quantities.read_loss), _text_schema(quantities.LOSS)]
Rate = Annotated[int, PlainValidator(quantities.read_rate), _text_schema(quantities.RATE)]

# Checks.
Retries = Annotated[int, Range(int, 1, 100)]
Interval = Annotated[float, Range(float, 0, 3600, "seconds")]
Boot = Annotated[float, Range(float, 1, 86400, "seconds")]
TryLimit = Annotated[float, Range(float, 1, 600, "seconds")]
Phrase = Annotated[
    str,
    PlainValidator(values.read_phrase),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
ShellCommand = Annotated[
    str,
    PlainValidator(values.read_command),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": values.LONGEST_COMMAND}),
]
ExitCode = Annotated[int, Range(int, 0, 255)]
Port = Annotated[int, Range(int, 1, 65535)]
HttpStatus = Annotated[int, Range(int, 100, 599)]
CheckName = Annotated[
    str,
    Form(
        r"[A-Za-z0-9]([A-Za-z0-9 ._:/()+,'-]{0,58}[A-Za-z0-9.)])?",
        "name of a check",
        "e.g. nova-api answers",
    ),
]
CheckHost = Annotated[
    str,
    Form(
        r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
        "host",
        "a node's name, or an address: 10.0.0.1",
    ),
]
# No `@` before the path: a password would be in every report.
PageUrl = Annotated[
    str,
    Form(
        r"https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?([/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]{0,500})?",
        "URL of a page",
        "e.g. http://controller:8774/, without a name or password",
    ),
]
Level = Annotated[str, Form(r"(failure|warning)", "level", "failure or warning")]
# The names of nodes and entries, roles, and `all`.
_NODE_WORD = r"[a-z]([a-z0-9-]*[a-z0-9])?"
NodeWord = Annotated[
    str, Form(_NODE_WORD, "node or role", "a node's name, controller, compute, node or all")
]
# One word or a list of words: editors take two types side by side as either of them.
NODE_WORDS_SCHEMA = WithJsonSchema(
    {
        "type": ["string", "array"],
        "pattern": f"^{_NODE_WORD}$",
        "items": {"type": "string", "pattern": f"^{_NODE_WORD}$"},
        "minItems": 1,
    }
)

# Which cloud.
InstallerWord = Annotated[Installer, WordOf(Installer)]
ReleaseName = Annotated[str, PlainValidator(values.read_release), _text_schema(values.BRANCH)]
Branch = Annotated[str, Form(values.BRANCH, "branch", "e.g. stable/mitaka")]
ModeWord = Annotated[NetworkingMode, WordOf(NetworkingMode)]
DriverWord = Annotated[Driver, WordOf(Driver)]
KollaMode = Annotated[str, Form(r"(patched|vanilla)", "mode of kolla", "patched or vanilla")]
Word = Annotated[
    str, Form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", "release of OpenStack", 'e.g. "2025.1"')
]

# What is set about its services.
Ratio = Annotated[float, Range(float, 0, 1000)]
Scheme = Annotated[str, Form(r"[a-z][a-z0-9+.-]{0,29}", "URL scheme", "e.g. file, http or swift")]
VolumeType = Annotated[
    str,
    Form(r"[A-Za-z][A-Za-z0-9_-]{0,29}", "volume type", "letters, digits, _ and -: fast, bronze"),
]
Service = Annotated[str, Form(r"[a-z][a-z0-9_-]{0,39}", "service", "e.g. nova")]
NodeRoles = Annotated[
    str,
    Form("(all|controller|compute|node)", "role of nodes", "all, controller, compute or node"),
]
ConfigFile = Annotated[
    str,
    Form(
        r"(\$[A-Z][A-Z0-9_]*|/[A-Za-z0-9_.$/-]{1,200})",
        "configuration file",
        "e.g. $NOVA_CONF or /etc/nova/nova.conf",
    ),
]
ConfigSection = Annotated[
    str, Form(r"[A-Za-z0-9_.:-]{1,60}", "section", "no blanks: DEFAULT, libvirt")
]
ConfigKey = Annotated[str, Form(r"[A-Za-z0-9_.-]{1,80}", "option's name", "e.g. debug")]
Variable = Annotated[
    str, Form(r"[A-Za-z_][A-Za-z0-9_]{0,79}", "name of a variable", "letters, digits and _")
]

# Where code, packages and secrets come from.
PluginName = Annotated[
    str,
    Form(
        r"[a-z0-9][a-z0-9_.-]{0,59}",
        "plugin's name",
        "the repository's name: zun, devstack-plugin-ceph",
    ),
]
Project = Annotated[
    str, Form(r"[a-z][a-z0-9_.-]{0,59}", "project", "e.g. nova or python-novaclient")
]
# Neither kind of URL may have an `@`, which comes behind a password.
Url = Annotated[
    str, Form(r"https?://[A-Za-z0-9._~:/%+,-]{1,300}", "URL", "e.g. http://proxy.example:3128")
]
GitUrl = Annotated[
    str,
    Form(
        r"(https?|git|file)://[A-Za-z0-9._~:/%+-]{1,300}",
        "git URL",
        "e.g. https://opendev.org, without a name or password",
    ),
]
GitMirror = Annotated[
    str,
    Form(
        r"(/|(https?|git)://)[A-Za-z0-9._~:/%+-]{1,300}",
        "directory of this host, or git URL",
        "e.g. /srv/git or https://git.example.org",
    ),
]
HostName = Annotated[
    str, Form(r"[A-Za-z0-9_.:*/-]{1,120}", "host or network", "e.g. .example.org or 10.0.0.0/8")
]
SecretName = Annotated[
    str, Form(r"[a-z][a-z0-9_]{0,59}", "name of a secret", "e.g. admin_password")
]
# Of the next two, the error shows nothing: people write the secret itself there by mistake.
EnvName = Annotated[
    str,
    Form(
        r"[A-Za-z_][A-Za-z0-9_]{0,79}",
        "environment variable",
        "its name, without $: MY_PASSWORD",
        is_shown=False,
    ),
]
FilePath = Annotated[
    str,
    Form(r"(~/|/)[^\x00-\x1f]{1,300}", "path", "an absolute one: ~/secrets/admin", is_shown=False),
]
