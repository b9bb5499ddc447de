"""Plots and sections as PNG, in colours that people who see colours differently can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beam_ingest.arrays import Ids, Indices, find
from beam_ingest.report.voxels import Image, Section
from beam_ingest.stages.progress import LayerStatus
from beam_ingest.view.palette import OBJECTS

_BAR = OBJECTS[4]
_DPI = 110
_WIDTH = 9.0
"""Inches of a whole picture."""
_BORDER = np.array([0, 0, 0], np.uint8)


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file, the same ones for the same figure."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return content.getvalue()


def histogram(sizes: Indices, what: str) -> bytes:
    """How many objects have how many of something: bars between powers of two, both axes logarithmic.

    Args:
      sizes: of each object, shape (n,); zeros are left out.
      what: what they are numbers of.
    """
    counted = sizes[sizes > 0]
    top = int(counted.max()).bit_length() if counted.size else 1
    edges = 2.0 ** np.arange(top + 1)
    figure, axes = _figure(3.2)
    if counted.size:
        axes.hist(counted, bins=edges.tolist(), color=_BAR, edgecolor="white", linewidth=0.5)
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel(f"{what} of an object")
    axes.set_ylabel("objects")
    return png(figure)


def time_by_layer(layers: Sequence[LayerStatus]) -> bytes:
    """Seconds of work by layer, of all workers together."""
    figure, axes = _figure(0.8 + 0.45 * len(layers))
    names = [f"layer {status.layer}" for status in layers]
    seconds = [status.milliseconds / 1000 for status in layers]
    bars = axes.barh(names, seconds, color=_BAR)
    axes.bar_label(bars, labels=[f"{s:,.2f} s" for s in seconds], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds of work, of all workers together")
    return png(figure)


def beside(section: Section, largest: Ids) -> bytes:
    """A section twice: its supervoxels, and their objects.

    Args:
      section: the plane.
      largest: the objects that have colours of their own, the largest first.
    """
    height = _WIDTH / 2 * _aspect(section)
    figure = Figure(figsize=(_WIDTH, min(height, _WIDTH) + 0.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _show(left, supervoxel_colours(section.supervoxels, section.roots), section, "supervoxels")
    _show(right, object_colours(section.roots, largest), section, "objects")
    return png(figure)


def orthogonal(sections: Sequence[Section], largest: Ids) -> bytes:
    """The objects in three planes at right angles, at one scale."""
    widths = [section.roots.shape[0] * section.nanometres[0] for section in sections]
    tallest = max(width * _aspect(section) for width, section in zip(widths, sections, strict=True))
    height = min(_WIDTH * tallest / sum(widths), _WIDTH) + 0.6
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    panels = figure.subplots(1, len(sections), width_ratios=widths)
    for axes, section in zip(panels, sections, strict=True):
        _show(axes, object_colours(section.roots, largest), section, section.axes)
    return png(figure)


def object_colours(roots: Image, largest: Ids) -> npt.NDArray[np.uint8]:
    """Colours of objects: of the largest, those of OBJECTS; of others, greys; black between and around them.

    Args:
      roots: the object of each pixel, 0 for none, shape (a, b).
      largest: objects, the largest first; as many as there are colours are taken.

    Returns:
      Shape (a, b, 3).
    """
    ids, inverse = np.unique(roots, return_inverse=True)
    greys = 70 + _mixed(ids) % 90
    colours = np.repeat(greys[:, None], 3, axis=1).astype(np.uint8)
    named = largest[: len(OBJECTS)]
    at, known = find(ids, named)
    palette = np.array([list(bytes.fromhex(colour[1:])) for colour in OBJECTS], np.uint8)[: named.size]
    colours[at[known]] = palette[known]
    colours[ids == 0] = _BORDER
    return _outlined(colours[inverse].reshape(*roots.shape, 3), roots)


def supervoxel_colours(supervoxels: Image, roots: Image) -> npt.NDArray[np.uint8]:
    """Colours of supervoxels: steps from dark blue to yellow; white for those that are in no object."""
    ids, inverse = np.unique(supervoxels, return_inverse=True)
    scale = matplotlib.colormaps["cividis"](_mixed(ids) % 256, bytes=True)[:, :3]
    colours = np.asarray(scale, np.uint8)[inverse].reshape(*supervoxels.shape, 3)
    colours[(supervoxels != 0) & (roots == 0)] = 255
    colours[supervoxels == 0] = _BORDER
    return _outlined(colours, supervoxels)


def _outlined(colours: npt.NDArray[np.uint8], labels: Image) -> npt.NDArray[np.uint8]:
    """The same with a black line where one label meets the next."""
    drawn = colours.copy()
    drawn[1:][labels[1:] != labels[:-1]] = _BORDER
    drawn[:, 1:][labels[:, 1:] != labels[:, :-1]] = _BORDER
    return drawn


def _mixed(ids: Ids) -> Indices:
    """A number of each id in which neighbours differ: by the golden ratio's multiples."""
    mixed: Indices = (ids * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(np.int64)
    return mixed


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _aspect(section: Section) -> float:
    """Height by width, as long as they are."""
    across, down = section.roots.shape
    return float(down * section.nanometres[1] / (across * section.nanometres[0]))


def _show(axes: Axes, colours: npt.NDArray[np.uint8], section: Section, title: str) -> None:
    """Draw a section with axes in micrometres."""
    across, down = section.roots.shape
    width, height = across * section.nanometres[0] / 1000, down * section.nanometres[1] / 1000
    axes.imshow(colours.transpose(1, 0, 2), extent=(0, width, height, 0), interpolation="nearest")
    (third,) = set("xyz") - set(section.axes)
    axes.set_title(f"{title}, {third} = {section.depth:,}", fontsize=9)
    axes.set_xlabel(f"{section.axes[0]} (µm)", fontsize=8)
    axes.set_ylabel(f"{section.axes[1]} (µm)", fontsize=8)
    axes.tick_params(labelsize=7)
