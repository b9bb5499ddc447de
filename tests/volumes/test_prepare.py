"""``beam-ingest prepare``: from volumes to files, and from these to a graph."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import fastremap
import numpy as np
import pytest
from cloudvolume import CloudVolume

from beam_ingest.inputs.components import decode_components
from beam_ingest.inputs.edges import decode_chunk_edges
from beam_ingest.stages import tallies
from tests.conftest import Cli
from tests.graphs import pinky256, prism, read_cells
from tests.oracle.files import edge_fields, load
from tests.oracle.model import Grid
from tests.stages.test_kill import kill, start
from tests.stages.test_resume import until
from tests.volumes.datasets import (
    OFFSET,
    RESOLUTION,
    SIZE,
    make_volumes,
    named_pieces,
    outputs,
    write_dataset,
    write_volume,
)
from tests.volumes.oracle import Piece, expect


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes in a folder, and a dataset file; nothing is prepared."""
    folder = tmp_path_factory.mktemp("volumes")
    supervoxels, segmentation = make_volumes()
    affinities = np.random.default_rng(3).random((*supervoxels.shape, 3)).astype(np.float32)
    write_volume(folder / "supervoxels", supervoxels, encoding="compressed_segmentation")
    write_volume(folder / "segmentation", segmentation, block=(8, 8, 32))
    write_volume(folder / "affinities", affinities)
    write_volume(folder / "affinities8", (affinities * 255).astype(np.uint8))
    return write_dataset(
        folder,
        {"SUPERVOXELS": "./supervoxels", "SEGMENTATION": "./segmentation", "AFFINITIES": "./affinities"},
    )


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    """A copy of the volumes and the dataset file."""
    return shutil.copytree(made.parent, tmp_path / "dataset") / made.name


