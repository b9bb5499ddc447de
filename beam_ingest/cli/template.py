"""The flex template: ``beam-ingest STAGE`` under names that Dataflow passes on.

A template's parameter reaches its launcher as ``--name=value``, a switch as ``--raw=true``. Names, help and
rules come from the parsers of the stages' commands, so the two cannot differ; the parameter STAGE names the
command.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from beam_ingest.cli import main as cli_main
from beam_ingest.cli.arguments import help_text
from beam_ingest.cli.stages import DEFAULT_STAGE, STAGE, all_options, stage_options, stages
from beam_ingest.errors import ConfigError
from beam_ingest.runners.beam_options import add_beam_options
from beam_ingest.stores.names import TABLE

IMAGE = "BEAM_INGEST_IMAGE"
"""Environment variable of the image: its own name, for the workers run in it too."""
_RULES = {"graph_id": TABLE, "dataset": "gs://.+", "store": "bigtable:[^/]+/[^/]+"}


def metadata() -> dict[str, Any]:
    """The template's metadata: what the console asks for, and what Dataflow checks before a launch."""
    stage = {
        "name": STAGE,
        "label": "Stage",
        "helpText": f"the stage to run (default: {DEFAULT_STAGE})",
        "isOptional": True,
        "regexes": [f"^({'|'.join(stages())})$"],
    }
    everywhere = set.intersection(*({a.dest for a in stage_options(name)} for name in stages()))
    options = [
        {
            "name": action.dest,
            "label": action.dest.replace("_", " ").capitalize(),
            "helpText": help_text(action),
            "isOptional": not action.required or action.dest not in everywhere,
            "regexes": [f"^({_rule(action)})$"],
        }
        for action in all_options()
    ]
    return {
        "name": "beam_ingest",
        "description": "Build a PyChunkedGraph from an agglomerated segmentation.",
        "parameters": [*options, stage],
    }


def parameters(arguments: argparse.Namespace) -> dict[str, str]:
    """The arguments of ``launch`` as parameters of the template, those that were given.

    Raises:
      ConfigError: when one is no option of the stage.
    """
    known = {action.dest for action in stage_options(arguments.stage)}
    # An older template, which has no such parameter, still builds graphs.
    given = {} if arguments.stage == DEFAULT_STAGE else {STAGE: arguments.stage}
    for action in all_options():
        value = getattr(arguments, action.dest)
        if value == action.default:
            continue
        if action.dest not in known and action.option_strings:
            option = max(action.option_strings, default=action.dest)
            raise ConfigError(f"--{STAGE} {arguments.stage}: unknown option {option}")
        if action.dest not in known:
            continue  # the graph's name, which launch takes for every stage
        given[action.dest] = "true" if value is True else str(value)
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """What the template's launcher runs: build the pipeline, hand it to Dataflow, return.

    Args:
      argv: parameters of the template and options of Apache Beam, each as ``--name=value``.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument(f"--{STAGE}", default="")
    for action in all_options():
        parser.add_argument(f"--{action.dest}", default="")
    given, beam = parser.parse_known_args(argv)
    beam = _known(beam)
    stage = given.stage or DEFAULT_STAGE
    try:
        own = {action.dest for action in stage_options(stage)}
    except ConfigError as error:
        print(f"beam-ingest: {error}", file=sys.stderr)
        return error.exit_status
    command, values = [], []
    for action in all_options():
        value = getattr(given, action.dest)
        option = max(action.option_strings, default="")
        if not option:
            values += [value] if action.dest in own else []
        elif action.nargs == 0:
            command += [option] if value == "true" else []
        elif value:
            command.append(f"{option}={value}")
    if IMAGE in os.environ and not any(option.startswith("--sdk_container_image") for option in beam):
        beam.append(f"--sdk_container_image={os.environ[IMAGE]}")
    return cli_main([stage, *values, *command, *beam])


def _known(options: list[str]) -> list[str]:
    """Without those that Apache Beam does not know: Dataflow's launcher may be newer than it.

    A switch comes as ``--name=true`` where Dataflow passes on what a launch asked for.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    add_beam_options(parser)
    switches = {f"{name}=true": name for a in parser._actions if a.nargs == 0 for name in a.option_strings}
    options = [switches.get(option, option) for option in options]
    _, unknown = parser.parse_known_args(options)
    if unknown:
        print("left out, since this Apache Beam does not know them:", *unknown, file=sys.stderr)
    return [option for option in options if option not in unknown]


def _rule(action: argparse.Action) -> str:
    if action.nargs == 0:
        return "true|false"
    if action.choices:
        return "|".join(map(str, action.choices))
    return _RULES.get(action.dest, "[0-9]+" if action.type is int else ".+")


if __name__ == "__main__":
    json.dump(metadata(), sys.stdout, indent=2)
