"""Rows to values and back: microseconds, 0 and 1, JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from autopublish.models import (
    AccountState,
    Alert,
    AlertKind,
    Article,
    Attempt,
    Cause,
    Delivery,
    Evidence,
    Feed,
    FeedSettings,
    FirstRun,
    FirstRunRule,
    Identity,
    Media,
    Picture,
    Post,
    Receipt,
    Span,
    SpanKind,
    Stage,
    Standing,
    State,
    Urgency,
    Validators,
)
from autopublish.redaction import redact
from autopublish.store._sqlite import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime | None) -> int | None:
    """A time as microseconds since 1970."""
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def time_of(value: int | None) -> datetime | None:
    """The time of so many microseconds since 1970."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def _time(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def to_json(value: object) -> str:
    """A value of `models` as JSON text."""
    return _ENCODER.encode(value)


def _plain(value: object) -> object:
    """What JSON has in the place of a value that it does not know."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, timedelta):
        return value // _MICROSECOND
    raise TypeError(f"{type(value).__name__} has no place in JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


# --- feeds -----------------------------------------------------------------------------------------------------------


def settings_of(text: str) -> FeedSettings:
    """The settings of a feed as a run before left them."""
    raw: dict[str, Any] = json.loads(text)
    rule = raw.pop("first_run")
    return FeedSettings(
        **{
            **raw,
            "every": timedelta(microseconds=raw["every"]),
            "first_run": FirstRunRule(kind=FirstRun(rule["kind"]), count=rule["count"], since=time_of(rule["since"])),
        }
    )


def feed_of(row: Row) -> Feed:
    """A feed."""
    return Feed(
        id=row["id"],
        settings=settings_of(row["settings"]),
        validators=Validators(etag=row["etag"], last_modified=row["last_modified"]),
        body_hash=row["body_hash"],
        item_digests=bytes.fromhex(row["item_digests"]),
        first_try=time_of(row["first_try"]),
        last_try=time_of(row["last_try"]),
        baseline_at=time_of(row["baseline_at"]),
        last_good=time_of(row["last_good"]),
        newest=time_of(row["newest"]),
        last_full=time_of(row["last_full"]),
        not_before=time_of(row["not_before"]),
        failures=row["failures"],
        last_error=row["last_error"],
        gone=bool(row["gone"]),
        url_changed=bool(row["url_changed"]),
        moved_to=row["moved_to"],
        moved_since=time_of(row["moved_since"]),
        moved_polls=row["moved_polls"],
        learnt_url=row["learnt_url"],
    )


def feed_values(feed: Feed) -> dict[str, object]:
    """What a poll changes of a feed."""
    return {
        "id": feed.id,
        "etag": feed.validators.etag,
        "last_modified": feed.validators.last_modified,
        "body_hash": feed.body_hash,
        "item_digests": feed.item_digests.hex(),
        "first_try": micros(feed.first_try),
        "last_try": micros(feed.last_try),
        "baseline_at": micros(feed.baseline_at),
        "last_good": micros(feed.last_good),
        "newest": micros(feed.newest),
        "last_full": micros(feed.last_full),
        "not_before": micros(feed.not_before),
        "failures": feed.failures,
        "last_error": feed.last_error and redact(feed.last_error),
        "gone": int(feed.gone),
        "url_changed": int(feed.url_changed),
        "moved_to": feed.moved_to,
        "moved_since": micros(feed.moved_since),
        "moved_polls": feed.moved_polls,
        "learnt_url": feed.learnt_url,
    }


# --- articles --------------------------------------------------------------------------------------------------------


def article_of(row: Row, name: Callable[[str], str]) -> Article:
    """An article; `name`: a feed's name by its id."""
    raw: dict[str, Any] = json.loads(row["data"])
    return Article(
        id=row["id"],
        feed=row["feed"],
        origin=row["origin"],
        link=row["link"],
        title=raw["title"],
        summary=raw["summary"],
        text=raw["text"],
        author=raw["author"],
        categories=tuple(raw["categories"]),
        language=raw["language"],
        published=_time(row["published"]),
        stated=time_of(raw["stated"]),
        first_seen=_time(row["first_seen"]),
        pictures=tuple(Media(**picture) for picture in raw["pictures"]),
        baseline=bool(row["baseline"]),
        feeds=tuple(name(feed) for feed in raw["feeds"]),
    )


