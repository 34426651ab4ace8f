"""The configuration: what a file may say, what it means, and the words for what is wrong with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from autopublish import config, platforms
from autopublish.config import Alerting, Config, digest_of, resolve_secrets
from autopublish.config._build import build
from autopublish.config._schema import AccountKeys
from autopublish.config._yaml import read
from autopublish.errors import ConfigError, Problem, SecretError
from autopublish.models import (
    Account,
    Budget,
    FeedSettings,
    Filter,
    FirstRun,
    FirstRunRule,
    HashtagRules,
    Identity,
    OnUnknown,
    Post,
    RateWindow,
    Receipt,
    Stage,
)
from autopublish.platforms._base import Platform
from tests.test_editor import assert_taken

EXAMPLE = Path(__file__).parent.parent / "config" / "autopublish.yaml"
#: Stands for a secret that somebody wrote into the file.
CANARY = "canary-5up3r-s3cret"

Write = Callable[[str], Path]


class Sample(Platform):
    """A platform with every shape of setting."""

    class Server(Platform.Settings):
        """A part of the settings with a secret of its own."""

        host: str = "localhost"
        password: SecretStr | None = None

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        token: SecretStr
        user: str = "somebody"
        folder: Path = Path("out")
        kind: Literal["post", "page"] = "post"
        count: int = 1
        hooks: tuple[SecretStr, ...] = ()
        headers: dict[str, SecretStr] | None = None
        server: Sample.Server | None = None
        servers: tuple[Sample.Server, ...] = ()
        chat: int | Literal["all"] = "all"

    def whoami(self) -> Identity:
        """Nobody."""
        raise NotImplementedError

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """Nothing."""
        raise NotImplementedError


Sample.Settings.model_rebuild()


@pytest.fixture(autouse=True)
def sample_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """`platform: sample`, as an outside package would bring it."""
    point = EntryPoint(name="sample", value=f"{__name__}:Sample", group=platforms.GROUP)
    monkeypatch.setattr(platforms, "_outside", lambda: {"sample": point})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration file and returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "autopublish.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def load(path: Path) -> Config:
    """The configuration in a file; what the program takes, the schema for editors takes, too."""
    loaded = config.load(path)
    assert_taken(path.read_text(encoding="utf-8-sig"))
    return loaded


def document(*, top: str = "", feed: str = "", defaults: str = "", account: str = "") -> str:
    """A valid file with one line more in one of its parts."""
    return f"""\
{top}
feeds:
  news:
    url: https://news.example/feed/
    {feed}
defaults:
  {defaults}
accounts:
  a:
    platform: sample
    token: env:TOKEN
    {account}
"""


def problems_of(path: Path) -> list[str]:
    """What is wrong with a file, without its name."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [str(replace(problem, file="")).removeprefix(":") for problem in caught.value.problems]


def problems_in(action: Callable[[], object]) -> tuple[Problem, ...]:
    """The problems that an action raises, of which there is one at least; empty if it succeeds."""
    try:
        action()
    except ConfigError as error:
        return error.problems or pytest.fail("an error without a problem")
    return ()


def account_of(loaded: Config) -> Account:
    """The only account of a file."""
    (account,) = loaded.accounts
    return account


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml"
    for action in (load, digest_of):
        with pytest.raises(ConfigError, match=f"{path}: there is no such file; `autopublish init` makes one"):
            action(path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_file_larger_than_a_megabyte_is_refused(write: Write) -> None:
    with pytest.raises(ConfigError, match="larger than 1,000,000 bytes"):
        load(write("#" * 1_000_001))


@pytest.mark.parametrize("text", ["", "\n# nothing yet\n", "---\n"], ids=["nothing", "comments", "marker"])
def test_an_empty_file_is_told_what_it_needs(write: Write, text: str) -> None:
    assert problems_of(write(text)) == ['1:1: the file is empty; it needs at least "feeds:" and "accounts:"']


@pytest.mark.parametrize("text", ["- feeds\n- accounts", "feeds", "url:x"], ids=["list", "text", "no space"])
def test_a_file_without_keys_at_the_top_is_refused(write: Write, text: str) -> None:
    assert problems_of(write(text)) == ['1:1: expected keys at the top of the file, such as "feeds:" and "accounts:"']


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("timezone: UTC\n# é\n".encode("latin-1"))
    assert problems_of(path) == ["2:1: this line is not UTF-8; save the file as UTF-8"]


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + document(top="contact: a@b.example").replace("\n", "\r\n").encode())
    assert load(path).contact == "a@b.example"


