"""Answers that would break a service are refused in a line each, before anything of it is written."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from contract import speak
from cookiecutter.exceptions import FailedHookException
from matrix import QUESTIONS, ROOT, SERVERS, TOGGLES, Answers, all_off, all_on
from packaging.requirements import Requirement
from rendering import call_cookiecutter, load_hook, render, run, succeed, text_files
from serving import served

SLUGS = {
    "empty": "",
    "upper case": "My-Service",
    "space": "my service",
    "digit first": "2shop",
    "hyphen first": "-shop",
    "underscore first": "_shop",
    "hyphen last": "shop-",
    "two hyphens": "my--shop",
    "dot": "my.shop",
    "non-ASCII": "日本語",
    "accent": "café",
    "full-width": "ｓｈｏｐ",
    "too long": "x" * 64,
    "keyword": "class",
    "capital keyword": "none",
    "soft keyword": "match",
    "standard library": "json",
    "Django": "django",
    "dependency": "channels",
    "dependency, spelt with a hyphen": "channels-redis",
    "own package": "catalog",
    "own tests": "tests",
    "Windows device": "con",
    "numbered Windows device": "lpt1",
    "this folder": ".",
    "parent": "..",
    "sibling": "../evil",
    "nested": "a/b/c",
    "absolute": "/tmp/evil",  # noqa: S108
    "Windows path": "a\\b",
    "home": "~",
    "line break": "shop\n",
    "command": "$(touch evil)",
}
TEXTS = {
    "empty": "",
    "blank": " ",
    "space first": " Shop",
    "space last": "Shop ",
    "too long": "x" * 201,
    "double quote": 'The "best" shop',
    "three quotes": '"""',
    "backslash": "C:\\temp",
    "dollar": "$HOME",
    "backtick": "`id`",
    "opening brace": "{shop",
    "closing brace": "shop}",
    "line break": "two\nlines",
    "form feed": "two\flines",
    "tab": "two\twords",
    "nul": "a\x00b",
    "escape": "\x1b[31mred",
    "delete": "a\x7fb",
    "C1 control": "a\x85b",
    "line separator": "two\u2028lines",
    "lone surrogate": "a\ud800b",
}
# Invisible characters by code point, with their Unicode names.
INVISIBLE = {
    "\xa0": "NO-BREAK SPACE",
    "\xad": "SOFT HYPHEN",
    "\u034f": "COMBINING GRAPHEME JOINER",
    "\u061c": "ARABIC LETTER MARK",
    "\u115f": "HANGUL CHOSEONG FILLER",
    "\u1160": "HANGUL JUNGSEONG FILLER",
    "\u17b4": "KHMER VOWEL INHERENT AQ",
    "\u180b": "MONGOLIAN FREE VARIATION SELECTOR ONE",
    "\u180e": "MONGOLIAN VOWEL SEPARATOR",
    "\u2003": "EM SPACE",
    "\u200b": "ZERO WIDTH SPACE",
    "\u200c": "ZERO WIDTH NON-JOINER",
    "\u200d": "ZERO WIDTH JOINER",
    "\u200f": "RIGHT-TO-LEFT MARK",
    "\u202e": "RIGHT-TO-LEFT OVERRIDE",
    "\u2060": "WORD JOINER",
    "\u2066": "LEFT-TO-RIGHT ISOLATE",
    "\u206f": "NOMINAL DIGIT SHAPES",
    "\u2800": "BRAILLE PATTERN BLANK",
    "\u3164": "HANGUL FILLER",
    "\ufe0f": "VARIATION SELECTOR-16",
    "\ufeff": "ZERO WIDTH NO-BREAK SPACE",
    "\uffa0": "HALFWIDTH HANGUL FILLER",
    "\U000e0000": "unnamed",
    "\U000e0041": "TAG LATIN CAPITAL LETTER A",
    "\U000e007f": "CANCEL TAG",
    "\U000e0100": "VARIATION SELECTOR-17",
}
# Invisible characters where they change how their neighbours look: emoji, and names of people.
SHAPED = {
    "woman technologist": "\U0001f469\u200d\U0001f4bb",
    "with a skin tone": "\U0001f469\U0001f3fd\u200d\U0001f4bb",
    "rainbow flag": "\U0001f3f3\ufe0f\u200d\U0001f308",
    "head shaking": "\U0001f642\u200d\u2194\ufe0f",
    "heart": "\u2764\ufe0f",
    "snowman as text": "\u2603\ufe0e",
    "keycap": "1\ufe0f\u20e3",
    "Persian": "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
    "Hindi": "\u0930\u093e\u091c\u0915\u094d\u200d\u0937",
    "Bengali": "\u09b0\u200d\u09cd\u09af\u09be\u09ac",
    "Malayalam": "\u0d05\u0d35\u0d28\u0d4d\u200d",
    "Sinhala": "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "Japanese": "\u845b\U000e0100\u57ce",
    "wide space": "\u5c71\u7530\u3000\u592a\u90ce",
}
# The same characters where they change nothing.
UNSHAPED = {
    "joiner between Latin letters": "a\u200db",
    "joiner after an emoji": "\U0001f469\u200d",
    "joiner before an emoji": "a\u200d\U0001f4bb",
    "two joiners": "\U0001f469\u200d\u200d\U0001f4bb",
    "selector after a letter": "a\ufe0fb",
    "two selectors": "\u2764\ufe0f\ufe0f",
    "half a keycap": "1\ufe0f",
    "non-joiner between Latin and Arabic": "a\u200c\u0631",
    "two non-joiners": "\u06cc\u200c\u200c\u0631",
    "ideographic selector after a Latin letter": "a\U000e0100",
    "flag of tags": "\U0001f3f4\U000e0067\U000e0062\U000e007f",
}
EMAILS = {
    "empty": "",
    "no at": "ada",
    "two ats": "ada@@example.com",
    "no domain": "ada@",
    "no name": "@example.com",
    "no dot": "ada@localhost",
    "space": "ada lovelace@example.com",
    "quote": 'a"b@example.com',
    "line break": "ada@example.com\n",
    "two dots": "ada..l@example.com",
    "hyphen last": "ada@example-.com",
    "non-ASCII": "ада@example.com",
    "dollar": "$x@example.com",
}
BAD = [
    *(pytest.param("project_slug", value, id=f"slug: {name}") for name, value in SLUGS.items()),
    *(
        pytest.param(key, value, id=f"{key}: {name}")
        for key in ("project_name", "description", "author_name")
        for name, value in TEXTS.items()
    ),
    *(pytest.param("author_email", value, id=f"e-mail: {name}") for name, value in EMAILS.items()),
]


