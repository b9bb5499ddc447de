"""``graph --all-supervoxels``: supervoxels that the watershed alone has become nodes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from cloudvolume import CloudVolume

from beam_ingest.format.grid import ChunkGrid
from beam_ingest.inputs.edges import GROUPS, ChunkEdges, Edges, decode_chunk_edges, encode_chunk_edges
from tests.conftest import GRID, Cli
from tests.graphs import ingest, pinky256, read_cells
from tests.oracle.cells import Cells

CHUNK_SIZE = 16


def hidden(dataset: Path) -> list[int]:
    """Hides two supervoxels, of a chunk at the centre and of one at the end; gives all that no edge mentions.

    The last neighbour of some others is gone with them.
    """
    voxels = np.asarray(CloudVolume((dataset.parent / "ws").as_uri(), progress=False)[:])[..., 0]
    labels = []
    for x in (1, 3):
        box = np.unique(voxels[x * CHUNK_SIZE : (x + 1) * CHUNK_SIZE, :CHUNK_SIZE, :CHUNK_SIZE])
        labels.append(int(box[box.size // 2]))
    mentioned: set[int] = set()
    for file in (dataset.parent / "edges").glob("*.zst"):
        edges = decode_chunk_edges(file.read_bytes(), file.name, "")
        kept = {}
        for name in GROUPS:
            group = getattr(edges, name)
            which = ~(np.isin(group.node_ids1, labels) | np.isin(group.node_ids2, labels))
            kept[name] = Edges(*(column[which] for column in vars(group).values()))
        file.write_bytes(encode_chunk_edges(ChunkEdges(**kept)))
        mentioned |= {n for group in kept.values() for n in group.node_ids1.tolist()}
        mentioned |= set(kept["in_chunk"].node_ids2.tolist())
    found = set(np.unique(voxels).tolist()) - {0} - mentioned
    assert found >= set(labels)
    return sorted(found)


def with_own_edges(dataset: Path, labels: list[int]) -> Path:
    """A copy of the dataset in which each supervoxel has an edge to itself, as PyChunkedGraph ingests it."""
    copy = shutil.copytree(dataset.parent, dataset.parent.with_name("own")) / dataset.name
    for label in labels:
        x, y, z = ChunkGrid(GRID.chunks).coords(np.array([label], np.uint64), 1)[0].tolist()
        file = copy.parent / "edges" / f"edges_{x}_{y}_{z}.proto.zst"
        edges = decode_chunk_edges(file.read_bytes(), file.name, "")
        own = np.array([label], np.uint64)
        columns = (own, own, np.zeros(1, np.float32), np.zeros(1, np.uint64))
        joined = zip(vars(edges.in_chunk).values(), columns, strict=True)
        inside = Edges(*(np.concatenate(pair) for pair in joined))
        file.write_bytes(encode_chunk_edges(ChunkEdges(inside, edges.cross_chunk, edges.between_chunk)))
    return copy


def cells(dataset: Path, store: Path, *options: str) -> Cells:
    assert ingest(dataset, store, *options) == 0
    return {key: value for key, value in read_cells(store).items() if key[0] != b"meta"}


def test_they_have_the_cells_that_edges_to_themselves_give(sample: Path, tmp_path: Path, cli: Cli) -> None:
    labels = hidden(sample)
    expected = cells(with_own_edges(sample, labels), tmp_path / "expected.sqlite")
    store = tmp_path / "all.sqlite"
    found = cells(sample, store, "--all-supervoxels")
    assert found == expected
    rows = {b"%020d" % label for label in labels}
    assert rows <= {key for key, *_ in found}
    place = ("--store", f"sqlite:{store}")
    verified = cli("verify", "graph", sample, *place)
    assert verified.status == 0
    (line,) = (line for line in verified.out.splitlines() if line.startswith("of the watershed alone"))
    assert line.split()[-1] == str(len(labels))
    # In the table's manifest, the option decides what is expected; a resume has to name it.
    assert "--all-supervoxels True, not False" in cli.refused("graph", "graph", sample, "--resume", *place)
    outcome = cli("chunk", "graph", sample, "2", "1", "0", "0", *place)
    assert "graph  has the same cells" in outcome.out
    # A test has the rows of the whole graph, also where neighbours have such supervoxels.
    part = cells(sample, tmp_path / "part.sqlite", "--all-supervoxels", "--test")
    assert part.items() < found.items()
    assert cli("verify", "graph", sample, "--store", f"sqlite:{tmp_path / 'part.sqlite'}").status == 0


def test_the_summary_says_what_it_costs(sample: Path, cli: Cli) -> None:
    hidden(sample)
    block = sorted((sample.parent / "ws").glob("*/*"))[-1]
    block.unlink()  # of the upper corner, which writers leave out where all is background
    said = cli("graph", "g", sample, "--raw", "--overwrite", "--all-supervoxels").out
    voxels = np.prod(GRID.chunks) * CHUNK_SIZE**3
    assert f"watershed    {voxels:,} voxels read to find them: layer 2 took " in said
    assert "added        " in said
    assert "absent       1 blocks of the watershed, taken as background" in said
    assert cli("verify", "g", sample).status == 0


def test_what_cannot_be_a_watershed_of_the_chunks_is_one_line(sample: Path, cli: Cli) -> None:
    volume = CloudVolume((sample.parent / "ws").as_uri(), progress=False)
    voxels = volume[:CHUNK_SIZE, :CHUNK_SIZE, :CHUNK_SIZE]
    volume[:CHUNK_SIZE, :CHUNK_SIZE, :CHUNK_SIZE] = np.where(voxels > 0, 7, 0).astype(np.uint64)
    damaged = sorted((sample.parent / "ws").glob("*/*"))[-1]
    damaged.write_bytes(b"damaged")
    outcome = cli("graph", "g", sample, "--all-supervoxels")
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    assert (
        "chunk 0_0_0: expected supervoxels of this chunk in its box, found 1 that are not, such as 7; "
        "correct CHUNK_SIZE or SPATIAL_BITS" in outcome.err
    )
    assert "chunk 3_1_1: expected voxels that can be read, found an error: " in outcome.err
    assert cli("graph", "g", sample, "--overwrite").status == 0  # which reads no voxel


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_real_sample_has_one(tmp_path: Path, cli: Cli) -> None:
    dataset, store = pinky256() / "dataset.yml", f"sqlite:{tmp_path / 'graph.sqlite'}"
    said = cli("graph", "g", dataset, "--store", store, "--all-supervoxels").out
    assert "supervoxels  13,855\n  added        1 supervoxels of the watershed" in said
    assert "roots        539" in said
    assert cli("verify", "g", dataset, "--store", store).status == 0