# --- YAML ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a:\n\tb: c", "2:1: a tab stands here; indent with spaces", id="tab"),
        pytest.param("a:\n  b: 1\n c: 2", "3:2: this line is not indented like its neighbours", id="less indented"),
        pytest.param("a: 1\n  b: 2", "2:4: unexpected colon: the line before has none", id="more indented"),
        pytest.param("a: b: c", "1:5: unexpected colon", id="second colon"),
        pytest.param("a: b\nc\nd: e", "3:1: expected a colon and a space after the key", id="no colon"),
        pytest.param("a: 'x\nb: 1", "1:4: a quote opens here and is never closed", id="open quote"),
        pytest.param("a: 'it's'", "1:8: text follows a closing quote", id="quote inside quotes"),
        pytest.param(r'a: "\d"', """1:6: in "double quotes" a backslash is special; use 'single""", id="backslash"),
        pytest.param("a: [1,\nb: 2", "1:4: a bracket opens here and is not closed", id="open bracket"),
        pytest.param("a: {b: 1", "1:4: a bracket opens here and is not closed", id="open brace"),
        pytest.param("a: [#News]\nb: 1", "1:4: a bracket opens here and is not closed, or a comma", id="hash in list"),
        pytest.param("a: @x", "1:4: text that begins with @ must stand in quotes", id="at sign"),
        pytest.param("a: %x", "1:4: text that begins with % must stand in quotes", id="percent"),
        pytest.param("a: ,b", "1:4: text that begins with , must stand in quotes", id="comma"),
        pytest.param("%a: b", "1:3: a line that begins with % must stand in quotes", id="percent at the start"),
        pytest.param("a: {{ title }}", '1:5: a value that begins with "{{" must stand in quotes', id="template"),
        pytest.param("a: |x\n b", '1:5: nothing may follow "|" in its line', id="text after bar"),
        pytest.param("a: - b", '1:4: a list with "-" begins on a line of its own', id="list in line"),
        pytest.param("a: * b", "1:5: text that begins with * or & must stand in quotes", id="star"),
        pytest.param("a: !<", "1:6: text that begins with ! must stand in quotes", id="exclamation mark"),
        pytest.param("a: \x01", "1:4: the character U+0001 is not allowed; remove it", id="control character"),
        pytest.param("a: 1\n---\nb: 2", "2:1: a second document begins here", id="second document"),
        pytest.param("a: 1\n...\nb: 2", "3:1: the file goes on after its end", id="after the end"),
        pytest.param("[a]: 1", "1:1: expected a name before the colon", id="list as key"),
        pytest.param("a: " + "[" * 40, "1:24: nested more than 20 levels deep", id="depth"),
    ],
)
@pytest.mark.fault("O01")
def test_o01_broken_yaml_is_told_in_plain_words_with_line_and_column(write: Write, text: str, expected: str) -> None:
    (problem,) = problems_of(write(text))
    assert problem.startswith(expected)


@pytest.mark.fault("O02")
def test_o02_plain_scalars_are_the_text_that_stands_there() -> None:
    node = read("a: 12:30\nb: no\nc: on\nd: 010\ne: 1e3\nf: ~\ng: 2026-01-31\n0x1f: null", file="f")
    assert node is not None
    assert node.plain() == {
        "a": "12:30",
        "b": "no",
        "c": "on",
        "d": "010",
        "e": "1e3",
        "f": "~",
        "g": "2026-01-31",
        "0x1f": "null",
    }


@pytest.mark.fault("O02")
def test_o02_a_duration_of_a_clock_time_is_refused_and_never_becomes_750_minutes(write: Write) -> None:
    (problem,) = problems_of(write(document(feed="every: 12:30")))
    assert problem.startswith("5:12: feeds.news.every: expected a number with its unit")


@pytest.mark.fault("O02")
def test_o02_all_duplicate_keys_are_refused_with_both_lines(write: Write) -> None:
    assert problems_of(write("feeds:\n  a: x\n  a: y\naccounts: z\nfeeds: q")) == [
        '3:3: the key "a" stands twice, first in line 2; keep one of them',
        '5:1: the key "feeds" stands twice, first in line 1; keep one of them',
    ]


@pytest.mark.parametrize(
    ("text", "place", "tag"),
    [
        ("a: !!python/object/apply:os.system [x]", "1:4", "!!python/object/apply:os.system"),
        ("a: !!binary aGk=", "1:4", "!!binary"),
        ("a:\n  - !secret x", "2:5", "!secret"),
        ("!!str a: b", "1:1", "!!str"),
    ],
    ids=["object", "binary", "own", "on a key"],
)
@pytest.mark.fault("O02")
def test_o02_tags_are_refused(write: Write, text: str, place: str, tag: str) -> None:
    words = f'{place}: tags such as "{tag}" are not allowed; remove it, or put the text in quotes'
    assert problems_of(write(text)) == [words]


@pytest.mark.fault("O02")
def test_o02_aliases_of_aliases_are_refused_before_they_grow(write: Write) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 50)]
    (problem,) = problems_of(write("\n".join(lines)))
    assert re.match(r"5:\d+: aliases \(\*name\) make more than 100,000 values", problem)


def test_an_alias_stands_for_the_value_before_it_and_only_for_that(write: Write) -> None:
    text = document(account="only: &those {categories: [A]}\n    never: *those")
    assert account_of(load(write(text))).never == Filter(categories=("A",))
    assert problems_of(write("a: &a [*a]")) == [
        '1:8: "*a" stands for nothing before it; put text that begins with * in quotes'
    ]


def test_the_merge_key_is_answered_with_defaults(write: Write) -> None:
    (problem,) = problems_of(write("a: &a {b: c}\nd:\n  <<: *a"))
    assert problem == '3:3: the merge key "<<" is not known; write what accounts share under "defaults"'


def test_both_parsers_of_yaml_give_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    text = EXAMPLE.read_text(encoding="utf-8") + 'x: {é: "ü", 😀: [1, !!str 2]}\n'.replace("!!str ", "")
    fast = read(text, file="f")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert read(text, file="f") == fast


@settings(deadline=None)  # a shared machine may be slow
@given(st.text(alphabet="ab:-? \n\t[]{},#&*!|>'\"%@`0\x00é\ufeff\u2028", max_size=60))
def test_any_text_is_a_tree_or_one_clear_error(text: str) -> None:
    assert all(problem.line for problem in problems_in(lambda: read(text, file="f")))


# --- keys ------------------------------------------------------------------------------------------------------------