def refuse(directory: Path, capfd: pytest.CaptureFixture[str], **answers: object) -> str:
    """Render with answers that must be refused; return the one line that says why."""
    output = directory / "output"
    output.mkdir()
    with pytest.raises(FailedHookException):
        render(all_on() | answers, output)
    # Neither half a service, nor a folder of a slug that leads out of the output.
    assert {path.name for path in directory.rglob("*")} == {"output"}
    [line] = capfd.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_answer_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], key: str, value: str) -> None:
    line = refuse(tmp_path, capfd, **{"project_slug": "shop", key: value})

    # The value, the rule, an example.
    assert re.fullmatch(rf"{key}: {re.escape(ascii(value))} must .+; for example .+\.", line)


@pytest.mark.parametrize("character", INVISIBLE, ids=lambda character: f"U+{ord(character):04X}")
def test_an_invisible_character_is_refused_by_its_name(character: str) -> None:
    hook = load_hook("pre_gen_project")
    for key in ("project_name", "description", "author_name"):
        example = hook["RULES"][key][2]
        answers = {key: rule[2] for key, rule in hook["RULES"].items()} | {key: f"a{character}b"}

        named = f"U+{ord(character):04X} ({INVISIBLE[character]})"
        assert hook["refusals"](answers) == [
            f"{key}: {f'a{character}b'!a} must not contain the invisible character {named}; for example {example}."
        ]


