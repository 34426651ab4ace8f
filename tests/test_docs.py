"""What is written for people is true: every command, option, key and reason is explained, and nothing else is."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

import autopublish
from autopublish import platforms
from autopublish.cli import COMMANDS, main
from autopublish.cli._common import DONE, FAILED, WRONG
from autopublish.config import load
from autopublish.config._report import keys_of, models_in
from autopublish.config._schema import AccountKeys, AlertKeys, FeedKeys, TopKeys
from autopublish.models import Filter, State
from tests.desk import PAGE, Desk
from tests.test_cli import KEYS

ROOT = Path(autopublish.__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLE = (ROOT / "config" / "autopublish.yaml").read_text()
PLATFORMS = platforms.available()

#: What may stand where a command is written, and the words after the program's name: in code, in a shell line, after a
#: colon. Prose that begins with the program's name is no command.
COMMAND = re.compile(r"(?:`|/bin/|# {3}|: |&& )autopublish (?:-v )?([a-z]+)(?: ([a-z]+))?")
#: Commands of the group `deliveries` are also named without the program.
OF_DELIVERIES = re.compile(r"`deliveries ([a-z]+)")


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", one) for sub, one in command.commands.items())
        else:
            yield name, command


ALL = dict(commands())
WITH_MAIN = {**ALL, "autopublish": main}


def section(heading: str, text: str = README) -> str:
    """What stands under a heading, up to the next one of its rank."""
    rank = heading.index(" ")
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{rank}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no heading {heading}"
    return found[1]


def coded(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


# --- commands --------------------------------------------------------------------------------------------------------


def in_table(text: str) -> set[str]:
    """The commands of the README's table, whose rows may name several: `deliveries approve|retry ID`."""
    named = set()
    for cell in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE):
        first, *more = (word for word in cell.replace("\\|", " ").split() if word.isalpha() and word.islower())
        named |= {f"{first} {word}" for word in more} or {first}
    return named


def test_the_table_of_commands_names_each_command_and_no_other() -> None:
    assert in_table(section("### Commands")) == set(ALL)


@pytest.mark.parametrize("name", WITH_MAIN)
def test_every_option_is_explained(name: str) -> None:
    for parameter in WITH_MAIN[name].params:
        if isinstance(parameter, click.Option):
            spelt = (*parameter.opts, *parameter.secondary_opts)
            assert any(re.search(rf"`[^`]*(?<![\w-]){one}(?![\w-])[^`]*`", README) for one in spelt), f"{name} {spelt}"


@pytest.mark.parametrize("name", WITH_MAIN)
def test_every_option_and_command_says_in_its_help_what_it_does(name: str) -> None:
    assert WITH_MAIN[name].help
    for parameter in WITH_MAIN[name].params:
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


def test_every_exit_code_is_explained() -> None:
    codes = re.search(r"Exit codes: (.+?)\nData goes", README, re.DOTALL)
    assert codes is not None
    assert re.findall(r"(?:^|; )(\d) ", codes[1].replace("\n", " ")) == [str(code) for code in (DONE, FAILED, WRONG)]


def written() -> Iterator[tuple[str, str]]:
    """Everything that people may read, with its place: pages, examples, and the texts of the code."""
    for pattern in ("*.md", "config/*.yaml", "config/platforms/*.yaml", "config/demo/*.md", "autopublish/**/*.py"):
        for path in sorted(ROOT.glob(pattern)):
            yield str(path.relative_to(ROOT)), path.read_text()


def test_no_text_names_a_command_that_does_not_exist() -> None:
    groups = {name.split(" ")[0] for name in ALL if " " in name}
    unknown, count = [], 0
    for place, text in written():
        named = [*COMMAND.findall(text), *(("deliveries", sub) for sub in OF_DELIVERIES.findall(text))]
        for first, second in named:
            count += 1
            if first not in COMMANDS or (first in groups and second and f"{first} {second}" not in ALL):
                unknown.append(f"{place}: {first} {second}")
    assert unknown == []
    assert count > 30, "the pattern finds what is written"


