"""``beam-ingest chunk``."""

from __future__ import annotations

import argparse
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_graph, add_settings
from beam_ingest.cli.sizes import count_of, size
from beam_ingest.errors import BeamIngestError, ConfigError

if TYPE_CHECKING:
    from beam_ingest.format.grid import Coordinates
    from beam_ingest.ingest.job import IngestJob

_SHOWN_FILES = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_graph(parser)
    add_settings(parser)
    parser.add_argument("layer", metavar="LAYER", type=int, help="its layer, 2 or above")
    for axis in "xyz":  # one each: argparse takes no tuple as the metavar of a positional
        parser.add_argument(axis, metavar=axis.upper(), type=int, help=f"its coordinate along {axis}")


def run(arguments: argparse.Namespace) -> int:
    """Build one chunk and show everything about it."""
    with importing():
        from beam_ingest.cli.place import graph_place
        from beam_ingest.dataset import Dataset
        from beam_ingest.format.grid import ATOMIC_LAYER, chunk_name
        from beam_ingest.ingest.contradictions import Contradictions
        from beam_ingest.ingest.job import make_job
        from beam_ingest.ingest.replay import build_chunk, chunks_below, read_inputs
        from beam_ingest.stages import progress
        from beam_ingest.stages.manifest import read_graph
        from beam_ingest.stores import open_store

    dataset = Dataset.from_file(arguments.dataset)
    url = graph_place(arguments, dataset)
    with open_store(url) as store:
        options = read_graph(store, arguments.graph_id).options
    job = replace(make_job(arguments.graph_id, dataset, url, **options), test=False)
    layer, coords = arguments.layer, (arguments.x, arguments.y, arguments.z)
    _check_place(job, layer, coords)
    below = chunks_below(job.grid, layer, coords)
    inputs = below[ATOMIC_LAYER]
    read = count_of(len(inputs), "chunk")
    print(f"chunk {chunk_name(coords)} of layer {layer}, from the files of {read} of layer 2")
    try:
        contents = read_inputs(job, inputs)
        for at, edges, components in contents[:_SHOWN_FILES]:
            for file, data in zip(Contradictions(job).files(at), (edges, components), strict=True):
                found = (
                    size(len(data)) if isinstance(data, bytes) else "absent" if data is None else "unreadable"
                )
                print(f"  read   {file}  {found}")
        if len(contents) > _SHOWN_FILES:
            print(f"  ...    and {len(contents) - _SHOWN_FILES} more chunks")
        built = build_chunk(job, layer, coords, contents)
    except BeamIngestError:
        traceback.print_exc()
        raise
    counts = built.counts
    print(f"  edges  {counts.edges:,}, supervoxels {counts.supervoxels:,}, nodes {counts.nodes:,}")
    for column in built.cells:
        name = f"{column.name.family}:{column.name.qualifier.decode()}"
        print(f"  write  {name}  {count_of(column.keys.size, 'cell')}, {size(column.nbytes)}")
    sent = count_of(len(built.messages), "message")
    print(f"  send   {sent} to the layer above, {size(sum(len(data) for _, data in built.messages))}")
    _compare(job, layer, coords, progress.checksum(built.cells))
    print("Nothing was written")
    return 0


def _check_place(job: IngestJob, layer: int, coords: Coordinates) -> None:
    from beam_ingest.format.grid import ATOMIC_LAYER, chunk_name

    grid = job.grid
    if not ATOMIC_LAYER <= layer <= grid.root_layer:
        raise ConfigError(f"layer {layer}: expected {ATOMIC_LAYER} to {grid.root_layer}")
    bounds = grid.bounds(layer)
    if not all(0 <= at < n for at, n in zip(coords, bounds, strict=True)):
        raise ConfigError(
            f"chunk {chunk_name(coords)}: layer {layer} has {chunk_name(bounds).replace('_', ' x ')} chunks"
        )


def _compare(job: IngestJob, layer: int, coords: Coordinates, checksum: int) -> None:
    """Print whether the graph has the same chunk."""
    from beam_ingest.stages import progress

    root = layer == job.grid.root_layer
    key = progress.ROOT_EDGES_KEY if root else progress.chunk_key(job.grid.chunk_id(layer, coords))
    with job.open_store() as store:
        done = progress.read_done(store, [key])
    if not done:
        print("  graph  does not have this chunk yet")
    else:
        same = done[key] == checksum
        cells = "has the same cells" if same else "has other cells: the input has changed"
        print(f"  graph  {cells}")
