"""Draw figures with matplotlib, an extra: PNG, SVG or PDF; the same numbers give the same bytes.

Colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish. Lines also differ in marker and
dash pattern, and bars in hatching, so that a figure can be read in black and white.
"""

from __future__ import annotations

import importlib.util
import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srframework.errors import UsageError
from srframework.files import atomic_file
from srframework.report.figure_data import NOT_RUN, FigureData, Line, Panel
from srframework.units import PER_CENT

FORMATS = ("png", "svg", "pdf")
"""The formats, by the extension of the file."""

WIDTH = 5.5
"""Default width in inches: the text width of NeurIPS papers."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^DvPX<>*"
_DASHES: tuple[Any, ...] = ("-", (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)), (0, (1, 1.2, 1, 1.2, 4, 1.2)))
_FULL_DASHES: tuple[Any, ...] = ((0, (5, 2)), (0, (2.5, 1.5)), (0, (8, 2)), (0, (5, 2, 2, 2)))
_FULL_COLOURS = ("#000000", "#666666", "#000000", "#666666")
_HATCHES = ("", "////", "xxxx", "....", "\\\\\\\\", "++", "oo", "-----")
_PANEL_WIDTH, _PANEL_HEIGHT, _LEGEND_LINE = 1.3, 1.35, 0.148
_FONT = 7
_METADATA = {
    "png": {"Software": "srframework"},
    "svg": {"Date": None, "Creator": "srframework"},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": "srframework", "Producer": "matplotlib"},
}
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": _FONT,
    "axes.titlesize": _FONT + 0.5,
    "axes.labelsize": _FONT,
    "xtick.labelsize": _FONT - 0.5,
    "ytick.labelsize": _FONT - 0.5,
    "legend.fontsize": _FONT,
    "axes.linewidth": 0.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "grid.linewidth": 0.3,
    "grid.color": "#dddddd",
    "hatch.linewidth": 0.4,
    "svg.hashsalt": "srframework",
    "pdf.fonttype": 42,
    "path.simplify": False,
    "text.parse_math": False,
}


@dataclass(frozen=True)
class _Look:
    """Colour, marker, dash pattern and hatching of a line."""

    colour: str
    marker: str
    dashes: Any
    hatch: str


def check_target(out: Path) -> str:
    """Return the format of a file that will be drawn.

    Raises:
        UsageError: The extension is not that of a format, the directory does not exist, or matplotlib is missing.
    """
    kind = out.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise UsageError(f"--out {out}: the extension must be one of .png, .svg, .pdf (got {out.suffix or 'none'!r})")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: the directory {out.parent} does not exist")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("drawing needs matplotlib, which is not installed; pip install 'srframework[plot]'")
    return kind


def draw(data: FigureData, out: Path, width: float = WIDTH, dpi: int = 300) -> None:
    """Draw a figure into a file; its title is not drawn, because a paper has a caption.

    Args:
        data: The numbers.
        out: The file; its extension chooses the format.
        width: In inches; panels that do not fit beside each other are below each other.
        dpi: Pixels per inch of a PNG.

    Raises:
        UsageError: As :func:`check_target`.
        OSError: The file cannot be written.
    """
    kind = check_target(out)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = _figure(Figure, data, width)
        with atomic_file(out) as temporary:
            figure.savefig(temporary, format=kind, dpi=dpi, metadata=_METADATA[kind])


def looks(labels: Sequence[tuple[str, bool]]) -> dict[tuple[str, bool], _Look]:
    """The look of each line: those of methods and those of full models are counted apart."""
    found = {}
    counts = {True: 0, False: 0}
    for label, full in labels:
        number = counts[full]
        counts[full] += 1
        colours, dashes = (_FULL_COLOURS, _FULL_DASHES) if full else (_COLOURS, _DASHES)
        marker = "" if full else _MARKERS[number % len(_MARKERS)]
        look = _Look(
            colours[number % len(colours)], marker, dashes[number % len(dashes)], _HATCHES[number % len(_HATCHES)]
        )
        found[label, full] = look
    return found


def _figure(figure_type: Any, data: FigureData, width: float) -> Any:
    fits = max(int(width / _PANEL_WIDTH), 1)
    rows = math.ceil(len(data.panels) / fits)
    columns = math.ceil(len(data.panels) / rows)
    look = looks(data.labels)
    entries = [*_entries(data, look)]
    longest = max(len(label) for _, label in entries)
    per_line = min(max(int(width / (0.45 + 0.06 * longest)), 1), len(entries))
    lines = math.ceil(len(entries) / per_line)
    panel_height = _PANEL_HEIGHT * min(max(width / columns / 1.6, 1), 1.5)
    legend = _LEGEND_LINE * lines + 0.1
    height = panel_height * rows + 0.25 + legend
    figure = figure_type(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(rect=(0, legend / height, 1, 1 - legend / height), w_pad=0.035, h_pad=0.03)
    grid = figure.subplots(rows, columns, squeeze=False)
    has_one_y = len({panel.heading for panel in data.panels if not panel.is_empty}) < 2
    for place, axes in enumerate(grid.flat):
        if place >= len(data.panels):
            axes.axis("off")
            continue
        is_lowest = all(each.is_empty for each in data.panels[place + columns :: columns])
        has_label = not has_one_y or all(each.is_empty for each in data.panels[place - place % columns : place])
        _draw_panel(axes, data, data.panels[place], look, is_lowest, has_label)
    figure.legend(
        [handle for handle, _ in entries],
        [label for _, label in entries],
        loc="lower center",
        ncols=per_line,
        frameon=False,
        handlelength=3.2,
        columnspacing=1.2,
        borderaxespad=0.1,
    )
    return figure


def _entries(data: FigureData, look: dict[tuple[str, bool], _Look]) -> Iterator[tuple[Any, str]]:
    """The handles and labels of the legend; a line without points in any panel is marked."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    for (label, full), each in look.items():
        lines = [line for panel in data.panels for line in panel.lines if (line.label, line.is_full) == (label, full)]
        is_there = any(line.points for line in lines)
        absent = next((line.absent for line in lines if line.absent != NOT_RUN), NOT_RUN)
        text = label if is_there else f"{label} ({absent})"
        if data.groups:
            yield Patch(facecolor=each.colour, hatch=each.hatch, edgecolor="white" if is_there else "#999999"), text
        else:
            yield Line2D([], [], **_line_style(each)), text


