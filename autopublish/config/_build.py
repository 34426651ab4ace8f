"""The file's tree to a `Config`: feeds, defaults, accounts, each with its platform's own keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from autopublish import platforms
from autopublish.config import Alerting, Config
from autopublish.config._report import Path as KeyPath
from autopublish.config._report import Report, keys_of, unknown_key
from autopublish.config._schema import NO_FEEDS, AccountKeys, AlertKeys, Context, FeedKeys, TopKeys, check_name, suggest
from autopublish.config._secrets import check_secrets, is_secret, reveal, transform
from autopublish.config._yaml import Node, Place, read
from autopublish.errors import ConfigError
from autopublish.models import Account, FeedSettings
from autopublish.platforms._base import Platform

_SECTIONS = ("feeds", "defaults", "accounts", "alerts")
#: What `alerts` says beside its channels.
_NO_CHANNELS = ("ping", "tell")
_START = Place(line=1, column=1)


def build(source: bytes, *, path: Path, digest: str) -> Config:
    """The configuration that the file says.

    Raises:
        ConfigError: all that is wrong with it.
    """
    report = Report(str(path))
    root = _root(source, report)
    _refuse_nothing(root, (), report)
    context, top = _top(root, path.resolve().parent, report)
    feeds = _feeds(root, context, top, report)
    context["feeds"] = frozenset(_section(root, "feeds"))
    accounts = _Accounts(root, context, report).build()
    alerts = _alerts(root, context, accounts, report)
    _warn_of_short_ages(accounts, feeds, root, report)
    _warn_of_one_login(accounts, root, report)
    if report.problems or top is None:
        raise ConfigError(*report.problems)
    return Config(
        path=path.resolve(),
        digest=digest,
        timezone=top.timezone,
        store=top.store,
        feeds=feeds,
        accounts=accounts,
        contact=top.contact,
        listen=top.listen,
        key=top.key,
        alerts=alerts,
        warnings=tuple(report.warnings),
    )


def _root(source: bytes, report: Report) -> Node:
    """The mapping at the top of the file.

    Raises:
        ConfigError: it is no YAML, or no mapping.
    """
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        report.add(Place(line=line, column=1), (), "this line is not UTF-8; save the file as UTF-8")
        raise ConfigError(*report.problems) from None
    root = read(text, file=report.file)
    if root is None:
        report.add(_START, (), 'the file is empty; it needs at least "feeds:" and "accounts:"')
    elif not isinstance(root.value, Mapping):
        report.add(root.place, (), 'expected keys at the top of the file, such as "feeds:" and "accounts:"')
    if root is None or report.problems:
        raise ConfigError(*report.problems)
    return root


def _refuse_nothing(node: Node, path: KeyPath, report: Report) -> None:
    """A problem for each key without a value; all of `defaults` may be commented out."""
    for key, child in node.entries.items():
        _refuse_nothing(child, (*path, key), report)
    if isinstance(node.value, tuple):
        for child in node.value:
            _refuse_nothing(child, path, report)
    if node.value is None and path not in {(section,) for section in _SECTIONS}:
        report.add(node.place, path, "there is no value here; write one, or remove the line")


def _top(root: Node, base: Path, report: Report) -> tuple[Context, TopKeys | None]:
    """The single values at the top, and what the rest of the file is read with."""
    known = (*TopKeys.model_fields, *_SECTIONS)
    for key, node in root.entries.items():
        if key not in known:
            report.add(node.key, (key,), unknown_key(key, known))
    context = Context(base=base, zone=ZoneInfo("UTC"), feeds=frozenset())
    safe = check_secrets(TopKeys, _part(root, TopKeys), (), report, base=base)
    top = report.validate(TopKeys, safe, (), context)
    if top is not None:
        context["zone"] = ZoneInfo(top.timezone)
    return context, top


def _section(root: Node, name: str) -> Mapping[str, Node]:
    """The entries of a section of the file."""
    return root.entries[name].entries if name in root.entries else {}


def _named(root: Node, section: str, report: Report) -> Mapping[str, Node]:
    """The entries of a section whose keys are names, of which there must be one at least."""
    node = root.entries.get(section)
    entries = _section(root, section)
    if node is not None and node.value is not None and not isinstance(node.value, Mapping):
        report.add(node.place, (section,), "expected names with their keys indented below")
    elif not entries:
        one = section.removesuffix("s")
        place = node.key if node else _START
        report.add(place, (section,), f'at least one {one} is required: a name under "{section}:", its keys below it')
    for name, child in entries.items():
        if problem := check_name(name):
            report.add(child.key, (section, name), problem)
    return entries


def _part(node: Node, keys: type[BaseModel], *, but: Collection[str] = ()) -> Node:
    """The mapping with those of its entries that `keys` knows."""
    known = {*keys_of(keys)} - {*but}
    return node.with_value({key: child for key, child in node.entries.items() if key in known})


def _feeds(root: Node, context: Context, top: TopKeys | None, report: Report) -> tuple[FeedSettings, ...]:
    """The feeds that are right."""
    feeds = []
    for name, node in _named(root, "feeds", report).items():
        if name == NO_FEEDS:
            report.add(
                node.key, ("feeds", name), '"feeds: none" says that an account takes no articles; use another name'
            )
        keys = report.validate(FeedKeys, node, ("feeds", name), context)
        if keys is not None:
            feeds.append(_feed(name, keys, top.contact if top else None))
    return tuple(feeds)


def _feed(name: str, keys: FeedKeys, contact: str | None) -> FeedSettings:
    """The feed that keys mean."""
    return FeedSettings(
        name=name,
        url=keys.url,
        every=keys.every,
        first_run=keys.first_run,
        allow_private=keys.allow_private,
        language=keys.language,
        contact=contact,
    )


class _Accounts:
    """Builds the accounts, each over the file's defaults."""

    def __init__(self, root: Node, context: Context, report: Report) -> None:
        self.root = root
        self.context = context
        self.report = report
        self._loaded: dict[str, type[Platform]] = {}

    def build(self) -> tuple[Account, ...]:
        """The accounts that are right."""
        defaults = self._defaults()
        named = _named(self.root, "accounts", self.report)
        accounts = [self._account(name, node, defaults) for name, node in named.items()]
        return tuple(account for account in accounts if account is not None)

    def _defaults(self) -> AccountKeys:
        """What the file says for all accounts."""
        node = self.root.entries.get("defaults")
        if node is None or node.value is None:
            return AccountKeys()
        return self.report.validate(AccountKeys, node, ("defaults",), self.context) or AccountKeys()

    def _account(self, name: str, node: Node, defaults: AccountKeys) -> Account | None:
        """One account, None if something is wrong with it."""
        path: KeyPath = ("accounts", name)
        if not isinstance(node.value, Mapping):
            self.report.add(node.place, path, 'expected keys below the name, such as "platform:"')
            return None
        own = self.report.validate(AccountKeys, _part(node, AccountKeys), path, self.context)
        platform = self._platform(node, path)
        if platform is None:
            return None
        settings = self._settings(platform, node, path)
        if own is None or settings is None:
            return None
        return _account(name, str(node.entries["platform"].value), own.over(defaults), settings)

    def _platform(self, node: Node, path: KeyPath) -> type[Platform] | None:
        """The adapter that the account names, None if there is none or it does not load."""
        named = node.entries.get("platform")
        path = (*path, "platform")
        if named is None:
            self.report.add(node.key, path, f"this key is required; {suggest('', platforms.available())}")
        elif not isinstance(named.value, str):
            self.report.add(named.place, path, suggest("", platforms.available()))
        elif named.value in self._loaded:
            return self._loaded[named.value]
        else:
            return self._load(named.value, named.place, path)
        return None

    def _load(self, name: str, place: Place, path: KeyPath) -> type[Platform] | None:
        """The adapter's class, remembered for the next account."""
        try:
            self._loaded[name] = platforms.load(name)
        except (ImportError, LookupError) as error:
            available = platforms.available()
            unknown = f"unknown platform; {suggest(name, available)}"
            self.report.add(place, path, f"the platform does not load: {error}" if name in available else unknown)
        return self._loaded.get(name)

    def _settings(self, platform: type[Platform], node: Node, path: KeyPath) -> BaseModel | None:
        """The platform's own keys, its paths absolute and its secrets still references."""
        common = {*AccountKeys.model_fields, "platform"}
        own = _part(node, platform.Settings, but=common)
        for key, child in node.entries.items():
            if key not in common and key not in own.entries:
                self.report.add(child.key, (*path, key), unknown_key(key, {*common, *keys_of(platform.Settings)}))
        base = self.context["base"]
        safe = check_secrets(platform.Settings, own, path, self.report, base=base)
        settings = self.report.validate(platform.Settings, safe, path, self.context)
        if settings is None:
            return None
        placed = transform(settings, lambda value, _: base / value if isinstance(value, Path) else value)
        assert isinstance(placed, BaseModel)
        return placed


