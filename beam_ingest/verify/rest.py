"""The rows that belong to no chunk: meta, version, manifest, root counters and the roots' progress."""

from __future__ import annotations

import json
import pickletools
import re
from collections.abc import Callable, Iterable, Iterator

from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.format.table import ColumnName
from beam_ingest.inputs.check import nothing_joined
from beam_ingest.stages import tallies
from beam_ingest.stages.manifest import MANIFEST_KEY, digest
from beam_ingest.stages.progress import ROOT_EDGES_KEY, Counts
from beam_ingest.stages.usage import PLAN, USAGE
from beam_ingest.stores import Store, StoredCell
from beam_ingest.verify.cells import Columns, note_strays, shown, take, text
from beam_ingest.verify.findings import Findings, Shard
from beam_ingest.verify.key_space import CHUNKS, ROOTS
from beam_ingest.verify.verify_job import COUNTS, COUNTS_BYTES, MILLISECONDS, ROOT_SHARDS, VerifyJob

MANIFEST = ColumnName("0", b"manifest")
_BATCH = 50_000


def verify_rest(job: VerifyJob, store: Store, findings: Findings) -> None:
    """Verify every key that no chunk reads; what should not be there is a difference."""
    root_chunk = job.grid.chunk_id(job.grid.root_layer, (0, 0, 0))
    required: dict[tuple[bytes, ColumnName], Callable[[bytes], str | None]] = {
        (table.META_KEY, table.META): lambda value: _meta_fault(job, value),
        (table.VERSION_KEY, table.VERSION): lambda value: _version_fault(job, value),
        (MANIFEST_KEY, MANIFEST): lambda value: _manifest_fault(job, value),
    }
    found: dict[tuple[bytes, ColumnName], bytes] = {}
    for keys in job.keys.rest():
        for batch in _batches(store.scan(*keys)):
            columns = job.reader.columns(batch, findings)
            for key, name in required:
                value = take(columns, key, name)
                if value is not None:
                    found[key, name] = value
            for name in (USAGE, PLAN):  # which say nothing of the graph
                take(columns, MANIFEST_KEY, name)
            if not job.scope.test:
                _root_counters(root_chunk, columns, findings)
                _root_progress(root_chunk, columns, findings)
            _tallies(columns, findings)
            note_strays(columns, findings)
    for (key, name), fault_of in required.items():
        fault = fault_of(found[key, name]) if (key, name) in found else "is not there"
        if fault:
            findings.differ_once("own row", f"row {text(key)}: {shown(name)} {fault}")


def conclude(job: VerifyJob, findings: Findings) -> None:
    """What can be said when all parts of a table were looked at: root counters, and totals."""
    root_chunk = job.grid.chunk_id(job.grid.root_layer, (0, 0, 0))
    counts = findings.counts
    fault = nothing_joined(
        job.dataset,
        job.raw,
        edges=counts["edges"],
        mapped=counts["chunks with components"],
        between=counts["edges between chunks"],
        joined=counts["active edges between chunks"],
    )
    if fault is not None:
        findings.differ_once("input", fault)
    for number, shard in sorted(findings.shards.items()):
        key = text(table.root_counter_key(root_chunk, number))
        if shard.roots != shard.highest:
            findings.differ_once(
                "segment",
                f"the roots of counter {key} are {shard.roots}, and their highest k is {shard.highest}",
            )
        if shard.counter != (shard.highest or -1):
            said = "is not there" if shard.counter < 0 else f"is {shard.counter}"
            findings.differ_once(
                "counter", f"row {key}: the counter {said}; the highest k is {shard.highest}"
            )
    for layer in range(ATOMIC_LAYER, job.grid.root_layer):
        if not tallies.is_tallied(job.grid, layer):
            continue
        for kind in ("blocks", "layer"):
            claim, true = findings.claims[f"{kind} {layer}"], job.scope.written(layer)
            if claim != true and not (job.scope.test and kind == "layer"):
                findings.differ_once(
                    "progress", f"rows that count chunks of layer {layer} by {kind} have {claim}, not {true}"
                )
    if not job.scope.test:
        whole, pieces = (text(prefix + table.node_key(root_chunk)) for prefix in (CHUNKS, ROOTS))
        for row, name in ((whole, "roots"), (f"{pieces} (and later)", "joined roots")):
            if findings.claims[name] != findings.counts[name]:
                findings.differ_once(
                    "progress",
                    f"row {row}: counts {findings.claims[name]} {name}; {findings.counts[name]} are there",
                )
        for row in (whole, text(ROOT_EDGES_KEY)):
            if not findings.claims[row]:
                findings.differ_once("progress", f"row {row} lacks a cell")


