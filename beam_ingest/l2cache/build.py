"""From a chunk of the graph and its voxels to the rows of its nodes. No Beam."""

from __future__ import annotations

from dataclasses import dataclass

from beam_ingest.arrays import Ids
from beam_ingest.errors import InputError
from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates, chunk_name
from beam_ingest.format.table import Cells
from beam_ingest.inputs.voxels import Voxels, WatershedVoxels
from beam_ingest.l2cache.attributes import node_attributes
from beam_ingest.l2cache.cells import node_cells
from beam_ingest.l2cache.job import L2CacheJob
from beam_ingest.l2cache.numbering import NumberedNodes, number_nodes
from beam_ingest.l2cache.totals import Totals
from beam_ingest.stages.finished import read_chunk_nodes
from beam_ingest.stages.progress import Counts
from beam_ingest.stores.base import Store


@dataclass(frozen=True, eq=False)
class CachedChunk:
    """What came of one chunk.

    Attributes:
      cells: its cells, not yet written.
      counts: what it counts for.
    """

    cells: Cells
    counts: Counts


def cache_chunk(
    job: L2CacheJob, graph: Store, watershed: WatershedVoxels, coords: Coordinates
) -> CachedChunk:
    """Compute the rows of a chunk.

    Args:
      job: the job.
      graph: the store of its graph.
      watershed: its volume.
      coords: the chunk.

    Raises:
      InputError: when voxels of the chunk are missing or cannot be read.
      StoreError: when the graph cannot be read.
    """
    return cache_nodes(job, watershed, coords, *read_chunk_nodes(graph, job.grid, coords))


def cache_nodes(
    job: L2CacheJob, watershed: WatershedVoxels, coords: Coordinates, supervoxels: Ids, parents: Ids
) -> CachedChunk:
    """Compute the rows of a chunk whose nodes are known; the further arguments as of `cache_chunk`.

    Args:
      supervoxels: of the chunk, ascending, shape (n,), uint64.
      parents: the node of each, shape (n,), uint64.

    Raises:
      InputError: when voxels of the chunk are missing or cannot be read.
    """
    if not supervoxels.size:  # an empty chunk is done without looking at voxels
        return CachedChunk([], Counts())
    voxels = watershed.read(coords, [c * n for c, n in zip(coords, job.shape, strict=True)], job.shape)
    numbered = number_nodes(voxels.ids, supervoxels, parents)
    _check_voxels(job, coords, voxels, numbered)
    del voxels  # the largest of the arrays
    count = int(numbered.nodes.size)
    totals = Totals(absent=int(numbered.absent.size), unknown=int(numbered.unknown.size))
    cells: Cells = []
    if count:
        found = node_attributes(numbered.numbers, count, job.resolution)
        cells, clamped = node_cells(numbered.nodes, found)
        totals += Totals(clamped=clamped)
    cells += totals.cells(job.grid.chunk_id(ATOMIC_LAYER, coords))
    counts = Counts(
        supervoxels=int(supervoxels.size),
        nodes=count,
        rows=count,
        cells=sum(column.keys.size for column in cells),
        nbytes=sum(column.nbytes for column in cells),
    )
    return CachedChunk(cells, counts)


def _check_voxels(job: L2CacheJob, coords: Coordinates, voxels: Voxels, numbered: NumberedNodes) -> None:
    """Refuse another graph's voxels, and blocks that are not stored where nodes have no voxel.

    Writers leave out blocks of background alone.

    At levels above mip 0 small nodes may have no voxel for a good reason.
    """
    lost, others = numbered.absent, numbered.unknown
    if lost.size and others.size and not numbered.nodes.size and not job.dataset.cv_mip:
        raise InputError(
            job.dataset.watershed,
            chunk_name(coords),
            f"supervoxels of the {lost.size:,} nodes that the graph has here",
            f"{others.size:,} others alone, such as {others[0]}",
            "name the volume of the graph as data_source.WATERSHED, or write it again",
        )
    if voxels.stored or not lost.size or (job.dataset.cv_mip and numbered.nodes.size):
        return
    raise InputError(
        job.dataset.watershed,
        chunk_name(coords),
        "voxels of every node of the graph",
        f"none of {lost.size:,} nodes, such as {lost[0]}, and blocks that are not stored",
        "write the missing blocks",
    )