@pytest.fixture(scope="module")
def prepared(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The volumes, prepared undisturbed in one go; beside them what was said of it."""
    from beam_ingest.cli import main

    path = shutil.copytree(made.parent, tmp_path_factory.mktemp("prepared") / "dataset") / made.name
    with redirect_stdout(StringIO()) as said:
        assert main(["prepare", str(path)]) == 0
    (path.parent / "summary.txt").write_text(said.getvalue())
    return path


def contacts(dataset: Path, pieces: dict[int, Piece]) -> dict[tuple[str, Piece, Piece], tuple[int, float]]:
    """All edges of all files: group and the two pieces → area and affinity."""
    found = {}
    for file in sorted((dataset.parent / "edges").glob("*.zst")):
        edges = decode_chunk_edges(file.read_bytes(), file.name, "")
        for group in ("in_chunk", "cross_chunk", "between_chunk"):
            columns = vars(getattr(edges, group)).values()
            for one, two, affinity, area in zip(*(column.tolist() for column in columns), strict=True):
                assert (group, pieces[one], pieces[two]) not in found
                assert file.name == "edges_{}_{}_{}.proto.zst".format(*pieces[one][0])
                found[group, pieces[one], pieces[two]] = (area, affinity)
    return found


def test_files_are_what_the_voxels_say(prepared: Path) -> None:
    supervoxels, segmentation = make_volumes()
    affinities = np.random.default_rng(3).random((*supervoxels.shape, 3)).astype(np.float32)
    expected = expect(supervoxels, SIZE, segmentation, affinities)
    pieces = named_pieces(prepared, supervoxels)
    assert sorted(pieces.values()) == sorted(expected.pieces)
    segments = expected.segments()
    assert all(node & ((1 << 26) - 1) == segments[piece] for node, piece in pieces.items())
    wanted: dict[tuple[str, Piece, Piece], tuple[int, float]] = {}
    for (a, b), area in expected.area.items():
        mean = expected.affinity[a, b] / area
        if a[0] == b[0]:
            wanted["in_chunk", a, b] = (area, mean)
        else:
            kind, value = ("cross_chunk", np.inf) if a[1] == b[1] else ("between_chunk", mean)
            wanted[kind, a, b] = wanted[kind, b, a] = (area, value)
    for piece in set(expected.pieces) - expected.touching():
        wanted["in_chunk", piece, piece] = (0, 0.0)
    found = contacts(prepared, pieces)
    assert found.keys() == wanted.keys()
    assert Counter(kind for kind, *_ in found).keys() == {"in_chunk", "cross_chunk", "between_chunk"}
    for key, (area, mean) in wanted.items():
        assert found[key] == (area, pytest.approx(mean, rel=1e-6))
    for file in (prepared.parent / "components").iterdir():
        mapping = decode_components(file.read_bytes(), file.name, "")
        labels = [expected.pieces[pieces[node]] for node in mapping.ids.tolist()]
        assert 0 not in labels
        assert len(set(zip(mapping.components.tolist(), labels, strict=True))) == len(set(labels))


def test_files_have_the_fields_that_pychunkedgraph_reads(prepared: Path) -> None:
    files = sorted((prepared.parent / "edges").glob("*.zst"))
    assert len(files) == 12
    for file in files:
        fields = edge_fields(file.read_bytes())
        edges = vars(decode_chunk_edges(file.read_bytes(), file.name, ""))
        for number, group in enumerate(("in_chunk", "cross_chunk", "between_chunk"), 1):
            names = {"node_ids1": "<u8", "node_ids2": "<u8", "affinities": "<f4", "areas": "<u8"}
            columns = [getattr(edges[group], name).astype(kind) for name, kind in names.items()]
            wanted = {at: column.tobytes() for at, column in enumerate(columns, 1) if column.size}
            assert fields.get(number, {}) == wanted
            order = np.lexsort((columns[1], columns[0]))
            assert np.array_equal(order, np.arange(order.size))
    components = load(prepared.parent, Grid((3, 2, 2))).chunks
    for coords, chunk in components.items():
        name = "components_{}_{}_{}.proto".format(*coords)
        mapping = decode_components((prepared.parent / "components" / name).read_bytes(), name, "")
        groups = [mapping.ids[mapping.components == n].tolist() for n in np.unique(mapping.components)]
        assert sorted(groups) == sorted(map(sorted, chunk.components))
    volume = CloudVolume((prepared.parent / "ws").as_uri(), progress=False)
    assert (volume.layer_type, volume.data_type, volume.num_channels) == ("segmentation", "uint64", 1)
    assert volume.bounds.minpt.tolist() == list(OFFSET)
    assert volume.bounds.size3().tolist() == list(make_volumes()[0].shape)
    assert volume.resolution.tolist() == list(RESOLUTION)


def test_affinities_of_one_byte_are_means_of_their_255ths(made: Path, cli: Cli, tmp_path: Path) -> None:
    supervoxels, segmentation = make_volumes()
    affinities = np.random.default_rng(3).random((*supervoxels.shape, 3)).astype(np.float32)
    bytes_ = (affinities * 255).astype(np.uint8)
    expected = expect(supervoxels, SIZE, segmentation, bytes_.astype(float) / 255)
    place = made.parent
    volumes = {name.upper(): str(place / name) for name in ("supervoxels", "segmentation")}
    dataset = write_dataset(tmp_path, volumes | {"AFFINITIES": str(place / "affinities8")})
    assert cli("prepare", dataset).status == 0
    found = contacts(dataset, named_pieces(dataset, supervoxels))
    compared = 0
    for (kind, a, b), (area, affinity) in found.items():
        pair = (min(a, b), max(a, b))
        if kind != "cross_chunk" and a != b:
            assert affinity == pytest.approx(expected.affinity[pair] / area, rel=1e-6)
            compared += 1
    assert compared > 100


def partition_of(store: Path) -> set[frozenset[int]]:
    """Supervoxels by root."""
    parent = {
        int(key): int.from_bytes(value, "little")
        for (key, family, name), value in read_cells(store).items()
        if (family, name) == ("0", b"parents")
    }
    groups: dict[int, set[int]] = {}
    for node in parent:
        if node >> 56 == 1:
            root = node
            while root in parent:
                root = parent[root]
            groups.setdefault(root, set()).add(node)
    return {frozenset(group) for group in groups.values()}


def test_the_graph_is_that_of_the_segmentation(prepared: Path, cli: Cli, tmp_path: Path) -> None:
    store = tmp_path / "graph.sqlite"
    assert cli("graph", "g", prepared, "--store", f"sqlite:{store}").status == 0
    assert cli("verify", "g", prepared, "--store", f"sqlite:{store}").status == 0
    checked = cli("check", prepared, "--all", "--json")
    assert (checked.status, checked.json["wrong"]) == (0, 0)
    supervoxels, segmentation = make_volumes()
    expected = expect(supervoxels, SIZE, segmentation)
    group_of = {piece: {piece} for piece in expected.pieces}
    for a, b in expected.area:
        if (a[1] == b[1] and a[0] != b[0]) or expected.pieces[a] == expected.pieces[b] != 0:
            group_of[a] |= group_of[b]
            for piece in group_of[a]:
                group_of[piece] = group_of[a]
    pieces = named_pieces(prepared, supervoxels)
    found = {frozenset(pieces[node] for node in group) for group in partition_of(store)}
    assert found == {frozenset(group) for group in group_of.values()}


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(prepared: Path, dataset: Path, cli: Cli) -> None:
    assert cli("prepare", dataset, "--direct_num_workers", "2").status == 0
    assert outputs(dataset) == outputs(prepared)


def test_a_chunk_that_fails_is_listed_and_resume_finishes(prepared: Path, dataset: Path, cli: Cli) -> None:
    block = sorted((dataset.parent / "supervoxels").rglob("*-*_*-*_*-*"))[0]
    shutil.move(block, dataset.parent / "kept")
    outcome = cli("prepare", dataset)
    assert outcome.status == 1
    assert "FILL_MISSING" in outcome.err
    listed = next(line for line in outcome.err.splitlines() if "lists them" in line).split("`")[1].split()[1:]
    failed = cli(*listed)
    assert (failed.status, "FILL_MISSING" in failed.out) == (1, True)
    status = cli("status", *listed[1:])
    assert status.status == 1
    done = {line.split()[0]: int(line.split()[2]) for line in status.out.splitlines() if " / 12" in line}
    assert done["1"] == 12 - failed.out.count("FILL_MISSING") > done["2"] > 0
    some = outputs(dataset)
    assert 0 < len(some) < len(outputs(prepared))
    shutil.move(dataset.parent / "kept", block)
    resumed = cli("prepare", dataset, "--resume")
    assert "layer 1 (cut) is built" in resumed.err
    assert "layer 2 (files) is built" in resumed.err
    assert outputs(dataset) == outputs(prepared)
    summary = (prepared.parent / "summary.txt").read_text()
    here = resumed.out.replace(dataset.parent.as_uri(), prepared.parent.as_uri())
    assert counted(here) == counted(summary) != []
    assert "nothing to resume" in cli("prepare", dataset, "--resume").out


def counted(summary: str) -> list[str]:
    """The lines of a summary that say what was made."""
    return [line for line in summary.splitlines() if line.startswith("  ")]


def test_outputs_that_are_there_are_kept_unless_told(prepared: Path, dataset: Path, cli: Cli) -> None:
    edges = dataset.parent / "edges"
    edges.mkdir()
    (edges / "edges_0_0_0.proto.zst").write_bytes(b"precious")
    for option in ([], ["--overwrite"]):
        assert "edges_0_0_0" in cli.refused("prepare", dataset, *option, status=1)
    assert (edges / "edges_0_0_0.proto.zst").read_bytes() == b"precious"
    (edges / "edges_0_0_0.proto.zst").unlink()
    assert cli("prepare", dataset).status == 0
    (dataset.parent / "components" / "notes.txt").write_text("mine")
    (dataset.parent / "components" / "components_0_0_0.proto").write_bytes(b"damaged")
    cli.refused("prepare", dataset, status=1)
    assert cli("prepare", dataset, "--overwrite").status == 0
    files = outputs(dataset)
    assert files.pop("components/notes.txt") == b"mine"
    assert files == outputs(prepared)
    # Killed while the files were removed, and taken up: nothing is taken for done.
    table = dataset.parent / "edges" / ".beam_ingest" / "prepare.sqlite"
    with sqlite3.connect(table) as connection:
        connection.execute("DELETE FROM cells WHERE row_key > CAST('beam_ingest' AS BLOB)")
    connection.close()
    (dataset.parent / "edges" / "edges_9_9_9.proto.zst").write_bytes(b"of another grid")
    assert cli("prepare", dataset, "--resume").status == 0
    files = outputs(dataset)
    assert files.pop("components/notes.txt") == b"mine"
    assert files == outputs(prepared)


@pytest.mark.slow
@pytest.mark.shared_data
def test_real_volumes_become_the_golden_graph(cli: Cli, tmp_path: Path) -> None:
    folder = pinky256() / "volumes"
    dataset = write_dataset(
        tmp_path,
        {"SUPERVOXELS": str(folder / "supervoxels"), "SEGMENTATION": str(folder / "segmentation")},
        (64,) * 3,
    )
    said = cli("prepare", dataset).out
    for count in ("13,855, 1 of them", "58,279", "3,813", "3,246", "10,533, 1 of them without a neighbour"):
        assert count in said
    voxels = CloudVolume((folder / "supervoxels").as_uri(), progress=False)[:]
    assert fastremap.unique(np.asarray(voxels)).size == 1 + 10_533
    assert "71 agglomerated labels do not cohere" in said
    assert "28336523 (11 parts)" in said
    assert cli("graph", "g", dataset).status == 0
    assert cli("verify", "g", dataset).status == 0
    # The golden graph's supervoxels have other numbers: which is which, the voxels tell.
    ours, theirs = (
        np.asarray(CloudVolume(place.as_uri(), progress=False)[:]).reshape(-1)
        for place in (tmp_path / "ws", pinky256() / "ws")
    )
    known, at, which = fastremap.unique(theirs, return_index=True, return_inverse=True)
    assert np.array_equal(ours[at][which], ours)
    name_of = dict(zip(known.tolist(), ours[at].tolist(), strict=True))
    assert len(name_of) == len(set(name_of.values())) == 1 + 13_855
    with np.load(pinky256() / "golden.npz") as file:
        parent = {(a, b): (c, d) for a, b, c, d in file["parents"].tolist()}
    groups: dict[tuple[int, int], set[int]] = {}
    for node in parent:
        if node[0] == 1:
            root = node
            while root in parent:
                root = parent[root]
            groups.setdefault(root, set()).add(name_of[node[1]])
    found = partition_of(tmp_path / "graph.sqlite")
    golden = {frozenset(group) for group in groups.values()}
    assert (len(golden), len(found)) == (538, 539)
    assert golden < found


def test_a_grid_of_very_many_chunks_is_taken_up(
    prepared: Path, dataset: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "MOST_ROWS", 1)
    block = sorted((dataset.parent / "supervoxels").rglob("*-*_*-*_*-*"))[0]
    shutil.move(block, dataset.parent / "kept")
    assert cli("prepare", dataset, "--direct_num_workers", "1").status == 1
    some = {name: (dataset.parent / name).stat().st_mtime_ns for name in outputs(dataset) if "edges" in name}
    assert some
    shutil.move(dataset.parent / "kept", block)
    assert cli("prepare", dataset, "--resume", "--direct_num_workers", "1").status == 0
    assert outputs(dataset) == outputs(prepared)
    assert {name: (dataset.parent / name).stat().st_mtime_ns for name in some} == some


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_the_same_bytes(prepared: Path, dataset: Path, cli: Cli) -> None:
    process = start("prepare", dataset)
    until(lambda: process.poll() is not None or any((dataset.parent / "edges").glob("*.zst")))
    kill(process)
    assert cli("prepare", dataset, "--resume").status == 0
    assert outputs(dataset) == outputs(prepared)


@pytest.mark.slow
def test_a_test_writes_what_the_test_of_the_graph_reads(tmp_path: Path, cli: Cli) -> None:
    supervoxels, segmentation = make_volumes((20, 11, 11))
    write_volume(tmp_path / "supervoxels", supervoxels)
    write_volume(tmp_path / "segmentation", segmentation)
    volumes = {"SUPERVOXELS": str(tmp_path / "supervoxels"), "SEGMENTATION": str(tmp_path / "segmentation")}
    cells = []
    paths = []
    for name, options in (("whole", []), ("part", ["--test"])):
        paths.append(write_dataset(tmp_path / name, volumes, (2, 6, 6)))
        assert cli("prepare", paths[-1], *options).status == 0
        store = tmp_path / f"{name}.sqlite"
        assert cli("graph", "g", paths[-1], "--test", "--store", f"sqlite:{store}").status == 0
        cells.append({key: value for key, value in read_cells(store).items() if key[0] != b"meta"})
    whole, part = map(outputs, paths)
    assert part.items() < whole.items()
    assert sum(name.startswith("edges/") for name in part) == 4 * 2 * 2
    assert cells[0] == cells[1]
    assert "begun with --test True" in cli.refused("prepare", paths[1], "--resume")


@pytest.mark.slow
def test_prism_writes_the_same_bytes(prepared: Path, dataset: Path, cli: Cli) -> None:
    options = ["--runner=PrismRunner", f"--prism_location={prism()}"]
    assert cli("prepare", dataset, *options).status == 0
    assert outputs(dataset) == outputs(prepared)
