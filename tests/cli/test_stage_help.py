"""Help of the commands of stages speaks of what each of them makes."""

from __future__ import annotations

import pytest

from beam_ingest.cli.stages import all_options, stage_options, stages

SAID = {
    "graph": {"test": "write only the eight chunks at the centre and their parent"},
    "mesh": {"test": "tell no server", "bigtable_tablets": "table of progress", "store": "of the graph"},
    "prepare": {"test": "what graph --test reads", "bigtable_tablets": "table of progress"},
    "l2cache": {"test": "compute only", "bigtable_tablets": "a new cache", "store": "of the graph"},
}


@pytest.mark.parametrize("stage", stages())
def test_every_stage_says_what_its_options_do(stage: str) -> None:
    helps = {action.dest: action.help or "" for action in stage_options(stage)}
    for option, said in SAID[stage].items():
        assert said in helps[option]


def test_shared_options_are_those_of_the_first_stage() -> None:
    """The template and ``launch`` show one help for all stages."""
    helps = {action.dest: action.help for action in all_options()}
    assert SAID["graph"]["test"] == helps["test"]
