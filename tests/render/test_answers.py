"""Wrong answers are refused before cookiecutter writes a file, all at once and in a line each."""

import json
import os
import re
import subprocess
import sys
import tomllib
import unicodedata
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException
from cookiecutter.prompt import YesNoPrompt
from packaging.requirements import Requirement

from devtools.commands import UV, check_output, run
from devtools.matrix import QUESTIONS, ROOT, SERVERS, TOGGLES, Answers, all_off, all_on
from devtools.production import served
from devtools.rendering import break_source, call_cookiecutter, copy_template, load_hook, render, text_files
from tests.support.contract import check_contract

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
    "soft keyword since Python 3.12": "type",
    "soft keyword since Python 3.15": "lazy",
    "standard library": "json",
    "standard library until Python 3.11": "distutils",
    "standard library since Python 3.14": "annotationlib",
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
# Invisible characters with their Unicode names.
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


# The versions of Python that cookiecutter 2.7 supports.
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def examples(**answers: object) -> Answers:
    """Return the valid example of every answer, updated with `answers`."""
    return {key: example for key, (_, example) in load_hook("pre_gen_project")["RULES"].items()} | answers


def refuse(directory: Path, capfd: pytest.CaptureFixture[str], **answers: object) -> str:
    """Render with one wrong answer. Return the line of the refusal."""
    output = directory / "output"
    output.mkdir()
    with pytest.raises(FailedHookException):
        render(all_on() | answers, output)
    # There is no half-rendered service, and no folder where the slug leads out of the output folder.
    assert {path.name for path in directory.rglob("*")} == {"output"}
    [line] = capfd.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(("key", "value"), BAD)
def test_refusal_of_invalid_answer_has_value_rule_and_example(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], key: str, value: str
) -> None:
    line = refuse(tmp_path, capfd, **{"project_slug": "shop", key: value})

    assert re.fullmatch(rf"{key}: {re.escape(ascii(value))} must [^'].+\. Valid example: '.+'", line)


@pytest.mark.parametrize("character", INVISIBLE, ids=lambda character: f"U+{ord(character):04X}")
def test_refusal_of_invisible_character_has_its_code_point_and_name(character: str) -> None:
    for key in ("project_name", "description", "author_name"):
        refusals = load_hook("pre_gen_project")["refusals"](examples(**{key: f"a{character}b"}))

        named = f"U+{ord(character):04X} ({INVISIBLE[character]})"
        assert refusals == {
            key: f"{key}: {f'a{character}b'!a} must not contain the invisible character {named}. "
            f"Valid example: {examples()[key]!a}"
        }


def test_every_character_that_unicode_calls_invisible_is_refused() -> None:
    check_name = load_hook("pre_gen_project")["name"]
    invisible = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
    characters = {character for point in range(sys.maxunicode + 1) if is_in(character := chr(point), invisible)}

    assert {character for character in characters if check_name(f"a{character}b") is None} == {" ", "\u3000"}


def is_in(character: str, categories: set[str]) -> bool:
    """Return whether this Python puts a character in one of the categories of Unicode."""
    return unicodedata.category(character) in categories


@pytest.mark.parametrize("name", SHAPED)
def test_name_with_invisible_character_that_changes_its_neighbours_is_accepted(name: str) -> None:
    assert load_hook("pre_gen_project")["name"](SHAPED[name]) is None


@pytest.mark.parametrize("name", UNSHAPED)
def test_name_with_invisible_character_that_changes_nothing_is_refused(name: str) -> None:
    assert "must not contain the invisible character U+" in load_hook("pre_gen_project")["name"](UNSHAPED[name])


def test_refused_slug_of_another_folder_creates_no_folder_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refuse(tmp_path, capfd, project_slug=str(tmp_path / "elsewhere" / "evil"))


@pytest.mark.parametrize("toggle", TOGGLES)
@pytest.mark.parametrize("value", ["maybe", 2, None])
def test_toggle_that_is_not_boolean_is_refused(tmp_path: Path, toggle: str, value: object) -> None:
    # cookiecutter itself refuses some of them before it runs the hook.
    with pytest.raises((FailedHookException, ValueError)):
        render({toggle: value}, tmp_path / "output")
    assert not (tmp_path / "output" / "async-django-service").exists()


def test_refusal_in_the_documents_is_what_the_hook_prints() -> None:
    document = (ROOT / "docs" / "rendering.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```text\n(.+?)\n```", document, re.DOTALL)
    answers = dict(re.findall("^(.+?): '(.+?)'", block, re.MULTILINE))

    assert list(load_hook("pre_gen_project")["refusals"](examples(**answers)).values()) == block.splitlines()


