"""The rendered service beside its peers, measured in one run: `make benchmark`.

Each round measures every contender once, on a server that has just been started, and each round begins with another of
them. What is compared are the numbers of the same round: `report.py` prints the medians of these ratios. Needs `wrk`.
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
# Of files that one process may have open: a server with a thousand sockets, and so many clients of it.
FILES = 8_192


def main() -> None:
    """Measure, print the tables, and draw the chart."""
    options = parse_options()
    if shutil.which("wrk") is None:
        sys.exit("wrk, which makes the load, is not installed: apt install wrk")
    allow_open_files()
    # So that the servers are stopped then, too.
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
    """Return `rounds`, `seconds`, `only`, `output`, `document` and `chart`, as the command line has them."""
    parser = argparse.ArgumentParser(prog="make benchmark", description="Measure a rendered service beside its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each time (default: 3)")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="fewer workloads")
    parser.add_argument("--output", type=Path, default=BUILD / "comparison.md", help="where the tables go, too")
    parser.add_argument("--document", type=Path, help="a document to write the tables into, where it says `measured`")
    parser.add_argument("--chart", type=Path, default=BUILD / "comparison.png", help="where the chart goes")
    return parser.parse_args()


def allow_open_files() -> None:
    """Let this process, and those it starts, open more files than a shell usually allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def measure(
    workload: Workload, name: str, contenders: dict[str, Contender], rounds: int, seconds: int
) -> list[dict[str, Measurement]]:
    """Return what each round has measured, by contender; say on standard error how far it is.

    Whatever a measurement raises is raised again, with what the server has printed.
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