def _line_style(look: _Look) -> dict[str, Any]:
    style = {"color": look.colour, "linestyle": look.dashes, "linewidth": 1.0, "marker": look.marker, "markersize": 3.6}
    return style | {"markeredgecolor": "white", "markeredgewidth": 0.3}


def _draw_panel(
    axes: Any,
    data: FigureData,
    panel: Panel,
    look: dict[tuple[str, bool], _Look],
    is_lowest: bool,
    has_label: bool,
) -> None:
    scale = 100 if panel.unit == PER_CENT else 1
    axes.set_title("\n".join(textwrap.wrap(panel.title, 28)), pad=3)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.is_empty:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, panel.absent, ha="center", va="center", transform=axes.transAxes, color="#555555")
        return
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)
    if has_label:
        axes.set_ylabel(panel.heading, labelpad=1.5)
    if data.groups:
        _bars(axes, data, panel, look, scale)
    else:
        _lines(axes, data, panel, look, scale)
        if is_lowest:
            axes.set_xlabel(f"{data.x} %" if data.x_unit == PER_CENT else data.x, labelpad=1.5)
    axes.locator_params(axis="y", nbins=5)
    there = {line.label for other in data.panels for line in other.lines if line.points}
    absent: dict[str, list[str]] = {}
    for line in panel.lines:
        if not line.points and line.label in there:  # the legend marks the lines that are in no panel
            absent.setdefault(line.absent, []).append(line.label)
    text = "\n".join(part for why, names in absent.items() for part in textwrap.wrap(f"{why}: {', '.join(names)}", 26))
    y, side = (0.98, "top") if data.groups else (0.02, "bottom")  # bars fill the bottom
    axes.text(0.02, y, text, va=side, transform=axes.transAxes, fontsize=_FONT - 2, color="#555555")