def test_an_unknown_key_is_told_with_place_and_near_spelling(write: Write) -> None:
    path = write(document(account="hashtag: { most: 3 }"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f'{path}:12:5: accounts.a.hashtag: unknown key; did you mean "hashtags"?'


@pytest.mark.fault("O01")
def test_o01_all_problems_are_told_together_in_the_order_of_the_file(write: Write) -> None:
    text = """\
timezone: Asia/Makasar
feed:
feeds:
  news: {url: news.example/feed, evry: 5m}
accounts:
  a: {platform: smaple}
  b: {platform: sample, feeds: [nws], burst: some}
"""
    assert problems_of(write(text)) == [
        '1:11: timezone: unknown time zone; did you mean "Asia/Makassar"?',
        '2:1: feed: unknown key; did you mean "feeds"?',
        "2:6: feed: there is no value here; write one, or remove the line",
        "4:15: feeds.news.url: write https:// in front of a web address, or ./ in front of the path of a file",
        '4:34: feeds.news.evry: unknown key; did you mean "every"?',
        '6:17: accounts.a.platform: unknown platform; did you mean "sample"?',
        "7:3: accounts.b.token: this key is required",
        '7:33: accounts.b.feeds: there is no feed "nws"; did you mean "news"?',
        "7:46: accounts.b.burst: expected a whole number, such as 3",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timezone: UTC", ["1:1: feeds: at least one feed is required", "1:1: accounts: at least one account is"]),
        ("feeds:\naccounts: {}", ["1:1: feeds: at least one feed is", "2:1: accounts: at least one account is"]),
        ("feeds: x\naccounts: [y]", ["1:8: feeds: expected names with their keys", "2:11: accounts: expected names"]),
    ],
    ids=["absent", "empty", "not a mapping"],
)
def test_a_file_needs_a_feed_and_an_account(write: Write, text: str, expected: list[str]) -> None:
    found = problems_of(write(text))
    assert [said[: len(start)] for said, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 65, "a.b"], ids=["space", "letter", "long", "dot"])
def test_names_are_short_and_plain(write: Write, name: str) -> None:
    text = document().replace("  a:\n", f"  {name}:\n").replace("  news:\n", f"  {name}:\n")
    words = "expected a name of at most 64 letters (a to z), digits, - and _"
    assert problems_of(write(text)) == [f"3:3: feeds.{name}: {words}", f"9:3: accounts.{name}: {words}"]


@pytest.mark.parametrize(
    ("part", "line", "expected"),
    [
        pytest.param("top", "store: mysql://x", "1:8: store: expected sqlite:///PATH", id="store"),
        pytest.param("top", "contact: me", "1:10: contact: expected a mail address or a URL", id="contact"),
        pytest.param("top", "timezone: Mars", "1:11: timezone: unknown time zone; expected a name such", id="zone"),
        pytest.param("top", "timezone: ../UTC", "1:11: timezone: unknown time zone", id="zone is no path"),
        pytest.param("feed", "every: 10s", "5:12: feeds.news.every: expected at least 30s", id="too often"),
        pytest.param("feed", "every: none", "5:12: feeds.news.every: expected a number with its unit", id="never"),
        pytest.param("feed", "first_run: newest", "5:16: feeds.news.first_run: expected none, all", id="newest"),
        pytest.param("feed", "first_run: since 1.2.26", "5:16: feeds.news.first_run: expected a date", id="since"),
        pytest.param("feed", "language: english please", "5:15: feeds.news.language: expected a lang", id="language"),
        pytest.param("feed", "allow_private: maybe", "5:20: feeds.news.allow_private: expected yes or no", id="bool"),
        pytest.param("feed", "every:", "5:11: feeds.news.every: there is no value here", id="no value"),
        pytest.param("account", "max_age: 24", "12:14: accounts.a.max_age: expected a number with its", id="unit"),
        pytest.param("account", "max_age: 0h", "12:14: accounts.a.max_age: expected a time longer than 0", id="age 0"),
        pytest.param("account", "delay: 99999d", "12:12: accounts.a.delay: expected at most 3650d", id="too long"),
        pytest.param("account", "burst: 0", "12:12: accounts.a.burst: expected at least 1", id="burst"),
        pytest.param("account", "burst: [1]", "12:12: accounts.a.burst: expected a whole number", id="list"),
        pytest.param("account", "at_most: 12", "12:14: accounts.a.at_most: expected a number of posts", id="rate"),
        pytest.param("account", "at_most: 3/0h", "12:14: accounts.a.at_most: expected a time longer", id="rate of 0"),
        pytest.param("account", "at_most: $20", "12:14: accounts.a.at_most: expected dollars and a time", id="budget"),
        pytest.param("account", "at_most: $0/day", "12:14: accounts.a.at_most: expected dollars", id="budget of 0"),
        pytest.param("account", "at_most: $5/0d", "12:14: accounts.a.at_most: expected a time longer", id="no period"),
        pytest.param("account", "at_most: 20/month", "12:14: accounts.a.at_most: expected a number", id="no dollars"),
        pytest.param("account", "at_most: [1/day, 2]", "12:22: accounts.a.at_most: expected a number", id="one rate"),
        pytest.param("account", "on_unknown: retry", "12:17: accounts.a.on_unknown: expected 'review',", id="choice"),
        pytest.param("account", "template: ''", "12:15: accounts.a.template: expected text", id="empty template"),
        pytest.param("account", "template: [x]", "12:15: accounts.a.template: expected one text", id="list as text"),
        pytest.param("account", "only: {}", "12:11: accounts.a.only: expected at least one of cat", id="no condition"),
        pytest.param("account", "only: x", "12:11: accounts.a.only: expected keys with values", id="text as filter"),
        pytest.param("account", "hashtags: {from: tag}", "12:22: accounts.a.hashtags.from: expected 'cat", id="from"),
        pytest.param("account", "hashtags: {most: -1}", "12:22: accounts.a.hashtags.most: expected at le", id="most"),
        pytest.param("account", "hashtags: {mots: 1}", "12:16: accounts.a.hashtags.mots: unknown key; did", id="key"),
        pytest.param("account", "languages: [id, 7]", "12:21: accounts.a.languages: expected a language", id="tag"),
        pytest.param("account", "kind: text", "12:11: accounts.a.kind: expected 'post' or 'page'", id="platform's"),
        pytest.param("account", "chat: some", "12:11: accounts.a.chat: expected a whole number", id="union"),
        pytest.param("account", "server: {hots: x}", "12:14: accounts.a.server.hots: unknown key; did", id="nested"),
        pytest.param("account", "server: x", "12:13: accounts.a.server: expected keys with values", id="text as part"),
        pytest.param(
            "account", "platfrom: x", '12:5: accounts.a.platfrom: unknown key; did you mean "platf', id="typo"
        ),
        pytest.param("account", "zzz: x", "12:5: accounts.a.zzz: unknown key; expected allow_private, at", id="odd"),
        pytest.param("defaults", "burst: many", "7:10: defaults.burst: expected a whole number", id="defaults"),
        pytest.param("defaults", "user: x", "7:3: defaults.user: unknown key", id="platform's key in defaults"),
    ],
)
def test_a_wrong_value_is_told_once_with_its_place_and_what_was_expected(
    write: Write, part: str, line: str, expected: str
) -> None:
    (problem,) = problems_of(write(document(**{part: line})))
    assert problem.startswith(expected)


