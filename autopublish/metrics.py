"""Metrics: what the store holds in the text format of Prometheus, read anew at each scrape; needs the extra `metrics`.

Times are given as times, not as ages, so that they stay true in a file that is read later:
https://prometheus.io/docs/practices/instrumentation/#timestamps-not-time-since. A time that never was has no line. No
title, address or word of others is in it: labels are names of the configuration and words of this program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autopublish import __version__
from autopublish.health import Health
from autopublish.models import AccountState, AlertKind, Evidence, Feed, Standing, State
from autopublish.store import Measures

#: What `exposition` is to be served as.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Outcomes of attempts that made no post, or none that is known.
FAILED = (Evidence.NOT_SENT, Evidence.REFUSED, Evidence.UNKNOWN, Evidence.ABSENT)


def exposition(measures: Measures, health: Health) -> bytes:
    """The metrics in the text format."""
    # One of its own: the default one would tell of this process, which may be a command that is over at once.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(measures, health))
    return generate_latest(registry)


class Figures(Collector):
    """The metrics of one moment."""

    def __init__(self, measures: Measures, health: Health) -> None:
        self._measures = measures
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Each metric with its lines."""
        yield from self._program()
        yield from _of_feeds(self._measures.feeds, self._measures.lags)
        yield from self._deliveries()
        yield from self._attempts()
        yield from _of_accounts(self._measures.standings)

    def _program(self) -> Iterator[Metric]:
        well = "Whether the program does its work, as autopublish status --check says."
        yield _gauge("info", "The version of the program.", {_at(version=__version__): 1.0})
        yield _gauge("well", well, {(): float(self._health.is_well)})
        tick = "When the daemon looked at everything last."
        yield _times("last_tick", tick, {(): self._health.tick})
        alerts = {_at(kind=kind): float(self._measures.alerts.get(kind, 0)) for kind in AlertKind}
        yield _gauge("alerts", "Causes that stand and that a person must hear of.", alerts)

    def _deliveries(self) -> Iterator[Metric]:
        found = self._measures
        counts = {
            _at(account=account, state=state): float(found.deliveries.get((account, state), 0))
            for account in self._accounts()
            for state in State
        }
        yield _gauge("deliveries", "Deliveries by where they stand.", counts)
        held = {_at(account=account, reason=reason): float(count) for (account, reason), count in found.held.items()}
        yield _gauge("held_deliveries", "Deliveries that wait for a person, by why they are held.", held)
        due = {_at(account=account, state=state): since for (account, state), since in found.due_since.items()}
        yield _times("due_since", "When the first delivery that is not final was due; may lie ahead.", due)
        posted = CounterMetricFamily("autopublish_posts", "Posts that are known to be there.", labels=("account",))
        for account in self._accounts():
            posted.add_metric((account,), found.deliveries.get((account, State.POSTED), 0))
        yield posted

    def _attempts(self) -> Iterator[Metric]:
        counts = {
            _at(account=account, outcome=outcome): float(self._measures.failed.get((account, outcome), 0))
            for account in self._accounts()
            for outcome in FAILED
        }
        # An unknown outcome becomes another one once it was looked up, so that this is no counter.
        yield _gauge("failed_attempts", "Attempts that made no post, or none that is known, by outcome.", counts)

    def _accounts(self) -> Mapping[str, None]:
        """The names of the accounts, the configured ones first."""
        configured = (standing.account for standing in self._measures.standings)
        return dict.fromkeys((*configured, *(account for account, _ in self._measures.deliveries)))


#: The labels of one line with their values.
_Labels = tuple[tuple[str, str], ...]


def _of_feeds(feeds: tuple[Feed, ...], lags: Mapping[str, timedelta]) -> Iterator[Metric]:
    by_name = {_at(feed=feed.settings.name): feed for feed in feeds}
    seconds = {_at(feed=name): lag.total_seconds() for name, lag in lags.items()}
    yield _times("feed_last_try", "When the feed was asked last.", {key: one.last_try for key, one in by_name.items()})
    yield _times("feed_last_good", "When the feed was read last.", {key: one.last_good for key, one in by_name.items()})
    newest = {key: one.newest for key, one in by_name.items()}
    yield _times("feed_newest_article", "When the newest article of the feed was published.", newest)
    failures = {key: float(one.failures) for key, one in by_name.items()}
    yield _gauge("feed_failures", "Failed polls of the feed in a row.", failures)
    gone = {key: float(one.gone) for key, one in by_name.items()}
    yield _gauge("feed_gone", "Whether the feed is gone for good (410).", gone)
    lag = "From the publication of an article until it was seen, the median of the newest ten."
    yield _gauge("feed_lag_seconds", lag, seconds)


def _of_accounts(standings: tuple[Standing, ...]) -> Iterator[Metric]:
    states = {
        _at(account=one.account, state=state): float(one.state is state) for one in standings for state in AccountState
    }
    yield _gauge("account_state", "Whether the account is in this state.", states)
    failures = {_at(account=one.account): float(one.failures) for one in standings}
    yield _gauge("account_failures", "Attempts in a row that did not reach the network, or came to nothing.", failures)
    waits = {_at(account=one.account): one.not_before for one in standings}
    yield _times("account_waits_until", "Until when the account sends nothing by itself.", waits)
    ends = {_at(account=one.account): one.identity.expires if one.identity else None for one in standings}
    yield _times("token_expires", "Until when the account's credentials work, where its network says it.", ends)


def _at(**labels: str) -> _Labels:
    """The labels of one line, in their order."""
    return tuple(labels.items())


def _gauge(name: str, words: str, values: Mapping[_Labels, float]) -> Metric:
    """A metric with a line for each of the values, all with labels of the same names."""
    names = tuple(label for label, _ in next(iter(values), ()))
    family = GaugeMetricFamily(f"autopublish_{name}", words, labels=names)
    for labels, value in values.items():
        family.add_metric([text for _, text in labels], value)
    return family


def _times(name: str, words: str, times: Mapping[_Labels, datetime | None]) -> Metric:
    """A metric with a line for each time that there is."""
    known = {labels: time.timestamp() for labels, time in times.items() if time is not None}
    return _gauge(f"{name}_timestamp_seconds", words, known)
