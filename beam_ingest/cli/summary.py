"""What ``graph`` prints at its end."""

from __future__ import annotations

from beam_ingest.cli.sizes import size
from beam_ingest.ingest.job import IngestJob
from beam_ingest.stages.progress import Counts, LayerStatus


def print_summary(job: IngestJob, place: str, layers: list[LayerStatus], seconds: float) -> None:
    """What was built, and where it is."""
    for status in layers:
        print(status.line)
    total = sum((status.counts for status in layers), Counts())
    nodes = ", ".join(f"{s.counts.nodes:,} at layer {s.layer}" for s in layers[:-1])
    kind = "test of graph" if job.test else "graph"
    print(f"\nbuilt {kind} {job.graph_id} (PyChunkedGraph {job.graph_version}) in {seconds:.1f} s")
    print(f"  supervoxels  {total.supervoxels:,}")
    if job.all_supervoxels:
        spent = layers[0].milliseconds / 1000
        print(f"  added        {total.unmentioned:,} supervoxels of the watershed that no edge mentions")
        print(
            f"  watershed    {total.voxels:,} voxels read to find them: layer 2 took {spent:,.1f} s of work"
        )
        if total.unstored:
            print(f"  absent       {total.unstored:,} blocks of the watershed, taken as background")
    print(f"  nodes        {nodes}")
    print(f"  edges        {total.joined:,} of {total.between:,} between chunks are active")
    print(f"  roots        {layers[-1].counts.nodes:,}")
    print(f"  rows         {total.rows:,} of {total.cells:,} cells, {size(total.nbytes)}")
    if total.empty:
        print(f"  empty files  {total.empty:,} edges files of no bytes, taken as files without edges")
    if total.missing:
        print(f"  absent files {total.missing:,}, taken as empty chunks (--require-files refuses them)")
    if job.raw and job.dataset.edges:
        print(f"  edges        {job.dataset.edges}")
    if job.raw and job.dataset.components:
        print(f"  components   {job.dataset.components}")
    print(f"  in           {place}")
