"""Apache Beam's own options, added to ours so that a misspelt one can be told from both."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions


def add_beam_options(parser: argparse.ArgumentParser) -> list[str]:
    """Add every option of Apache Beam that `parser` does not have; returns their names in the namespace.

    An option of both is ours.
    """
    ours = {action.dest for action in parser._actions}
    beam = argparse.ArgumentParser(add_help=False, conflict_handler="resolve", allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(beam)
    for action in beam._actions:
        if action.dest not in ours and not set(action.option_strings) & set(parser._option_string_actions):
            action.help = argparse.SUPPRESS
            action.default = argparse.SUPPRESS  # only what was given is passed on
            parser._add_action(action)
    return [action.dest for action in parser._actions if action.dest not in ours]
