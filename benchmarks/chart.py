"""The chart of one row of PostgreSQL: one panel with the same work for all, one without middleware."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.contenders import NO_MIDDLEWARE, SAME_WORK, SERVICE, SERVICE_BARE, STARTPROJECT
from benchmarks.results import Column, Results

GREEN, GREY, INK = "#0c7c59", "#b8c0c8", "#2b2f33"
SERVICES = (SERVICE, SERVICE_BARE)
TITLE = "One row of PostgreSQL: requests per second, in multiples of startproject's (more is better)"
PANELS = {
    "The same work: sessions, CSRF, security headers …": SAME_WORK,
    "Bare: no middleware": NO_MIDDLEWARE,
}
CHARTED = "row"
COLUMN = Column("", CHARTED, "requests per second", "{:,.0f}/s", per=STARTPROJECT)


def draw(results: Results, path: Path) -> None:
    """Draw the workload `CHARTED` into a PNG file: a bar for the median, whiskers for the range of the rounds."""
    figure = Figure(figsize=(15, 4), layout="constrained")
    figure.suptitle(TITLE, x=0.01, ha="left", fontsize=14, weight="bold", color=INK)
    # Both panels share a scale, so that their bars can be compared.
    axes = figure.subplots(1, len(PANELS), sharex=True)
    for axis, (title, contenders) in zip(axes, PANELS.items(), strict=True):
        draw_bars(axis, results, [name for name in contenders if COLUMN.has(results, name)])
        axis.set_title(title, loc="left", fontsize=12, color=INK)
    figure.savefig(path, dpi=150)


def draw_bars(axis: Axes, results: Results, contenders: list[str]) -> None:
    """Draw a bar for each contender, the fastest on top, with its median at the end."""
    summaries = {name: COLUMN.relative(results, name) for name in contenders}
    for name, summary in sorted(summaries.items(), key=lambda item: item[1].median):
        spread = [[summary.median - summary.lowest], [summary.highest - summary.median]]
        color = GREEN if name in SERVICES else GREY
        axis.barh(name, summary.median, xerr=spread, color=color, error_kw={"ecolor": INK, "capsize": 3})
        # Put the label after the whisker. At the end of the bar, it would cover the whisker.
        place, label = (summary.highest, name), f"{summary.median:,.1f} ×"
        axis.annotate(label, place, (6, 0), textcoords="offset points", va="center", fontsize=11, color=INK)
    # Leave room for the label after the longest whisker.
    axis.margins(x=0.12)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.tick_params(bottom=False, labelbottom=False, left=False, labelsize=11, labelcolor=INK)
    for label in axis.get_yticklabels():
        if label.get_text() in SERVICES:
            label.set(color=GREEN, weight="bold")
