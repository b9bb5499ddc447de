"""The commands, and how their arguments are parsed.

A command is a module of this package with ``add_arguments(parser)`` and ``run(arguments)``, and an entry in
COMMANDS. It imports nothing heavy before it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn, Protocol, cast

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_beam_help
from beam_ingest.errors import ConfigError
from beam_ingest.version import __version__


class Command(NamedTuple):
    """An entry of the registry.

    Attributes:
      text: what it does, in one line.
      takes_beam_options: whether it runs a pipeline, here or elsewhere.
      is_stage: whether it runs a stage (`beam_ingest.stages.job`), which ``launch`` runs on
        Dataflow; its module is a `beam_ingest.cli.stages.StageModule`.
    """

    text: str
    takes_beam_options: bool = False
    is_stage: bool = False


COMMANDS = {
    "graph": Command("build a graph", takes_beam_options=True, is_stage=True),
    "mesh": Command("make meshes of a finished graph's nodes", takes_beam_options=True, is_stage=True),
    "prepare": Command(
        "make edges, components and a watershed from volumes", takes_beam_options=True, is_stage=True
    ),
    "l2cache": Command("compute the L2 cache of a finished graph", takes_beam_options=True, is_stage=True),
    "check": Command("check a dataset before a graph is built; writes nothing", takes_beam_options=True),
    "plan": Command(
        "estimate time, memory and cost of a graph before it is built; writes nothing",
        takes_beam_options=True,
    ),
    "status": Command("show how far each layer of a graph is built"),
    "costs": Command("show what a graph took to build and what that costs, beside its plan"),
    "failures": Command("list the chunks that could not be built, and why"),
    "chunk": Command("build one chunk on this machine and show every detail; writes nothing"),
    "launch": Command("run a stage on Dataflow, with the template of make template", takes_beam_options=True),
    "cancel": Command("stop the Dataflow job of a graph"),
    "verify": Command("compare a finished graph with its inputs, cell by cell", takes_beam_options=True),
    "report": Command("write what was built on one page, with pictures"),
    "view": Command("look at a graph in Neuroglancer, on this machine"),
    "sample": Command("write a synthetic dataset to try the program on"),
}
"""Every command, in the order of ``--help``."""


class CommandModule(Protocol):
    """The module of a command."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what it takes."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit status."""


class CommandParser(argparse.ArgumentParser):
    """Raises instead of exiting, so that one place decides on exit statuses."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ConfigError(f"{message} (see {self.prog} --help)")


class _HelpFormatter(argparse.HelpFormatter):
    """Shows the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return help_text(action)


def help_text(action: argparse.Action) -> str:
    """The help of an option, with its default."""
    text, default = action.help or "", action.default
    if default in (None, "", argparse.SUPPRESS) or default is False or not action.option_strings:
        return text
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return f"{text} (default: {shown})".replace("%", "%%")


def parse(argv: list[str]) -> tuple[CommandModule, argparse.Namespace]:
    """The command to run and its arguments; options of Apache Beam come as the dict ``beam``.

    Raises:
      ConfigError: when they make no sense.
      SystemExit: after ``--help`` and ``--version``.
    """
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise ConfigError(f"unknown command {argv[0]}; {_hint(argv[0], COMMANDS, 'beam-ingest')}")
    if not argv or argv[0] not in COMMANDS:
        _refuse_rest(_main_parser(), argv)
    name, words = argv[0], argv[1:]
    asks_help = bool({"-h", "--help"} & set(words))
    parser = command_parser(name)
    if not COMMANDS[name].takes_beam_options:
        return command_module(name), _refuse_rest(parser, words)
    if asks_help:
        add_beam_help(parser, on_dataflow=name == "launch")
        parser.parse_known_args(["--help"])
    return command_module(name), _parse_beam(parser, words)


def command_module(name: str) -> CommandModule:
    """The module of a command."""
    return cast(CommandModule, importlib.import_module(f"beam_ingest.cli.{name}"))


def command_parser(name: str) -> CommandParser:
    """The parser of a command, without Apache Beam's options."""
    text = COMMANDS[name].text
    parser = CommandParser(
        prog=f"beam-ingest {name}",
        description=f"{text[0].upper()}{text[1:]}.",
        allow_abbrev=False,
        formatter_class=_HelpFormatter,
    )
    command_module(name).add_arguments(parser)
    return parser


def _main_parser() -> CommandParser:
    parser = CommandParser(
        prog="beam-ingest",
        description="Build a PyChunkedGraph from an agglomerated segmentation.",
        epilog="Every command has its own --help.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"beam-ingest {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.text)
    return parser


def _parse_beam(own: CommandParser, argv: list[str]) -> argparse.Namespace:
    """Arguments of a command that runs a pipeline."""
    with importing():
        from beam_ingest.runners.beam_options import add_beam_options
    parser = CommandParser(
        prog=own.prog, allow_abbrev=False, parents=[own], add_help=False, conflict_handler="resolve"
    )
    names = add_beam_options(parser)
    arguments = _refuse_rest(parser, argv)
    given = vars(arguments)
    arguments.beam = {name: given[name] for name in names if name in given}
    return arguments


def _refuse_rest(parser: CommandParser, argv: list[str]) -> argparse.Namespace:
    """Parse; an unknown argument is refused, with the nearest that is known."""
    arguments, unknown = parser.parse_known_args(argv)
    if not unknown:
        return arguments
    first = unknown[0].partition("=")[0]
    kind = "option" if first.startswith("-") else "argument"
    known = parser._option_string_actions if kind == "option" else ()
    raise ConfigError(f"unknown {kind} {first}; {_hint(first, known, parser.prog)}")


def _hint(word: str, known: Iterable[str], program: str) -> str:
    near: list[Any] = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}?" if near else f"see {program} --help"
