"""Measures the duration of a render, compared with an empty template: `.venv/bin/python -m benchmarks.render`.

cookiecutter's command line renders both in turn. The program prints the median of each and their ratio.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from devtools.matrix import ROOT

ROUNDS = 15


def seconds(template: Path, output: str) -> float:
    """Return the duration of a render in seconds."""
    command = [
        Path(sys.executable).with_name("cookiecutter"),
        template,
        "--no-input",
        "--default-config",
        "--output-dir",
    ]
    started = time.perf_counter()
    subprocess.run([*command, output], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def empty_template(directory: Path) -> Path:
    """Create a template that renders one folder with one empty file."""
    folder = directory / "{{cookiecutter.project_slug}}"
    folder.mkdir(parents=True)
    (folder / "empty").touch()
    (directory / "cookiecutter.json").write_text(json.dumps({"project_slug": "empty"}))
    return directory


def main() -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {"empty template": [], "this template": []}
    with tempfile.TemporaryDirectory() as directory:
        templates = {"empty template": empty_template(Path(directory) / "empty"), "this template": ROOT}
        for number in range(ROUNDS + 1):
            for name, template in templates.items():
                taken = seconds(template, str(Path(directory) / f"{number}"))
                if number:  # the first round warms the caches
                    times[name].append(taken)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.3f} s, median of {ROUNDS}")
    print(f"ratio: {medians['this template'] / medians['empty template']:.2f}")


if __name__ == "__main__":
    main()
