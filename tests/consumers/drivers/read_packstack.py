"""Give an answer file to Packstack's own parser, and tell in JSON what it made of it.

    python read_packstack.py ANSWERS SCRATCH

Packstack 26.0.0 can be imported anywhere but for four things, each put right here and
nowhere else: netifaces is C source without wheels, and only its gateways are asked for;
its directory is /var/tmp/packstack, from its import on; it connects to port 22 of every
host that an answer names; and its default for CONFIG_SSH_KEY would be made, so ANSWERS
has to name a key that exists.
"""

import configparser
import contextlib
import io
import json
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

VAR_DIR = "/var/tmp/packstack"
OWN_ADDRESS = (
    "192.0.2.1"  # what this machine seems to have: in no lab, so it is seen where it leaks
)


def stand_in_for_netifaces() -> None:
    found = types.ModuleType("netifaces")
    found.AF_INET, found.AF_INET6 = 2, 10
    found.gateways = lambda: {"default": {}}
    found.interfaces = lambda: ["lo"]
    found.ifaddresses = lambda name: {2: [{"addr": OWN_ADDRESS}]}
    sys.modules["netifaces"] = found


def move_its_directory(scratch: str) -> None:
    """Let what it makes and looks at below VAR_DIR be below `scratch`.

    It makes the directory, and looks at its owner where that fails because it is there.
    """

    def moved(function: Callable[..., Any], place: int) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:  # noqa: ANN401
            words = list(given)
            if str(words[place]).startswith(VAR_DIR):
                words[place] = str(Path(scratch, *Path(words[place]).relative_to(VAR_DIR).parts))
            return function(*words, **options)

        return call

    os.mkdir, os.symlink, os.stat = moved(os.mkdir, 0), moved(os.symlink, 1), moved(os.stat, 0)


def parse(answers: str) -> dict[str, Any]:
    from packstack.installer import run_setup, utils, validators
    from packstack.installer.utils import network

    tried = []
    validators.touch_port = lambda host, port: tried.append(f"{host}:{port}")
    network.get_localhost_ip = utils.get_localhost_ip = lambda: OWN_ADDRESS
    run_setup.loadPlugins()
    run_setup.initPluginsConfig()
    known = {
        param.CONF_NAME
        for group in run_setup.controller.getAllGroups()
        for param in group.parameters.values()
    }
    defaults = {
        param.CONF_NAME: str(param.DEFAULT_VALUE)
        for group in run_setup.controller.getAllGroups()
        for param in group.parameters.values()
    }
    result = {
        "error": "",
        "config": {},
        "hosts": [],
        "unknown": [],
        "tried": tried,
        "defaults": defaults,
    }
    try:
        run_setup._handleAnswerFileParams(answers)
    except Exception as error:
        result["error"] = str(error)
        return result
    config = run_setup.controller.CONF
    result["config"] = {key: str(value) for key, value in config.items()}
    result["hosts"] = sorted({host for _key, host in utils.host_iter(config)})
    # An unknown key is ignored by it without a word: this asks what it would not.
    read = configparser.RawConfigParser()
    read.read(answers)
    result["unknown"] = sorted(
        key.upper() for key in read.options("general") if key.upper() not in known
    )
    return result


def main() -> None:
    answers, scratch = sys.argv[1:]
    stand_in_for_netifaces()
    move_its_directory(scratch)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        result = parse(answers)
    json.dump({**result, "said": said.getvalue()}, sys.stdout)


main()
