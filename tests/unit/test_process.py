from __future__ import annotations

from stacklab.process import Command


def test_a_command_reads_as_a_line_that_can_be_pasted() -> None:
    assert str(Command(argv=("echo", "two words", "$HOME"))) == "echo 'two words' '$HOME'"


def test_a_secret_is_masked_wherever_it_stands() -> None:
    assert str(Command(argv=("login", "--password=hunter2", "hunter2"), secrets=("hunter2",))) == (
        "login --password=*** ***"
    )


def test_a_secret_that_needs_quoting_is_masked_too() -> None:
    line = str(Command(argv=("login", "it's a secret"), secrets=("it's a secret",)))
    assert line == "login ***"


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert str(Command(argv=("x", "hunter2more"), secrets=("hunter2", "hunter2more"))) == "x ***"


def test_an_empty_secret_masks_nothing() -> None:
    assert str(Command(argv=("x", "y"), secrets=("",))) == "x y"


def test_neither_secrets_nor_stdin_are_in_a_commands_repr() -> None:
    shown = repr(Command(argv=("chpasswd",), stdin=b"stack:hunter2", secrets=("hunter2",)))
    assert "hunter2" not in shown
