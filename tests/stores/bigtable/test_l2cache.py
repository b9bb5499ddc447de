"""L2 caches in Bigtable and in SQLite: the real sample, and what kvdbclient reads with PCGL2Cache's types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beam_ingest import open_l2cache
from testing.emulator import Emulator, read_table
from tests.conftest import Cli
from tests.graphs import read_cells
from tests.l2cache.test_l2cache import ARRAYS, SCALARS, check_golden, golden_dataset, rows_of

PROJECT, INSTANCE = "project", "instance"


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_real_sample_is_pcgl2caches(
    emulator: Emulator, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kvdbclient = pytest.importorskip("kvdbclient", reason="kvdbclient needs Python 3.11 or newer")
    from kvdbclient.attributes import _Attribute
    from kvdbclient.bigtable import BigTableConfig
    from kvdbclient.serializers import NumPyArray, NumPyValue

    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    config = {"PROJECT": PROJECT, "INSTANCE": INSTANCE}
    dataset = golden_dataset(tmp_path, {"TYPE": "bigtable", "CONFIG": config})
    assert cli("graph", "golden", dataset).status == 0
    assert cli("l2cache", "golden", dataset).status == 0
    assert cli("status", "cache", dataset).out == "2       : 64 / 64\n"
    found = read_table(emulator.address, PROJECT, INSTANCE, "cache")
    assert len({timestamp for _, timestamp in found.values()}) == 1
    cells = {key: value for key, (value, _) in found.items() if not key[0].startswith(b"beam_ingest")}
    rows = rows_of(cells)
    check_golden(rows)
    elsewhere = tmp_path / "cache.sqlite"
    assert cli("l2cache", "golden", dataset, "--cache-store", f"sqlite:{elsewhere}").status == 0
    assert {k: v for k, v in read_cells(elsewhere).items() if k[0] != b"meta"} == {
        k: v for k, v in cells.items() if k[0] != b"meta"
    }
    # As pcgl2cache/core/attributes.py declares them.
    shapes = {"chunk_intersect_count": (-1, 3), "pca": (-1, 3), "pca_val": (-1,)}
    attributes = {
        name: _Attribute(key=name.encode(), family_id="0", serializer=NumPyValue(np.dtype(dtype)))
        for name, dtype in SCALARS.items()
    } | {
        name: _Attribute(
            key=name.encode(), family_id="0", serializer=NumPyArray(np.dtype(dtype), shape=shapes.get(name))
        )
        for name, dtype in ARRAYS.items()
    }
    client = kvdbclient.BigTableClient("cache", config=BigTableConfig(PROJECT, INSTANCE, True, False))
    assert client.read_table_version() == "1.3.1"
    assert client.read_table_meta()["graph_id"] == "golden"
    nodes = np.array(list(rows)[::50], np.uint64)
    read = client.read_nodes(node_ids=nodes, properties=list(attributes.values()))
    with open_l2cache(dataset, "golden") as cache:
        stored = cache.stored(nodes)
    for at, node in enumerate(nodes):
        for name, attribute in attributes.items():
            value = np.asarray(read[node][attribute][0].value)
            assert value.reshape(-1).tolist() == rows[int(node)][name].tolist()
            if value.size:
                assert (stored[name][at] == value).all()
