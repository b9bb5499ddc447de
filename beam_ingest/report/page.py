"""The page: one HTML file with its pictures in it, which asks no server for anything."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from beam_ingest.format.grid import chunk_name
from beam_ingest.redact import redacted
from beam_ingest.report.facts import Facts
from beam_ingest.stages.progress import Counts
from beam_ingest.view.palette import OBJECTS

PICTURES = {
    "slice": "Supervoxels and objects in the plane through the middle",
    "orthogonal": "Objects in three planes through the middle",
    "supervoxels": "Objects by number of supervoxels",
    "voxels": "Objects by number of voxels",
    "time": "Work by layer",
}
"""Names of pictures, in order, and what they show."""
_LARGEST = 20
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 }
h2 { font-size: 1.2rem; margin-top: 2.2rem }
table { border-collapse: collapse }
th, td { text-align: left; padding: .15rem 1.2rem .15rem 0; vertical-align: top }
th { font-weight: 600; border-bottom: 1px solid #999 }
td.n, th.n { text-align: right }
figure { margin: 1rem 0 }
figcaption, .note { color: #555 }
img { max-width: 100%; height: auto }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto }
.swatch { display: inline-block; width: .9em; height: .9em; border: 1px solid #444; margin-right: .5em }
.bad { color: #a33000; font-weight: 600 }
.good { color: #00603f; font-weight: 600 }
"""
Cell = str | int


def make_page(facts: Facts, pictures: Mapping[str, bytes]) -> str:
    """The report.

    Args:
      facts: what is known of the graph.
      pictures: PNG files by name, some of PICTURES.
    """
    name = facts.manifest.graph_id
    parts = [
        f"<h1>{escape(name)}</h1>",
        _verdict(facts),
        "<h2>What was built</h2>",
        _pairs(_origin(facts)),
        "<h2>Layers</h2>",
        _layers(facts),
        _runs(facts),
        _picture(pictures, "time"),
        "<h2>Sections</h2>",
        _missing(facts),
        _picture(pictures, "slice"),
        _picture(pictures, "orthogonal"),
        '<p class="note">The largest objects have the colours of the table below, other objects greys. '
        "Supervoxels in no object are white, background is black.</p>",
        "<h2>Objects</h2>",
        _counted(facts),
        _largest(facts),
        _picture(pictures, "supervoxels"),
        _picture(pictures, "voxels"),
        "<h2>Failures and absent files</h2>",
        _failures(facts),
        "<h2>Dataset file</h2>",
        f"<pre>{escape(redacted(facts.manifest.dataset))}</pre>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body>\n</html>\n"
    )


def _verdict(facts: Facts) -> str:
    done = sum(status.done for status in facts.layers)
    if facts.complete:
        lines = ['<p class="good">The graph is complete.</p>']
    else:
        lines = [f'<p class="bad">The graph is not complete: {done:,} chunks are built.</p>']
    if facts.verified is None:
        lines.append('<p class="note">It was not verified (report --verify FILE shows a verdict).</p>')
    elif facts.verified["total"]:
        lines.append(f'<p class="bad">verify found {facts.verified["total"]:,} differences:</p>')
        kinds = facts.verified["differences"].items()
        rows = [(kind, found["count"], "; ".join(found["examples"][:3])) for kind, found in sorted(kinds)]
        lines.append(_table(("difference", "number", "examples"), rows))
    else:
        cells = facts.verified.get("counts", {}).get("cells")
        compared = f" ({cells:,} cells)" if isinstance(cells, int) else ""
        lines.append(f'<p class="good">verify found no difference from its inputs{compared}.</p>')
    return "\n".join(lines)


def _origin(facts: Facts) -> list[tuple[str, str]]:
    manifest, dataset = facts.manifest, facts.dataset
    built = datetime.datetime.fromtimestamp(manifest.timestamp / 1e6, datetime.timezone.utc)
    options = [f"{name} {value}" for name, value in sorted(manifest.options.items()) if value is not False]
    total = sum((status.counts for status in facts.layers), Counts())
    inputs = [("agglomeration", dataset.agglomeration)] if manifest.options["raw"] else []
    inputs += [("edges", dataset.edges), ("components", dataset.components), ("watershed", dataset.watershed)]
    return [
        ("begun", f"{built:%Y-%m-%d %H:%M:%S} UTC"),
        ("program", f"beam_ingest {manifest.program}"),
        ("options", ", ".join(options).replace("graph_version", "PyChunkedGraph version") or "none"),
        ("table", redacted(facts.place)),
        *((name, redacted(url)) for name, url in inputs if url),
        (
            "chunks",
            f"{_by(facts.grid.chunks)} of {_by(dataset.chunk_size)} voxels",
        ),
        ("supervoxels", f"{total.supervoxels:,}"),
        ("edges between chunks", f"{total.joined:,} of {total.between:,} are active"),
        ("roots", f"{facts.layers[-1].counts.nodes:,}"),
        ("written", f"{total.rows:,} rows, {total.cells:,} cells, {total.nbytes / 1e6:,.1f} MB"),
    ]


