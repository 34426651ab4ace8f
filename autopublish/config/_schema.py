"""What may stand in the file: pydantic models of its keys, every value given as text.

Defaults are those of `autopublish.models`. Errors are `ValueError` with the words that a person reads. What a value
looks like stands beside its parser, and what a key means in the comment above it: `_editor.py` makes the JSON Schema
for editors of both.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self, TypedDict
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from autopublish.channels.mail import Mail
from autopublish.channels.ping import Ping
from autopublish.channels.webhook import Webhook
from autopublish.config import Address
from autopublish.models import (
    Account,
    Budget,
    FeedSettings,
    Filter,
    FirstRun,
    FirstRunRule,
    HashtagRules,
    MissingAlt,
    OnUnknown,
    Pictures,
    RateWindow,
    Tell,
)

#: What an account posts that says nothing else.
TEMPLATE = "{{ title }}\n\n{{ link }}\n{{ hashtags }}\n"

_ACCOUNT = Account(name="", platform="", template=TEMPLATE)
_FEED = FeedSettings(name="", url="")
_HASHTAGS = HashtagRules()

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PERIODS = {"minute": "1m", "hour": "1h", "day": "1d", "week": "1w"}
#: A month of 31 days: no calendar month costs more than a budget for one, in whatever time zone it is reckoned.
_MONEY_PERIODS = {**_PERIODS, "month": "31d"}
_LONGEST = timedelta(days=3650)
_SHORTEST_POLL = timedelta(seconds=30)
#: What the program does in passing, it does once a minute.
_SHORTEST_PING = timedelta(minutes=1)
#: A pattern is compiled at start and run on every article.
_PATTERN_LENGTH = 1000

#: What values look like, without what stands around them.
_NAME = r"[A-Za-z0-9_-]{1,64}"
_DURATION = r"\d{1,9}(?:\.\d{1,3})? ?[smhdw]"
_RATE = rf"0*[1-9]\d{{0,5}} ?/ ?(?:{'|'.join(_PERIODS)}|{_DURATION})"
_DOLLARS = r"\d{1,6}(?:\.\d{1,4})?"
_BUDGET = rf"\$ ?(?!0+(?:\.0+)? ?/){_DOLLARS} ?/ ?(?:{'|'.join(_MONEY_PERIODS)}|{_DURATION})"
_FIRST_RUN = r"\s*(?:none|all|newest +[1-9]\d{0,4}|since +\d{4}\S*(?: \S+)?)\s*"
_CONTACT = r"(https?://|mailto:)?[^\s@<>()]+(@[^\s@<>()]+)?"
_LISTEN = r"(?:localhost|127(?:\.(?:0|[1-9]\d{0,2})){3}|\[::1\]):[1-9]\d{0,4}"
_LANGUAGE = r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*"
#: What the file of a feed ends with; a name with another end is rather that of a host.
_FILES = ("xml", "rss", "atom", "json", "rdf", "feed", "txt")
_FILE_END = "|".join("".join(f"[{letter.upper()}{letter}]" for letter in end) for end in _FILES)
#: A host where an address belongs, for editors: as `_looks_like_host` has it, in letters that all of them know.
_BARE_HOST = rf"(?:[A-Za-z0-9_-]+\.)+(?:[A-Za-z]{{2,}}(?::\d+)?/|(?!(?:{_FILE_END})$)[A-Za-z]{{2,}}(?::\d+)?$)"


def form(pattern: str, *examples: str) -> WithJsonSchema:
    """For editors: text of this form."""
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern})$", "examples": [*examples]})


#: Where feeds are named: none of them.
NO_FEEDS = "none"

NAME_FORM = {"pattern": f"^{_NAME}$"}


class Context(TypedDict):
    """What validators need to know of the rest of the file."""

    #: The folder that relative paths start from.
    base: Path
    #: What dates without an offset are in.
    zone: tzinfo
    #: Names of the feeds.
    feeds: frozenset[str]


def suggest(word: str, known: Iterable[str]) -> str:
    """What to write instead of `word`: the nearest of `known`, else all of them."""
    choices = sorted(known)
    near = difflib.get_close_matches(word.lower(), choices, n=1)
    return f'did you mean "{near[0]}"?' if near else f"expected {_either(choices)}"


def _either(choices: list[str]) -> str:
    """`a, b or c`."""
    return " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else "".join(choices)


def _context(info: ValidationInfo) -> Context:
    context: Context | None = info.context
    assert context is not None
    return context


# --- values ----------------------------------------------------------------------------------------------------------


def parse_duration(value: object) -> timedelta:
    """The time that a number and its unit name, such as `5m`.

    Raises:
        ValueError: it is no such text, or longer than ten years.
    """
    if not isinstance(value, str) or not re.fullmatch(_DURATION, value, re.ASCII):
        raise ValueError("expected a number with its unit s, m, h, d or w, such as 90s, 5m, 24h or 2d")
    number, unit = float(value[:-1]), _UNITS[value[-1]]
    if number * unit.total_seconds() > _LONGEST.total_seconds():
        raise ValueError("expected at most 3650d")
    return number * unit


def _parse_limit(value: object) -> RateWindow | Budget:
    """A rate such as `12/hour` or `3/10m`, or a budget such as `$20/month`."""
    return _parse_budget(value) if isinstance(value, str) and value.startswith("$") else _parse_rate(value)


def _parse_budget(value: str) -> Budget:
    match = re.fullmatch(rf"\$ ?({_DOLLARS}) ?/ ?(\w.*)", value, re.ASCII)
    dollars = Decimal(match[1]) if match else Decimal(0)
    if match is None or not dollars:
        raise ValueError("expected dollars and a time, such as $20/month, $0.50/day or $5/7d")
    return Budget(microdollars=int(dollars * 1_000_000), period=_period(_MONEY_PERIODS.get(match[2], match[2])))


def _parse_rate(value: object) -> RateWindow:
    """A rate such as `12/hour` or `3/10m`."""
    match = re.fullmatch(r"(\d{1,6}) ?/ ?(\w.*)", value, re.ASCII) if isinstance(value, str) else None
    if match is None or int(match[1]) < 1:
        raise ValueError("expected a number of posts and a time, such as 12/hour, 100/day or 3/10m; or none")
    return RateWindow(count=int(match[1]), period=_period(_PERIODS.get(match[2], match[2])))


def _period(value: str) -> timedelta:
    period = parse_duration(value)
    if not period:
        raise ValueError("expected a time longer than 0")
    return period


def _parse_first_run(value: object, info: ValidationInfo) -> FirstRunRule:
    """The rule for a feed's first poll."""
    word, _, rest = value.strip().partition(" ") if isinstance(value, str) else ("", "", "")
    if word in {FirstRun.NONE, FirstRun.ALL} and not rest:
        return FirstRunRule(kind=FirstRun(word))
    if word == FirstRun.NEWEST and re.fullmatch(r"[1-9]\d{0,4}", rest.strip(), re.ASCII):
        return FirstRunRule(kind=FirstRun.NEWEST, count=int(rest))
    if word == FirstRun.SINCE:
        return FirstRunRule(kind=FirstRun.SINCE, since=_parse_date(rest.strip(), _context(info)["zone"]))
    raise ValueError('expected none, all, "newest 3" or "since 2026-01-31"')


