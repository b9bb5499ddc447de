"""Apache Beam's own options, added to ours so that a misspelt one can be told from both."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions


def _beam_actions() -> list[argparse.Action]:
    beam = argparse.ArgumentParser(add_help=False, conflict_handler="resolve", allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(beam)
    return beam._actions


def add_beam_options(parser: argparse.ArgumentParser) -> list[str]:
    """Add every option of Apache Beam that `parser` does not have; returns their names in the namespace.

    An option of both is ours.
    """
    ours = {action.dest for action in parser._actions}
    for action in _beam_actions():
        if action.dest not in ours and not set(action.option_strings) & set(parser._option_string_actions):
            action.help = argparse.SUPPRESS
            action.default = argparse.SUPPRESS  # only what was given is passed on
            parser._add_action(action)
    return [action.dest for action in parser._actions if action.dest not in ours]


def flags(options: Mapping[str, Any]) -> list[str]:
    """Options of Apache Beam, each as ``name=value`` and a switch as ``name=true``, without dashes.

    Args:
      options: values by their names in the namespace, as `add_beam_options` names them.
    """
    found = []
    for action in _beam_actions():
        if action.dest not in options:
            continue
        value, name = options[action.dest], max(action.option_strings, key=len)[2:]
        if action.nargs == 0:
            if value == action.const:
                found.append(f"{name}=true")
        elif not any(flag.startswith(f"{name}=") for flag in found):
            values = value if isinstance(value, list) else [value]
            found += [f"{name}={json.dumps(v) if isinstance(v, dict) else v}" for v in values]
    return found
