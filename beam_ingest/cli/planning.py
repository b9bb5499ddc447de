"""Making a plan of a graph: for `plan`, and a quick one for `check` and `launch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from beam_ingest.checks import listing
from beam_ingest.cli.reporting import run_for_report
from beam_ingest.cli.temporary import report_folder, temporary_folder
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ConfigError, EmptyInputError
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.ingest.job import IngestJob
from beam_ingest.plan.bill import NODES, Bill, bill
from beam_ingest.plan.estimate import Estimate, estimate
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.measure import measure
from beam_ingest.plan.plan_dataset import UNUSABLE, PlanDataset, PlanJob
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.prices import DEFAULT_REGION, PriceList, price_list
from beam_ingest.plan.regions import choose
from beam_ingest.plan.samplers import GraphSampler, listed_kind
from beam_ingest.runners.options import is_local

QUICK_BLOCKS, QUICK_RAW_BLOCKS = 8, 2
"""Blocks of a plan that is made on the way; of raw agglomeration a block takes some hundred files."""
_FATAL = (listing.NONE, listing.GRID, listing.UNLISTED, UNUSABLE)
"""Problems with which a plan would be of something else."""


class Wishes(NamedTuple):
    """What a plan is asked to compare.

    Attributes:
      nodes: sizes of the Bigtable cluster.
      workers: numbers of workers, of stages that write files.
      machine_type: of the workers; None for the smallest that does.
      hours: the longest that it may take.
      region: whose prices are taken.
      prices: a file of prices; None for the package's table.
    """

    nodes: Sequence[int] = NODES
    workers: Sequence[int] | None = None
    machine_type: str | None = None
    hours: float | None = None
    region: str = DEFAULT_REGION
    prices: str | None = None


class Plan(NamedTuple):
    """A plan.

    Attributes:
      job: the job that it is for.
      found: the estimate.
      bill: what it takes, and costs.
      present: chunks that have files; None where that is not known.
      regions: how many regions were built.
      note: why no money is shown, if none is.
    """

    job: IngestJob
    found: Estimate
    bill: Bill
    present: int | None
    regions: int
    note: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        layers = [
            {
                "layer": layer,
                "chunks": each.chunks,
                **{
                    name: getattr(each, name).as_dict()
                    for name in ("nodes", "edges", "rows", "cells", "nbytes", "shuffled", "largest")
                },
                "edges_per_face": None if each.density is None else each.density.as_dict(),
                "measured": each.measured,
                "memory_bytes": self.bill.worker_memory[layer],
            }
            for layer, each in self.found.layers.items()
        ]
        head = {
            "stage": self.job.stage,
            "dataset": self.job.dataset.path,
            "raw": self.job.raw,
            "grid": self.job.grid.chunks,
            "chunks": self.job.grid.chunk_count(ATOMIC_LAYER),
            "chunks_with_files": self.present,
            "sampled_chunks": self.found.sampled,
            "exact": self.found.exact,
            "fit": self.found.fit,
        }
        return head | self.bill.as_dict() | {"layers": layers}


def make_plan(
    job: IngestJob, blocks: int, options: Mapping[str, Any], wishes: Wishes, prices: PriceList | None
) -> Plan:
    """Run a plan to its end.

    Args:
      job: the job that would build the graph.
      blocks: how many blocks of chunks are built.
      options: options of Apache Beam by name.
      wishes: what is compared.
      prices: what things cost, if that is known.

    Raises:
      BeamIngestError: when files of the sample cannot be used, or the run fails.
      EmptyInputError: when there is nothing to build from.
    """
    with temporary_folder(is_local(options)):
        plan = PlanJob(GraphSampler(job, blocks), report_folder(options, "plan"))
        findings = run_plan(plan, job.dataset, options)
    presence = plan.presence(findings)
    found = estimate(presence, findings.samples)
    if not found.supervoxels.expected:
        raise EmptyInputError(f"no plan: {job.dataset.path}: no chunk of the sample has a supervoxel")
    made = bill(job, found, prices, wishes.nodes, wishes.machine_type, wishes.hours)
    present = presence.chunks if findings.present else None
    return Plan(job, found, made, present, len(findings.samples), note_on(prices, wishes))


def run_plan(plan: PlanJob, dataset: Dataset, options: Mapping[str, Any]) -> PlanFindings:
    """The findings of a plan's run; raises as `make_plan`."""
    totals = {ATOMIC_LAYER: None}
    findings = run_for_report("Plan", PlanDataset(plan), PlanFindings, plan.report, options, totals)
    kind = listed_kind(plan.sampler)
    if kind is not None:
        listing.conclude([kind], dataset.chunk_size, findings)
    for problem in _FATAL:
        if problem in findings.problems:
            tally = findings.problems[problem]
            more = f" (and {tally.count - 1:,} more)" if tally.count > 1 else ""
            raise BeamIngestError(
                f"no plan: {tally.examples[0].line}{more}; beam-ingest check {dataset.path} lists all"
            )
    return findings


def quick_plan(job: IngestJob, wishes: Wishes) -> Plan:
    """A plan of few blocks, made at once and in this process: names are not listed, so ranges are wide.

    Raises:
      BeamIngestError: when files of the sample cannot be used or read.
    """
    presence = Presence.full(job.grid)
    blocks = QUICK_RAW_BLOCKS if job.raw else QUICK_BLOCKS
    samples = [measure(job, region) for region in choose(presence, blocks)]
    found = estimate(presence, samples)
    if not found.supervoxels.expected:
        raise EmptyInputError(f"{job.dataset.path}: no chunk of the sample has a supervoxel")
    prices = known_prices(wishes)
    made = bill(job, found, prices, wishes.nodes, wishes.machine_type, wishes.hours)
    return Plan(job, found, made, None, len(samples), note_on(prices, wishes))


def note_on(prices: PriceList | None, wishes: Wishes) -> str:
    """Why no money is shown, if none is."""
    return "" if prices else f"no prices of {wishes.region} are known: --prices FILE gives them"


def known_prices(wishes: Wishes) -> PriceList | None:
    """The prices of the region; None when the table has none of it.

    Raises:
      ConfigError: when the file of prices is wrong.
    """
    try:
        return price_list(wishes.region, wishes.prices)
    except ConfigError:
        if wishes.prices is not None:
            raise
        return None