def article_values(article: Article, feed_id: Callable[[str], str]) -> dict[str, object]:
    """An article as columns; `feed_id`: a feed's id by its name."""
    data = {
        "title": article.title,
        "summary": article.summary,
        "text": article.text,
        "author": article.author,
        "categories": article.categories,
        "language": article.language,
        "stated": micros(article.stated),
        "pictures": article.pictures,
        "feeds": [feed_id(name) for name in article.feeds],
    }
    return {
        "id": article.id,
        "link": article.link,
        "published": micros(article.published),
        "baseline": int(article.baseline),
        "data": to_json(data),
    }


# --- accounts --------------------------------------------------------------------------------------------------------


def standing_of(row: Row) -> Standing:
    """What is known of an account."""
    return Standing(
        account=row["name"],
        platform=row["platform"],
        created=_time(row["created"]),
        state=AccountState(row["state"]),
        reason=row["reason"],
        active_since=_time(row["active_since"]),
        not_before=time_of(row["not_before"]),
        failures=row["failures"],
        refusals=row["refusals"],
        identity=_identity_of(row["identity"]),
        fingerprint=row["fingerprint"],
        probe_at=time_of(row["probe_at"]),
        probes=row["probes"],
    )


def _identity_of(text: str | None) -> Identity | None:
    if not text:
        return None
    raw: dict[str, Any] = json.loads(text)
    return Identity(**{**raw, "expires": time_of(raw.get("expires"))})


def standing_values(standing: Standing) -> dict[str, object]:
    """What changes of an account."""
    return {
        "name": standing.account,
        "state": standing.state.value,
        "reason": standing.reason and redact(standing.reason),
        "active_since": micros(standing.active_since),
        "not_before": micros(standing.not_before),
        "failures": standing.failures,
        "refusals": standing.refusals,
        "identity": to_json(standing.identity) if standing.identity else None,
        "fingerprint": standing.fingerprint,
        "probe_at": micros(standing.probe_at),
        "probes": standing.probes,
    }


# --- deliveries ------------------------------------------------------------------------------------------------------


def delivery_of(row: Row) -> Delivery:
    """A delivery."""
    receipt = None
    if row["remote_id"] is not None:
        receipt = Receipt(remote_id=row["remote_id"], url=row["url"])
    return Delivery(
        id=row["id"],
        article=row["article"],
        account=row["account"],
        part=row["part"],
        occasion=row["occasion"],
        state=State(row["state"]),
        reason=row["reason"],
        published=_time(row["published"]),
        due=_time(row["due"]),
        created=_time(row["created"]),
        changed=_time(row["changed"]),
        allowed_by=row["allowed_by"],
        allowed_at=time_of(row["allowed_at"]),
        generation=row["generation"],
        frozen=row["frozen"],
        unclosed=bool(row["unclosed"]),
        without_picture=bool(row["without_picture"]),
        pictures_skipped=row["pictures_skipped"],
        stage=Stage(data=json.loads(row["stage"])) if row["stage"] else None,
        stage_tries=row["stage_tries"],
        stage_since=time_of(row["stage_since"]),
        look_at=time_of(row["look_at"]),
        looks=row["looks"],
        absences=row["absences"],
        failed_looks=row["failed_looks"],
        look_since=time_of(row["look_since"]),
        absent_at=time_of(row["absent_at"]),
        adopting=bool(row["adopting"]),
        last_tried=time_of(row["last_tried"]),
        receipt=receipt,
    )


_DELIVERY_TIMES = (
    "published", "due", "created", "changed", "allowed_at", "stage_since", "look_at", "look_since", "absent_at",
    "last_tried",
)  # fmt: skip
_DELIVERY_SAME = (
    "id", "article", "account", "part", "occasion", "reason", "allowed_by", "generation", "frozen", "pictures_skipped",
    "stage_tries", "looks", "absences", "failed_looks",
)  # fmt: skip
_DELIVERY_FLAGS = ("unclosed", "without_picture", "adopting")