@pytest.mark.parametrize("name", SHAPED)
def test_an_invisible_character_that_shapes_its_neighbours_is_accepted(name: str) -> None:
    assert load_hook("pre_gen_project")["name"](SHAPED[name]) is None


@pytest.mark.parametrize("name", UNSHAPED)
def test_an_invisible_character_that_shapes_nothing_is_refused(name: str) -> None:
    assert "must not contain the invisible character U+" in load_hook("pre_gen_project")["name"](UNSHAPED[name])


def test_a_slug_that_leads_elsewhere_leaves_nothing_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refuse(tmp_path, capfd, project_slug=str(tmp_path / "elsewhere" / "evil"))


@pytest.mark.parametrize("toggle", TOGGLES)
@pytest.mark.parametrize("value", ["maybe", 2, None])
def test_a_toggle_is_true_or_false(tmp_path: Path, toggle: str, value: object) -> None:
    # cookiecutter itself refuses some of them, before it asks us.
    with pytest.raises((FailedHookException, ValueError)):
        render({toggle: value}, tmp_path / "output")
    assert not (tmp_path / "output" / "async-django-service").exists()


def test_a_replayed_toggle_is_true_or_false() -> None:
    hook = load_hook("pre_gen_project")
    answers = dict.fromkeys(TOGGLES, "yes") | {
        key: rule[2] for key, rule in hook["RULES"].items() if key not in TOGGLES
    }

    assert hook["refusals"](answers) == [
        f"{toggle}: 'yes' must be true or false; for example {QUESTIONS[toggle]}." for toggle in TOGGLES
    ]


def test_every_refusal_is_told_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        render({"project_slug": "class", "author_email": "ada"}, tmp_path)
    assert [line.split(":")[0] for line in capfd.readouterr().err.splitlines()] == ["project_slug", "author_email"]


def test_a_refusal_leaves_alone_what_was_there(tmp_path: Path) -> None:
    kept = render(all_on(), tmp_path) / "manage.py"
    with pytest.raises(FailedHookException):
        render(all_on() | {"description": "$HOME"}, tmp_path, overwrite_if_exists=True)
    assert kept.exists()


def test_the_command_line_says_it_in_a_line(tmp_path: Path) -> None:
    result = run(tmp_path, "cookiecutter", str(ROOT), "--no-input", "--default-config", "project_slug=../evil")

    assert result.returncode == 1
    assert result.stderr.startswith("project_slug: '../evil' must be lower-case letters")
    assert list(tmp_path.iterdir()) == []


# What cookiecutter makes 42 of where it takes an answer for a template.
EVALUATED = "{{ 6 * 7 }}"


def description(directory: Path) -> object:
    """Return what the service in a folder says that it does."""
    [project] = (directory / "output").glob("*/pyproject.toml")
    return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["description"]


def test_cookiecutter_evaluates_answers_on_its_command_line(tmp_path: Path) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", f"description={EVALUATED}")

    assert (result.returncode, description(tmp_path)) == (0, "42")


def test_cookiecutter_evaluates_answers_in_its_user_configuration(tmp_path: Path) -> None:
    config = tmp_path / "user.yaml"
    config.write_text(json.dumps({"default_context": {"description": EVALUATED}}), encoding="utf-8")
    result = call_cookiecutter(tmp_path, "--no-input", "--config-file", str(config), HOME=str(tmp_path))

    assert (result.returncode, description(tmp_path)) == (0, "42")


@pytest.mark.parametrize("answer", [EVALUATED, "O'Brien & Sons"])
def test_cookiecutter_does_not_evaluate_answers_to_its_prompts(tmp_path: Path, answer: str) -> None:
    questions = [key for key in QUESTIONS if not key.startswith("_")]
    answered = "".join(f"{answer if key == 'description' else ''}\n" for key in questions)

    check_taken_literally(tmp_path, call_cookiecutter(tmp_path, answered=answered), answer)