@pytest.mark.fault("O08")
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("'('", "this regular expression cannot be read: missing )"),
        ("''", "expected a regular expression of 1 to 1000"),
    ],
    ids=["syntax", "empty"],
)
def test_o08_a_filter_that_is_no_regular_expression_is_refused(write: Write, pattern: str, expected: str) -> None:
    (problem,) = problems_of(write(document(account=f"never: {{ matching: {pattern} }}")))
    assert problem.startswith(f"12:24: accounts.a.never.matching: {expected}")


@pytest.mark.fault("O08")
def test_o08_a_template_with_an_unknown_variable_is_refused_at_the_line_of_its_key(write: Write) -> None:
    text = document(account="template: |\n      {{ title }}\n      {{ lnik }}")
    (problem,) = problems_of(write(text))
    assert problem.startswith("12:15: accounts.a.template: line 2: ")
    assert "lnik" in problem


def test_a_wrong_default_is_told_once_however_many_accounts_share_it(write: Write) -> None:
    more = "\n  b: {platform: sample, token: env:B}\n  c: {platform: sample, token: env:C}"
    (problem,) = problems_of(write(document(defaults="max_age: soon") + more))
    assert problem.startswith("7:12: defaults.max_age: ")


def test_an_account_without_a_platform_is_told_which_there_are(write: Write) -> None:
    (problem,) = problems_of(write(document().replace("platform: sample", "burst: 1")))
    assert re.match(r"9:3: accounts\.a\.platform: this key is required; expected .*bluesky.*sample", problem)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("a: sample", "3:6: accounts.a: expected keys below the name, such as"),
        ("a: {platform: [sample]}", "3:17: accounts.a.platform: expected"),
        ("a: {platform: x y}", "3:17: accounts.a.platform: unknown platform; expected"),
    ],
    ids=["text", "list", "far from any"],
)
def test_an_account_that_names_no_platform_is_refused(write: Write, said: str, expected: str) -> None:
    (problem,) = problems_of(write(f"feeds: {{n: {{url: ./n.xml}}}}\naccounts:\n  {said}"))
    assert problem.startswith(expected)


def test_no_platform_has_a_key_that_every_account_has() -> None:
    for name in platforms.available():
        assert not {*platforms.load(name).Settings.model_fields} & {*AccountKeys.model_fields, "platform"}, name


