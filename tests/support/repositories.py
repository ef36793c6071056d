"""Copies of this repository, whose own tests run in a test."""

import sys
from pathlib import Path

from devtools.commands import check_output


def run_tests(repository: Path, *arguments: str) -> str:
    """Run tests of a copy of this repository, and return the output. Raises AssertionError if a test fails."""
    options = ("-q", "-n0", "-p", "no:cacheprovider", f"--basetemp={repository}-tmp")
    return check_output(repository, sys.executable, "-m", "pytest", *options, *arguments)