def test_the_remedies_named_in_the_readme_exist() -> None:
    decisions = section("### Decide what waits for a person")
    moves = {"approve", "cancel", "resolve", "retry"}
    assert {word.split()[0] for word in coded(decisions)} >= moves
    assert {f"deliveries {move}" for move in moves} <= set(ALL)


# --- reasons and keys ------------------------------------------------------------------------------------------------


def held_reasons() -> set[str]:
    """The reasons for HELD in the code: of rows made so, of `hold`, and of what no post can be made of."""
    found = set()
    for path in (ROOT / "autopublish").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found |= {text.partition(":")[0] for text in _reasons(node)}
            elif isinstance(node, ast.arg) and node.arg == "hold":
                found.add("template")
    return {reason for reason in found if reason}


def _reasons(call: ast.Call) -> Iterator[str]:
    keywords = {word.arg: word.value for word in call.keywords}
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    is_held = "state" in keywords and ast.unparse(keywords["state"]) == "State.HELD"
    values = [keywords.get("reason")] if is_held else [keywords.get("hold")]
    if name in ("hold", "_hold"):
        values += call.args
    for value in values:
        if isinstance(value, ast.JoinedStr):
            value = value.values[0]
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value


def test_every_reason_for_which_the_code_holds_a_delivery_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| HELD ([^|]+) \|", README, re.MULTILINE)
    explained = {reason for row in rows for reason in coded(row)}
    found = held_reasons()
    assert {"burst", "stale", "clash", "account removed", "template"} <= found, "the code is read rightly"
    assert explained == found


def test_every_state_that_needs_a_person_is_explained() -> None:
    decisions = section("### Decide what waits for a person")
    assert all(f"| {state}" in decisions for state in (State.HELD, State.NEEDS_REVIEW, State.REJECTED))


def config_keys(model: type[BaseModel]) -> set[str]:
    """The keys of a model and of those that it holds."""
    found = set(keys_of(model))
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            found |= config_keys(inner)
    return found


@pytest.mark.parametrize("model", [TopKeys, FeedKeys, AccountKeys, AlertKeys], ids=["top", "feed", "account", "alerts"])
def test_every_key_of_the_configuration_is_in_the_example(model: type[BaseModel]) -> None:
    missing = {
        key for key in config_keys(model) if not re.search(rf"^[ #{{]*{key}:|[{{,] *{key}:", EXAMPLE, re.MULTILINE)
    }
    assert missing == set()


def test_every_section_of_the_configuration_is_in_the_example() -> None:
    assert re.findall(r"^(\w+):$", EXAMPLE, re.MULTILINE) == ["feeds", "defaults", "accounts"]


def test_every_condition_of_a_filter_is_in_the_example() -> None:
    assert all(f" {name}:" in EXAMPLE for name in Filter.__dataclass_fields__)


def test_every_value_that_a_template_sees_is_in_the_readme() -> None:
    from autopublish.posts import DEFAULT_TEMPLATE, check_template

    told = coded(section("### Templates"))
    names = set(re.findall(r"\w+", " ".join(told)))
    assert {name for name in names if check_template(f"{{{{ {name} }}}} {DEFAULT_TEMPLATE}") is None} == names
    assert set(re.findall(r"{{ (\w+) }}", DEFAULT_TEMPLATE)) <= names


def test_every_key_for_machines_is_in_the_readme() -> None:
    told = coded(section("### JSON"))
    keys = {key for groups in KEYS.values() for group in groups.values() for key in group}
    names = {under for groups in KEYS.values() for under in groups if under}
    assert (keys | names) - told == set()


