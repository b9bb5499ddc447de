"""What the command line takes.

Nothing heavy is imported here, so that ``--help`` answers at once; a command's own module is
imported when the command runs.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from beam_ingest.errors import ConfigError
from beam_ingest.version import __version__

_BEAM_VERBS = ("graph", "prepare", "check", "verify", "launch")
"""Commands that run a pipeline, here or elsewhere."""
DEFAULT_SETTINGS = "build/settings.json"
"""Where ``make settings`` puts what Terraform made."""
Command = Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that one place decides on exit statuses."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


def parse(argv: list[str]) -> tuple[Command, argparse.Namespace]:
    """The command to run and its arguments.

    Raises:
      ConfigError: when they make no sense.
    """
    parser, verbs = _parser()
    if argv and argv[0] in _BEAM_VERBS and not {"-h", "--help"} & set(argv):
        return _command(argv[0]), _parse_beam(verbs[argv[0]], argv[1:])
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(unknown, _options(verbs[arguments.verb]), verbs[arguments.verb].prog)
    return _command(arguments.verb), arguments


def _command(verb: str) -> Command:
    return importlib.import_module(f"beam_ingest.cli.{verb}").run  # type: ignore[no-any-return]


def _parser() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="beam-ingest",
        description="Build a PyChunkedGraph from an agglomerated segmentation.",
        epilog="Every command has its own --help.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"beam-ingest {__version__}")
    commands = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    verbs: dict[str, _Parser] = {}

    def verb(name: str, text: str) -> _Parser:
        verbs[name] = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        return verbs[name]

    _add_graph_options(verb("graph", "build a graph; every option of Apache Beam is understood too"))

    prepare = verb(
        "prepare",
        "make edges, components and a watershed of volumes; every option of Apache Beam is understood too",
    )
    _add_dataset(prepare)
    prepare.add_argument("--test", action="store_true", help="only what graph --test reads")
    again = prepare.add_mutually_exclusive_group()
    again.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote")
    again.add_argument("--resume", action="store_true", help="finish what an earlier run began")

    check = verb("check", "look for what would go wrong before a graph is built; nothing is written")
    _add_dataset(check)
    check.add_argument(
        "--raw", action="store_true", help="check raw agglomeration (ingest_config.AGGLOMERATION)"
    )
    opened = check.add_mutually_exclusive_group()
    opened.add_argument("--sample", metavar="N", type=int, help="open N chunks, spread over the grid (8)")
    opened.add_argument("--all", action="store_true", help="open every chunk")
    _add_app_profile(check)
    _add_settings(check)
    check.add_argument("--json", action="store_true", help="for programs")

    status = verb("status", "show how far each layer of a graph is built")
    _add_graph(status)
    status.add_argument("--json", action="store_true", help="for programs")
    status.add_argument(
        "--watch", action="store_true", help="show it again every second until it is complete"
    )
    _add_settings(status, "; shows the state of its Dataflow job too")

    failures = verb("failures", "list the chunks that could not be built, and why")
    _add_graph(failures)
    _add_settings(failures)
    failures.add_argument("--json", action="store_true", help="for programs: a line for each")

    chunk = verb("chunk", "build one chunk here and now, show everything about it, and write nothing")
    _add_graph(chunk)
    _add_settings(chunk)
    chunk.add_argument("layer", metavar="LAYER", type=int, help="its layer, 2 or above")
    for axis in "xyz":  # one each: argparse takes no tuple as the metavar of a positional
        chunk.add_argument(axis, metavar=axis.upper(), type=int, help=f"its coordinate along {axis}")

    launch = verb(
        "launch",
        "build a graph on Dataflow, with the flex template that make template made; every option of Apache "
        "Beam and Dataflow is understood too",
    )
    _add_graph_options(launch)
    _add_settings(launch, default=DEFAULT_SETTINGS)
    launch.add_argument("--wait", action="store_true", help="until the job has ended; fail if it fails")

    cancel = verb("cancel", "stop the Dataflow job of a graph")
    _add_graph(cancel, dataset_needed=False)
    _add_settings(cancel, default=DEFAULT_SETTINGS)

    verify = verb("verify", "compare a finished graph with its inputs, cell by cell")
    _add_graph(verify)
    _add_settings(verify)
    verify.add_argument("--json", action="store_true", help="for programs")

    sample = verb("sample", "write a synthetic dataset to try the program on")
    sample.add_argument("directory", metavar="DIR", help="where it goes; made if absent")
    for name, default, text in (
        ("--chunks", (4, 4, 4), "chunks along each axis"),
        ("--chunk-size", (48, 48, 48), "voxels of a chunk along each axis"),
        ("--offset", (0, 0, 0), "where the volume begins, in voxels"),
    ):
        sample.add_argument(name, type=int, nargs=3, default=default, metavar=("X", "Y", "Z"), help=text)
    sample.add_argument("--overwrite", action="store_true", help="replace a sample that is there")
    sample.add_argument("--seed", type=int, default=0, help="another number, another dataset")
    sample.add_argument(
        "--data-version", type=int, choices=(2, 3, 4), default=4, help="layout of the raw edge records"
    )
    return parser, verbs


def graph_options() -> list[argparse.Action]:
    """The arguments and options of ``graph``, without Apache Beam's."""
    parser = _Parser(add_help=False)
    _add_graph_options(parser)
    return parser._actions