@pytest.mark.parametrize("value", ["yes", "postgres", 1, None])
def test_replayed_toggle_that_is_not_boolean_is_refused(value: object) -> None:
    refusals = load_hook("pre_gen_project")["refusals"](examples(**dict.fromkeys(TOGGLES, value)))

    assert refusals == {
        toggle: f"{toggle}: {value!r} must be true or false. Valid example: {str(examples()[toggle]).lower()}"
        for toggle in TOGGLES
    }


@pytest.mark.parametrize("value", [7, None, True, ["shop"]])
def test_replayed_text_that_is_not_text_is_refused(value: object) -> None:
    texts = [key for key in examples() if key not in TOGGLES]
    refusals = load_hook("pre_gen_project")["refusals"](examples(**dict.fromkeys(texts, value)))

    assert refusals == {key: f"{key}: {value!r} must be text. Valid example: {examples()[key]!a}" for key in texts}


def test_several_wrong_answers_are_refused_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = {
        "project_name": "",
        "project_slug": "class",
        "description": "$HOME",
        "author_name": " ",
        "author_email": "ada",
    }
    with pytest.raises(FailedHookException):
        render(wrong | {"use_channels": 2}, tmp_path)
    assert [line.split(":")[0] for line in capfd.readouterr().err.splitlines()] == [*wrong, "use_channels"]


def test_refusal_over_a_service_changes_nothing(tmp_path: Path) -> None:
    kept = render(all_on(), tmp_path) / "manage.py"
    with pytest.raises(FailedHookException):
        render(all_on() | {"description": "$HOME"}, tmp_path, overwrite_if_exists=True)
    assert kept.exists()


def test_refusal_on_the_command_line_begins_with_the_wrong_answer(tmp_path: Path) -> None:
    result = run(tmp_path, "cookiecutter", str(ROOT), "--no-input", "--default-config", "project_slug=../evil")

    assert result.returncode == 1
    assert result.stderr.startswith("project_slug: '../evil' must be lower-case letters")
    assert list(tmp_path.iterdir()) == []


# Python 3.10 to 3.13 run this program. It prints the verdicts of the hook as JSON.
VERDICTS = """
import hashlib, json, keyword, re, sys
namespace = {"__name__": "hook"}
exec(sys.stdin.read(), namespace)
reserved = {*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names}
slugs = sorted(word.lower() for word in reserved if not word.startswith("_"))
# Unicode has assigned no character elsewhere.
points = [*range(0x33480), *range(0xE0000, 0xE0200)]
verdicts = [re.sub(r"\\(.+\\)", "", namespace["name"](f"a{chr(point)}b") or "") for point in points]
print(json.dumps({
    "accepted": [word for word in slugs if namespace["slug"](word) is None],
    "characters": hashlib.sha256(json.dumps(verdicts).encode()).hexdigest(),
    "slugs": {word: namespace["slug"](word) for word in json.loads(sys.argv[1])},
    "version": "%d.%d" % sys.version_info[:2],
}))
"""