def test_every_state_of_a_poll_is_in_the_readme() -> None:
    source = "".join(path.read_text() for path in (ROOT / "autopublish" / "pipeline").glob("*.py"))
    used = set(re.findall(r"\bstatus=\"([a-z ]+)\"", source))
    used |= {word for line in re.findall(r"\bstatus = (.+)", source) for word in re.findall(r'"([a-z ]+)"', line)}
    assert {"failed", "first poll", "nothing new"} <= used, "the code is read rightly"
    assert used - coded(section("### JSON")) == set()


# --- platforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_has_a_page_with_setup_post_and_unknown_outcome(name: str, tmp_path: Path) -> None:
    page = Desk(tmp_path)("platforms", name).out
    assert re.match(r".+: .+\.\n", page)
    assert re.search(r"^Setup: ", page, re.MULTILINE)
    assert re.search(r"^What is posted: ", page, re.MULTILINE)
    assert re.search(r"unknown outcome", page, re.IGNORECASE)


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_has_an_example_that_is_valid_and_shows_its_keys(name: str, tmp_path: Path) -> None:
    text = (ROOT / "config" / "platforms" / f"{name}.yaml").read_text()
    file = tmp_path / "autopublish.yaml"
    file.write_text(f"feeds:\n  news:\n    url: https://news.example/feed/\n{text}")
    config = load(file)
    assert [account.platform for account in config.accounts] == [name]
    assert all(f"{key}:" in text for key in keys_of(platforms.load(name).Settings))


def test_every_example_belongs_to_a_platform() -> None:
    assert {path.stem for path in (ROOT / "config" / "platforms").glob("*.yaml")} <= set(PLATFORMS)


def test_the_readme_holds_no_list_of_platforms() -> None:
    how_to = re.sub(r"^### Post a site to .*?(?=^### )", "", README, flags=re.MULTILINE | re.DOTALL)
    rest = how_to.replace(section("## Test it"), "")
    for paragraph in re.split(r"\n\s*\n|\n(?=[-|])", rest):
        # `page` is a common word: only in code it is the platform.
        named = {
            name
            for name in PLATFORMS
            if f"`{name}`" in paragraph or (name != "page" and re.search(rf"\b{name}\b", paragraph, re.IGNORECASE))
        }
        assert len(named) <= 1, paragraph


# --- what the readme lets people try ---------------------------------------------------------------------------------


def test_the_example_in_python_runs_and_gives_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path)
    desk.configure(PAGE)
    desk.show("zero")
    desk("run")
    desk.show("one")
    monkeypatch.chdir(tmp_path)
    text = section("### From Python")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    seen: dict[str, Any] = {}
    exec(compile(example[1], "README.md", "exec"), seen)
    told = {name for name in coded(text) if name.isidentifier() and name != "report"}
    assert told == {"polled", "changed", "troubles", "recovered", "standings", "told"}
    assert all(hasattr(seen["report"], name) for name in told)
    assert desk.pages() == {"one"}


def test_the_demonstration_does_what_the_readme_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("out"))
    desk = Desk(tmp_path)
    first = desk("run", "--config", str(tmp_path / "config" / "demo.yaml"))
    assert first.code == 0
    told = re.search(r"\((\d+) articles .*?\),\s+makes posts for (\w+) accounts", README, re.DOTALL)
    assert told is not None
    assert (int(told[1]), told[2]) == (17, "four")
    homes = re.findall(r"^\w+: file://(\S+index\.html)", first.out, re.MULTILINE)
    assert len(homes) == 4
    assert all(Path(home).is_file() for home in homes)
    assert len(first.out.splitlines()) == 1 + 17 + 4
    again = desk("run", "--config", str(tmp_path / "config" / "demo.yaml"))
    assert (again.code, again.out, again.err) == (0, "", "")


LINKS = re.findall(r"`((?:config|autopublish|benchmarks|tests|\.ci)/[^`\s…*]+)`|`([A-Z]+\.md)`", README)


@pytest.mark.parametrize("path", sorted({one or other for one, other in LINKS}))
def test_the_files_that_the_readme_names_are_there(path: str) -> None:
    assert (ROOT / path).exists() or path.startswith("config/demo/out")
