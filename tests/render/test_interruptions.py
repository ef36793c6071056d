"""An interrupted render leaves nothing, an empty folder, a whole service, or a folder that is marked as unfinished."""

import errno
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from devtools.rendering import break_source, call_cookiecutter, contents, copy_template

type Contents = dict[str, tuple[bytes, int]]

NAME = "async-django-service"
PRE = "hooks/pre_gen_project.py"
POST = "hooks/post_gen_project.py"
RENDERING = "{{cookiecutter.project_slug}}/catalog/models.py"

# Where a render waits to be interrupted: before a line of a file, or without a line when cookiecutter reads the file.
MOMENTS = {
    "before it begins": (PRE, "    back_up(service)\n\n\n"),
    "while it renders": (RENDERING, ""),
    "before files are removed": (POST, "    kept = remove_unchosen_files(service)\n"),
    "after files are removed": (POST, "    write_env(service)\n"),
    "when it is whole": (POST, "    print_message(next_steps())\n"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """Return the contents of a service whose render was not interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    assert call_cookiecutter(directory, "--no-input").returncode == 0
    return contents(directory / "output" / NAME)


def interrupt(process: psutil.Process) -> None:
    """Send SIGINT to cookiecutter and its hook, as Ctrl-C does."""
    for each in [process, *process.children()]:
        each.send_signal(signal.SIGINT)


def kill_the_hook(process: psutil.Process) -> None:
    """Kill the hook, but not cookiecutter."""
    [hook] = process.children()
    hook.kill()


def render_and_interrupt(
    directory: Path, moment: str, how: Callable[[psutil.Process], None], *arguments: str, template: Path | None = None
) -> None:
    """Start a render and interrupt it at a moment."""
    template = template or copy_template(directory / "template")
    path, line = MOMENTS[moment]
    fifo = template / path
    if line:
        fifo = directory / "fifo"
        break_source(template, path, line, f"    open({str(fifo)!r}).read()\n{line}")
    else:
        fifo.unlink()
    os.mkfifo(fifo)
    with ThreadPoolExecutor() as executor:
        call = executor.submit(
            call_cookiecutter,
            directory,
            "--no-input",
            *arguments,
            template=template,
            script='echo $$ >"$TMPDIR/pid"; exec "$@"',
        )
        # The reader of the FIFO blocks while the FIFO is open.
        writer = open_when_read(fifo, lambda: not call.done())
        try:
            how(psutil.Process(int((directory / "scripts" / "pid").read_text(encoding="utf-8"))))
        finally:
            os.close(writer)
        # The output ends when the last process of the render has ended.
        assert call.result().returncode != 0


def open_when_read(fifo: Path, goes_on: Callable[[], bool]) -> int:
    """Open a FIFO for writing as soon as a process reads it."""
    while goes_on():
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            time.sleep(0.01)
    raise AssertionError("the render ended without reading the FIFO")


def state(directory: Path, whole: Contents) -> str:
    """Return the state in which a service was left, as a word."""
    service = directory / "output" / NAME
    if not service.exists():
        return "nothing"
    if not list(service.iterdir()):
        return "empty"
    if (service / "UNFINISHED").exists():
        return "unfinished"
    assert contents(service) == whole, "an incomplete service is not marked as unfinished"
    assert (service / ".env").exists()
    return "whole"


@pytest.mark.parametrize(
    ("moment", "how", "left"),
    [
        ("before it begins", interrupt, "empty"),
        ("while it renders", interrupt, "unfinished"),
        ("before files are removed", interrupt, "unfinished"),
        ("after files are removed", interrupt, "unfinished"),
        ("when it is whole", interrupt, "whole"),
        ("while it renders", psutil.Process.terminate, "unfinished"),
        # SIGTERM reaches cookiecutter alone. The hook continues.
        ("before files are removed", psutil.Process.terminate, "whole"),
        ("before it begins", kill_the_hook, "nothing"),
        ("after files are removed", kill_the_hook, "nothing"),
    ],
)
def test_interrupted_render_leaves_a_recognisable_state(
    tmp_path: Path, whole: Contents, moment: str, how: Callable[[psutil.Process], None], left: str
) -> None:
    render_and_interrupt(tmp_path, moment, how)

    assert state(tmp_path, whole) == left


def test_render_that_cannot_write_a_file_is_marked_unfinished(tmp_path: Path, whole: Contents) -> None:
    template = copy_template(tmp_path / "template")
    with (template / RENDERING).open("a", encoding="utf-8") as file:
        file.write("#" * 200_000)

    # Like a full disk: the limit is below the size of this file.
    result = call_cookiecutter(tmp_path, "--no-input", template=template, script='ulimit -f 100; exec "$@"')

    assert "File too large" in result.stderr
    assert state(tmp_path, whole) == "unfinished"


def test_backup_is_kept_until_a_render_is_complete(tmp_path: Path) -> None:
    service = tmp_path / "output" / NAME
    unfinished = service / "UNFINISHED"
    call_cookiecutter(tmp_path, "--no-input", "use_orm_wrappers=no")
    (service / "catalog/models.py").write_text("# mine\n", encoding="utf-8")
    (service / "catalog/services.py").write_text("# mine\n", encoding="utf-8")
    before = {path: entry for path, entry in contents(service).items() if "/" in path and not path.startswith(".")}

    arguments = ("use_orm_wrappers=no", "--overwrite-if-exists")
    render_and_interrupt(tmp_path, "after files are removed", interrupt, *arguments)
    assert contents(service)["catalog/models.py"] != before["catalog/models.py"]
    assert {path: entry for path, entry in contents(unfinished).items() if "/" in path} == before

    # Another render refuses and keeps the backup.
    kept = contents(service)
    result = call_cookiecutter(tmp_path, "--no-input", *arguments)
    assert result.stderr.startswith(
        "UNFINISHED: an earlier render of this folder was interrupted. Follow UNFINISHED/README.txt."
    )
    assert contents(service) == kept

    # The owner does what README.txt says.
    for package in filter(Path.is_dir, unfinished.iterdir()):
        shutil.copytree(package, service / package.name, dirs_exist_ok=True)
    shutil.rmtree(unfinished)
    assert call_cookiecutter(tmp_path, "--no-input", *arguments, "--skip-if-file-exists").returncode == 0
    assert {path: contents(service)[path] for path in before} == before


def test_render_that_cannot_copy_a_file_changes_nothing(tmp_path: Path) -> None:
    service = tmp_path / "output" / NAME
    call_cookiecutter(tmp_path, "--no-input")
    (service / "catalog/large.py").write_bytes(b"#" * 100_000)
    before = contents(service)

    result = call_cookiecutter(tmp_path, "--no-input", "--overwrite-if-exists", script='ulimit -f 100; exec "$@"')
    assert result.returncode == 1
    assert contents(service) == before


def test_incomplete_service_without_mark_is_detected(tmp_path: Path, whole: Contents) -> None:
    template = copy_template(tmp_path / "template")
    break_source(template, PRE, "    back_up(service)\n", "")

    render_and_interrupt(tmp_path, "while it renders", interrupt, template=template)
    with pytest.raises(AssertionError, match="not marked as unfinished"):
        state(tmp_path, whole)
