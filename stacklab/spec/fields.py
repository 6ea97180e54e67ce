"""The kinds of values a spec has: how each is read, and what JSON Schema says of it."""

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

from stacklab.model.lab import NetworkMode, Size
from stacklab.model.stack import Driver, Installer, NetworkingMode, Role
from stacklab.spec import values
from stacklab.spec.values import LAB_NAME_LENGTH, NAME, NAME_LENGTH, NODE_NAME

SMALLEST_MEMORY = Size.parse("128MiB")
SMALLEST_DISK = Size.parse("48GiB")
MOST_NODES = 64  # of one count


class Spec(BaseModel):
    """A mapping of a spec: frozen, and without keys that we don't know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _text_schema(pattern: str, *, longest: int | None = None) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "pattern": f"^{pattern}$"}
        | ({"maxLength": longest} if longest is not None else {})
    )


def as_list(value: object) -> object:
    """A list of one, where one value stands for it."""
    return [value] if isinstance(value, str) else value


_read_size = values.size(SMALLEST_MEMORY, "nothing boots in less")
_read_disk = values.size(
    SMALLEST_DISK, "the base image is that large, and thin: it takes what is written"
)

LabName = Annotated[
    str, PlainValidator(values.name(LAB_NAME_LENGTH)), _text_schema(NAME, longest=LAB_NAME_LENGTH)
]
NetworkName = Annotated[
    str, PlainValidator(values.name(NAME_LENGTH)), _text_schema(NAME, longest=NAME_LENGTH)
]
NodeName = Annotated[
    str,
    PlainValidator(values.name(NAME_LENGTH, NODE_NAME)),
    _text_schema(NODE_NAME, longest=NAME_LENGTH),
]
ImageName = Annotated[
    str,
    PlainValidator(values.matching(values.IMAGE, "image name", "e.g. debian-12")),
    _text_schema(values.IMAGE),
]
Bridge = Annotated[
    str,
    PlainValidator(
        values.matching(
            values.BRIDGE, "bridge name", "a bridge of the host, e.g. br0; 15 characters"
        )
    ),
    _text_schema(values.BRIDGE),
]
Branch = Annotated[
    str,
    PlainValidator(values.matching(values.BRANCH, "branch", "e.g. stable/mitaka")),
    _text_schema(values.BRANCH),
]
Text = Annotated[str, PlainValidator(values.line), WithJsonSchema({"type": "string"})]
Memory = Annotated[Size, PlainValidator(_read_size), _text_schema(values.SIZE)]
Disk = Annotated[Size, PlainValidator(_read_disk), _text_schema(values.SIZE)]
Cidr = Annotated[IPv4Network, PlainValidator(values.cidr), _text_schema(values.CIDR)]
Pool = Annotated[IPv4Network, PlainValidator(values.pool), _text_schema(values.CIDR)]
Address = Annotated[IPv4Address, PlainValidator(values.address), _text_schema(values.ADDRESS)]


def _words(kind: type[StrEnum]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [str(word) for word in kind]})


def _range(kind: str, low: int, high: int) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, "minimum": low, "maximum": high})


Mode = Annotated[NetworkMode, PlainValidator(values.word(NetworkMode)), _words(NetworkMode)]
RoleWord = Annotated[Role, PlainValidator(values.word(Role)), _words(Role)]
InstallerWord = Annotated[Installer, PlainValidator(values.word(Installer)), _words(Installer)]
Cpus = Annotated[int, PlainValidator(values.number(int, 1, 64)), _range("integer", 1, 64)]
Count = Annotated[
    int, PlainValidator(values.number(int, 1, MOST_NODES)), _range("integer", 1, MOST_NODES)
]
Mtu = Annotated[
    int, PlainValidator(values.number(int, 576, 9216, "bytes")), _range("integer", 576, 9216)
]
Retries = Annotated[int, PlainValidator(values.number(int, 1, 100)), _range("integer", 1, 100)]
Interval = Annotated[
    float, PlainValidator(values.number(float, 0, 3600, "seconds")), _range("number", 0, 3600)
]
Boot = Annotated[
    float, PlainValidator(values.number(float, 1, 86400, "seconds")), _range("number", 1, 86400)
]

Delay = Annotated[float, PlainValidator(values.delay), _text_schema(values.DELAY)]
Loss = Annotated[float, PlainValidator(values.loss), _text_schema(values.LOSS)]
Rate = Annotated[int, PlainValidator(values.rate), _text_schema(values.RATE)]
Phrase = Annotated[
    str, PlainValidator(values.phrase), WithJsonSchema({"type": "string", "minLength": 1})
]
ShellCommand = Annotated[
    str,
    PlainValidator(values.command),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": values.LONGEST_COMMAND}),
]
ExitCode = Annotated[int, PlainValidator(values.number(int, 0, 255)), _range("integer", 0, 255)]
Port = Annotated[int, PlainValidator(values.number(int, 1, 65535)), _range("integer", 1, 65535)]
HttpStatus = Annotated[
    int, PlainValidator(values.number(int, 100, 599)), _range("integer", 100, 599)
]
TryLimit = Annotated[
    float, PlainValidator(values.number(float, 1, 600, "seconds")), _range("number", 1, 600)
]

ReleaseName = Annotated[str, PlainValidator(values.release), _text_schema(values.BRANCH)]
ModeWord = Annotated[
    NetworkingMode, PlainValidator(values.word(NetworkingMode)), _words(NetworkingMode)
]
DriverWord = Annotated[Driver, PlainValidator(values.word(Driver)), _words(Driver)]
Flag = Annotated[bool, PlainValidator(values.flag), WithJsonSchema({"type": "boolean"})]
Ratio = Annotated[float, PlainValidator(values.number(float, 0, 1000)), _range("number", 0, 1000)]
NodeRoles = Annotated[
    str,
    PlainValidator(
        values.matching(
            "all|controller|compute|node", "role of nodes", "all, controller, compute or node"
        )
    ),
    _text_schema("(all|controller|compute|node)"),
]


@dataclass(frozen=True, slots=True)
class Form:
    """Makes `Annotated[str, Form(...)]` text that matches a pattern; `what` and `right` are for the error."""

    pattern: str
    what: str
    right: str
    is_shown: bool = True  # False: somebody may have written a secret there

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """See pydantic: how it is validated."""
        read = values.matching(self.pattern, self.what, self.right, is_shown=self.is_shown)
        return no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """See pydantic: what editors are told of it."""
        return {"type": "string", "pattern": f"^{self.pattern}$"}


Scheme = Annotated[str, Form(r"[a-z][a-z0-9+.-]{0,29}", "URL scheme", "e.g. file, http or swift")]
VolumeType = Annotated[
    str,
    Form(r"[A-Za-z][A-Za-z0-9_-]{0,29}", "volume type", "letters, digits, _ and -: fast, bronze"),
]
PluginName = Annotated[
    str,
    Form(
        r"[a-z0-9][a-z0-9_.-]{0,59}",
        "plugin's name",
        "the repository's name: zun, devstack-plugin-ceph",
    ),
]
Url = Annotated[
    str, Form(r"https?://[A-Za-z0-9._~:/%+,-]{1,300}", "URL", "e.g. http://proxy.example:3128")
]
GitUrl = Annotated[
    str,
    Form(
        r"(https?|git|file)://[A-Za-z0-9._~:/%+-]{1,300}",
        "git URL",
        "e.g. https://opendev.org, no name or password in it",
    ),
]
Project = Annotated[
    str, Form(r"[a-z][a-z0-9_.-]{0,59}", "project", "e.g. nova or python-novaclient")
]
Variable = Annotated[
    str, Form(r"[A-Za-z_][A-Za-z0-9_]{0,79}", "name of a variable", "letters, digits and _")
]
SecretName = Annotated[
    str, Form(r"[a-z][a-z0-9_]{0,59}", "name of a secret", "e.g. admin_password")
]
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
Service = Annotated[str, Form(r"[a-z][a-z0-9_-]{0,39}", "service", "e.g. nova")]
HostName = Annotated[
    str, Form(r"[A-Za-z0-9_.:*/-]{1,120}", "host or network", "e.g. .example.org or 10.0.0.0/8")
]
KollaMode = Annotated[str, Form(r"(patched|vanilla)", "mode of kolla", "patched or vanilla")]
Word = Annotated[
    str, Form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", "release of OpenStack", 'e.g. "2025.1"')
]
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
PageUrl = Annotated[
    str,
    Form(
        r"https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?([/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]{0,500})?",
        "URL of a page",
        "e.g. http://controller:8774/, no name or password in it",
    ),
]
Level = Annotated[str, Form(r"(failure|warning)", "level", "failure or warning")]
_NODE_WORD = r"[a-z]([a-z0-9-]*[a-z0-9])?"
NodeWord = Annotated[
    str, Form(_NODE_WORD, "node or role", "a node's name, controller, compute, node or all")
]
# One word or a list of them; two types side by side, which editors take as either.
NODE_WORDS_SCHEMA = WithJsonSchema(
    {
        "type": ["string", "array"],
        "pattern": f"^{_NODE_WORD}$",
        "items": {"type": "string", "pattern": f"^{_NODE_WORD}$"},
        "minItems": 1,
    }
)