@pytest.mark.parametrize("answer", [EVALUATED, "O'Brien & Sons"])
def test_cookiecutter_does_not_evaluate_answers_in_a_replay_file(tmp_path: Path, answer: str) -> None:
    succeed(tmp_path, "mkdir", "first")
    assert call_cookiecutter(tmp_path / "first", "--no-input").returncode == 0
    [replay] = (tmp_path / "first" / "replays").iterdir()
    answers = json.loads(replay.read_text(encoding="utf-8"))
    answers["cookiecutter"]["description"] = answer
    replay.write_text(json.dumps(answers), encoding="utf-8")

    check_taken_literally(tmp_path, call_cookiecutter(tmp_path, "--replay-file", str(replay)), answer)


def check_taken_literally(directory: Path, result: CompletedProcess[str], answer: str) -> None:
    """Check that a description was refused as it was given if it is a template, and rendered as it was given if not."""
    if answer == EVALUATED:
        assert result.returncode == 1
        assert f"description: '{EVALUATED}' must not contain" in result.stderr
        assert list((directory / "output").iterdir()) == []
    else:
        assert (result.returncode, description(directory)) == (0, answer)


def test_every_question_has_a_rule_and_an_example_that_keeps_it() -> None:
    hook = load_hook("pre_gen_project")

    assert list(hook["RULES"]) == [key for key in QUESTIONS if not key.startswith("_")]
    assert hook["refusals"]({key: example for key, (_, _, example) in hook["RULES"].items()}) == []
    assert list(hook["ASGI_SERVERS"]) == SERVERS


@pytest.mark.parametrize("server", SERVERS)
def test_no_dependency_of_a_service_can_be_its_name(rendered: Callable[[Answers], Path], server: str) -> None:
    project = tomllib.loads((rendered(all_on(server)) / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    names = {Requirement(requirement).name.replace("-", "_") for requirement in requirements}

    assert names <= load_hook("pre_gen_project")["DEPENDENCIES"]


@pytest.mark.parametrize(
    "name",
    [
        "O'Brien & Sons",
        "日本語",
        "😀",
        SHAPED["woman technologist"],
        SHAPED["Persian"],
        "<b>Bold</b> & 50% off #1",
        "a" * 60,
    ],
)
def test_an_unusual_name_works_everywhere(tmp_path: Path, name: str) -> None:
    service = render(
        all_off() | {"project_name": name, "description": name, "author_name": name, "author_email": "o'b@example.com"},
        tmp_path,
    )

    files = text_files(service)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert (project["description"], project["authors"][0]["name"]) == (name, name)
    assert name in files["README.md"].replace("\\", "").replace("&lt;", "<")
    succeed(service, "ruff", "check", "--no-cache", ".")
    succeed(service, "ruff", "format", "--check", "--no-cache", ".")
    with served(service, all_off(), None, None) as server:
        speak(server.url, all_off(), name)


def test_the_slug_follows_from_the_name(tmp_path: Path) -> None:
    for name, slug in {"O'Brien & Sons": "o-brien-sons", "日本語": "ri-ben-yu", "😀": "service"}.items():
        assert render({"project_name": name}, tmp_path).name == slug


def test_a_secret_is_written_once_and_for_its_owner_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    env = render({}, tmp_path) / ".env"
    secret = re.search(r"^SECRET_KEY=(.{50,})$", env.read_text(encoding="utf-8"), re.MULTILINE)

    assert secret
    assert env.stat().st_mode & 0o777 == 0o600
    assert secret[1] not in capfd.readouterr().out
    render({}, tmp_path, overwrite_if_exists=True)
    assert secret[1] in env.read_text(encoding="utf-8")


def test_the_last_message_says_what_was_chosen_and_what_to_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    render({"use_postgres": True, "use_channels": False, "asgi_server": "granian"}, tmp_path)

    message = capfd.readouterr().out
    assert "PostgreSQL, async views, ORM wrappers, async middleware, served by granian." in message
    assert "Channels" not in message
    for command in (
        "cd async-django-service",
        "uv run manage.py migrate",
        "uv run manage.py runserver",
        "uv run pytest",
    ):
        assert f"    {command}\n" in message