def _root_counters(root_chunk: int, columns: Columns, findings: Findings) -> None:
    for number in range(ROOT_SHARDS):
        value = take(columns, table.root_counter_key(root_chunk, number), table.COUNTER)
        if value is not None:
            counter = int.from_bytes(value, "big", signed=True) if len(value) == 8 else 0
            shard = Shard(counter=max(counter, 0))
            findings.shards[number] = findings.shards.get(number, Shard()).merged(shard)
            findings.counts["counters"] += 1
            findings.counts["rows"] += 1


def _root_progress(root_chunk: int, columns: Columns, findings: Findings) -> None:
    """Progress rows of the root chunk, of its edges, and of the pieces of its components."""
    whole = CHUNKS + table.node_key(root_chunk)
    piece = re.compile(re.escape(ROOTS) + rb"[0-9]{20}")
    for key in [
        key
        for key in columns.get(COUNTS, ([], []))[0]
        if key in (whole, ROOT_EDGES_KEY) or piece.fullmatch(key)
    ]:
        if key not in (whole, ROOT_EDGES_KEY) and int(key[len(ROOTS) :]) < root_chunk:
            continue
        value, spent = take(columns, key, COUNTS), take(columns, key, MILLISECONDS)
        if value is None or len(value) != COUNTS_BYTES + 8 or spent is None or len(spent) != 8:
            findings.differ_once("progress", f"row {text(key)} does not have the expected cells")
            continue
        counts = Counts.decode(value[:COUNTS_BYTES])
        if counts.supervoxels or (counts.nodes and key == ROOT_EDGES_KEY):
            findings.differ_once(
                "progress",
                f"row {text(key)} counts {counts.nodes} nodes and {counts.supervoxels} supervoxels",
            )
        if key == whole:
            findings.claims["roots"] += counts.nodes
        elif key != ROOT_EDGES_KEY:
            findings.claims["joined roots"] += counts.nodes
        findings.claims[text(key)] += 1


def _tallies(columns: Columns, findings: Findings) -> None:
    """Rows that count chunks up for people who look; what they count is verified chunk by chunk."""
    known = re.compile(b"|".join(tallies.KEYS))
    for name, (keys, values) in list(columns.items()):
        ours = [known.fullmatch(key) is not None and name.family == "0" for key in keys]
        if not any(ours):
            continue
        for key, value in ((key, value) for key, value, own in zip(keys, values, ours, strict=True) if own):
            found = tallies.done_of(key, value)
            if found is None:
                findings.differ_once("progress", f"row {text(key)} does not have the expected cells")
                continue
            kind = "blocks" if key.startswith(tallies.BLOCKS) else "layer"
            findings.claims[f"{kind} {found[0]}"] += found[1]
        columns[name] = (
            [key for key, own in zip(keys, ours, strict=True) if not own],
            [value for value, own in zip(values, ours, strict=True) if not own],
        )


def _meta_fault(job: VerifyJob, value: bytes) -> str | None:
    """What is wrong with the pickled meta, which is looked at and never loaded."""
    try:
        operations = list(pickletools.genops(value))
    except Exception as error:
        return f"is not a pickle ({error})"
    strings = {argument for _, argument, _ in operations if isinstance(argument, str)}
    expected = {"ChunkedGraphMeta", "GraphConfig", "DataSource", job.manifest.graph_id}
    lacking = expected - strings
    return f"does not name {', '.join(sorted(lacking))}" if lacking else None


def _version_fault(job: VerifyJob, value: bytes) -> str | None:
    expected = table.VERSIONS[job.graph_version].encode()
    return None if value == expected else f"is {text(value)}, not {text(expected)}"


def _manifest_fault(job: VerifyJob, value: bytes) -> str | None:
    content = json.loads(value)  # which the job was made from
    if content["digest"] != digest(content["dataset"]):
        return "has a dataset text with another digest"
    return None


def _batches(cells: Iterable[StoredCell]) -> Iterator[list[StoredCell]]:
    """Cells in batches that do not divide a row."""
    batch: list[StoredCell] = []
    for cell in cells:
        if len(batch) >= _BATCH and cell[0] != batch[-1][0]:
            yield batch
            batch = []
        batch.append(cell)
    yield batch
