"""Options that several commands share. Nothing heavy is imported here: ``--help`` answers at once."""

from __future__ import annotations

import argparse

DEFAULT_SETTINGS = "build/settings.json"
"""Where ``make settings`` puts what Terraform made."""
_BEAM_OPTIONS = (
    ("--runner", "NAME", "DirectRunner (this machine, the default), DataflowRunner, PrismRunner or another"),
    ("--direct_num_workers", "N", "worker processes on this machine; 0 for one per core (default: by grid)"),
    ("--job_endpoint", "HOST:PORT", "job server of a portable runner"),
    ("--environment_type", "TYPE", "how a portable runner starts workers: DOCKER, PROCESS or LOOPBACK"),
    ("--temp_location", "URL", "folder for temporary files that all workers can reach"),
    ("--project", "ID", "Google Cloud project of a Dataflow job"),
    ("--region", "NAME", "region of a Dataflow job"),
    ("--sdk_container_image", "IMAGE", "container image of the workers"),
)  # fmt: skip
_DATAFLOW_OPTIONS = (
    ("--machine_type", "TYPE", "machine type of Dataflow workers (default: n2-standard-4)"),
    ("--max_num_workers", "N", "maximum number of workers (default: from chunk count and Bigtable nodes)"),
    ("--disk_size_gb", "N", "disk of a Dataflow worker (default: chosen by Dataflow)"),
)
"""The most common options of Apache Beam: name, what follows it, and help."""


def add_stage(
    parser: argparse.ArgumentParser,
    of_a_graph: bool = True,
    *,
    test: str = "write only the eight chunks at the centre and their parent",
    store: str = "",
    table: str = "a new table",
    replaced: str = "what an earlier run wrote",
) -> None:
    """Add what the commands of all stages take.

    Args:
      parser: the command's.
      of_a_graph: the stage builds a graph, or is given one by name.
      test: what ``--test`` does.
      store: what is in the place that ``--store`` names.
      table: what ``--bigtable-tablets`` divides.
      replaced: what ``--overwrite`` replaces.
    """
    if of_a_graph:
        add_graph(parser, store=store)
    else:
        add_dataset(parser, store=store)
    parser.add_argument("--test", action="store_true", help=test)
    add_app_profile(parser)
    parser.add_argument(
        "--bigtable-tablets",
        metavar="N",
        type=int,
        help=f"number of tablets of {table} (default: from the estimated number of rows)",
    )
    parser.add_argument(
        "--any-region",
        action="store_true",
        help="allow Dataflow workers in a region without a Bigtable cluster",
    )
    parser.add_argument(
        "--yes", action="store_true", help="let --overwrite remove a Bigtable table without asking"
    )
    parser.add_argument(
        "--plan",
        metavar="FILE",
        help="keep this plan, as `plan --json` printed it, with what is made: `costs` compares with it",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help=f"replace {replaced}")
    existing.add_argument("--resume", action="store_true", help="finish what was begun with the same options")


def add_graph(parser: argparse.ArgumentParser, dataset_needed: bool = True, store: str = "") -> None:
    """Add the name of a graph, its dataset file and ``--store``."""
    parser.add_argument("graph_id", metavar="GRAPH_ID", help="name of the graph")
    add_dataset(parser, dataset_needed, store)


def add_dataset(parser: argparse.ArgumentParser, needed: bool = True, store: str = "") -> None:
    """Add the dataset file and ``--store``, whose help may say what is there."""
    parser.add_argument(
        "dataset",
        metavar="DATASET.yml",
        nargs=None if needed else "?",
        help="dataset file, in PyChunkedGraph's format",
    )
    parser.add_argument(
        "--store",
        metavar="PLACE",
        help=f"sqlite:PATH or bigtable:PROJECT/INSTANCE{store} (default: what the dataset file says)",
    )


def add_app_profile(parser: argparse.ArgumentParser) -> None:
    """Add ``--bigtable-app-profile``."""
    parser.add_argument(
        "--bigtable-app-profile",
        metavar="NAME",
        default="",
        help="Bigtable app profile, with single-cluster routing (default: the instance's own)",
    )


def add_settings(parser: argparse.ArgumentParser, more: str = "", default: str | None = None) -> None:
    """Add ``--settings``.

    Args:
      parser: the command's.
      more: what else they are used for.
      default: the file, if the command cannot do without one.
    """
    known = "" if default else f" (default: {DEFAULT_SETTINGS}, if the dataset file names no store)"
    parser.add_argument(
        "--settings",
        metavar="FILE",
        default=default,
        help=f"Terraform's outputs, as make settings writes them{more}{known}",
    )


def add_json(parser: argparse.ArgumentParser, text: str = "print the report as JSON") -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help=text)


def add_beam_help(parser: argparse.ArgumentParser, on_dataflow: bool = False) -> None:
    """Add Apache Beam's most common options, for ``--help`` alone: Beam itself knows them all.

    Args:
      parser: the command's.
      on_dataflow: it runs on Dataflow alone, in a place that it knows.
    """
    group = parser.add_argument_group(
        "common options of Apache Beam", "all others of Apache Beam are accepted too"
    )
    for name, metavar, text in (() if on_dataflow else _BEAM_OPTIONS) + _DATAFLOW_OPTIONS:
        group.add_argument(name, metavar=metavar, help=text)
