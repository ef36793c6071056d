"""`make load`: its table counts responses and all kinds of errors."""

import re
from pathlib import Path

from devtools.commands import check_output
from devtools.matrix import ROOT, all_on
from devtools.rendering import break_source, render


def load(tmp_path: Path, *arguments: str) -> dict[str, str]:
    """Run `make load` with one fault; return the row of its table by the headings."""
    output = tmp_path / "table.md"
    check_output(ROOT, "make", "--silent", "load", f"ARGS=--output {output} {' '.join(arguments)}")
    headings, _, row = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in output.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return dict(zip(headings, row, strict=True))


def test_load_with_a_refused_database_counts_errors(tmp_path: Path) -> None:
    row = load(tmp_path, "--faults database-refused --seconds 12")

    assert row["fault"] == "database refused"
    assert re.search(r"\b50[03] × \d+", row["errors"])
    assert int(row["errors"].rpartition(" of ")[2]) > 100
    # One request in three needs no database, or only for a moment.
    assert int(row["answers/s"]) > 0
    assert int(row["threads"]) > 4
    assert int(row["connections"]) > 0


def test_load_of_a_broken_service_counts_each_kind_of_error(tmp_path: Path) -> None:
    service = render(all_on(), tmp_path)
    broken = "return JsonResponse((await get_product(pk)).to_json())"
    break_source(service, "catalog/views/products.py", broken, "raise OSError")
    break_source(service, "catalog/views/products.py", '{"products": page', '{"items": page')
    break_source(service, "catalog/views/export.py", "for product in batch:", "for product in batch[100:]:")

    errors = load(tmp_path, f"--service {service} --faults none --seconds 9")["errors"]

    for kind in ("500", "KeyError in the scenario", "wrong answer"):
        assert re.search(rf"\b{kind} × \d+", errors), errors
