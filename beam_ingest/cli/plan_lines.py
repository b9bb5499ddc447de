"""Plans for people: all of one, or a few lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from beam_ingest.cli.planning import Plan
from beam_ingest.cli.sizes import count_of, dollars, number_of, size
from beam_ingest.cli.stage_planning import StagePlan
from beam_ingest.plan.bill import Bill, Option
from beam_ingest.plan.prepare_sample import PrepareSampler
from beam_ingest.plan.prices import PriceList
from beam_ingest.plan.ranges import Range

Show = Callable[[float], str]


def short_lines(plan: Plan | StagePlan) -> list[str]:
    """A plan in a few lines."""
    made = plan.bill
    of, best = made.estimates, made.best or made.options[-1]
    what = (
        [f"{number(of['rows'])} rows", between(of["table_bytes"], size)]
        if "rows" in of
        else [f"{number(of['written_files'])} files", between(of["written_bytes"], size)]
    )
    money = "" if best.dollars is None else f", {between(best.dollars, dollars)} ({dated(made.prices)})"
    stage = "" if isinstance(plan, Plan) else f" --stage {plan.stage}"
    compared = "sizes of the cluster" if made.by_nodes else "numbers of workers"
    what.append(f"{number(of['vcpu_hours'])} vCPU hours")
    return [
        f"plan: {', '.join(what)}",
        f"  with {_counted(made, best)} {between(best.hours, hours)}{money}",
        f"  `beam-ingest plan {plan.job.dataset.path}{stage}` compares {compared}",
    ]


def _counted(made: Bill, option: Option) -> str:
    if made.by_nodes:
        return count_of(option.nodes, "Bigtable node")
    return count_of(option.workers, "worker")


def lines_of(plan: Plan) -> list[str]:
    """All of a graph's plan."""
    job, found, made = plan.job, plan.found, plan.bill
    built = f"{found.sampled:,} were built, in {count_of(plan.regions, 'region')}"
    how = "all were built" if found.exact else built
    lines = [
        _grid(job.grid.chunks, job.grid.layer_count, _there(plan.present), how),
        "",
        *_estimates(made.estimates),
    ]
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
    return [*lines, *_options(made, plan.note)]


def lines_of_stage(plan: StagePlan) -> list[str]:
    """All of the plan of another stage."""
    job, found, made = plan.job, plan.found, plan.bill
    how = "all were measured" if found.exact else f"{found.sampled:,} were measured"
    if plan.cropped:
        how += ", in part"
    there = "" if isinstance(plan.sampler, PrepareSampler) else _there(plan.present)
    lines = [_grid(job.grid.chunks, job.grid.layer_count, there, how), "", *_estimates(made.estimates)]
    name = plan.sampler.nodes_are
    lines += ["", f"{'layer':<7}{'chunks':>12}{name:>12}{'bytes':>12}{'vCPU hours':>12}{'memory':>10}"]
    for layer, each in found.layers.items():
        mark = "" if each.measured else "*"
        taken = made.vcpu_hours_by_layer[layer].expected
        lines.append(
            f"{layer:<7}{each.chunks:>12,}{number_of(each.amounts['nodes'].expected) + mark:>12}"
            f"{size(each.amounts['nbytes'].expected) + mark:>12}{number_of(taken) + mark:>12}"
            f"{size(made.worker_memory[layer]):>10}"
        )
    if not all(each.measured for each in found.layers.values()):
        lines.append("* no chunk of the sample reaches the layer: by the layer below")
    return [*lines, *_options(made, plan.note)]


def _grid(chunks: tuple[int, int, int], layers: int, there: str, how: str) -> str:
    total = chunks[0] * chunks[1] * chunks[2]
    return f"grid: {'x'.join(map(str, chunks))} = {total:,} chunks, {layers} layers; {there}{how}"


def _there(present: int | None) -> str:
    return "which have files is not known; " if present is None else f"{present:,} have files; "


def _estimates(estimates: Mapping[str, Range]) -> list[str]:
    lines = [f"{'':<20}{'expected':>14}   range"]
    for name, value in estimates.items():
        show = size if name.endswith("_bytes") else number_of
        line = f"{name.replace('_', ' '):<20}{show(value.expected):>14}   {spread(value, show)}"
        lines.append(line.rstrip())
    return lines


def _options(made: Bill, note: str) -> list[str]:
    """The table of options, and what figures are from."""
    head = f"{'nodes':>7}{'workers':>10}" if made.by_nodes else f"{'workers':>10}"
    lines = ["", f"machine type {made.machine_type}", f"{head}{'hours':>10}{'range':>18}   cost"]
    for option in made.options:
        cost = "" if option.dollars is None else between(option.dollars, dollars)
        mark = "  (recommended)" if option is made.best else ""
        counts = f"{option.nodes:>7}{option.workers:>10}" if made.by_nodes else f"{option.workers:>10}"
        range_of_hours = spread(option.hours, bare_hours)
        line = f"{counts}{bare_hours(option.hours.expected):>10}{range_of_hours:>18}   {cost}{mark}"
        lines.append(line.rstrip())
    if made.best is None:
        lines.append(
            "no size of the cluster is fast enough; --nodes compares others"
            if made.by_nodes
            else "no number of workers is fast enough; --workers compares others"
        )
    storage = ", with a month of storage of the table" if made.by_nodes else ", without storage of the files"
    lines.append(note or f"{dated(made.prices)}{storage}")
    return [*lines, "", "sources:", *(f"  {name}: {text}" for name, text in made.sources.items())]


def dated(prices: PriceList | None) -> str:
    """Which prices these are."""
    return "" if prices is None else f"list prices of {prices.region} of {prices.day}"


def number(value: Range) -> str:
    """An estimated number in short."""
    return between(value, number_of)


def between(value: Range, show: Show) -> str:
    """What is expected, and its range if it has one."""
    found = spread(value, show)
    return f"{show(value.expected)} ({found})" if found else show(value.expected)


def spread(value: Range, show: Show) -> str:
    """The range alone; nothing where its ends are shown alike."""
    low, high = show(value.low), show(value.high)
    return "" if low == high else f"{low} to {high}"


def hours(value: float) -> str:
    """Hours for people, with their unit."""
    return f"{bare_hours(value)} hours"


def bare_hours(value: float) -> str:
    """Hours for people."""
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
