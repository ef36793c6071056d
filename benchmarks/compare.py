"""Measures the rendered service and its peers in one run: `make benchmark`.

Each round measures every contender once, on a new server process. Each round begins with another contender. `report.py`
compares the numbers of the same round and prints the medians of these ratios. Needs `wrk`.
"""

import argparse
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.backends import running_backends
from benchmarks.chart import CHARTED, draw
from benchmarks.contenders import Contender, make_contenders
from benchmarks.report import markdown
from benchmarks.results import Results
from benchmarks.workloads import WORKLOADS, Measurement, Workload
from devtools.documents import write_measured
from devtools.matrix import ROOT

BUILD = ROOT / ".benchmarks"
# Open files per process. A server has a thousand WebSockets, and one process has all their clients.
MAX_OPEN_FILES = 8_192


def main() -> None:
    """Measure, print the tables, and draw the chart."""
    options = parse_options()
    if shutil.which("wrk") is None:
        sys.exit("The load generator wrk is not installed. Run `apt install wrk`.")
    allow_open_files()
    # Exit through `sys.exit` so that the servers are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    results: Results = {}
    with tempfile.TemporaryDirectory() as name, running_backends(Path(name)) as backends:
        contenders = make_contenders(Path(name), backends)
        for workload in options.only:
            results[workload] = measure(WORKLOADS[workload], workload, contenders, options.rounds, options.seconds)
    tables = markdown(results, contenders, options.rounds, options.seconds)
    print(tables)
    for path in (options.output, options.chart):
        path.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(tables + "\n", encoding="utf-8")
    if options.document:
        write_measured(options.document, tables)
    if CHARTED in results:
        draw(results, options.chart)


def parse_options() -> argparse.Namespace:
    """Return `rounds`, `seconds`, `only`, `output`, `document` and `chart` from the command line."""
    parser = argparse.ArgumentParser(prog="make benchmark", description="Compare a rendered service with its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements of each contender (default: 3)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds per measurement (default: 3)")
    parser.add_argument(
        "--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="workloads to measure (default: all)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=BUILD / "comparison.md",
        help="file for the tables, which are also printed (default: .benchmarks/comparison.md)",
    )
    parser.add_argument(
        "--document",
        type=Path,
        help="document whose section between <!-- measured --> and <!-- /measured --> is replaced by the tables",
    )
    parser.add_argument(
        "--chart",
        type=Path,
        default=BUILD / "comparison.png",
        help="file for the chart (default: .benchmarks/comparison.png)",
    )
    return parser.parse_args()


def allow_open_files() -> None:
    """Raise the limit of open files for this process and its children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def measure(
    workload: Workload, name: str, contenders: dict[str, Contender], rounds: int, seconds: int
) -> list[dict[str, Measurement]]:
    """Return the measurements of each round, by contender. Print the progress to standard error.

    An exception of a measurement is raised with the server's output in a note.
    """
    measured = []
    for number in range(rounds):
        start = number % len(workload.contenders)
        measured.append({})
        for contender in workload.contenders[start:] + workload.contenders[:start]:
            with contenders[contender].served() as server:
                measured[-1][contender] = workload.measure(server, seconds)
            numbers = ", ".join(f"{value:,.3g} {metric}" for metric, value in measured[-1][contender].items())
            print(f"{name}, round {number + 1} of {rounds}: {contender}: {numbers}", file=sys.stderr)
    return measured


if __name__ == "__main__":
    main()
