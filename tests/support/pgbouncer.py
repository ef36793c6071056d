"""A real PgBouncer in transaction mode, with the configuration of `docs/options.md`."""

import configparser
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from devtools.commands import TIMEOUT
from devtools.matrix import ROOT
from devtools.ports import free_port

POOL_SIZE = 5  # connections that PgBouncer opens to a database
ROLE, PASSWORD = "service", "correct-horse"


@dataclass(frozen=True)
class PgBouncer:
    """A running PgBouncer: its port, the URL of an empty database behind it, and its TLS certificate."""

    port: int
    database_url: str
    certificate: Path

    def show(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table of PgBouncer's console, such as `pools` or `stats`."""
        # The console does not support the extended query protocol.
        with psycopg.connect(
            f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{self.port}/pgbouncer",
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,
        ) as console:
            return console.cursor(row_factory=dict_row).execute(f"SHOW {table}").fetchall()


@contextmanager
def running_pgbouncer(database_url: str, postgres_socket: str) -> Iterator[PgBouncer]:
    """Run a PgBouncer in front of a PostgreSQL server; its role owns one of the databases meanwhile."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        pytest.fail("PgBouncer is not installed: apt install pgbouncer", pytrace=False)
    name = conninfo_to_dict(database_url)["dbname"]
    port = free_port()
    # Not below pytest's folder, which other users cannot enter.
    with temporary_role(database_url), tempfile.TemporaryDirectory() as directory:
        certificate = configure(Path(directory), port, postgres_socket)
        with Path(directory, "log").open("wb") as log:
            process = subprocess.Popen(
                [program, *user_options(postgres_socket, Path(directory)), f"{directory}/pgbouncer.ini"],
                stdout=log,
                stderr=log,
            )
        try:
            url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{name}"
            wait_for_connection(url, process, Path(directory, "log"))
            yield PgBouncer(port, url, certificate)
        finally:
            process.terminate()
            process.wait(timeout=TIMEOUT)


@contextmanager
def temporary_role(database_url: str) -> Iterator[None]:
    """Create a role that owns a database. Drops the role and its objects afterwards."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        connection.execute(f"ALTER DATABASE {connection.info.dbname} OWNER TO {ROLE}")
    try:
        yield
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"REASSIGN OWNED BY {ROLE} TO CURRENT_USER")
            connection.execute(f"DROP OWNED BY {ROLE}")
            connection.execute(f"DROP ROLE {ROLE}")


def configure(directory: Path, port: int, postgres_socket: str) -> Path:
    """Write the documented configuration, with the addresses and paths of this test; return its new certificate."""
    document = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    documented = configparser.ConfigParser()
    documented.read_string(document.partition("```ini\n")[2].partition("```")[0])
    own = {
        "listen_port": str(port),
        "auth_file": f"{directory}/userlist.txt",
        "client_tls_key_file": f"{directory}/key.pem",
        "client_tls_cert_file": f"{directory}/cert.pem",
        "default_pool_size": str(POOL_SIZE),
    }
    assert own.keys() <= documented["pgbouncer"].keys()
    # The test also reads the console, and the default Unix socket would be in the shared /tmp.
    own |= {"stats_users": ROLE, "unix_socket_dir": ""}
    documented.read_dict({"databases": {"*": f"host={postgres_socket}"}, "pgbouncer": own})
    with (directory / "pgbouncer.ini").open("w", encoding="utf-8") as file:
        documented.write(file)
    (directory / "userlist.txt").write_text(f'"{ROLE}" "{PASSWORD}"\n', encoding="utf-8")
    certificate = directory / "cert.pem"
    subprocess.run(
        shlex.split(
            "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=localhost"
            " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
        ),
        cwd=directory,
        check=True,
        capture_output=True,
    )
    return certificate


def user_options(postgres_socket: str, directory: Path) -> list[str]:
    """Return the options that run PgBouncer as the owner of PostgreSQL's socket: it does not run as root."""
    if os.geteuid() != 0:
        return []
    owner = Path(postgres_socket).owner()
    for path in (directory, *directory.iterdir()):
        shutil.chown(path, owner)
    return ["-u", owner]


def wait_for_connection(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until PgBouncer accepts connections. Raises AssertionError if it exits, or after TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        assert process.poll() is None, f"exited {process.returncode}:\n{log.read_text(encoding='utf-8')}"
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, f"does not connect:\n{log.read_text(encoding='utf-8')}"
            time.sleep(0.05)
        else:
            return