def _add_graph_options(parser: _Parser) -> None:
    _add_graph(parser)
    parser.add_argument(
        "--raw",
        action="store_true",
        help="read raw agglomeration (ingest_config.AGGLOMERATION), and write EDGES and COMPONENTS",
    )
    parser.add_argument(
        "--test", action="store_true", help="write only the eight chunks at the centre and their parent"
    )
    parser.add_argument(
        "--graph-version", type=int, choices=(3, 2), default=3, help="PyChunkedGraph's major version"
    )
    parser.add_argument(
        "--require-files",
        action="store_true",
        help="an absent edges or components file is an error, not an empty chunk",
    )
    _add_app_profile(parser)
    parser.add_argument(
        "--bigtable-tablets",
        metavar="N",
        type=int,
        help="tablets the table begins with, if not by the estimated number of rows",
    )
    parser.add_argument(
        "--any-region", action="store_true", help="Dataflow's workers may be where no Bigtable cluster is"
    )
    parser.add_argument(
        "--yes", action="store_true", help="--overwrite removes a Bigtable table without asking"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite",
        action="store_true",
        help="remove a graph that is there first; with --raw, replace edges and components files",
    )
    existing.add_argument(
        "--resume", action="store_true", help="finish a graph that was begun with the same options"
    )


def _add_app_profile(parser: _Parser) -> None:
    parser.add_argument(
        "--bigtable-app-profile",
        metavar="NAME",
        default="",
        help="how Bigtable routes requests: to a single cluster",
    )


def _add_settings(parser: _Parser, more: str = "", default: str | None = None) -> None:
    known = "" if default else f"; {DEFAULT_SETTINGS} is read where nothing else says where a graph is"
    parser.add_argument(
        "--settings",
        metavar="FILE",
        default=default,
        help=f"what Terraform made, as make settings writes it{more}{known}",
    )


def _add_graph(parser: _Parser, dataset_needed: bool = True) -> None:
    parser.add_argument("graph_id", metavar="GRAPH_ID", help="name of the graph")
    _add_dataset(parser, dataset_needed)


def _add_dataset(parser: _Parser, needed: bool = True) -> None:
    parser.add_argument(
        "dataset",
        metavar="DATASET.yml",
        nargs=None if needed else "?",
        help="dataset file, as PyChunkedGraph's",
    )
    parser.add_argument(
        "--store",
        metavar="PLACE",
        help="sqlite:PATH or bigtable:PROJECT/INSTANCE, if not where the dataset file says",
    )


def _parse_beam(own: _Parser, argv: list[str]) -> argparse.Namespace:
    """Arguments of a command that runs a pipeline; Beam's own options come as the dict ``beam``."""
    from beam_ingest.runners.beam_options import add_beam_options

    parser = _Parser(
        prog=own.prog, allow_abbrev=False, parents=[own], add_help=False, conflict_handler="resolve"
    )
    names = add_beam_options(parser)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(unknown, _options(parser), own.prog)
    given = vars(arguments)
    arguments.beam = {name: given[name] for name in names if name in given}
    return arguments


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return list(parser._option_string_actions)


def _refuse(unknown: list[str], known: Iterable[str], program: str) -> NoReturn:
    """Say which argument nobody knows, and the nearest that somebody does."""
    first = unknown[0].partition("=")[0]
    near: list[Any] = difflib.get_close_matches(first, list(known), 1) if first.startswith("-") else []
    hint = f"did you mean {near[0]}?" if near else f"see {program} --help"
    raise ConfigError(f"unknown {'option' if first.startswith('-') else 'argument'} {first}; {hint}")