def test_a_platform_that_does_not_load_is_a_problem_of_its_account(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint(name="sample", value="no_such_package_of_ours:X", group=platforms.GROUP)
    monkeypatch.setattr(platforms, "_outside", lambda: {"sample": point})
    (problem,) = problems_of(write(document()))
    assert problem == (
        "10:15: accounts.a.platform: the platform does not load: No module named 'no_such_package_of_ours'"
    )


# --- meaning ---------------------------------------------------------------------------------------------------------


def test_a_file_that_says_little_means_the_defaults_of_the_values(write: Write, tmp_path: Path) -> None:
    path = write(document())
    loaded = load(path)
    assert loaded == Config(
        path=path,
        digest=digest_of(path),
        timezone="UTC",
        store=f"sqlite:///{tmp_path}/autopublish.db",
        feeds=(FeedSettings(name="news", url="https://news.example/feed/"),),
        accounts=(
            Account(
                name="a",
                platform="sample",
                template="{{ title }}\n\n{{ link }}\n{{ hashtags }}\n",
                settings=Sample.Settings(token=SecretStr("env:TOKEN"), folder=tmp_path / "out"),
            ),
        ),
        contact=None,
        listen=None,
        alerts=Alerting(),
        warnings=(),
    )


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("every: 90s", "every", timedelta(seconds=90)),
        ("every: 1.5h", "every", timedelta(minutes=90)),
        ("every: 2 d", "every", timedelta(days=2)),
        ("every: 1w", "every", timedelta(days=7)),
        ("first_run: none", "first_run", FirstRunRule()),
        ("first_run: all", "first_run", FirstRunRule(kind=FirstRun.ALL)),
        ("first_run: newest 3", "first_run", FirstRunRule(kind=FirstRun.NEWEST, count=3)),
        ("allow_private: yes", "allow_private", True),
        ("allow_private: no", "allow_private", False),
        ("language: pt-BR", "language", "pt-BR"),
    ],
)
def test_a_feed_means_what_its_keys_say(write: Write, line: str, key: str, value: object) -> None:
    (feed,) = load(write(document(feed=line))).feeds
    assert getattr(feed, key) == value


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-01-31", datetime(2026, 1, 30, 16, tzinfo=UTC)),
        ("2026-01-31T18:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T18:00Z", datetime(2026, 1, 31, 18, tzinfo=UTC)),
    ],
    ids=["date", "time", "with offset"],
)
def test_a_date_without_an_offset_is_in_the_files_time_zone(write: Write, said: str, meant: datetime) -> None:
    loaded = load(write(document(top="timezone: Asia/Makassar", feed=f"first_run: since {said}")))
    assert loaded.feeds[0].first_run == FirstRunRule(kind=FirstRun.SINCE, since=meant)


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("max_age: none", "max_age", None),
        ("max_age: 2d", "max_age", timedelta(days=2)),
        ("delay: none", "delay", timedelta(0)),
        ("delay: 0", "delay", timedelta(0)),
        ("delay: 2m", "delay", timedelta(minutes=2)),
        ("burst: none", "burst", None),
        ("burst: 010", "burst", 10),
        ("at_most: none", "at_most", ()),
        ("at_most: 12/hour", "at_most", (RateWindow(count=12, period=timedelta(hours=1)),)),
        ("at_most: 3/10m", "at_most", (RateWindow(count=3, period=timedelta(minutes=10)),)),
        (
            "at_most: [4/hour, 20/day]",
            "at_most",
            (RateWindow(count=4, period=timedelta(hours=1)), RateWindow(count=20, period=timedelta(days=1))),
        ),
        ("at_most: [4/hour, $20/month]", "at_most", (RateWindow(count=4, period=timedelta(hours=1)),)),
        ("at_most: [4/hour, $20/month]", "budgets", (Budget(microdollars=20_000_000, period=timedelta(days=31)),)),
        ("at_most: $0.5/7d", "budgets", (Budget(microdollars=500_000, period=timedelta(days=7)),)),
        ("at_most: $20/month", "at_most", (RateWindow(count=12, period=timedelta(hours=1)),)),
        ("at_most: none", "budgets", ()),
        ("settle: 10m", "settle", timedelta(minutes=10)),
        ("on_unknown: drop", "on_unknown", OnUnknown.DROP),
        ("languages: id", "languages", ("id",)),
        ("languages: [id, en]", "languages", ("id", "en")),
        ("feeds: news", "feeds", ("news",)),
        ("feeds: [news, news]", "feeds", ("news",)),
        ("only: {categories: [no, on]}", "only", Filter(categories=("no", "on"))),
        ("never: {words: iklan, matching: '(?i)x'}", "never", Filter(words=("iklan",), matching="(?i)x")),
        ("never: {authors: [A, B]}", "never", Filter(authors=("A", "B"))),
        (
            'hashtags: {from: [categories, tags], most: 0, always: ["#A"], never: B, aliases: {C D: "#C"}}',
            "hashtags",
            HashtagRules(sources=("categories", "tags"), most=0, always=("A",), never=("B",), aliases={"C D": "C"}),
        ),
        ("allow_private: true", "allow_private", True),
    ],
)
def test_an_account_means_what_its_keys_say(write: Write, line: str, key: str, value: object) -> None:
    assert getattr(account_of(load(write(document(account=line)))), key) == value


def test_accounts_take_the_defaults_for_each_key_that_they_do_not_have(write: Write) -> None:
    text = """\
feeds: {n: {url: https://n.example/feed}}
defaults:
  burst: 3
  delay: 1m
  only: {categories: [A], words: [w]}
  hashtags: {most: 5, always: [Kaltim], aliases: {A: B}}
accounts:
  plain: {platform: sample, token: env:T}
  own:
    platform: sample
    token: env:T
    burst: none
    only: {authors: [X]}
    hashtags: {most: 1, aliases: {C: D}}
"""
    plain, own = load(write(text)).accounts
    assert (plain.burst, plain.delay) == (3, timedelta(minutes=1))
    assert plain.only == Filter(categories=("A",), words=("w",))
    assert plain.hashtags == HashtagRules(most=5, always=("Kaltim",), aliases={"A": "B"})
    assert (own.burst, own.delay) == (None, timedelta(minutes=1))
    assert own.only == Filter(authors=("X",)), "a filter counts whole"
    assert own.hashtags == HashtagRules(most=1, always=("Kaltim",), aliases={"C": "D"}), "hashtags are merged by key"


def test_an_empty_defaults_section_changes_nothing(write: Write) -> None:
    assert account_of(load(write(document()))).burst == 10


