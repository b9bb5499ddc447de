"""``beam-ingest costs``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import DEFAULT_SETTINGS, add_graph, add_json, add_settings
from beam_ingest.errors import ConfigError

if TYPE_CHECKING:
    from beam_ingest.plan.prices import PriceList
    from beam_ingest.runners.job_metrics import JobUse
    from beam_ingest.runners.settings import Settings
    from beam_ingest.stages.counts import Counts

_COMPARED = {
    "vcpu_hours": "vCPU hours",
    "shuffled_bytes": "bytes shuffled",
    "node_hours": "Bigtable node hours",
    "rows": "rows",
    "cells": "cells",
    "table_bytes": "bytes in the table",
    "written_bytes": "bytes of files",
}
"""What a plan says, and this command too."""
_FILES = ("prepare", "mesh")
"""Stages whose bytes are those of files, and whose rows are of progress alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_graph(parser, dataset_needed=False)
    parser.add_argument("--region", metavar="NAME", help="whose prices are taken (default: of the settings)")
    parser.add_argument("--prices", metavar="FILE", help="prices in place of the list prices in the package")
    add_settings(parser)
    add_json(parser, "print it as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show what a graph took to build, and what that costs, beside the plan that was made."""
    with importing():
        from beam_ingest.cli.place import bigtable_place, graph_place
        from beam_ingest.dataset import Dataset
        from beam_ingest.format.grid import ChunkGrid
        from beam_ingest.plan.prices import DEFAULT_REGION, price_list
        from beam_ingest.runners.settings import Settings
        from beam_ingest.stages import counts, progress, usage
        from beam_ingest.stages.manifest import read_product
        from beam_ingest.stores import open_store

    settings = None
    if arguments.dataset:
        place = graph_place(arguments, Dataset.from_file(arguments.dataset))
    else:
        settings = Settings.from_file(arguments.settings or DEFAULT_SETTINGS)
        place = bigtable_place(arguments, settings)
    remote = place.startswith("bigtable:")
    if remote and settings is None:
        settings = Settings.from_file(arguments.settings or DEFAULT_SETTINGS)
    region = arguments.region or (settings.region if settings else DEFAULT_REGION)
    prices, note = None, ""
    try:
        prices = price_list(region, arguments.prices)
    except ConfigError as error:
        if arguments.prices or arguments.region:
            raise
        note = str(error)
    with open_store(place) as store:
        manifest = read_product(store, arguments.graph_id)
        begun = Dataset.from_text(manifest.dataset, arguments.dataset or "its dataset file")
        grid = ChunkGrid(manifest.chunks, begun.layer_id_bits, begun.spatial_bits)
        layers = progress.read_status(store, grid, manifest.top)
        runs, plan = usage.read_usage(store), usage.read_plan(store)
        where = store.place
    total = sum((layer.counts for layer in layers), counts.Counts())
    jobs = _jobs(settings, place) if settings is not None and remote else []
    nodes = _nodes(place, region) if jobs else 0
    in_files = manifest.stage in _FILES
    took = _took(jobs, nodes, total, in_files)
    stored = 0 if in_files else total.nbytes
    content = {
        "graph_id": arguments.graph_id,
        "place": where,
        "table": {"rows": total.rows, "cells": total.cells, "nbytes": total.nbytes},
        "jobs": [job._asdict() for job in jobs],
        "nodes": nodes,
        "runs": runs,
        "dollars": _dollars(jobs, nodes, stored, prices) if remote and prices else None,
        "prices": prices.as_dict() if remote and prices else None,
        "compared": {name: {"took": took[name], "planned": _planned(plan, name)} for name in _COMPARED},
    }
    print(json.dumps(content) if arguments.json else "\n".join(_lines(content, note if remote else "")))
    return 0


def _jobs(settings: Settings, place: str) -> list[JobUse]:
    from beam_ingest.runners.job_metrics import jobs_of

    return jobs_of(settings, place)


def _nodes(place: str, region: str) -> int:
    """Bigtable nodes in a region as they are now; 0 where that is not known."""
    from beam_ingest.stores.clusters import read_clusters

    project, instance, *_ = place.removeprefix("bigtable:").split("/")
    return sum(cluster.nodes for cluster in read_clusters(project, instance) if cluster.region == region)


def _took(jobs: list[JobUse], nodes: int, total: Counts, in_files: bool) -> dict[str, float | None]:
    return {
        "vcpu_hours": sum(job.vcpu_hours for job in jobs) if jobs else None,
        "shuffled_bytes": sum(job.shuffled_gb for job in jobs) * 1e9 if jobs else None,
        "node_hours": nodes * sum(job.hours for job in jobs) if nodes else None,
        "rows": None if in_files else total.rows,
        "cells": None if in_files else total.cells,
        "table_bytes": None if in_files else total.nbytes,
        "written_bytes": total.nbytes if in_files else None,
    }


def _planned(plan: dict[str, Any] | None, name: str) -> dict[str, float] | None:
    estimate = (plan or {}).get("estimates", {}).get(name)
    return estimate if isinstance(estimate, dict) else None


def _dollars(jobs: list[JobUse], nodes: int, nbytes: int, prices: PriceList) -> dict[str, float]:
    """US dollars by what they are for."""
    from beam_ingest.plan.prices import billable_shuffle

    shuffled = sum(
        billable_shuffle(job.shuffled_gb) if job.billable_gb is None else job.billable_gb for job in jobs
    )
    parts = {
        "vcpu": prices.cost("dataflow_vcpu", sum(job.vcpu_hours for job in jobs)),
        "memory": prices.cost("dataflow_memory", sum(job.memory_gb_hours for job in jobs)),
        "shuffle": prices.cost("dataflow_shuffle", shuffled),
        "bigtable_nodes": prices.cost("bigtable_node", nodes * sum(job.hours for job in jobs)),
        "storage_month": prices.cost("bigtable_ssd", nbytes / (1 << 30)),
    }
    return parts | {"total": sum(parts.values())}


def _lines(content: dict[str, Any], note: str) -> list[str]:
    from beam_ingest.cli.sizes import dollars, number_of, size

    lines = [f"graph {content['graph_id']} in {content['place']}"]
    lines += [
        f"  job {job['job_id']} {job['state']}: {job['hours']:.2f} hours, {job['vcpu_hours']:.2f} vCPU "
        f"hours, {job['memory_gb_hours']:.2f} GB hours of memory, {job['shuffled_gb']:.2f} GB shuffled"
        for job in content["jobs"]
    ]
    for number, run in enumerate(content["runs"], start=1):
        lines.append(f"  run {number} here")
        lines += [
            f"    layer {layer['layer']:<3} {layer['cpu_seconds']:>10,.1f} s of CPU "
            f"{layer['wall_seconds']:>10,.1f} s {size(layer['nbytes']):>10} written, "
            f"{size(layer['peak_bytes'])} of memory at most"
            for layer in run
        ]
    if not content["jobs"] and not content["runs"]:
        lines.append("  no runs are recorded")
    lines += ["", f"{'':<22}{'took':>14}{'planned':>14}   range"]
    for name, text in _COMPARED.items():
        took, planned = content["compared"][name]["took"], content["compared"][name]["planned"]
        if took is None and planned is None:
            continue
        show = size if "bytes" in name else number_of
        said = "" if planned is None else show(planned["expected"])
        between = "" if planned is None else f"{show(planned['low'])} to {show(planned['high'])}"
        lines.append(f"{text:<22}{'' if took is None else show(took):>14}{said:>14}   {between}".rstrip())
    if all(both["planned"] is None for both in content["compared"].values()):
        lines.append("no plan was kept with this graph (--plan FILE of graph and launch keeps one)")
    if content["dollars"]:
        lines.append("")
        for name, value in content["dollars"].items():
            lines.append(f"{name.replace('_', ' '):<22}{dollars(value):>14}")
        prices = content["prices"]
        lines.append(
            f"list prices of {prices['region']} of {prices['day']}; nodes are {content['nodes']}, as now; "
            "storage before compression"
        )
    elif note:
        lines.append(note)
    return lines
