"""Every combination of answers. The questions come from cookiecutter.json, so no answer is listed twice."""

import itertools
import json
from pathlib import Path
from typing import Any

import covertable

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
TOGGLES = [key for key, default in QUESTIONS.items() if isinstance(default, bool)]
# Sorted, so that the order does not depend on a fork's default.
SERVERS: list[str] = sorted(QUESTIONS["asgi_server"], reverse=True)

# The answers to the questions with a fixed set of answers: {"use_channels": True, …, "asgi_server": "uvicorn"}.
type Answers = dict[str, Any]

# The answers of a test that gives none. They are not read from cookiecutter.json: a fork may have other defaults.
DEFAULT_ANSWERS: Answers = {
    "project_name": "Async Django Service",
    "description": "An async Django service.",
    "author_name": "Ada Lovelace",
    "author_email": "ada@example.com",
    **dict.fromkeys(TOGGLES, True),
    "use_postgres": False,
    "asgi_server": "uvicorn",
}

OPTIONS = {key: [True, False] for key in TOGGLES} | {"asgi_server": SERVERS}
COMBINATIONS: list[Answers] = [dict(zip(OPTIONS, row, strict=True)) for row in itertools.product(*OPTIONS.values())]
# Every combination of the toggles once; the servers take turns.
TOGGLE_COMBINATIONS: list[Answers] = [
    dict(zip(TOGGLES, row, strict=True)) | {"asgi_server": SERVERS[number % len(SERVERS)]}
    for number, row in enumerate(itertools.product([True, False], repeat=len(TOGGLES)))
]
# A few combinations in which every pair of answers occurs: the smallest set of 50 attempts.
PAIRWISE: list[Answers] = [
    {key: row[key] for key in OPTIONS}
    for row in min((covertable.make(OPTIONS, salt=str(salt), tolerance=2) for salt in range(50)), key=len)
]


def identify(answers: Answers) -> str:
    """Return a readable name of a combination: `granian+channels+async-views`."""
    return "+".join(
        [answers["asgi_server"]]
        + [toggle.removeprefix("use_").replace("_", "-") for toggle in TOGGLES if answers[toggle]]
    )


def all_on(asgi_server: str = SERVERS[0]) -> Answers:
    """Return the combination with every toggle on."""
    return dict.fromkeys(TOGGLES, True) | {"asgi_server": asgi_server}


def all_off(asgi_server: str = SERVERS[0]) -> Answers:
    """Return the combination with every toggle off."""
    return dict.fromkeys(TOGGLES, False) | {"asgi_server": asgi_server}
