"""Three replicas that run `manage.py migrate` at the same time, on SQLite, on PostgreSQL and through PgBouncer."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from devtools.commands import ENVIRONMENT, check_output, run
from devtools.matrix import all_off, all_on
from devtools.rendering import render

TIMEOUT = 60  # seconds
WAITING = re.compile(r"^Waiting for process (\d+) on \S+", re.MULTILINE)
# The process that applies it waits for the test. A second process would fail, because the table exists.
SLOW_MIGRATION = """
import os, time
from pathlib import Path
from django.db import migrations, models

def wait(apps, schema_editor):
    Path(f"started-{os.getpid()}").touch()
    while not Path("proceed").exists():
        time.sleep(0.02)

class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [
        migrations.CreateModel("Slow", [("id", models.BigAutoField(primary_key=True))]),
        migrations.RunPython(wait, migrations.RunPython.noop),
    ]
"""


class Replica:
    """A running `manage.py migrate`, and its output."""

    def __init__(self, service: Path, name: str, environment: dict[str, str]) -> None:
        self.log = service / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "migrate"],
                cwd=service,
                env=ENVIRONMENT | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def waits_for(self) -> list[int]:
        """Return the IDs of the processes for which the replica waits, from its output."""
        return [int(pid) for pid in WAITING.findall(self.output)]

    def finish(self) -> None:
        """Check that the replica exits without an error."""
        assert self.process.wait(TIMEOUT) == 0, self.output


@contextmanager
def replicas(service: Path, environment: dict[str, str]) -> Iterator[list[Replica]]:
    """Start three replicas that migrate; kill them afterwards."""
    started = [Replica(service, f"replica-{number}", environment) for number in range(3)]
    try:
        yield started
    finally:
        for replica in started:
            with contextlib.suppress(ProcessLookupError):
                replica.process.kill()
            replica.process.wait()


def wait_until(condition: Callable[[], bool], replicas: list[Replica]) -> None:
    """Wait until a condition holds. Raises AssertionError after TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "\n".join(replica.output for replica in replicas)
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", "postgresql", "pgbouncer"])
def migrating(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Return a service with a migration that waits for the test, and the environment of its database."""
    service = render(all_off() if request.param == "sqlite" else all_on(), tmp_path)
    (service / "catalog/migrations/0002_slow.py").write_text(SLOW_MIGRATION, encoding="utf-8")
    environment = {"DEBUG": "true", "PYTHONUNBUFFERED": "1"}
    if request.param == "postgresql":
        environment["DATABASE_URL"] = request.getfixturevalue("database_url")
        # The smallest pool that a service can have.
        environment["DATABASE_POOL_SIZE"] = "1"
    elif request.param == "pgbouncer":
        environment["DATABASE_URL"] = request.getfixturevalue("pgbouncer").database_url
        environment["DISABLE_SERVER_SIDE_CURSORS"] = "true"
    return service, environment


def replicas_in_migration(service: Path, replicas: list[Replica]) -> list[Replica]:
    """Return the replicas that have begun the slow migration."""
    pids = {int(path.name.removeprefix("started-")) for path in service.glob("started-*")}
    return [replica for replica in replicas if replica.process.pid in pids]


def test_one_replica_migrates_while_the_others_wait(migrating: tuple[Path, dict[str, str]]) -> None:
    service, environment = migrating
    with replicas(service, environment) as all_three:
        wait_until(lambda: sum(bool(each.waits_for()) for each in all_three) == 2, all_three)
        wait_until(lambda: bool(replicas_in_migration(service, all_three)), all_three)
        [migrates] = replicas_in_migration(service, all_three)
        waiting = [each for each in all_three if each is not migrates]
        assert [each.waits_for() for each in waiting] == [[migrates.process.pid]] * 2

        # Commands that only read do not wait.
        assert "Create model Slow" in check_output(
            service, sys.executable, "manage.py", "migrate", "--plan", **environment
        )
        check = run(service, sys.executable, "manage.py", "migrate", "--check", **environment)
        assert check.returncode == 1, check.stderr
        assert "Waiting" not in check.stdout

        (service / "proceed").touch()
        for each in all_three:
            each.finish()

    assert "Applying catalog.0002_slow... OK" in migrates.output
    assert all("No migrations to apply." in each.output for each in waiting)
    # Each has reported only once.
    assert [len(each.waits_for()) for each in waiting] == [1, 1]
    assert not list(service.glob("*-migrate"))


def test_another_replica_migrates_if_the_first_one_is_killed(migrating: tuple[Path, dict[str, str]]) -> None:
    service, environment = migrating
    with replicas(service, environment) as all_three:
        wait_until(lambda: sum(bool(each.waits_for()) for each in all_three) == 2, all_three)
        wait_until(lambda: bool(replicas_in_migration(service, all_three)), all_three)
        [killed] = replicas_in_migration(service, all_three)
        killed.process.kill()
        killed.process.wait()
        left = [each for each in all_three if each is not killed]
        wait_until(lambda: bool(replicas_in_migration(service, left)), left)
        [migrates] = replicas_in_migration(service, left)

        (service / "proceed").touch()
        for each in left:
            each.finish()

    assert "Applying catalog.0002_slow... OK" in migrates.output
    [waited] = [each for each in left if each is not migrates]
    assert "No migrations to apply." in waited.output


def test_migration_gives_up_after_the_lock_timeout_of_a_table(tmp_path: Path, database_url: str) -> None:
    service = render(all_on(), tmp_path)
    environment = {"DEBUG": "true", "DATABASE_URL": database_url}
    migrate = [sys.executable, "manage.py", "migrate"]
    check_output(service, *migrate, **environment)
    (service / "catalog/migrations/0002_more.py").write_text(
        "from django.db import migrations, models\n"
        "class Migration(migrations.Migration):\n"
        "    dependencies = [('catalog', '0001_initial')]\n"
        "    operations = [migrations.AddField('Product', 'more', models.IntegerField(null=True))]\n",
        encoding="utf-8",
    )

    with psycopg.connect(database_url) as rival:
        # A backup or a long report holds such a lock.
        rival.execute("SELECT FROM catalog_product")
        refused = run(service, *migrate, DATABASE_MIGRATION_LOCK_TIMEOUT="0.3", **environment)

    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert line.startswith("CommandError: The migration waited 0.3 s for a lock that another transaction has.")
    assert "DATABASE_MIGRATION_LOCK_TIMEOUT" in line
    assert "Applying catalog.0002_more... OK" in check_output(service, *migrate, **environment)