def _parse_date(text: str, zone: tzinfo) -> datetime:
    """A date or time in ISO 8601 as UTC; without an offset it is in `zone`."""
    try:
        stated = datetime.fromisoformat(text)
        return (stated if stated.tzinfo else stated.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError('expected a date after "since", such as 2026-01-31 or 2026-01-31T18:00') from None


def _none(value: object) -> object:
    """`none` switches a rule off."""
    return None if value == "none" else value


def _zero(value: object) -> object:
    """`none` is no time at all."""
    return "0s" if value in ("none", "0") else value


def _as_rates(value: object) -> object:
    """`none` switches the rule off; one rate may stand where a list is expected."""
    return [] if value == "none" else _as_list(value)


def _feeds_or_none(value: object) -> object:
    """`none` stands for an account that takes no articles."""
    return None if value == NO_FEEDS else _as_list(value)


def _as_list(value: object) -> object:
    """One value may stand where a list is expected."""
    return [value] if isinstance(value, str) else value


def check_name(value: str) -> str | None:
    """Why no feed or account can have this name, None if it can."""
    if re.fullmatch(_NAME, value, re.ASCII):
        return None
    return "expected a name of at most 64 letters (a to z), digits, - and _"


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        names = {name.lower(): name for name in zoneinfo.available_timezones()}
        near = difflib.get_close_matches(value.lower(), names, n=1)
        hint = f'did you mean "{names[near[0]]}"?' if near else "expected a name such as Europe/Berlin or UTC"
        raise ValueError(f"unknown time zone; {hint}") from None
    return value


def _check_age(value: timedelta | None) -> timedelta | None:
    if value is not None and not value:
        raise ValueError("expected a time longer than 0; none switches the rule off")
    return value


def _check_every(value: timedelta) -> timedelta:
    if value < _SHORTEST_POLL:
        raise ValueError("expected at least 30s: sites refuse those who ask too often")
    return value


def _check_ping(value: timedelta) -> timedelta:
    if value < _SHORTEST_PING:
        raise ValueError("expected at least 1m")
    return value


def _place_store(value: str, info: ValidationInfo) -> str:
    """The store's URL with an absolute path."""
    scheme, found, rest = value.partition("://")
    path = rest.removeprefix("/")
    if not found or scheme != "sqlite" or not rest.startswith("/") or not path or "\0" in path:
        raise ValueError("expected sqlite:///PATH, such as sqlite:///autopublish.db or sqlite:////srv/autopublish.db")
    return f"sqlite:///{_context(info)['base'] / path}"


def _parse_listen(value: object) -> Address:
    """The address of this machine alone, and the port."""
    expected = "expected an address that this machine alone reaches and a port, such as 127.0.0.1:9464"
    if not isinstance(value, str) or not re.fullmatch(r".+:\d{1,5}", value):
        raise ValueError(f'{expected} or "[::1]:9464", in quotes')
    host, _, port = value.rpartition(":")
    if not re.fullmatch(_LISTEN, value, re.ASCII) or max(map(int, re.findall(r"\d+", host)), default=0) > 255:
        raise ValueError(f"{expected}; a reverse proxy on it may let others in")
    if int(port) > 65535:
        raise ValueError("expected a port of at most 65535")
    return Address(host="127.0.0.1" if host == "localhost" else host.strip("[]"), port=int(port))


def _check_contact(value: str) -> str:
    if not re.fullmatch(_CONTACT, value) or not re.search(r"@|://", value):
        raise ValueError("expected a mail address or a URL, where the admin of a site finds you")
    return value


def _check_language(value: str) -> str:
    if not re.fullmatch(_LANGUAGE, value):
        raise ValueError("expected a language tag, such as id, en or pt-BR")
    return value


def _place_url(value: str, info: ValidationInfo) -> str:
    """The address as it is, or the `file:` URL of a local file."""
    if re.search(r"[\s\x00-\x1f]", value.strip()) and "://" in value:
        raise ValueError("expected an address without spaces")
    scheme = value.partition(":")[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:(?!\d)", value) else ""
    if scheme in {"http", "https"}:
        return _check_web(value)
    if scheme == "file":
        return _file_url(_local_path(value), info)
    if scheme:
        raise ValueError("expected an address that begins with http:// or https://, or the path of a file")
    if _looks_like_host(value):
        raise ValueError("write https:// in front of a web address, or ./ in front of the path of a file")
    return _file_url(value, info)


def _check_web(value: str) -> str:
    try:
        parts = urlsplit(value)
        whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or not re.match(r"https?://", value, re.IGNORECASE):
        raise ValueError("expected an address such as https://news.example/feed/")
    if "@" in parts.netloc:
        raise ValueError("a user and password in the address would be stored and shown; remove them")
    return value


def _looks_like_host(value: str) -> bool:
    """Whether a path without a scheme is rather `news.example/feed`."""
    first, slash, _ = value.partition("/")
    name = re.fullmatch(r"(?:[\w-]+\.)+([a-z]{2,})(:\d+)?|localhost(:\d+)?|[\w.-]+:\d+", first, re.IGNORECASE)
    return name is not None and (bool(slash) or (name[1] or "").lower() not in _FILES)


def _local_path(value: str) -> str:
    """The path in a `file:` URL."""
    parts = urlsplit(value)
    if parts.netloc not in {"", "localhost"}:
        raise ValueError("a file: address names a file of this machine: file:///path/of/feed.xml")
    return unquote(parts.path)


def _file_url(path: str, info: ValidationInfo) -> str:
    if not path.strip() or "\0" in path:
        raise ValueError("expected an address such as https://news.example/feed/, or the path of a file")
    return (_context(info)["base"] / path).as_uri()


def _check_pattern(value: str) -> str:
    """The regular expression, which compiles."""
    import regex

    if not value or len(value) > _PATTERN_LENGTH:
        raise ValueError(f"expected a regular expression of 1 to {_PATTERN_LENGTH} characters")
    try:
        regex.compile(value)
    except regex.error as error:
        raise ValueError(f"this regular expression cannot be read: {error}") from None
    return value


def _check_template(value: str) -> str:
    """The template, which renders with what an article has."""
    from autopublish.posts import check_template

    if problem := check_template(value):
        raise ValueError(problem)
    return value


def _check_feed(value: str, info: ValidationInfo) -> str:
    known = _context(info)["feeds"]
    if value not in known:
        raise ValueError(f'there is no feed "{value}"; {suggest(value, known)}' if known else "no feed has this name")
    return value


def _check_text(value: str) -> str:
    if not value.strip():
        raise ValueError("expected text, found an empty one")
    return value


def _strip_hash(value: str) -> str:
    return _check_text(value.strip().removeprefix("#"))


Text = Annotated[str, AfterValidator(_check_text)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_as_list, json_schema_input_type=Text | tuple[Text, ...])]
Duration = Annotated[timedelta, PlainValidator(parse_duration), form(_DURATION, "90s", "5m", "24h", "2d")]
Delay = Annotated[
    timedelta,
    PlainValidator(parse_duration),
    BeforeValidator(_zero),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^(?:{_DURATION}|none|0)$"}, {"const": 0}]}),
]
Limit = Annotated[
    RateWindow | Budget,
    PlainValidator(_parse_limit),
    form(rf"{_RATE}|{_BUDGET}", "12/hour", "100/day", "3/10m", "$20/month"),
]
Rule = Annotated[
    FirstRunRule,
    PlainValidator(_parse_first_run),
    form(_FIRST_RUN, "none", "all", "newest 3", "since 2026-01-31"),
]
Listen = Annotated[Address, PlainValidator(_parse_listen), form(_LISTEN, "127.0.0.1:9464", "[::1]:9464")]
Language = Annotated[
    str,
    AfterValidator(_check_language),
    # Norwegian is `no`, which some editors take for a truth value.
    WithJsonSchema({"type": ["string", "boolean"], "pattern": f"^(?:{_LANGUAGE})$", "examples": ["id", "en", "pt-BR"]}),
]
Languages = Annotated[
    tuple[Language, ...], BeforeValidator(_as_list, json_schema_input_type=Language | tuple[Language, ...])
]
Hashtag = Annotated[str, AfterValidator(_strip_hash)]
Hashtags = Annotated[tuple[Hashtag, ...], BeforeValidator(_as_list, json_schema_input_type=Text | tuple[Text, ...])]
Template = Annotated[str, AfterValidator(_check_text), AfterValidator(_check_template)]
Source = Literal["categories", "tags"]
Url = Annotated[
    str,
    AfterValidator(_place_url),
    # No scheme of another kind (a colon before a port makes none), and no host without one.
    form(
        rf"(?:[Hh][Tt]{{2}}[Pp][Ss]?://|[Ff][Ii][Ll][Ee]:|(?![A-Za-z][A-Za-z0-9+.-]*:(?!\d))(?!{_BARE_HOST})).+",
        "https://news.example/feed/",
        "./feed.xml",
    ),
]


# --- keys ------------------------------------------------------------------------------------------------------------


class Keys(BaseModel):
    """A mapping of the file whose keys are all known; what is not set has the default of `autopublish.models`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TopKeys(Keys):
    """The keys at the top of the file that are single values."""

    #: What dates without an offset are in; a name such as Europe/Berlin or Asia/Makassar.
    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    #: Where autopublish remembers what it has seen and posted: three slashes and a path beside this file, or four and
    #: an absolute one.
    store: Annotated[
        str,
        AfterValidator(_place_store),
        Field(validate_default=True),
        form("sqlite:///.+", "sqlite:///autopublish.db", "sqlite:////var/lib/autopublish/autopublish.db"),
    ] = "sqlite:///autopublish.db"
    #: Where the admin of a site that you read finds you: a mail address or a URL; sent with each request.
    contact: (
        Annotated[str, AfterValidator(_check_contact), form(f"(?=.*(?:@|://)){_CONTACT}", "webmaster@news.example")]
        | None
    ) = None
    #: Where the daemon answers /health and /metrics to programs on this machine, and to no other machine.
    listen: Listen | None = None
    #: What seals the tokens that `accounts login` fetches, so that a stolen store is useless: a reference as for other
    #: secrets. `autopublish accounts key` prints a new one.
    key: SecretStr | None = None


class FeedKeys(Keys):
    """One feed."""

    #: The feed's address (WordPress has it at /feed/), or the path of a local file.
    url: Url
    #: How often it is read; at least 30s.
    every: Annotated[Duration, AfterValidator(_check_every)] = _FEED.every
    #: What the first reading posts: none (all it shows is recorded as known), all, newest 3, or since 2026-01-31.
    first_run: Rule = _FEED.first_run
    #: Whether it may have an address in your own network.
    allow_private: bool = _FEED.allow_private
    #: The language of its articles, where the feed names a wrong one.
    language: Language | None = _FEED.language


class HashtagKeys(Keys):
    """How categories and tags become hashtags."""

    #: Where they come from; WordPress puts categories and tags in one list.
    sources: Annotated[
        tuple[Source, ...],
        BeforeValidator(_as_list, json_schema_input_type=Source | tuple[Source, ...]),
        Field(alias="from"),
    ] = ("categories",)
    #: How many at most.
    most: Annotated[int, Field(ge=0, le=30)] = _HASHTAGS.most
    #: On each post.
    always: Hashtags = _HASHTAGS.always
    #: Categories that make no hashtag.
    never: Hashtags = _HASHTAGS.never
    #: Category: hashtag.
    aliases: dict[Text, Hashtag] = Field(default_factory=dict)

    def rules(self) -> HashtagRules:
        """The rules that these keys mean."""
        return HashtagRules(
            sources=self.sources, most=self.most, always=self.always, never=self.never, aliases=self.aliases
        )


class FilterKeys(Keys):
    """A rule over articles: each line that is set is one condition, any of its values fulfils it."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    #: Categories or tags of the article.
    categories: Texts = ()
    #: Whole words or phrases in title, summary or text.
    words: Texts = ()
    #: Who wrote it.
    authors: Texts = ()
    #: A regular expression that is searched in title, summary and text.
    matching: Annotated[str, AfterValidator(_check_pattern)] | None = None

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if not (self.categories or self.words or self.authors or self.matching):
            raise ValueError("expected at least one of categories, words, authors or matching")
        return self

    def filter(self) -> Filter:
        """The filter that these keys mean."""
        return Filter(categories=self.categories, words=self.words, authors=self.authors, matching=self.matching)


class AccountKeys(Keys):
    """What every account may say, whatever its platform; `defaults` may say the same."""

    #: The post. Short of room, the summary gives way, then the title, then hashtags; never the link.
    template: Template = _ACCOUNT.template
    #: How categories and tags become hashtags.
    hashtags: HashtagKeys = HashtagKeys()
    #: From which feeds; all by default. none: no articles, for an account that is there for alerts alone.
    feeds: Annotated[
        tuple[Annotated[str, AfterValidator(_check_feed)], ...] | None,
        BeforeValidator(_feeds_or_none, json_schema_input_type=Text | tuple[Text, ...]),
    ] = ()
    #: Only articles that fulfil each line that is set.
    only: FilterKeys | None = None
    #: Never articles that fulfil one of these lines.
    never: FilterKeys | None = None
    #: How long an article waits, so that an editor can still correct it.
    delay: Delay = _ACCOUNT.delay
    #: An article seen longer ago is held for a person instead of being posted; none switches it off.
    max_age: Annotated[
        Duration | None,
        BeforeValidator(_none, json_schema_input_type=Duration | Literal["none"]),
        AfterValidator(_check_age),
    ] = _ACCOUNT.max_age
    #: How many posts may wait before the older ones are held for a person; none switches it off.
    burst: Annotated[
        Annotated[int, Field(ge=1)] | None,
        BeforeValidator(_none, json_schema_input_type=Annotated[int, Field(ge=1)] | Literal["none"]),
    ] = _ACCOUNT.burst
    #: How fast it posts at most, and what it may spend: a rate, a sum of dollars, or a list; none switches it off.
    at_most: Annotated[
        tuple[Limit, ...],
        BeforeValidator(_as_rates, json_schema_input_type=Limit | tuple[Limit, ...] | Literal["none"]),
    ] = _ACCOUNT.at_most
    #: How long after a broken call its post may still appear; the platform's own time by default.
    settle: Duration | None = _ACCOUNT.settle
    #: What becomes of a post of which nobody can say whether it went out.
    on_unknown: OnUnknown = _ACCOUNT.on_unknown
    #: The languages of the posts; the article's by default.
    languages: Languages = _ACCOUNT.languages
    #: Where the picture of a post comes from: the feed and, where it has none, what the article's page names; the feed
    #: alone; or none.
    pictures: Pictures = _ACCOUNT.pictures
    #: What describes a picture that neither the feed nor the site describes: the article's title, or nothing.
    missing_alt: MissingAlt = _ACCOUNT.missing_alt
    #: Whether the account's server may have an address in your own network.
    allow_private: bool = _ACCOUNT.allow_private

    def rates(self) -> tuple[RateWindow, ...]:
        """The rates of `at_most`; beside nothing but money, that of an account that says nothing."""
        rates = tuple(limit for limit in self.at_most if isinstance(limit, RateWindow))
        return rates if rates or not self.at_most else _ACCOUNT.at_most

    def budgets(self) -> tuple[Budget, ...]:
        """The sums of money of `at_most`."""
        return tuple(limit for limit in self.at_most if isinstance(limit, Budget))

    def over(self, defaults: AccountKeys) -> AccountKeys:
        """These keys where they are set, those of `defaults` where not.

        Hashtags are merged key by key, so that an account can change `most` alone; every other value counts whole.
        """
        own = {name: getattr(self, name) for name in self.model_fields_set}
        if "hashtags" in own:
            tags = {name: getattr(self.hashtags, name) for name in self.hashtags.model_fields_set}
            own["hashtags"] = defaults.hashtags.model_copy(update=tags)
        return defaults.model_copy(update=own)


class PingKeys(Ping.Settings):
    """A monitor that tells people when it is called no more."""

    #: How often it is called; the monitor should wait for two or three times as long.
    every: Annotated[Duration, AfterValidator(_check_ping)] = timedelta(minutes=5)


class AlertKeys(Keys):
    """Who hears of it when the program cannot do its work."""

    #: Mail to some people.
    mail: Mail.Settings | None = None
    #: JSON that is posted to an address, in a form that Slack and Mattermost take too.
    webhook: Webhook.Settings | None = None
    #: A program that reads the words on its standard input: its path and arguments; no shell.
    command: (
        Annotated[
            tuple[Text, ...],
            BeforeValidator(_as_list, json_schema_input_type=Text | tuple[Text, ...]),
            Field(min_length=1),
        ]
        | None
    ) = None
    #: One of the accounts, whose posts only the people concerned see.
    account: Text | None = None
    #: A monitor that is called while all is well, and tells people when the calls cease.
    ping: PingKeys | None = None
    #: first: through the first channel that takes it, in the order of this file; all: through every one.
    tell: Tell = Tell.FIRST
