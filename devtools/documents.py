"""Documents whose tables a program writes."""

import re
from pathlib import Path

# The text between these marks of a document is printed by a program.
MEASURED = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- /measured -->)", re.DOTALL)


def write_measured(document: Path, text: str) -> None:
    """Replace the measured part of a Markdown document."""
    before = document.read_text(encoding="utf-8")
    document.write_text(MEASURED.sub(lambda _: f"\n{text}\n\n", before), encoding="utf-8")
