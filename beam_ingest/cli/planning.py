"""Making a plan, and showing it: for `plan`, and in short for `check` and `launch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from beam_ingest.checks import listing
from beam_ingest.cli.reporting import run_for_report
from beam_ingest.cli.sizes import count_of, dollars, number_of, size
from beam_ingest.cli.temporary import report_folder, temporary_folder
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
from beam_ingest.plan.ranges import Range
from beam_ingest.plan.regions import choose
from beam_ingest.runners.options import is_local

QUICK_BLOCKS, QUICK_RAW_BLOCKS = 8, 2
"""Blocks of a plan that is made on the way; of raw agglomeration a block takes some hundred files."""
_FATAL = (listing.NONE, listing.GRID, listing.UNLISTED, UNUSABLE)
"""Problems with which a plan would be of something else."""


class Wishes(NamedTuple):
    """What a plan is asked to compare.

    Attributes:
      nodes: sizes of the Bigtable cluster.
      machine_type: of the workers; None for the smallest that does.
      hours: the longest that it may take.
      region: whose prices are taken.
      prices: a file of prices; None for the package's table.
    """

    nodes: Sequence[int] = NODES
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
        plan = PlanJob(job, blocks, report_folder(options, "plan"))
        findings = run_for_report(
            "Plan", PlanDataset(plan), PlanFindings, plan.report, options, {ATOMIC_LAYER: None}
        )
    return plan_of(plan, findings, wishes, prices)


def plan_of(plan: PlanJob, findings: PlanFindings, wishes: Wishes, prices: PriceList | None) -> Plan:
    """The plan that the findings of its run amount to; raises as `make_plan`."""
    job = plan.ingest
    kinds = listing.file_kinds(job.dataset, job.grid, job.raw)[:1]
    listing.conclude(kinds, job.dataset.chunk_size, findings)
    for kind in _FATAL:
        if kind in findings.problems:
            tally = findings.problems[kind]
            more = f" (and {count_of(tally.count - 1, 'more')})" if tally.count > 1 else ""
            raise BeamIngestError(
                f"no plan: {tally.examples[0].line}{more}; beam-ingest check {job.dataset.path} lists all"
            )
    presence = plan.presence(findings)
    found = estimate(presence, findings.samples)
    if not found.supervoxels.expected:
        raise EmptyInputError(f"no plan: {job.dataset.path}: no chunk of the sample has a supervoxel")
    made = bill(job, found, prices, wishes.nodes, wishes.machine_type, wishes.hours)
    present = presence.chunks if findings.present else None
    note = "" if prices else _no_prices(wishes)
    return Plan(job, found, made, present, len(findings.samples), note)


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
    return Plan(job, found, made, None, len(samples), "" if prices else _no_prices(wishes))


def _no_prices(wishes: Wishes) -> str:
    return f"no prices of {wishes.region} are known: --prices FILE gives them"


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


def short_lines(plan: Plan) -> list[str]:
    """A plan in a few lines."""
    of, best = plan.bill.estimates, plan.bill.best or plan.bill.options[-1]
    lines = [
        f"plan: {number(of['rows'])} rows, {between(of['table_bytes'], size)}, "
        f"{number(of['vcpu_hours'])} vCPU hours"
    ]
    money = "" if best.dollars is None else f", {between(best.dollars, dollars)} ({dated(plan)})"
    lines.append(f"  with {best.nodes} Bigtable nodes {between(best.hours, hours)}{money}")
    lines.append(f"  `beam-ingest plan {plan.job.dataset.path}` compares sizes of the cluster")
    return lines


def lines_of(plan: Plan) -> list[str]:
    """All of a plan for people."""
    job, found, made = plan.job, plan.found, plan.bill
    total = job.grid.chunk_count(ATOMIC_LAYER)
    there = "which have files is not known" if plan.present is None else f"{plan.present:,} have files"
    how = (
        "all were built"
        if found.exact
        else f"{found.sampled:,} were built, in {count_of(plan.regions, 'region')}"
    )
    grid = "x".join(map(str, job.grid.chunks))
    lines = [f"grid: {grid} = {total:,} chunks, {job.grid.layer_count} layers; {there}; {how}", ""]
    shows = {"table_bytes": size, "storage_bytes": size, "read_bytes": size, "shuffled_bytes": size}
    lines.append(f"{'':<20}{'expected':>14}   range")
    for name, value in made.estimates.items():
        show = shows.get(name, number_of)
        lines.append(f"{name.replace('_', ' '):<20}{show(value.expected):>14}   {spread(value, show)}")
    lines += [
        "",
        f"{'layer':<7}{'chunks':>12}{'nodes':>12}{'edges':>12}{'edges/face':>12}{'largest':>12}{'memory':>10}",
    ]
    for layer, each in found.layers.items():
        density = "" if each.density is None else f"{each.density.expected:.2f}{'' if each.measured else '*'}"
        numbers = (each.nodes.expected, each.edges.expected)
        lines.append(
            f"{layer:<7}{each.chunks:>12,}{number_of(numbers[0]):>12}{number_of(numbers[1]):>12}{density:>12}"
            f"{number_of(each.largest.expected):>12}{size(made.worker_memory[layer]):>10}"
        )
    if found.fit is not None:
        a, b = found.fit
        lines.append(f"* fitted: {a:.2f} + {b:.2f} / chunks along an axis of a chunk of the layer below")
    lines += [
        "",
        f"machine type {made.machine_type}",
        f"{'nodes':>7}{'workers':>10}{'hours':>10}{'range':>16}   cost",
    ]
    for option in made.options:
        cost = "" if option.dollars is None else between(option.dollars, dollars)
        mark = "  <- cheapest in time" if option is made.best else ""
        lines.append(
            f"{option.nodes:>7}{option.workers:>10}{hours(option.hours.expected, False):>10}"
            f"{spread(option.hours, lambda value: hours(value, False)):>16}   {cost}{mark}"
        )
    if made.best is None:
        lines.append("no size of the cluster is fast enough; --nodes compares others")
    lines.append(plan.note or f"{dated(plan)}, with a month of storage of the table")
    lines += ["", "sources:", *(f"  {name}: {text}" for name, text in made.sources.items())]
    return lines


def dated(plan: Plan) -> str:
    """Which prices these are."""
    prices = plan.bill.prices
    return "" if prices is None else f"list prices of {prices.region} of {prices.day}"


def number(value: Range) -> str:
    """An estimated number in short."""
    return between(value, number_of)


def between(value: Range, show: Any) -> str:
    """What is expected, and its range if it has one."""
    if show(value.low) == show(value.high):
        return str(show(value.expected))
    return f"{show(value.expected)} ({spread(value, show)})"


def spread(value: Range, show: Any) -> str:
    """The range alone."""
    return f"{show(value.low)} to {show(value.high)}"


def hours(value: float, unit: bool = True) -> str:
    """Hours for people."""
    text = f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return f"{text} hours" if unit else text
