"""The volumes of a sample, prepared, are what the sample itself says of the same tissue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cloudvolume import CloudVolume

from beam_ingest.inputs.components import decode_components
from beam_ingest.inputs.edges import decode_chunk_edges
from tests.conftest import Cli


@pytest.mark.slow
def test_a_sample_prepared_is_the_sample(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "sample"
    options = ["--chunks", "3", "2", "2", "--chunk-size", "20", "24", "16", "--offset", "5", "6", "7"]
    assert cli("sample", folder, "--volumes", *options).status == 0
    assert cli("prepare", folder / "volumes.yml").status == 0
    ours, theirs = (
        np.asarray(CloudVolume(place.as_uri(), progress=False)[:]).reshape(-1)
        for place in (folder / "prepared" / "ws", folder / "ws")
    )
    known, at = np.unique(ours, return_index=True)
    name = dict(zip(known.tolist(), theirs[at].tolist(), strict=True))
    assert [name[n] for n in ours.tolist()] == theirs.tolist()
    compared = 0
    for file in (folder / "edges").glob("*.zst"):
        expected = decode_chunk_edges(file.read_bytes(), file.name, "")
        data = (folder / "prepared" / "edges" / file.name).read_bytes()
        found = decode_chunk_edges(data, file.name, "")
        active = []
        for names, edges, path in ((name, found, "prepared/components"), (None, expected, "components")):
            components = folder / path / file.name.replace("edges", "components").removesuffix(".zst")
            mapping = decode_components(components.read_bytes(), components.name, "")
            rows = set()
            for group in ("in_chunk", "cross_chunk", "between_chunk"):
                ends = [getattr(getattr(edges, group), column) for column in ("node_ids1", "node_ids2")]
                first, second = (mapping.component_of(ids) for ids in ends)
                joined = ((first == second) & (first != -1)).tolist()
                for a, b, one in zip(*(ids.tolist() for ids in ends), joined, strict=True):
                    if a == b:
                        continue
                    pair = (names[a], names[b]) if names else (a, b)
                    rows.add(
                        (
                            group,
                            *(sorted(pair) if group == "in_chunk" else pair),
                            one or group == "cross_chunk",
                        )
                    )
            active.append(rows)
        assert active[0] == active[1]
        compared += len(active[0])
    assert compared > 1000
