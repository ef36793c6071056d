"""The documents say what is so."""

import re

from matrix import QUESTIONS, ROOT
from rendering import load_hook


def test_every_file_of_the_manifest_is_in_the_table_of_options() -> None:
    options = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")

    for toggle, paths in load_hook("post_gen_project")["MANIFEST"].items():
        start = f"| no `{toggle[1:]}` " if toggle.startswith("!") else f"| `{toggle}` "
        [row] = [line for line in options.splitlines() if line.startswith(start)]
        assert re.findall(r"`([^`]+)`", row.split("|")[2]) == paths


def test_every_question_is_in_the_readme_and_has_a_prompt() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    for question in QUESTIONS:
        if not question.startswith("_"):
            assert f"`{question}`" in readme
            assert question in QUESTIONS["__prompts__"]


def test_nothing_pinned_carries_an_address() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")