def _account(name: str, platform: str, keys: AccountKeys, settings: BaseModel) -> Account:
    """The account that keys and settings mean."""
    return Account(
        name=name,
        platform=platform,
        template=keys.template,
        hashtags=keys.hashtags.rules(),
        feeds=tuple(dict.fromkeys(keys.feeds or ())),
        takes_articles=keys.feeds is not None,
        only=keys.only.filter() if keys.only else None,
        never=keys.never.filter() if keys.never else None,
        delay=keys.delay,
        max_age=keys.max_age,
        burst=keys.burst,
        at_most=keys.rates(),
        budgets=keys.budgets(),
        settle=keys.settle,
        on_unknown=keys.on_unknown,
        languages=keys.languages,
        pictures=keys.pictures,
        missing_alt=keys.missing_alt,
        allow_private=keys.allow_private,
        settings=settings,
    )


def _alerts(root: Node, context: Context, accounts: tuple[Account, ...], report: Report) -> Alerting:
    """Who hears of what is wrong; nobody where something is wrong with it."""
    node = root.entries.get("alerts")
    if node is None or node.value is None:
        return Alerting()
    if not isinstance(node.value, Mapping):
        report.add(node.place, ("alerts",), 'expected keys below it, such as "mail:"')
        return Alerting()
    safe = check_secrets(AlertKeys, node, ("alerts",), report, base=context["base"])
    keys = report.validate(AlertKeys, safe, ("alerts",), context)
    if keys is None:
        return Alerting()
    if keys.account is not None:
        _check_private(keys.account, root, accounts, report)
    # In the order of the file: it is the order in which they are tried.
    named = [name for name in node.entries if name not in _NO_CHANNELS]
    return Alerting(
        channels={name: getattr(keys, name) for name in named},
        tell=keys.tell,
        ping=keys.ping,
        every=keys.ping.every if keys.ping else None,
    )


