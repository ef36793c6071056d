"""Downloads the source of the installed Django, and runs its tests of the ORM in greenlets on the event loop.

The tests are not in the wheel, so `make test` does not run them. Every synchronous call of the ORM waits on the event
loop. For an asynchronous call, the executor decides whether it runs there.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

from devtools.commands import ENVIRONMENT, UV
from devtools.matrix import all_on
from devtools.postgres import running_postgres
from devtools.rendering import render

# The tests that the PostgreSQL of the development wheel can run. It has no extensions.
LABELS = """
    aggregation aggregation_regress annotations asgi async basic bulk_create composite_pk contenttypes_tests
    custom_lookups custom_managers custom_pk datatypes dates datetimes defer defer_regress delete delete_regress
    distinct_on_fields expressions expressions_case expressions_window extra_regress field_defaults filtered_relation
    from_db_value generic_relations get_earliest_or_latest get_or_create known_related_objects lookup m2m_through
    many_to_many many_to_one model_inheritance multiple_database null_queries one_to_one ordering prefetch_related
    proxy_models queries raw_query select_for_update select_related select_related_regress sessions_tests signals
    timezones transaction_hooks transactions update xor_lookups
""".split()  # noqa: SIM905 (a line for each name would take a page)
# Tests that are expected to fail, with the reasons. There are none.
EXPECTED: dict[str, str] = {}


def download(directory: Path) -> Path:
    """Download the source of the installed Django. Return the folder of its tests."""
    requirement = f"django=={django.__version__}"
    pip = [UV, "tool", "run", "--python", sys.executable, "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-binary", "django", "--dest", str(directory), requirement], check=True)
    with tarfile.open(next(directory.glob("*.tar.gz"))) as archive:
        archive.extractall(directory, filter="data")
    return directory / f"django-{django.__version__}" / "tests"


def main() -> None:
    """Run the tests. Exit with 1 if a test fails or passes unexpectedly."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        service = render(all_on(), directory)
        (directory / "django").mkdir()
        tests = download(directory / "django")
        report = directory / "report.json"
        with running_postgres(directory / "data") as socket:
            environment = ENVIRONMENT | {
                "DATABASE_URL": f"postgresql://postgres:@/django?host={socket}",
                "DJANGO_SUITE_REPORT": str(report),
                "PYTHONPATH": os.pathsep.join([str(service), str(Path(__file__).parent.parent)]),
            }
            command = [sys.executable, "runtests.py", "--settings=django_suite.settings", "--parallel=1", "--noinput"]
            subprocess.run([*command, *(sys.argv[1:] or LABELS)], cwd=tests, env=environment, check=False)
        outcome = json.loads(report.read_text(encoding="utf-8"))
    problems = set(outcome["problems"])
    print(f"{outcome['run']} tests, {outcome['skipped']} skipped, {len(problems)} not passed; {outcome['counts']}")
    unexpected = problems - EXPECTED.keys() if sys.argv[1:] else problems ^ EXPECTED.keys()
    for test in sorted(unexpected):
        print(f"not as expected: {test}")
    sys.exit(bool(unexpected))


if __name__ == "__main__":
    main()
