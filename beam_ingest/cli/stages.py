"""Stages on the command line: each is a command, and ``launch`` and the flex template run any of them.

Another stage is an entry in `beam_ingest.cli.arguments.COMMANDS` with `is_stage`, and its command's module.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol, cast

from beam_ingest.cli import arguments as registry
from beam_ingest.errors import ConfigError

if TYPE_CHECKING:
    from beam_ingest.dataset import Dataset
    from beam_ingest.stages.job import StageJob

STAGE = "stage"
"""The parameter of the template that names the stage."""
DEFAULT_STAGE = "graph"


class StageModule(registry.CommandModule, Protocol):
    """The module of a stage's command; `add_arguments` begins with `beam_ingest.cli.options.add_stage`."""

    def make_job(self, arguments: argparse.Namespace, dataset: Dataset) -> StageJob:
        """The job that the arguments ask for, not yet started."""


def stages() -> list[str]:
    """Names of all stages."""
    return [name for name, command in registry.COMMANDS.items() if command.is_stage]


def stage_module(name: str) -> StageModule:
    """The module of a stage's command.

    Raises:
      ConfigError: when there is no such stage.
    """
    known = stages()
    if name not in known:
        raise ConfigError(f"unknown stage {name}; expected {' or '.join(known)}")
    return cast(StageModule, registry.command_module(name))


def stage_options(name: str) -> list[argparse.Action]:
    """Arguments and options of one stage's command, without Apache Beam's."""
    parser = registry.CommandParser(add_help=False)
    stage_module(name).add_arguments(parser)
    return parser._actions


def all_options() -> list[argparse.Action]:
    """Arguments and options of all stages' commands together, each once: as the first stage has it."""
    found: dict[str, argparse.Action] = {}
    for name in stages():
        for action in stage_options(name):
            found.setdefault(action.dest, action)
    return list(found.values())


def add_all_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of all stages that the parser does not have."""
    known = {action.dest for action in parser._actions}
    for action in all_options():
        if action.dest not in known:
            parser._add_action(action)
