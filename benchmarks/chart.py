"""The chart: a panel of bars for each column of the peers' tables."""

from pathlib import Path

from contenders import SERVICE
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report import COMPARISONS
from results import Column, Results

OURS, OTHERS, INK = "#0c7c59", "#b8c0c8", "#2b2f33"
PANELS_IN_A_ROW = 3


def draw(results: Results, path: Path) -> None:
    """Draw what was measured into a PNG file: bars for the medians, whiskers from the lowest to the highest round."""
    panels = [
        (f"{table.heading}\n{caption(column)}\n({table.better} is better)", column, table.contenders)
        for table in COMPARISONS
        for column in table.columns
        if column.workload in results
    ]
    rows = -(-len(panels) // PANELS_IN_A_ROW)
    figure = Figure(figsize=(16, 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, PANELS_IN_A_ROW, squeeze=False).flatten()
    for axis, (title, column, contenders) in zip(axes, panels, strict=False):
        draw_bars(axis, column, results, [name for name in contenders if column.has(results, name)])
        axis.set_title(title, loc="left", fontsize=10, color=INK)
    for unused in axes[len(panels) :]:
        unused.remove()
    figure.savefig(path, dpi=150)


def caption(column: Column) -> str:
    """Return what a panel's numbers are: `plain JSON, in multiples of startproject`."""
    return f"{column.heading}, in multiples of {column.reference}" if column.reference else column.heading


def draw_bars(axis: Axes, column: Column, results: Results, contenders: list[str]) -> None:
    """Draw a bar for each contender, the first on top, with its median beside it: the ratio if there is one."""
    summarize = column.absolute if column.per is None else column.relative
    summaries = [summarize(results, name) for name in contenders]
    medians = [summary.median for summary in summaries]
    whiskers = [
        [summary.median - summary.lowest for summary in summaries],
        [summary.highest - summary.median for summary in summaries],
    ]
    colors = [OURS if name == SERVICE else OTHERS for name in contenders]
    drawn = axis.barh(contenders, medians, xerr=whiskers, color=colors, error_kw={"ecolor": INK, "capsize": 3})
    form = column.form if column.per is None else "{:,.1f} ×"
    # Clear of the whisker's end, which a label at the bar's own would cover.
    for bar, summary in zip(drawn, summaries, strict=True):
        place = (summary.highest, bar.get_y() + bar.get_height() / 2)
        label = form.format(summary.median)
        axis.annotate(label, place, (6, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
    axis.invert_yaxis()
    axis.margins(x=0.2)
    axis.set_xlim(left=min(0, *(summary.lowest for summary in summaries)))
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.tick_params(bottom=False, labelbottom=False, left=False, labelsize=9, labelcolor=INK)
