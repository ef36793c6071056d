"""Every generated answer is refused, or appears unchanged in the rendered files.

This command tries fifty times as many answers as usual, and different ones each time:

    .venv/bin/pytest --effort 50 --numprocesses 0 --timeout 0 tests/render/test_fuzzed_answers.py
"""

import ast
import html
import json
import re
import sys
import tempfile
import tomllib
import unicodedata
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException
from cookiecutter.utils import create_env_with_context
from hypothesis import HealthCheck, Phase, configuration, given, settings
from hypothesis import strategies as st
from jinja2 import Template, TemplateError

from devtools.commands import check_output
from devtools.matrix import OPTIONS, QUESTIONS, ROOT
from devtools.rendering import load_hook, render, text_files
from tests.support.effort import effort

type Answered = dict[str, Any]

HOME_PAGES = str(ROOT / "tests" / "support" / "home_pages.py")
# Keep the tables of Unicode that hypothesis computes out of the repository.
configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")

HOOK = load_hook("pre_gen_project")
EXAMPLES = {key: example for key, (_, example) in HOOK["RULES"].items()}
# A pattern without any match.
NOTHING = re.compile("(?!)")
TEXTS = ["project_name", "description", "author_name"]

# Each category of Unicode is equally likely.
CATEGORIES: list[Any] = sorted({unicodedata.category(chr(point)) for point in range(sys.maxunicode + 1)})
CHARACTERS = st.one_of([st.characters(categories=[category]) for category in CATEGORIES])
ORDINARY = st.sampled_from(["Shop", "of", "Ada's", "& Sons", "日本語", "naïve", "😀", "#1", "50%", "(new)", " "])
# Text with a meaning for a language, a linter, a terminal or a file system.
MEANINGFUL = [
    *('"', '"""', "'", "'''", "\\", "\\n", r"\u0041", r"\N{BULLET}", "`id`", "$HOME", "${x}", "%s", "%(x)s"),
    *("{{ 1 }}", "{{", "}}", "{% x %}", "# {% if x %}", "{# x #}", "{", "}", "#", "# noqa", "# type: ignore"),
    *("<b>", "</title>", "<script>", "&amp;", "&", "<!--", "-->", "]]>", "[x](y)", "---", "- ", ": ", "~~~", "* "),
    *("\n", "\r", "\r\n", "\t", "\x00", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u200b", "\u202e", "\ufeff", "\xa0"),
    *("\xad", "\u200c", "\u200d", "\u2060", "\u2800", "\u3000", "\u3164", "\ufe0f", "\U000e0041", "\U000e0100"),
    *("\u2764\ufe0f", "\U0001f469\u200d\U0001f4bb", "\u06cc\u200c\u0631", "\u0930\u094d\u200d\u0930"),
    *("0.0.0.0", "::", "/tmp/x", "/", "../", "..", ".", "~", "C:\\", "con", "class", "json", "django"),  # noqa: S104, S108
    *("=", ",", ";", "@", "true", "null", "password", "SELECT * FROM x", "http://x.y/z", "日" * 50, "日" * 60),
]
PIECES = CHARACTERS | ORDINARY | st.sampled_from(MEANINGFUL)
LENGTHS = st.sampled_from([1, 2, 50, 51, 59, 60, 61, 63, 64, 199, 200, 201, 255, 1000])
# One piece between words, several pieces together, and one piece repeated.
TEXT = (
    st.builds("{}{}{}".format, ORDINARY, PIECES, ORDINARY)
    | st.lists(PIECES, max_size=8).map("".join)
    | st.builds(lambda piece, length: (piece * length)[:length], PIECES, LENGTHS)
)
SLUG = st.from_regex(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", fullmatch=True) | st.from_regex(r"[a-z0-9._/-]+") | TEXT
EMAIL = st.emails() | st.builds("{}@{}.{}".format, TEXT, TEXT, TEXT) | TEXT
FREE = {"project_slug": SLUG, "author_email": EMAIL, **dict.fromkeys(TEXTS, TEXT)}
FIXED = {key: st.sampled_from(values) for key, values in OPTIONS.items()}


def with_one(key: str, value: object) -> Answered:
    """Return valid answers, except for one."""
    return EXAMPLES | {key: value}


def accepts(key: str, value: object) -> bool:
    """Return whether an answer is accepted together with valid ones."""
    return not HOOK["refusals"](with_one(key, value))


# One generated answer among valid ones, because most generated answers are refused. Or all answers generated.
ANSWERS = st.one_of(
    [st.builds(with_one, st.just(key), strategy) for key, strategy in FREE.items()]
    + [st.fixed_dictionaries(FREE | FIXED)]
)
ACCEPTED = st.fixed_dictionaries(
    {key: strategy.filter(partial(accepts, key)) for key, strategy in (FREE | FIXED).items()}
)

# The template's Jinja environment, and the files that contain answers.
CONTEXT: Answered = {"cookiecutter": QUESTIONS}
JINJA = create_env_with_context(CONTEXT)


def template(path: str) -> Template:
    """Return a file of this repository as the Jinja template that cookiecutter makes of it."""
    source: Template = JINJA.from_string((ROOT / path).read_text(encoding="utf-8"))
    return source


SERVICE = "{{cookiecutter.project_slug}}"
PROJECT, SETTINGS, README = (
    template(f"{SERVICE}/{path}") for path in ("pyproject.toml", "config/settings.py", "README.md")
)
LAST_HOOK = template("hooks/post_gen_project.py")
DEFAULT_SLUG = JINJA.from_string(QUESTIONS["project_slug"])


def with_examples(examples: int, *, shrink: bool = True) -> settings:
    """Return settings for a number of examples: the same in each run, or new ones with `--effort`."""
    return settings(
        max_examples=examples * effort(),
        derandomize=effort() == 1,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def check_answers_are_unchanged(answers: Answered, project: str, settings: str, readme: str) -> None:
    """Check that the files contain the answers unchanged, and nothing else in their places."""
    metadata = tomllib.loads(project)["project"]
    assert metadata["name"] == answers["project_slug"]
    assert metadata["description"] == answers["description"]
    assert metadata["authors"] == [{"name": answers["author_name"], "email": answers["author_email"]}]
    assignments = [node for node in ast.parse(settings).body if isinstance(node, ast.Assign)]
    [name] = [node.value for node in assignments if ast.unparse(node.targets[0]) == "PROJECT_NAME"]
    assert ast.literal_eval(name) == answers["project_name"]
    beginning = f"# {answers['project_name']}\n\n{answers['description']}\n\n"
    # The characters that mean something to Markdown are escaped.
    assert readme.replace("\\", "").replace("&lt;", "<").startswith(beginning.replace("&lt;", "<"))


def check(answers: Answered) -> None:
    """Check that each wrong answer is refused in one line, and that valid answers keep every file valid."""
    refusals = HOOK["refusals"](answers)
    assert set(refusals) == {key for key in answers if not accepts(key, answers[key])}
    for key, line in refusals.items():
        assert line.isprintable()
        assert re.fullmatch(rf"{key}: {re.escape(ascii(answers[key]))} must .+\. Valid example: .+", line)
    if refusals:
        return

    for key in TEXTS:
        invisible = {character for character in answers[key] if unicodedata.category(character) in {"Cf", "Zs"}}
        assert invisible <= set(" \u3000\u200c\u200d")
    context = {"cookiecutter": QUESTIONS | answers}
    # cookiecutter also evaluates answers as templates.
    texts = "\n".join(answers[key] for key in FREE)
    assert JINJA.from_string(texts).render(context) == texts
    check_answers_are_unchanged(answers, *(file.render(context) for file in (PROJECT, SETTINGS, README)))
    namespace: Answered = {"__name__": "hook"}
    exec(LAST_HOOK.render(context), namespace)  # noqa: S102
    assert namespace["ANSWERS"] == context["cookiecutter"]
    assert answers["project_name"] in namespace["next_steps"]()
    slug = DEFAULT_SLUG.render(context)
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert len(slug) <= 63


def lint(directory: Path, names: list[str]) -> None:
    """Check that the linters of a service accept its settings with each of some project names."""
    (directory / "pyproject.toml").write_text(PROJECT.render(CONTEXT | {"cookiecutter": QUESTIONS | EXAMPLES}), "utf-8")
    for number, name in enumerate(name for name in names if accepts("project_name", name)):
        context = {"cookiecutter": QUESTIONS | EXAMPLES | {"project_name": name}}
        settings = SETTINGS.render(context)
        (directory / f"settings_{number}.py").write_text(settings, "utf-8")
        # The linter sorts imports of existing modules apart from those of installed packages.
        for module in re.findall(r"^from (runtime\.[\w.]+)", settings, re.MULTILINE):
            path = (directory / module.replace(".", "/")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            for file in (path, path.with_name("__init__.py")):
                file.write_text('"""A module of the service."""\n', "utf-8")
    check_output(directory, "ruff", "check", "--no-cache", ".")
    check_output(directory, "ruff", "format", "--check", "--no-cache", ".")


def test_generated_answer_is_refused_or_keeps_files_valid() -> None:
    for piece in MEANINGFUL:
        for key in TEXTS:
            check(EXAMPLES | {key: f"a{piece}b"})
    with_examples(700)(given(ANSWERS)(check))()


def test_linters_accept_every_accepted_project_name(tmp_path: Path) -> None:
    lint(tmp_path, MEANINGFUL)
    with_examples(12, shrink=False)(given(st.lists(TEXT, min_size=60))(lambda names: lint(tmp_path, names)))()


@pytest.mark.slow(30)
def test_accepted_answers_render_a_valid_service(tmp_path: Path) -> None:
    services: dict[str, str] = {}

    def check_service(answers: Answered) -> None:
        service = render(answers, tmp_path / str(len(services)))
        services[str(service)] = answers["project_name"]
        files = text_files(service)
        check_answers_are_unchanged(
            answers, *(files[path] for path in ("pyproject.toml", "config/settings.py", "README.md"))
        )
        for path, text in files.items():
            if path.endswith(".py"):
                compile(text, path, "exec")
            elif path.endswith(".toml"):
                tomllib.loads(text)
            elif path.endswith((".yaml", ".yml")):
                yaml.safe_load(text)
            elif path.endswith(".json"):
                json.loads(text)
        assert re.fullmatch(r"#.+\nDEBUG=true\nSECRET_KEY=[\w-]{50,}\n", files[".env"])
        check_output(service, "ruff", "check", "--no-cache", ".")
        check_output(service, "ruff", "format", "--check", "--no-cache", ".")
        check_output(service, "rumdl", "check", "--no-cache", ".")

    with_examples(8)(given(ACCEPTED)(check_service))()

    some = list(services)[: 4 * effort()]
    pages = [json.loads(line) for line in check_output(tmp_path, "python", HOME_PAGES, *some).splitlines()]
    assert [name for name, _ in pages] == [services[service] for service in some]
    for name, page in pages:
        assert f"<h1>{html.escape(name)}</h1>" in page
        assert f"<title>{html.escape(name)}</title>" in page


def test_refused_answers_leave_no_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def check_refusal(answers: Answered) -> None:
        lines = list(HOOK["refusals"](answers).values())
        capfd.readouterr()
        with pytest.raises(FailedHookException):
            render(answers, tmp_path / "output")
        assert list(tmp_path.rglob("*")) in ([], [tmp_path / "output"])
        assert capfd.readouterr().err.splitlines() == lines

    # File systems have no folder with so long a name.
    check_refusal(EXAMPLES | {"project_slug": "x" * 300})
    # cookiecutter changes templates and other line ends before the hook sees them.
    verbatim = ANSWERS.filter(lambda answers: not re.search(r"[{\r]", "".join(map(str, answers.values()))))
    refused = verbatim.filter(HOOK["refusals"])
    with_examples(10)(given(refused)(check_refusal))()


@pytest.mark.parametrize("character", ['"', "\\", "{"])
def test_special_character_that_the_hook_accepts_is_detected(monkeypatch: pytest.MonkeyPatch, character: str) -> None:
    pattern = HOOK["SPECIAL"].pattern.replace(re.escape(character) if character == "\\" else character, "")
    monkeypatch.setitem(HOOK, "SPECIAL", re.compile(pattern))
    with pytest.raises((AssertionError, SyntaxError, ValueError, TemplateError)):
        test_generated_answer_is_refused_or_keeps_files_valid()


def test_invisible_character_that_the_hook_accepts_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HOOK, "INVISIBLE", NOTHING)
    with pytest.raises(AssertionError):
        test_generated_answer_is_refused_or_keeps_files_valid()


def test_control_character_that_the_hook_accepts_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HOOK, "CONTROL", NOTHING)
    with pytest.raises((AssertionError, SyntaxError, ValueError)):
        test_generated_answer_is_refused_or_keeps_files_valid()


@pytest.mark.parametrize("key", ["project_slug", "author_email", "description"])
def test_missing_validator_is_detected(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setitem(HOOK["RULES"], key, (lambda value: None, EXAMPLES[key]))
    with pytest.raises((AssertionError, SyntaxError, ValueError, TemplateError)):
        test_generated_answer_is_refused_or_keeps_files_valid()


def test_project_name_that_linters_reject_is_detected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(HOOK["RULES"], "project_name", (HOOK["name"], EXAMPLES["project_name"]))
    with pytest.raises(AssertionError) as caught:
        test_linters_accept_every_accepted_project_name(tmp_path)
    assert set(re.findall(r"\b[ES]\d{3}\b", str(caught.value))) == {"E501", "S104", "S108"}
