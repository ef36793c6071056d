"""A service's git hooks: they fix the files of a commit, and refuse to push code that fails `make check`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from devtools.commands import GIT_IDENTITY, UV, check_output, commit, run
from devtools.matrix import Answers, all_off
from devtools.rendering import render

PLAIN = all_off()
# The hooks use the environment of the tests. Without these variables, `uv run` would create one.
SHARED = GIT_IDENTITY | {"UV_NO_SYNC": "1", "UV_PROJECT_ENVIRONMENT": str(Path(UV).parent.parent)}


@pytest.mark.fills_mypy_cache
def test_hooks_fix_a_commit_and_check_a_push(
    tmp_path: Path, mypy_cache: Callable[[Answers], AbstractContextManager[str]]
) -> None:
    service = render(PLAIN, tmp_path)
    commit(service)
    check_output(tmp_path, "git", "init", "--quiet", "--bare", "remote", **GIT_IDENTITY)
    check_output(service, "git", "remote", "add", "origin", str(tmp_path / "remote"), **GIT_IDENTITY)
    check_output(service, UV, "run", "--group", "lint", "prek", "install", **SHARED)
    models = service / "catalog" / "models.py"
    clean = models.read_text(encoding="utf-8")

    models.write_text(clean.replace("from django", "import os\nfrom django", 1) + "x = [1,2]\n", encoding="utf-8")
    refused = run(service, "git", "commit", "--all", "--message", "Be careless", **SHARED)
    assert refused.returncode == 1
    assert models.read_text(encoding="utf-8") == f"{clean}\n\nx = [1, 2]\n"
    check_output(service, "git", "commit", "--all", "--message", "Be careful", **SHARED)

    with mypy_cache(PLAIN) as cache:
        environment = SHARED | {"MYPY_CACHE_DIR": cache}
        check_output(service, "git", "push", "origin", "main", **environment)
        models.write_text(clean + "\n\nx: str = 1\n", encoding="utf-8")
        check_output(service, "git", "commit", "--all", "--message", "Be wrong", **environment)
        pushed = run(service, "git", "push", "origin", "main", **environment)
    assert pushed.returncode == 1
    assert "Incompatible types in assignment" in pushed.stdout + pushed.stderr