def _lines(axes: Any, data: FigureData, panel: Panel, look: dict[tuple[str, bool], _Look], scale: int) -> None:
    x_scale = 100 if data.x_unit == PER_CENT else 1
    drawn: list[float] = []
    for line in panel.lines:
        if not line.points:
            continue
        style = _line_style(look[line.label, line.is_full])
        means, sds = _means(line, scale)
        if line.is_full:
            axes.axhline(means[0], zorder=1.5, **style)
            if sds[0]:
                axes.axhspan(means[0] - sds[0], means[0] + sds[0], color=style["color"], alpha=0.08, linewidth=0)
            continue
        xs = [x_scale * point.x for point in line.points]
        drawn += xs
        if len(xs) > _MOST_MARKERS:
            style["markevery"] = len(xs) // _MOST_MARKERS + 1
        axes.plot(xs, means, zorder=2.5 if len(xs) > 1 else 3, **style)
        if len(xs) == 1 and sds[0]:
            axes.errorbar(xs, means, sds, color=style["color"], linewidth=0.8, capsize=1.5, zorder=2)
        elif any(sds):
            low, high = ([m + sign * sd for m, sd in zip(means, sds, strict=True)] for sign in (-1, 1))
            axes.fill_between(xs, low, high, color=style["color"], alpha=0.18, linewidth=0, zorder=2)
    ticks = sorted({round(x, 6) for x in drawn})
    if data.x_unit == PER_CENT and ticks:
        axes.set_xlim(min(0, *ticks), 100)
        axes.set_xticks([0, 20, 50, 70, 90])
    elif 0 < len(ticks) <= _MOST_TICKS and len("".join(map(_short, ticks))) <= _MOST_DIGITS:
        axes.set_xticks(ticks)
    else:
        axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda x, _: _short(x))


_MOST_MARKERS = 12
_MOST_TICKS = 6
_MOST_DIGITS = 12


def _short(x: float) -> str:
    """A number on the x axis: ``0.5``, ``500``, ``20k``."""
    return f"{x / 1000:g}k" if abs(x) >= 10_000 or (abs(x) >= 1000 and not x % 500) else f"{x:g}"


def _bars(axes: Any, data: FigureData, panel: Panel, look: dict[tuple[str, bool], _Look], scale: int) -> None:
    each = 0.8 / len(panel.lines)
    for place, line in enumerate(panel.lines):
        if not line.points:
            continue
        style = look[line.label, line.is_full]
        means, sds = _means(line, scale)
        xs = [point.x - 0.4 + (place + 0.5) * each for point in line.points]
        axes.bar(
            xs,
            means,
            each,
            yerr=sds if any(sds) else None,
            color=style.colour,
            hatch=style.hatch,
            edgecolor="white",
            linewidth=0.3,
            error_kw={"linewidth": 0.7, "capsize": 1.2},
        )
    axes.set_xlim(-0.5, len(data.groups) - 0.5)
    axes.set_xticks(
        range(len(data.groups)), ["\n".join(textwrap.wrap(name.replace("/", " / "), 12)) for name in data.groups]
    )
    axes.set_ylim(0, 100 if scale == 100 else None)


def _means(line: Line, scale: int) -> tuple[list[float], list[float]]:
    """The means, and the standard deviations: 0 for one seed."""
    means = [scale * point.y.mean for point in line.points]
    return means, [scale * (point.y.sd or 0.0) for point in line.points]
