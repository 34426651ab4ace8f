"""The schema for editors: it takes what the program takes, however an editor reads it, and refuses what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, PlainValidator

from autopublish import platforms
from autopublish.config import _editor, file_schema, load
from autopublish.config._report import keys_of
from autopublish.config._schema import AccountKeys, FeedKeys, TopKeys
from autopublish.config._yaml import read
from autopublish.errors import ConfigError
from autopublish.models import Identity, Post, Receipt, Stage
from autopublish.platforms._base import Platform
from tests.desk import Desk

CONFIG = Path(__file__).parent.parent / "config"
EXAMPLES = sorted([*CONFIG.glob("*.yaml"), *CONFIG.glob("platforms/*.yaml")])


class Core(yaml.SafeLoader):
    """YAML 1.2 as editors read it: `no` is text, and only true and false are truth values."""


Core.yaml_implicit_resolvers = {}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
Core.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[1-9][0-9]*$|^0$"), list("-+0123456789"))
Core.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])


def readings(text: str) -> Iterator[Any]:
    """The file as the program reads it, and as editors do: by YAML 1.1 and by YAML 1.2."""
    node = read(text, file="x")
    yield node.plain() if node else None
    yield yaml.load(text, Loader=yaml.SafeLoader)
    yield yaml.load(text, Loader=Core)


def errors_in(document: object) -> list[str]:
    """What the schema says is wrong."""
    return [f"{error.json_path}: {error.message}" for error in _checker(platforms.available()).iter_errors(document)]


@cache
def _checker(_: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    """The schema with these platforms."""
    return jsonschema.Draft202012Validator(file_schema())


def assert_taken(text: str) -> None:
    """The schema finds nothing wrong, whoever reads the file."""
    for document in readings(text):
        assert errors_in(document) == []


def with_a_feed(path: Path) -> str:
    """An example; those of the platforms show an account only."""
    text = path.read_text()
    return text if re.search(r"^feeds:", text, re.MULTILINE) else f"feeds: {{news: {{url: ./feed.xml}}}}\n{text}"


def test_the_schema_is_one_of_its_dialect() -> None:
    schema = file_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = file_schema()
    found = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(schema)))
    assert len(found) > 10
    for reference in found:
        place: Any = schema
        for step in reference.split("/"):
            place = place[step]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_taken(path: Path) -> None:
    assert_taken(with_a_feed(path))


ACCOUNT = "platform: page\n    folder: out\n    title: News"
GOOD = f"feeds:\n  news:\n    url: ./feed.xml\ndefaults:\n  burst: 10\naccounts:\n  a:\n    {ACCOUNT}\n"
BLUESKY = "platform: bluesky\n    identifier: news.example\n    app_password: env:X"

WRONG = {
    "no feeds": (GOOD.replace("feeds:\n  news:\n    url: ./feed.xml\n", ""), "'feeds' is a required property"),
    "no accounts": (GOOD.partition("accounts:")[0], "'accounts' is a required property"),
    "unknown key at the top": ("timezon: UTC\n" + GOOD, "'timezon' was unexpected"),
    "unknown key of a feed": (GOOD.replace("    url:", "    ulr: x\n    url:"), "'ulr' was unexpected"),
    "unknown key of an account": (GOOD.replace("folder:", "fodler: x\n    folder:"), "'fodler' was unexpected"),
    "key of another platform": (GOOD.replace("folder:", "identifier: x\n    folder:"), "'identifier' was unexpected"),
    "platform's key in the defaults": (GOOD.replace("burst: 10", "folder: out"), "'folder' was unexpected"),
    "no platform": (GOOD.replace("platform: page\n    ", ""), "'platform' is a required property"),
    "unknown platform": (GOOD.replace("platform: page", "platform: pgae"), "'pgae' is not one of"),
    "key of the platform missing": (GOOD.replace("folder: out\n    ", ""), "'folder' is a required property"),
    "feed without an address": (GOOD.replace("url: ./feed.xml", "every: 5m"), "'url' is a required property"),
    "address of another kind": (GOOD.replace("./feed.xml", "ftp://news.example/feed"), "does not match"),
    "host without a scheme": (GOOD.replace("./feed.xml", "news.example"), "does not match"),
    "address without a scheme": (GOOD.replace("./feed.xml", "www.news.example:8080/feed/"), "does not match"),
    "feed without keys": (GOOD.replace("\n    url: ./feed.xml", ""), "is not of type 'object'"),
    "key without a value": (GOOD.replace("burst: 10", "burst:"), "None is not valid"),
    "name of a feed": (GOOD.replace("  news:", "  the news:"), "does not match"),
    "duration without a unit": (GOOD.replace("./feed.xml", "./feed.xml\n    every: 5"), "5 is not of type 'string'"),
    "duration in words": (GOOD.replace("./feed.xml", "./feed.xml\n    every: soon"), "does not match"),
    "first run": (GOOD.replace("./feed.xml", "./feed.xml\n    first_run: newest"), "does not match"),
    "rate": (GOOD.replace("burst: 10", "at_most: 12 per hour"), "is not valid"),
    "rate of nothing": (GOOD.replace("burst: 10", "at_most: 0/hour"), "is not valid"),
    "budget of nothing": (GOOD.replace("burst: 10", "at_most: $0.0/month"), "is not valid"),
    "number in words": (GOOD.replace("burst: 10", "burst: many"), "is not valid"),
    "number that is too small": (GOOD.replace("burst: 10", "burst: 0"), "is not valid"),
    "truth in other words": (GOOD.replace("burst: 10", "allow_private: maybe"), "is not valid"),
    "choice": (GOOD.replace("burst: 10", "on_unknown: guess"), "'guess' is not one of"),
    "empty rule": (GOOD.replace("burst: 10", "only: {}"), "should be non-empty"),
    "unknown key of a rule": (GOOD.replace("burst: 10", "only: {category: A}"), "'category' was unexpected"),
    "unknown key of hashtags": (GOOD.replace("burst: 10", "hashtags: {form: tags}"), "'form' was unexpected"),
    "source of hashtags": (GOOD.replace("burst: 10", "hashtags: {from: words}"), "is not valid"),
    "store of another kind": ("store: mysql://x/y\n" + GOOD, "does not match"),
    "contact": ("contact: nobody\n" + GOOD, "does not match"),
    "address that others reach": ("listen: 0.0.0.0:9464\n" + GOOD, "does not match"),
    "secret in the file": (GOOD.replace(ACCOUNT, BLUESKY.replace("env:X", "abcd-efgh")), "does not match"),
    "language": (GOOD.replace("burst: 10", "languages: English please"), "is not valid"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_what_the_program_refuses_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "autopublish.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load(file)
    found = errors_in(yaml.load(text, Loader=Core))
    assert any(words in error for error in found), found


def test_what_these_tests_spoil_is_good_before() -> None:
    assert_taken(GOOD)
    assert_taken(GOOD.replace(ACCOUNT, BLUESKY))


TAKEN = [
    "url: feed.xml",
    "url: FEED.Json",
    "url: .cache/feed",
    "url: ./my.feeds/../a.rss",
    "url: ../news.example",
    "url: HTTPS://news.example/x",
    "url: FILE:///x",
    "url: feed",
    "url: news/feed.d",
    "language: no",
    "language: on",
    "every: 1.5h",
    "first_run: newest  3",
    "first_run: since 2026-01-31 18:00",
    "allow_private: 1",
    "allow_private: 0",
    "languages: no",
    "languages: [no, id]",
    "burst: 1_000",
    "burst: 10.0",
    "burst: ' 3 '",
    "burst: '+3'",
    "at_most: [1/10m, 2 / day]",
    "at_most: [4/hour, $20/month, $0.50 / 7d]",
    "delay: 0",
    "delay: none",
    "hashtags: {most: 03}",
]


@pytest.mark.parametrize("line", TAKEN)
def test_what_the_program_takes_is_taken_however_it_is_read(tmp_path: Path, line: str) -> None:
    key = line.partition(":")[0]
    own = GOOD.replace("url: ./feed.xml", line if key == "url" else f"url: ./feed.xml\n    {line}")
    text = own if key in FeedKeys.model_fields else GOOD.replace("burst: 10", line)
    file = tmp_path / "autopublish.yaml"
    file.write_text(text)
    try:
        load(file)
    except ConfigError as error:
        pytest.fail(f"no such form: {error}")
    assert_taken(text)


@pytest.mark.parametrize("name", platforms.available())
def test_an_account_may_have_its_platforms_keys_and_the_common_ones(name: str) -> None:
    account = file_schema()["$defs"][f"account.{name}"]
    assert set(account["properties"]) == {
        "platform",
        *AccountKeys.model_fields,
        *keys_of(platforms.load(name).Settings),
    }
    assert "platform" in account["required"]
    assert f"autopublish platforms {name}" in account["description"]


@pytest.mark.parametrize("name", platforms.available())
def test_every_secret_of_a_platform_is_a_reference(name: str) -> None:
    properties = file_schema()["$defs"][f"account.{name}"]["properties"]
    secrets = [
        field.alias or key
        for key, field in platforms.load(name).Settings.model_fields.items()
        if "SecretStr" in repr(field.annotation)
    ]
    for key in secrets:
        assert '"#/$defs/secret"' in json.dumps(properties[key]), key
    assert secrets or name == "page"


def test_every_common_key_is_explained() -> None:
    schema = file_schema()
    groups: list[tuple[Any, type[BaseModel]]] = [
        (schema["properties"], TopKeys),
        (schema["$defs"]["feed"]["properties"], FeedKeys),
        (schema["$defs"]["keys"]["properties"], AccountKeys),
    ]
    for properties, model in groups:
        assert [key for key in keys_of(model) if not properties[key].get("description")] == []


DEFAULTS = {
    "every": ("feed", "5m"),
    "first_run": ("feed", "none"),
    "allow_private": ("feed", False),
    "max_age": ("keys", "24h"),
    "at_most": ("keys", ["12/hour"]),
    "burst": ("keys", 10),
    "delay": ("keys", "0s"),
    "on_unknown": ("keys", "review"),
}


@pytest.mark.parametrize(("key", "where", "default"), [(key, *rest) for key, rest in DEFAULTS.items()], ids=DEFAULTS)
def test_a_default_stands_there_as_one_would_write_it(key: str, where: str, default: object) -> None:
    assert file_schema()["$defs"][where]["properties"][key]["default"] == default
    document = yaml.safe_load(GOOD)
    (document["defaults"] if where == "keys" else document["feeds"]["news"])[key] = default
    assert errors_in(document) == []


def test_a_platform_that_does_not_load_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = platforms.load

    def fail(name: str) -> Any:
        if name == "page":
            raise ImportError("no module named x")
        return real(name)

    monkeypatch.setattr(platforms, "load", fail)
    definitions = file_schema()["$defs"]
    assert "account.page" not in definitions
    assert "page" not in definitions["account"]["properties"]["platform"]["enum"]
    assert "account.bluesky" in definitions


class Odd(Platform):
    """A platform from outside whose keys are of every other kind."""

    class Settings(Platform.Settings):
        """Its keys."""

        #: How loud,
        #: from 0 to 1.
        volume: float = 0.5
        odd: Annotated[object, PlainValidator(lambda value: value)] = None
        chat: int | Literal["all"] = "all"

    def whoami(self) -> Identity:
        """Nobody."""
        raise NotImplementedError

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """Nothing."""
        raise NotImplementedError


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    """`platform: odd`, as an outside package would bring it."""
    point = EntryPoint(name="odd", value=f"{__name__}:Odd", group=platforms.GROUP)
    monkeypatch.setattr(platforms, "_outside", lambda: {"odd": point})


KEYS = {
    "volume: 0.7": True,
    "volume: '.7'": True,
    "volume: loud": False,
    "odd: [1, {a: b}]": True,
    "chat: -100200": True,
    "chat: all": True,
    "chat: some": False,
}


@pytest.mark.parametrize(("line", "is_taken"), KEYS.items(), ids=KEYS)
def test_a_platform_from_outside_has_its_keys_in_the_schema(odd: None, line: str, is_taken: bool) -> None:
    text = GOOD.replace(ACCOUNT, f"platform: odd\n    {line}")
    assert [errors_in(document) == [] for document in readings(text)] == [is_taken] * 3


def test_a_key_is_explained_by_the_comment_above_it(odd: None) -> None:
    properties = file_schema()["$defs"]["account.odd"]["properties"]
    assert properties["volume"]["description"] == "How loud, from 0 to 1."
    assert properties["volume"]["default"] == 0.5
    assert "description" not in properties["chat"]


def test_where_there_is_no_source_the_schema_is_made_without_its_words(
    odd: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: object) -> str:
        raise OSError("could not get source code")

    monkeypatch.setattr("inspect.getsource", none)
    _editor._comments_in.cache_clear()
    assert "description" not in file_schema()["$defs"]["account.odd"]["properties"]["volume"]


def test_the_command_prints_the_schema_and_needs_no_file(tmp_path: Path) -> None:
    said = Desk(tmp_path)("config", "schema")
    assert (said.code, said.err) == (0, "")
    assert said.json() == json.loads(json.dumps(file_schema()))