def test_the_contact_goes_to_each_feed(write: Write) -> None:
    loaded = load(write(document(top="contact: https://news.example/about")))
    assert loaded.contact == loaded.feeds[0].contact == "https://news.example/about"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("http://127.0.0.1:8080/feed", "http://127.0.0.1:8080/feed"),
        ("HTTPS://News.example/Feed/?a=b", "HTTPS://News.example/Feed/?a=b"),
        ("./feed.xml", "file://{base}/feed.xml"),
        ("demo/my feed.xml", "file://{base}/demo/my%20feed.xml"),
        ("feed.xml", "file://{base}/feed.xml"),
        ("./v1.com/feed", "file://{base}/v1.com/feed"),
        ("/srv/feed.xml", "file:///srv/feed.xml"),
        ("file:feed.xml", "file://{base}/feed.xml"),
        ("file:///srv/my%20feed.xml", "file:///srv/my%20feed.xml"),
        ("file://localhost/srv/feed.xml", "file:///srv/feed.xml"),
    ],
)
def test_a_feed_is_a_web_address_or_a_local_file(write: Write, tmp_path: Path, said: str, meant: str) -> None:
    text = document().replace("https://news.example/feed/", said)
    assert load(write(text)).feeds[0].url == meant.format(base=tmp_path)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("news.example", "write https:// in front"),
        ("news.example/feed/", "write https:// in front"),
        ("localhost:8080/feed", "write https:// in front"),
        ("ftp://news.example/feed", "expected an address that begins with http:// or https://"),
        ("https:///feed", "expected an address such as"),
        ("https:news.example", "expected an address such as"),
        ("https://news.example:port/", "expected an address such as"),
        ("https://[::1/", "expected an address such as"),
        ("https://news.example/a b", "expected an address without spaces"),
        (f"https://user:{CANARY}@news.example/", "a user and password in the address would be stored and shown"),
        ("file://other.example/feed.xml", "a file: address names a file of this machine"),
        ("' '", "expected an address such as"),
        ("'file:'", "expected an address such as"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused(write: Write, said: str, expected: str) -> None:
    (problem,) = problems_of(write(document().replace("https://news.example/feed/", said)))
    assert problem.startswith(f"4:10: feeds.news.url: {expected}")
    assert CANARY not in problem


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("sqlite:///a.db", "sqlite:///{base}/a.db"),
        ("sqlite:///data/a.db", "sqlite:///{base}/data/a.db"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
    ],
    ids=["beside", "below", "absolute"],
)
def test_the_stores_path_is_absolute(write: Write, tmp_path: Path, said: str, meant: str) -> None:
    assert load(write(document(top=f"store: {said}"))).store == meant.format(base=tmp_path)


@pytest.mark.parametrize("said", ["sqlite://", "sqlite:///", "a.db", "sqlite://a.db"])
def test_a_store_without_a_path_is_refused(write: Write, said: str) -> None:
    (problem,) = problems_of(write(document(top=f"store: {said}")))
    assert problem.startswith("1:8: store: expected sqlite:///PATH")


def test_paths_of_a_platform_start_from_the_files_folder(write: Write, tmp_path: Path) -> None:
    here = account_of(load(write(document(account="folder: pages/mine"))))
    there = account_of(load(write(document(account="folder: /srv/pages"))))
    assert here.settings.folder == tmp_path / "pages" / "mine"
    assert there.settings.folder == Path("/srv/pages")


def test_paths_start_from_the_files_folder_wherever_the_program_runs(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(document())
    monkeypatch.chdir(tmp_path.parent)
    assert load(Path(tmp_path.name, "autopublish.yaml")).store == f"sqlite:///{tmp_path}/autopublish.db"


@pytest.mark.parametrize(
    ("feed", "account", "expected"),
    [
        ("every: 2h", "max_age: 1h", ["12:5"]),
        ("every: 2d", "", ["9:3"]),
        ("every: 2d", "max_age: none", []),
        ("every: 1h", "max_age: 1h", []),
    ],
    ids=["shorter", "by default", "switched off", "equal"],
)
def test_a_max_age_shorter_than_the_polls_is_a_warning(
    write: Write, feed: str, account: str, expected: list[str]
) -> None:
    warnings = load(write(document(feed=feed, account=account))).warnings
    assert [f"{warning.line}:{warning.column}" for warning in warnings] == expected
    assert all('shorter than "every" of the feed news' in warning.message for warning in warnings)


ONE_LOGIN = {
    "the same": ("", "", "", True),
    "what a platform needs not": ("", "user: another", "", True),
    "another token": ("", "", "OTHER", False),
    "another secret of several": ("hooks: [env:A]", "hooks: [env:B]", "", False),
    "the same secrets": ("hooks: [env:A]", "hooks: [env:A]", "", True),
    "one takes all feeds": ("feeds: news", "", "", True),
    "feeds of their own": ("feeds: news", "feeds: more", "", False),
    "a feed in common": ("feeds: news", "feeds: [more, news]", "", True),
}


@pytest.mark.parametrize(("first", "second", "token", "told"), ONE_LOGIN.values(), ids=ONE_LOGIN)
def test_two_accounts_with_one_login_are_a_warning(
    write: Write, first: str, second: str, token: str, told: bool
) -> None:
    more = f"  b:\n    platform: sample\n    token: env:{token or 'TOKEN'}\n    {second}\n"
    text = document(account=first).replace("defaults:", "  more:\n    url: ./more.xml\ndefaults:") + more
    warnings = [(warning.key, warning.message) for warning in load(write(text)).warnings]
    words = 'logs in as "a" does: what both take is posted there twice'
    assert warnings == ([("accounts.b", words)] if told else [])


# --- the digest ------------------------------------------------------------------------------------------------------


def test_the_digest_changes_with_the_bytes_and_with_the_program(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest_of(write(document()))
    assert digest_of(write(document())) == first
    assert digest_of(write(document() + "# more\n")) != first
    monkeypatch.setattr(config, "__version__", "99.0")
    assert digest_of(write(document())) != first


def test_the_digest_costs_neither_yaml_nor_pydantic(write: Write) -> None:
    code = (
        "import sys; from pathlib import Path; from autopublish.config import digest_of; digest_of(Path(sys.argv[1]));"
        "print(*{'yaml', 'pydantic', 'regex', 'jinja2', 'requests'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(write(document()))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (f"hooks: [env:A, {CANARY}]", "12:20: accounts.a.hooks"),
        (f"headers: {{X-Key: {CANARY}}}", "12:22: accounts.a.headers.X-Key"),
        (f"server: {{password: {CANARY}}}", "12:24: accounts.a.server.password"),
        (f"servers: [{{password: {CANARY}}}]", "12:26: accounts.a.servers.password"),
        (f"hooks: [env:A, {CANARY}]\n    count: many", "12:20: accounts.a.hooks"),
    ],
    ids=["in a list", "in a mapping", "nested", "in a list of mappings", "beside another mistake"],
)
@pytest.mark.fault("H09")
def test_h09_a_secret_in_the_file_is_refused_and_never_shown(write: Write, line: str, place: str) -> None:
    problems = problems_of(write(document(account=line)))
    assert problems[0].startswith(f"{place}: expected a reference, never the secret itself: env:NAME, file:PATH")
    assert CANARY not in "".join(problems)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (CANARY, "expected a reference, never the secret itself"),
        (f"https://hooks.example/{CANARY}", "expected a reference, never the secret itself"),
        (f"env:{CANARY}", "env: is followed by the name of an environment variable"),
        ("'env:'", "env: is followed by the name"),
        ("'file:'", "file: is followed by a path"),
        ("credential:../x", "credential: is followed by the name of a credential"),
        ("credential:..", "credential: is followed by the name of a credential"),
        (f"[{CANARY}]", "expected a reference"),
        (f"{{x: {CANARY}}}", "expected a reference"),
    ],
)
@pytest.mark.fault("H09")
def test_h09_what_is_no_reference_is_refused_without_the_value(write: Write, said: str, expected: str) -> None:
    problems = problems_of(write(document().replace("env:TOKEN", said)))
    assert any(": accounts.a.token" in problem and expected in problem for problem in problems)
    assert CANARY not in "".join(problems)