def _check_private(name: str, root: Node, accounts: tuple[Account, ...], report: Report) -> None:
    """A problem if there is no such account, a warning if readers would see the alerts in it."""
    path, named = ("alerts", "account"), _section(root, "accounts")
    place = root.find(path).place
    if name not in named:
        report.add(place, path, f'there is no account "{name}"; {suggest(name, named)}')
    elif any(account.name == name and account.takes_articles for account in accounts):
        words = f'"{name}" also takes articles, so that its readers would see the alerts; write "feeds: none" there'
        report.warn(place, path, words)


def _warn_of_short_ages(
    accounts: tuple[Account, ...], feeds: tuple[FeedSettings, ...], root: Node, report: Report
) -> None:
    """A warning for each account whose articles may be too old before its feed is asked again."""
    for account in accounts:
        taken = (feed for feed in feeds if _takes(account, feed.name))
        slow = next((feed for feed in taken if account.max_age is not None and account.max_age < feed.every), None)
        if slow is not None:
            path = ("accounts", account.name, "max_age")
            words = f'shorter than "every" of the feed {slow.name}: what it shows may be stale before it is posted'
            report.warn(root.find(path).key, path, words)


def _warn_of_one_login(accounts: tuple[Account, ...], root: Node, report: Report) -> None:
    """A warning for each account that posts as an earlier one does: what both take is there twice."""
    seen: dict[object, list[Account]] = {}
    for account in accounts:
        others = seen.setdefault(_login(account), [])
        double = next((one for one in others if _share_a_feed(one, account)), None)
        if double is not None:
            path = ("accounts", account.name)
            words = f'logs in as "{double.name}" does: what both take is posted there twice'
            report.warn(root.find(path).key, path, words)
        others.append(account)


def _login(account: Account) -> object:
    """What the file says of who is logged in: the platform, what it cannot do without, and the secrets.

    One token may serve two channels, which differ in a key that the platform needs; a title or a number differs in
    nothing that matters here.
    """
    fields, login = type(account.settings).model_fields, platforms.load(account.platform).login
    if login is not None and any(getattr(account.settings, name) is None for name in login.gives):
        return object()  # who logs in, the file does not say
    said = {
        name: str(transform(getattr(account.settings, name), lambda value, _: reveal(value)))
        for name, field in fields.items()
        if field.is_required() or is_secret(field.annotation)
    }
    return account.platform, tuple(sorted(said.items()))


def _takes(account: Account, feed: str) -> bool:
    return account.takes_articles and (not account.feeds or feed in account.feeds)


def _share_a_feed(one: Account, other: Account) -> bool:
    if not (one.takes_articles and other.takes_articles):
        return False
    return not one.feeds or not other.feeds or not {*one.feeds}.isdisjoint(other.feeds)
