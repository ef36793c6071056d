"""Documents with tables that a program writes."""

import re
from pathlib import Path

# A program writes the text between these marks.
MEASURED = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- /measured -->)", re.DOTALL)


def write_measured(document: Path, text: str) -> None:
    """Replace the measured part of a Markdown document."""
    before = document.read_text(encoding="utf-8")
    document.write_text(MEASURED.sub(lambda _: f"\n{text}\n\n", before), encoding="utf-8")