def verdicts(directory: Path, version: str, *slugs: str) -> dict[str, object]:
    """Return the verdicts of the hook under a version of Python."""
    # pyenv's launchers look here for their version.
    (directory / ".python-version").write_text(version, encoding="utf-8")
    found = run(directory, UV, "python", "find", "--no-project", version, PATH=os.environ["PATH"])
    assert found.returncode == 0, f"no Python {version}, try `uv python install {version}`:\n{found.stderr}"
    hook = (ROOT / "hooks" / "pre_gen_project.py").read_text(encoding="utf-8")
    source = hook.replace("{{ cookiecutter | tojson }}", "{}")
    result = subprocess.run(
        [found.stdout.strip(), "-X", "utf8", "-W", "error", "-c", VERDICTS, json.dumps(slugs)],
        cwd=directory,
        input=source,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    printed: dict[str, object] = json.loads(result.stdout)
    assert printed.pop("version") == version
    return printed


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_gives_the_same_verdicts(tmp_path: Path, version: str) -> None:
    slugs = [*SLUGS.values(), "shop", "test", "my-type", "imp", "cgi", "tomllib"]
    newest = verdicts(tmp_path, PYTHONS[-1], *slugs)

    given = verdicts(tmp_path, version, *slugs)

    # The hook refuses every keyword and every standard module of this version.
    assert given["accepted"] == []
    assert given == newest


def test_keyword_that_the_list_lacks_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = copy_template(tmp_path / "template")
    break_source(template, "hooks/pre_gen_project.py", "turtledemo types", "types")
    break_source(template, "hooks/pre_gen_project.py", "nonlocal not", "not")
    monkeypatch.setattr(f"{__name__}.ROOT", template)

    assert verdicts(tmp_path, PYTHONS[-1])["accepted"] == ["nonlocal", "turtledemo"]


# Configurations in YAML, which cookiecutter renders with a warning and the default, and the line that refuses each.
CONFIGURATIONS = {
    "block": ("default_context:\n  use_postgres: postgres  # ours\n", "use_postgres: 'postgres'"),
    "flow": ("default_context: {author_name: Ada, use_postgres: postgres}", "use_postgres: 'postgres'"),
    "JSON": ('{"default_context": {"use_postgres": "postgres", "author_name": "Ada"}}', "use_postgres: 'postgres'"),
    "quoted": ("default_context:\n  'use_postgres': 'is on'\n", "use_postgres: 'is on'"),
    "number": ("default_context:\n  use_postgres: 2\n", "use_postgres: '2'"),
    "empty": ("default_context:\n  use_postgres:\n  use_channels: on\n", "use_postgres: None"),
    "server": ("default_context:\n  asgi_server: gunicorn\n", "asgi_server: 'gunicorn'"),
}
POSTGRES = CONFIGURATIONS["block"][0]


def configured(directory: Path, text: str, *arguments: str, **options: Any) -> CompletedProcess[str]:
    """Render with a user configuration of the file `user.yaml`."""
    (directory / "user.yaml").write_text(text, encoding="utf-8")
    return call_cookiecutter(directory, *arguments, HOME=str(directory), **options)


def refused_lines(directory: Path, result: CompletedProcess[str]) -> list[str]:
    """Return the lines of a refusal, without the rule and the example. Check that nothing was rendered."""
    assert result.returncode == 1
    assert list((directory / "output").iterdir()) == []
    return re.findall("^(.+) must .+ Valid example: .+$", result.stderr, re.MULTILINE)


@pytest.mark.parametrize(("text", "line"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_wrong_choice_in_configuration_is_refused(tmp_path: Path, text: str, line: str) -> None:
    path = str(tmp_path / "user.yaml")

    result = configured(tmp_path, text, "--no-input", "--config-file", path)

    [refused] = refused_lines(tmp_path, result)
    assert refused in {line, f"{line} in '{path}'"}


@pytest.mark.parametrize(
    ("arguments", "script"),
    [
        pytest.param(("--config-file", "../user.yaml"), 'exec "$@"', id="relative path"),
        pytest.param(("--config-file=../user.yaml",), 'exec "$@"', id="option with ="),
        pytest.param((), 'COOKIECUTTER_CONFIG=../user.yaml exec "$@"', id="environment"),
        pytest.param((), 'unset COOKIECUTTER_CONFIG; mv ../user.yaml ~/.cookiecutterrc; exec "$@"', id="home"),
    ],
)
def test_wrong_toggle_in_configuration_is_refused_in_any_location(
    tmp_path: Path, arguments: tuple[str, ...], script: str
) -> None:
    result = configured(tmp_path, POSTGRES, "--no-input", *arguments, script=script)

    assert len(refused_lines(tmp_path, result)) == 1


def test_wrong_toggle_in_configuration_is_refused_without_proc(tmp_path: Path) -> None:
    template = copy_template(tmp_path / "template")
    break_source(template, "hooks/pre_gen_project.py", "/proc/", "/no-proc/")
    break_source(template, "hooks/pre_gen_project.py", '"/bin/ps"', repr(str(tmp_path / "ps")))
    arguments = f"python cookiecutter template --no-input --config-file {tmp_path}/user.yaml"
    (tmp_path / "ps").write_text(f'#!/bin/sh\ntest "$*" = "-ww -o args= -p $PPID" || echo "{arguments}"\n', "utf-8")
    (tmp_path / "ps").chmod(0o755)

    result = configured(
        tmp_path, POSTGRES, "--no-input", "--config-file", str(tmp_path / "user.yaml"), template=template
    )

    assert len(refused_lines(tmp_path, result)) == 1


def test_wrong_answers_in_configuration_and_arguments_are_refused_at_once(tmp_path: Path) -> None:
    text = "default_context:\n  author_name: ''\n  use_channels: n\n  use_postgres: no?\n  asgi_server: gunicorn\n"
    path = str(tmp_path / "user.yaml")

    result = configured(tmp_path, text, "--no-input", "--config-file", path, "author_email=ada", "project_slug=type")

    assert refused_lines(tmp_path, result) == [
        "project_slug: 'type'",
        "author_name: ''",
        "author_email: 'ada'",
        f"use_postgres: 'no?' in '{path}'",
        f"asgi_server: 'gunicorn' in '{path}'",
    ]


def test_toggles_that_cookiecutter_converts_are_accepted_in_configuration(tmp_path: Path) -> None:
    text = "# use_postgres: postgres\ndefault_context: {use_postgres: y, use_channels: 'Off'} # not 'sockets'\n"

    result = configured(tmp_path, text, "--no-input", "--config-file", str(tmp_path / "user.yaml"))

    assert result.returncode == 0, result.stderr
    assert ": PostgreSQL, async views" in result.stdout
    assert load_hook("pre_gen_project")["BOOLEANS"] == {*YesNoPrompt.yes_choices, *YesNoPrompt.no_choices}


def test_wrong_toggle_in_configuration_is_ignored_with_default_config(tmp_path: Path) -> None:
    script = 'COOKIECUTTER_CONFIG=../user.yaml exec "$@"'

    result = configured(tmp_path, POSTGRES, "--no-input", "--default-config", script=script)

    assert result.returncode == 0, result.stderr


def test_wrong_toggle_in_configuration_is_asked_for_with_prompts(tmp_path: Path) -> None:
    answered = "\n" * 5 + "y\n" * 5 + "\n"

    result = configured(tmp_path, POSTGRES, "--config-file", str(tmp_path / "user.yaml"), answered=answered)

    assert ": Channels, PostgreSQL, async views" in result.stdout


# cookiecutter renders this as 42 if it evaluates the answer as a template.
EVALUATED = "{{ 6 * 7 }}"


def description(directory: Path) -> object:
    """Return the description of the service in a folder."""
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
    check_output(tmp_path, "mkdir", "first")
    assert call_cookiecutter(tmp_path / "first", "--no-input").returncode == 0
    [replay] = (tmp_path / "first" / "replays").iterdir()
    answers = json.loads(replay.read_text(encoding="utf-8"))
    answers["cookiecutter"]["description"] = answer
    replay.write_text(json.dumps(answers), encoding="utf-8")

    check_taken_literally(tmp_path, call_cookiecutter(tmp_path, "--replay-file", str(replay)), answer)


def check_taken_literally(directory: Path, result: CompletedProcess[str], answer: str) -> None:
    """Check that cookiecutter did not evaluate a description: a template is refused, other text is rendered."""
    if answer == EVALUATED:
        assert result.returncode == 1
        assert f"description: '{EVALUATED}' must not contain" in result.stderr
        assert list((directory / "output").iterdir()) == []
    else:
        assert (result.returncode, description(directory)) == (0, answer)


def test_every_question_has_a_rule_and_a_valid_example() -> None:
    hook = load_hook("pre_gen_project")

    assert list(hook["RULES"]) == [key for key in QUESTIONS if not key.startswith("_")]
    assert hook["refusals"](examples()) == {}
    assert hook["ASGI_SERVERS"] == set(SERVERS)


@pytest.mark.parametrize(
    "key", ["slug", "text", "name", "project_name", "description", "email", "boolean", "asgi_server"]
)
def test_every_validator_documents_valid_and_invalid_values(key: str) -> None:
    assert re.search(r"Valid: .+\s.*Invalid: ", load_hook("pre_gen_project")[key].__doc__, re.DOTALL)


def test_prompts_fit_a_terminal_and_have_no_markup() -> None:
    prompts = dict(QUESTIONS["__prompts__"])
    servers = prompts.pop("asgi_server")
    assert set(servers) == {"__prompt__", *SERVERS}
    for prompt in [*prompts.values(), *servers.values()]:
        # rich prints the prompts, and reads brackets as styles.
        assert len(prompt) <= 90
        assert "[" not in prompt


@pytest.mark.parametrize("server", SERVERS)
def test_slug_that_is_a_dependency_is_refused(rendered: Callable[[Answers], Path], server: str) -> None:
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
def test_unusual_name_is_rendered_linted_and_served(tmp_path: Path, name: str) -> None:
    service = render(
        all_off() | {"project_name": name, "description": name, "author_name": name, "author_email": "o'b@example.com"},
        tmp_path,
    )

    files = text_files(service)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert (project["description"], project["authors"][0]["name"]) == (name, name)
    assert name in files["README.md"].replace("\\", "").replace("&lt;", "<")
    check_output(service, "ruff", "check", "--no-cache", ".")
    check_output(service, "ruff", "format", "--check", "--no-cache", ".")
    with served(service, all_off(), None, None) as server:
        check_contract(server.url, all_off(), name)


def test_default_slug_is_derived_from_the_name(tmp_path: Path) -> None:
    for name, slug in {"O'Brien & Sons": "o-brien-sons", "日本語": "ri-ben-yu", "😀": "service"}.items():
        assert render({"project_name": name}, tmp_path).name == slug


def test_env_is_written_once_and_only_its_owner_can_read_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    env = render({}, tmp_path) / ".env"
    secret = re.search(r"^SECRET_KEY=(.{50,})$", env.read_text(encoding="utf-8"), re.MULTILINE)

    assert secret
    assert env.stat().st_mode & 0o777 == 0o600
    assert secret[1] not in capfd.readouterr().out
    render({}, tmp_path, overwrite_if_exists=True)
    assert secret[1] in env.read_text(encoding="utf-8")


def test_last_message_names_choices_and_next_commands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
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