def test_a_secret_without_a_value_is_told_once(write: Write) -> None:
    (problem,) = problems_of(write(document().replace("env:TOKEN", "")))
    assert problem == "11:11: accounts.a.token: there is no value here; write one, or remove the line"


def secret_of(write: Write, reference: str) -> str:
    """The value that an account's token resolves to."""
    path = write(document().replace("env:TOKEN", reference))
    settings, _ = resolve_secrets(account_of(load(path)), base=path.parent)
    assert isinstance(settings, Sample.Settings)
    return settings.token.get_secret_value()


def write_secret(path: Path, content: bytes, *, mode: int = 0o600) -> Path:
    """A file with a secret."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_comes_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", CANARY)
    assert secret_of(write, "env:TOKEN") == CANARY


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"], ids=["no newline", "newline", "windows"])
def test_a_secret_comes_from_a_file_beside_the_configuration_without_its_newline(
    write: Write, tmp_path: Path, end: bytes
) -> None:
    write_secret(tmp_path / "token", CANARY.encode() + end)
    assert secret_of(write, "file:token") == CANARY
    assert secret_of(write, f"file:{tmp_path}/token") == CANARY


def test_a_secret_comes_from_the_service_managers_credentials(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    write_secret(tmp_path / "a.token", CANARY.encode())
    assert secret_of(write, "credential:a.token") == CANARY


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "accounts.a.token: env:TOKEN is not set; set this environment variable"),
        ("", "accounts.a.token: env:TOKEN is empty; put the secret there"),
        (" \t", "accounts.a.token: env:TOKEN is empty; put the secret there"),
        *[
            (sample, "accounts.a.token: env:TOKEN is still a sample; put the real secret there")
            for sample in ("changeme", "CHANGE-ME", "xxxx-xxxx-xxxx-xxxx", "your-token-here", "<token>", "...", "***")
        ],
        ("env:TOKEN", "accounts.a.token: env:TOKEN is still a sample"),
        ("TOKEN", "accounts.a.token: env:TOKEN is still a sample"),
    ],
)
@pytest.mark.fault("O03")
def test_o03_a_missing_empty_or_sample_secret_is_an_error_of_its_account(
    write: Write, monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("TOKEN", value)
    with pytest.raises(SecretError, match=f"^{re.escape(expected)}"):
        secret_of(write, "env:TOKEN")


@pytest.mark.parametrize("value", ["abcd-efgh-ijkl-mnop", "token-5up3r", "xoxb-12-ab", '{"key": "x"}', "password1!"])
def test_a_real_secret_is_not_taken_for_a_sample(write: Write, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TOKEN", value)
    assert secret_of(write, "env:TOKEN") == value


@pytest.mark.fault("O03")
def test_o03_a_secret_file_that_cannot_be_read_is_named_with_the_remedy(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"file:token: cannot read .*/token: No such file or directory; create it"):
        secret_of(write, "file:token")
    with pytest.raises(SecretError, match=r"file:\.: .* is not a file"):
        secret_of(write, "file:.")
    write_secret(tmp_path / "token", b"x" * 70_000)
    with pytest.raises(SecretError, match="is larger than 65536 bytes"):
        secret_of(write, "file:token")


@pytest.mark.fault("H09")
def test_h09_a_secret_file_that_is_no_text_is_refused_without_its_bytes(write: Write, tmp_path: Path) -> None:
    write_secret(tmp_path / "token", CANARY.encode() + b"\xff")
    with pytest.raises(SecretError, match="is not a text in UTF-8") as caught:
        secret_of(write, "file:token")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_pipe_in_place_of_a_secret_file_does_not_block(write: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    with pytest.raises(SecretError, match="is not a file"):
        secret_of(write, "file:token")


def test_a_credential_without_a_service_manager_is_told_how_to_get_one(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretError, match="credential:x: there are no credentials; add LoadCredential=x:PATH"):
        secret_of(write, "credential:x")


@pytest.mark.parametrize(
    ("mode", "who"),
    [(0o644, "everyone on this machine"), (0o640, "its group"), (0o600, None), (0o400, None)],
    ids=["others", "group", "owner", "owner reads"],
)
@pytest.mark.fault("O03")
def test_o03_a_secret_file_that_others_can_read_is_a_warning(
    write: Write, tmp_path: Path, mode: int, who: str | None
) -> None:
    path = write_secret(tmp_path / "token", b"x", mode=mode)
    warnings = load(write(document().replace("env:TOKEN", "file:token"))).warnings
    expected = f"{who} can read {path}; run: chmod 600 {path}"
    assert [warning.message for warning in warnings] == ([expected] if who else [])
    assert [(warning.line, warning.key) for warning in warnings] == ([(11, "accounts.a.token")] if who else [])


@pytest.mark.fault("O03")
def test_o03_files_in_the_credentials_folder_give_no_warning(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    write_secret(folder / "token", b"x", mode=0o644)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert load(write(document().replace("env:TOKEN", "file:credentials/token"))).warnings == ()


@pytest.mark.fault("H09")
def test_h09_settings_that_hold_a_secret_itself_are_refused_without_showing_it(tmp_path: Path) -> None:
    settings = Sample.Settings(token=SecretStr(CANARY))
    with pytest.raises(SecretError, match=r"^accounts\.a\.token: expected a reference") as caught:
        resolve_secrets(Account(name="a", platform="sample", template="", settings=settings), base=tmp_path)
    assert CANARY not in str(caught.value)


def test_every_secret_of_an_account_is_resolved(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "A", "B", "C", "D"):
        monkeypatch.setenv(name, f"value-{name}")
    lines = (
        "hooks: [env:A]\n    headers: {X: env:D}\n    server: {password: env:B}\n    servers: [{password: env:C}, {}]"
    )
    path = write(document(account=lines))
    settings, _ = resolve_secrets(account_of(load(path)), base=path.parent)
    assert isinstance(settings, Sample.Settings)
    assert settings.server is not None
    assert settings.headers == {"X": SecretStr("value-D")}
    found = [settings.token, *settings.hooks, settings.server.password, *(each.password for each in settings.servers)]
    assert [secret and secret.get_secret_value() for secret in found] == [
        "value-TOKEN",
        "value-A",
        "value-B",
        "value-C",
        None,
    ]


def test_the_bytes_to_fingerprint_change_with_what_the_file_says_of_the_login(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(**parts: str) -> bytes:
        path = write(document(**parts))
        return resolve_secrets(account_of(load(path)), base=path.parent)[1]

    monkeypatch.setenv("TOKEN", "one")
    first = fingerprint()
    assert fingerprint(account="delay: 5m", feed="every: 1h") == first
    assert fingerprint(account="user: another") != first
    monkeypatch.setenv("TOKEN", "two")
    assert fingerprint() != first


@pytest.mark.fault("H09")
def test_h09_the_value_of_a_secret_is_in_no_text_of_the_configuration(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", CANARY)
    loaded = load(write(document()))
    settings, _ = resolve_secrets(account_of(loaded), base=tmp_path)
    assert CANARY not in f"{loaded!r} {settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_is_valid_and_gives_no_warning() -> None:
    loaded = load(EXAMPLE)
    assert [feed.name for feed in loaded.feeds] == ["news"]
    assert [account.platform for account in loaded.accounts] == ["bluesky"]
    assert loaded.warnings == ()


def test_the_example_shows_the_defaults_that_count(write: Write) -> None:
    """A commented line of the example without "no default" or its like says what counts without it."""
    shown = ("every", "first_run", "allow_private", "max_age", "burst", "at_most", "on_unknown")
    text, found = re.subn(rf"^( +)# ({'|'.join(shown)}): ", r"\1\2: ", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    assert found == len(shown) + 1, "allow_private stands under feeds and under defaults"
    with_defaults, example = load(write(text)), load(EXAMPLE)
    assert with_defaults.feeds == example.feeds
    assert with_defaults.accounts == example.accounts


def test_every_commented_key_of_the_example_is_known(write: Write) -> None:
    line = r"^( +)# ( *(?:\w+|Artificial Intelligence \(AI\)):(?: |$))"
    text = re.sub(line, r"\1\2", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    keys = set(re.findall(r"^ *(\w+):", text, flags=re.MULTILINE))
    assert {"language", "always", "aliases", "delay", "settle", "languages", "feeds", "only", "authors"} <= keys
    load(write(text))


# --- anything at all -------------------------------------------------------------------------------------------------

_KEYS = "feeds accounts defaults news url platform token hashtags most from only matching at_most server servers folder"
_VALUES = ["news", "sample", "bluesky", "none", "5m", "3", "env:X", "feed.xml", "https://a.example/", "", "(", "\0"]
_WORDS = st.sampled_from(_KEYS.split() + _VALUES)
_TREES = st.recursive(
    _WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4), max_leaves=20
)


@settings(deadline=None)  # the first tree pays for the imports
@given(_TREES)
def test_any_tree_is_a_configuration_or_a_list_of_problems(tree: object) -> None:
    source = yaml.safe_dump(tree, default_style='"').encode()
    problems = problems_in(lambda: build(source, path=Path("autopublish.yaml"), digest=""))
    assert all(problem.line and problem.message for problem in problems)