def _by(numbers: Sequence[int]) -> str:
    return " by ".join(map(str, numbers))


def _layers(facts: Facts) -> str:
    heads = ("layer", "chunks", "nodes", "edges received", "rows", "cells", "seconds of work")
    rows: list[tuple[Cell, ...]] = []
    for status in facts.layers:
        counts, top = status.counts, status.layer == facts.grid.root_layer
        rows.append(
            (
                f"{status.layer}{' (roots)' if top else ''}",
                f"{status.done:,} of {status.total:,}",
                counts.nodes,
                counts.edges,
                counts.rows,
                counts.cells,
                f"{status.milliseconds / 1000:,.2f}",
            )
        )
    return _table(heads, rows)


def _runs(facts: Facts) -> str:
    """What runs on one machine took; nothing of graphs that Dataflow built."""
    heads = ("run", "layer", "seconds of CPU", "seconds", "bytes written", "most memory of a process (MB)")
    rows: list[tuple[Cell, ...]] = [
        (
            str(number),
            str(layer["layer"]),
            f"{layer['cpu_seconds']:,.2f}",
            f"{layer['wall_seconds']:,.2f}",
            layer["nbytes"],
            layer["peak_bytes"] // 1_000_000,
        )
        for number, run in enumerate(facts.usage, start=1)
        for layer in run
    ]
    return _table(heads, rows) if rows else ""


def _counted(facts: Facts) -> str:
    objects, voxels = facts.objects, facts.voxels
    lines = []
    if not objects.whole:
        total = facts.grid.chunk_count(2)
        lines.append(
            f"Objects were counted in a sample of {len(objects.chunks):,} of {total:,} chunks, and numbers "
            "are of what they have there."
        )
    if voxels is not None:
        where = "" if voxels.whole else f"In a sample of {voxels.chunks:,} chunks: "
        lines.append(
            f"{where}{voxels.voxels.sum():,} voxels in objects, {voxels.loose:,} in supervoxels that touch "
            f"nothing and are in no object, {voxels.background:,} background."
        )
    return "".join(f'<p class="note">{line}</p>' for line in lines)


def _largest(facts: Facts) -> str:
    objects, voxels = facts.objects, facts.voxels
    roots = objects.roots[:_LARGEST]
    counts = voxels.of(roots).tolist() if voxels is not None else None
    rows: list[tuple[Cell, ...]] = []
    for at, root in enumerate(roots.tolist()):
        row: tuple[Cell, ...] = (str(root), int(objects.supervoxels[at]))
        row += (counts[at],) if counts is not None else ()
        rows.append((*row, chunk_name(objects.middle_chunk(at))))
    heads = ("largest objects", "supervoxels", *(("voxels",) if counts is not None else ()), "chunk")
    return _table(heads, rows, OBJECTS)


def _failures(facts: Facts) -> str:
    total = sum((status.counts for status in facts.layers), Counts())
    lines = [f"<p>Absent edges and components files, taken as empty chunks: {total.missing:,}.</p>"]
    if total.empty:
        lines.append(f"<p>Edges files of no bytes, taken as files without edges: {total.empty:,}.</p>")
    if facts.failed is None:
        return "\n".join([*lines, "<p>No chunk has failed.</p>"])
    failed = facts.failed
    chunks = "chunk" if failed.count == "1" else "chunks"
    lines.append(f'<p class="bad">{failed.count} {chunks} failed at layer {failed.layer}:</p>')
    lines += [f"<pre>{escape(cause)}</pre>" for cause in failed.causes]
    if failed.more:
        lines.append(f"<p>and {failed.more:,} more causes; beam-ingest failures lists all.</p>")
    return "\n".join(lines)


def _missing(facts: Facts) -> str:
    if not facts.unread:
        return ""
    return f'<p class="bad">The watershed cannot be read: {escape(facts.unread)}</p>'


def _picture(pictures: Mapping[str, bytes], name: str) -> str:
    if name not in pictures:
        return ""
    text = escape(PICTURES[name])
    data = base64.b64encode(pictures[name]).decode()
    image = f'<img alt="{text}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    cells = (f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], colours: Sequence[str] = ()) -> str:
    """A table; whole numbers stand to the right. The first rows may have a colour each."""
    numeric = [bool(rows) and all(isinstance(row[at], int) for row in rows) for at in range(len(heads))]
    mark = [' class="n"' if right else "" for right in numeric]
    top = "".join(f"<th{m}>{escape(head)}</th>" for m, head in zip(mark, heads, strict=True))
    lines = []
    for number, row in enumerate(rows):
        texts = [f"{cell:,}" if isinstance(cell, int) else escape(cell) for cell in row]
        if number < len(colours):
            texts[0] = f'<span class="swatch" style="background:{colours[number]}"></span>{texts[0]}'
        lines.append("".join(f"<td{m}>{text}</td>" for m, text in zip(mark, texts, strict=True)))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><tr>{top}</tr>{body}</table>"
