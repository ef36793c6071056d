"""Finishes a rendered service: removes the files of options that are off, writes `.env`, prints the next steps.

Standard library only; runs on Python 3.10 and newer. It runs no other program and uses no network.
"""

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    # cookiecutter runs this file in the folder for temporary files, where another user may have put a json.py.
    sys.path.pop(0)

import io
import json
import os
import secrets
import shutil
import stat
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

# The folder with the other hook's backup. This hook removes it at the end.
UNFINISHED = "UNFINISHED"

# The files and folders of each answer. `!` negates an answer, `and` requires both.
MANIFEST = {
    "asgi_server=uvicorn": [
        "runtime/server/uvicorn.py",
        "runtime/server/uvicorn_protocol.py",
        "runtime/tests/server/test_uvicorn.py",
    ],
    "asgi_server=uvicorn and use_channels": [
        "runtime/server/uvicorn_websocket.py",
        "runtime/tests/server/test_uvicorn_websocket.py",
    ],
    "asgi_server=granian": [
        "runtime/server/granian.py",
        "runtime/server/granian_write_timeout.py",
        "runtime/tests/server/test_granian.py",
    ],
    "asgi_server=daphne": [
        "runtime/server/daphne.py",
        "runtime/server/daphne_connection.py",
        "runtime/tests/server/test_daphne.py",
    ],
    "asgi_server=daphne and use_channels": [
        "runtime/server/daphne_websocket.py",
    ],
    "!asgi_server=daphne": [
        "runtime/server/tcp.py",
    ],
    "use_channels": [
        "accounts/sessions.py",
        "catalog/consumers.py",
        "catalog/events.py",
        "catalog/routing.py",
        "catalog/static/catalog/feed.js",
        "runtime/development/websocket_client.py",
        "runtime/tests/server/test_shutdown_websocket.py",
        "runtime/tests/websockets/test_auth.py",
        "runtime/tests/websockets/test_channel_layer.py",
        "runtime/tests/websockets/test_checks.py",
        "runtime/tests/websockets/test_consumers.py",
        "runtime/tests/websockets/test_guard.py",
        "runtime/tests/websockets/test_origins.py",
        "runtime/websockets/application.py",
        "runtime/websockets/apps.py",
        "runtime/websockets/auth.py",
        "runtime/websockets/channel_layer.py",
        "runtime/websockets/checks.py",
        "runtime/websockets/consumers.py",
        "runtime/websockets/guard.py",
        "runtime/websockets/health.py",
        "runtime/websockets/origins.py",
        "tests/test_consumers.py",
        "tests/test_events.py",
    ],
    "use_postgres": [
        "runtime/postgres",
        "runtime/tests/postgres",
    ],
    "!use_postgres": [
        "runtime/sqlite",
        "runtime/tests/sqlite",
    ],
    # Before "use_async_views", which removes the whole folder.
    "use_async_views and use_orm_wrappers": [
        "catalog/views/reservations.py",
        "catalog/views/users.py",
        "tests/test_reservations.py",
        "tests/test_user_count.py",
    ],
    "use_async_views": [
        "catalog/api.py",
        "catalog/forms.py",
        "catalog/suppliers.py",
        "catalog/views",
        "runtime/requests/http_client.py",
        "runtime/tests/requests/test_http_client.py",
        "tests/api_test_case.py",
        "tests/test_api.py",
        "tests/test_export.py",
        "tests/test_products.py",
        "tests/test_quotes.py",
        "tests/test_suppliers.py",
    ],
    "use_orm_wrappers": [
        "catalog/services.py",
        "tests/test_services.py",
    ],
    "use_async_middleware": [
        "runtime/requests/request_id.py",
        "runtime/tests/requests/test_request_id.py",
    ],
}


def is_chosen(key: str, answers: dict[str, object]) -> bool:
    """Return whether a service with these answers has the files of a key of the manifest."""
    for condition in key.split(" and "):
        name, _, value = condition.lstrip("!").partition("=")
        given = answers[name] == value if value else bool(answers[name])
        if given == condition.startswith("!"):
            return False
    return True


def was_rendered_now(file: Path, backup: Path, old_time: int | None) -> bool:
    """Return whether this render wrote a file without changing what the owner had there."""
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode):
        return False
    # With --skip-if-file-exists, this render did not write a file that existed.
    return old_time is None or (old_time != status.st_mtime_ns and file.read_bytes() == backup.read_bytes())


def remove(service: Path, path: str, old_times: dict[str, int]) -> list[str]:
    """Remove what this render wrote at a path or below, and restore what it overwrote there.

    Return the paths of the owner's files. Raise FileNotFoundError if there is nothing at the path.
    """
    file, backup = service / path, service / UNFINISHED / path
    if file.is_dir() and not file.is_symlink():
        kept = [owned for part in sorted(file.iterdir()) for owned in remove(service, f"{path}/{part.name}", old_times)]
        if not kept:
            file.rmdir()
        return kept
    if was_rendered_now(file, backup, old_times.get(path)):
        file.unlink()
        return []
    if backup.exists():
        shutil.copy2(backup, file)
    return [path]


def remove_unchosen_files(service: Path) -> list[str]:
    """Remove the files of the options that are off. Return the paths of those that the owner wrote or edited."""
    old_times = json.loads((service / UNFINISHED / "times.json").read_text(encoding="utf-8"))
    return [
        owned
        for key, paths in MANIFEST.items()
        if not is_chosen(key, ANSWERS)
        for path in paths
        for owned in remove(service, path, old_times)
    ]


def write_env(service: Path) -> None:
    """Write a `.env` for development that only its owner can read. Leave an existing one as it is."""
    path = service / ".env"
    if os.path.lexists(path):
        return
    # Rename a complete draft: no later render would complete a `.env` that was cut off.
    draft = service / UNFINISHED / ".env"
    draft.touch(mode=0o600)
    draft.write_text(
        "# Settings of this machine, which git ignores. .env.example describes every variable.\n"
        "DEBUG=true\n"
        f"SECRET_KEY={secrets.token_urlsafe(50)}\n",
        encoding="utf-8",
    )
    draft.rename(path)


def next_steps() -> str:
    """Return what was chosen and the commands to run next."""
    chosen = [
        "Channels" if ANSWERS["use_channels"] else "",
        "PostgreSQL" if ANSWERS["use_postgres"] else "SQLite",
        "async views" if ANSWERS["use_async_views"] else "",
        "ORM wrappers" if ANSWERS["use_orm_wrappers"] else "",
        "async middleware" if ANSWERS["use_async_middleware"] else "",
        f"served by {ANSWERS['asgi_server']}",
    ]
    return (
        f"{ANSWERS['project_name']}: {', '.join(filter(None, chosen))}.\n"
        "\n"
        f"    cd {ANSWERS['project_slug']}\n"
        "    uv run manage.py migrate\n"
        "    uv run manage.py runserver\n"
        "    uv run pytest\n"
        "\n"
        "The service is then at http://127.0.0.1:8000/. Its README.md describes it."
    )


def print_message(message: str) -> None:
    """Print a message. A closed or full stdout does not fail the render."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return  # stdout is closed
    # The terminal may not be able to show the name of the project.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(message, flush=True)
    except OSError:
        # At exit, Python would flush stdout again, fail and change the exit status.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Finish the service in the working directory."""
    service = Path.cwd()
    kept = remove_unchosen_files(service)
    write_env(service)
    shutil.rmtree(service / UNFINISHED)
    print_message(next_steps())
    if kept:
        print_message(f"\nKept, although these answers do not need them, because they may be yours: {', '.join(kept)}")


if __name__ == "__main__":
    main()