def delivery_values(delivery: Delivery) -> dict[str, object]:
    """A delivery as columns."""
    values: dict[str, object] = {name: getattr(delivery, name) for name in _DELIVERY_SAME}
    values.update({name: micros(getattr(delivery, name)) for name in _DELIVERY_TIMES})
    values.update({name: int(getattr(delivery, name)) for name in _DELIVERY_FLAGS})
    values["reason"] = delivery.reason and redact(delivery.reason)
    values["state"] = delivery.state.value
    values["stage"] = to_json(delivery.stage.data) if delivery.stage else None
    values["remote_id"] = delivery.receipt.remote_id if delivery.receipt else None
    values["url"] = delivery.receipt.url if delivery.receipt else None
    return values


def post_of(text: str) -> Post:
    """The frozen post of an attempt."""
    raw: dict[str, Any] = json.loads(text)
    picture = raw.pop("picture")
    spans = raw.pop("spans")
    return Post(
        **{
            **raw,
            "created_at": _time(raw["created_at"]),
            "published": _time(raw["published"]),
            "languages": tuple(raw["languages"]),
            "shortened": tuple(raw["shortened"]),
            "picture": Picture(**picture) if picture else None,
            "spans": tuple(Span(**{**span, "kind": SpanKind(span["kind"])}) for span in spans),
        }
    )


def attempt_of(row: Row) -> Attempt:
    """An attempt."""
    return Attempt(
        id=row["id"],
        delivery=row["delivery"],
        account=row["account"],
        key=row["key"],
        generation=row["generation"],
        post=post_of(row["post"]),
        stage=Stage(data=json.loads(row["stage"])),
        started=_time(row["started"]),
        deadline=_time(row["deadline"]),
        key_since=_time(row["key_since"]),
        finished=time_of(row["finished"]),
        outcome=Evidence(row["outcome"]),
        evidence=row["evidence"],
        counted=bool(row["counted"]),
        resend=bool(row["resend"]),
        microdollars=row["microdollars"],
    )


def attempt_values(attempt: Attempt) -> dict[str, object]:
    """An attempt as columns."""
    return {
        "id": attempt.id,
        "delivery": attempt.delivery,
        "account": attempt.account,
        "key": attempt.key,
        "generation": attempt.generation,
        "post": to_json(attempt.post),
        "stage": to_json(attempt.stage.data),
        "started": micros(attempt.started),
        "deadline": micros(attempt.deadline),
        "key_since": micros(attempt.key_since),
        **attempt_end(attempt),
        "resend": int(attempt.resend),
        "microdollars": attempt.microdollars,
    }


def attempt_end(attempt: Attempt) -> dict[str, object]:
    """How an attempt ended, as columns."""
    return {
        "id": attempt.id,
        "finished": micros(attempt.finished),
        "outcome": attempt.outcome.value,
        "evidence": attempt.evidence and redact(attempt.evidence),
        "counted": int(attempt.counted),
    }


# --- alerts ----------------------------------------------------------------------------------------------------------


def cause_values(cause: Cause) -> dict[str, object]:
    """A cause as columns."""
    return {
        "kind": cause.kind.value,
        "subject": cause.subject,
        "detail": redact(cause.detail),
        "words": redact(cause.words),
        "urgency": cause.urgency.value,
    }


def alert_of(row: Row) -> Alert:
    """An alert."""
    cause = Cause(
        kind=AlertKind(row["kind"]),
        subject=row["subject"],
        detail=row["detail"],
        words=row["words"],
        urgency=Urgency(row["urgency"]),
    )
    return Alert(
        id=row["id"],
        cause=cause,
        raised=_time(row["raised"]),
        told=time_of(row["told"]),
        tellings=row["tellings"],
        over=time_of(row["over"]),
        is_back=bool(row["is_back"]),
    )
