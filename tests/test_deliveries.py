"""The states of a delivery: each row of the table, each answer of a network, each move of a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopublish.deliveries import (
    NotAllowed,
    Settled,
    Step,
    Verdict,
    again,
    approve,
    backoff,
    begin,
    block,
    cancel,
    check_claim,
    doubted,
    found_first,
    hold,
    hold_burst,
    key_of,
    looked,
    looks_first,
    next_step,
    order,
    pace,
    plan,
    recover_after_crash,
    resend_until,
    resolve,
    retry,
    review,
    route_again,
    settle,
    stage_failed,
    uid,
    unanswered,
    unblock,
    unreachable,
)
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotReady,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    StageExpired,
    Unauthorized,
    Undecided,
)
from autopublish.models import (
    FOREVER,
    Account,
    AccountState,
    Article,
    Attempt,
    Delivery,
    Evidence,
    Media,
    Novelty,
    OnUnknown,
    Picture,
    Post,
    RateWindow,
    ReadBack,
    Receipt,
    Resolution,
    Stage,
    Standing,
    State,
)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
#: The call began at NOW and was answered at ANSWERED.
ANSWERED = NOW + 20 * SECOND

PAGE = Resolution(key_window=FOREVER, read_back=ReadBack.BY_KEY, settle=timedelta(0))
CONTAINER = Resolution(key_window=FOREVER, read_back=ReadBack.STRONG, settle=5 * MINUTE)
TIMED_KEY = Resolution(key_window=50 * MINUTE, read_back=ReadBack.STRONG, settle=10 * MINUTE)
NO_KEY = Resolution(key_window=None, read_back=ReadBack.STRONG, settle=10 * MINUTE)
LAGGING = Resolution(key_window=None, read_back=ReadBack.LAGGING, settle=10 * MINUTE)
BY_ANSWER = Resolution(key_window=None, read_back=ReadBack.BY_ANSWER, settle=10 * MINUTE)
BLIND = Resolution(key_window=None, read_back=ReadBack.NONE, settle=timedelta(0))

RESOLUTIONS = {
    "page": PAGE,
    "container": CONTAINER,
    "timed key": TIMED_KEY,
    "no key": NO_KEY,
    "lagging": LAGGING,
    "by answer": BY_ANSWER,
    "blind": BLIND,
}
each_resolution = pytest.mark.parametrize("resolution", RESOLUTIONS.values(), ids=RESOLUTIONS.keys())
each_readable = pytest.mark.parametrize(
    "resolution",
    [one for one in RESOLUTIONS.values() if one is not BLIND],
    ids=[name for name, one in RESOLUTIONS.items() if one is not BLIND],
)

ACCOUNT = Account(name="main", platform="mastodon", template="{{ title }}")
STANDING = Standing(account="main", platform="mastodon", created=NOW - 9 * DAY, active_since=NOW - 9 * DAY)
ARTICLE = Article(
    id="a1",
    feed="f1",
    origin="https://n.example/1",
    link="https://n.example/1",
    title="T",
    published=NOW - 2 * MINUTE,
    first_seen=NOW - MINUTE,
)
PICTURE = Picture(path="/p", sha256="0" * 64, type="image/jpeg", width=8, height=8, size_bytes=9)
POST = Post(text="T", link="https://n.example/1", title="T", created_at=NOW, published=NOW - 2 * MINUTE)
WITH_PICTURE = replace(POST, picture=PICTURE)

READY = Delivery(
    id=uid("https://n.example/1", "main", 0, "new"),
    article="a1",
    account="main",
    state=State.READY,
    published=NOW - 2 * MINUTE,
    due=NOW - MINUTE,
    created=NOW - MINUTE,
    changed=NOW - MINUTE,
)
SENDING, ATTEMPT = begin(READY, None, attempt_id="t1", post=WITH_PICTURE, stage=Stage(), now=NOW)
#: The first attempt was ambiguous and the outcome is being looked up.
VERIFYING = replace(SENDING, state=State.VERIFYING, frozen="t1", unclosed=True, look_at=NOW, changed=ANSWERED)
AMBIGUOUS = replace(ATTEMPT, finished=ANSWERED, outcome=Evidence.UNKNOWN)
#: Its bytes may go again, and nothing has closed it.
UNCLOSED = replace(VERIFYING, state=State.READY, look_at=None)
#: Its bytes go again: absence was proved.
ABSENT = replace(UNCLOSED, unclosed=False, absent_at=ANSWERED, reason="was not there")

RECEIPT = Receipt(remote_id="42", url="https://m.example/42")


def at_state(state: State) -> Delivery:
    return replace(READY, state=state)


def resending(row: Delivery) -> tuple[Delivery, Attempt]:
    """The frozen bytes of a delivery go once more."""
    return begin(row, AMBIGUOUS, attempt_id="t2", post=AMBIGUOUS.post, stage=AMBIGUOUS.stage, now=NOW)


def answered(
    outcome: Receipt | DeliveryError,
    *,
    row: Delivery = SENDING,
    attempt: Attempt = ATTEMPT,
    account: Account = ACCOUNT,
    standing: Standing = STANDING,
    resolution: Resolution = NO_KEY,
) -> Settled:
    return settle(row, attempt, outcome, account=account, standing=standing, resolution=resolution, now=ANSWERED)


#: 30 s doubling to 1 h.
WAITS: tuple[timedelta, ...] = (*(30 * SECOND * 2**n for n in range(7)), HOUR)


def base_of(wait: timedelta) -> timedelta:
    """A back-off as it was before the jitter of up to a tenth."""
    return next(base for base in WAITS if base <= wait <= base * 1.1)


def waits(standing: Standing, since: datetime) -> timedelta:
    """The account's wait, without the jitter."""
    assert standing.not_before is not None
    return base_of(standing.not_before - since)


# --- keys and times --------------------------------------------------------------------------------------------------


def test_the_id_of_a_delivery_depends_on_nothing_but_article_account_part_and_occasion() -> None:
    assert uid("o", "a", 0, "new") == uid("o", "a", 0, "new")
    assert len({uid(*x) for x in (("o", "a", 0, "new"), ("p", "a", 0, "new"), ("o", "b", 0, "new"))}) == 3
    assert len({uid(*x) for x in (("o", "a", 0, "new"), ("o", "a", 1, "new"), ("o", "a", 0, "edit:1"))}) == 3


def test_parts_of_an_id_cannot_be_shifted_into_each_other() -> None:
    assert uid("ab", "c", 1, "new") != uid("a", "bc", 1, "new")
    assert uid("o", "a1", 0, "new") != uid("o", "a", 10, "new")


def test_the_key_is_32_hex_digits_and_another_for_each_composition() -> None:
    keys = {key_of(replace(READY, generation=n)) for n in range(20)}
    assert len(keys) == 20
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)
    assert key_of(READY) == key_of(replace(READY, state=State.SENDING, reason="x", unclosed=True, changed=ANSWERED))


@pytest.mark.parametrize(
    ("failures", "base"),
    [(0, 30 * SECOND), (1, 30 * SECOND), (2, MINUTE), (3, 2 * MINUTE), (7, 32 * MINUTE), (8, HOUR), (10**6, HOUR)],
)
def test_the_back_off_doubles_from_30_seconds_to_an_hour(failures: int, base: timedelta) -> None:
    waits = [backoff(failures, seed) for seed in map(str, range(50))]
    assert all(base <= wait <= base * 1.1 for wait in waits)


def test_the_jitter_of_the_back_off_comes_from_the_seed_alone() -> None:
    assert backoff(3, "a") == backoff(3, "a")
    assert len({backoff(3, seed) for seed in map(str, range(50))}) > 40


def ago(*minutes: float) -> list[datetime]:
    return [NOW - MINUTE * n for n in minutes]


@pytest.mark.parametrize(
    ("windows", "starts", "until"),
    [
        pytest.param((), ago(0, 0, 0), None, id="no window, no limit"),
        pytest.param((RateWindow(count=3, period=HOUR),), ago(5, 10), None, id="room left"),
        pytest.param((RateWindow(count=3, period=HOUR),), ago(5, 10, 50), NOW + 10 * MINUTE, id="the oldest leaves"),
        pytest.param((RateWindow(count=3, period=HOUR),), ago(50, 5, 10), NOW + 10 * MINUTE, id="in any order"),
        pytest.param((RateWindow(count=3, period=HOUR),), ago(5, 10, 60), None, id="an hour ago is outside"),
        pytest.param((RateWindow(count=3, period=HOUR),), ago(5, 10, 70, 80), None, id="old ones do not count"),
        pytest.param((RateWindow(count=2, period=HOUR),), ago(5, 10, 50), NOW + 50 * MINUTE, id="more than allowed"),
        pytest.param(
            (RateWindow(count=2, period=HOUR), RateWindow(count=3, period=DAY)),
            ago(50, 55, 90),
            NOW + DAY - 90 * MINUTE,
            id="the window that frees last decides",
        ),
        pytest.param(
            (RateWindow(count=3, period=DAY), RateWindow(count=2, period=HOUR)),
            ago(50, 55, 90),
            NOW + DAY - 90 * MINUTE,
            id="in whatever order they are written",
        ),
    ],
)
def test_rate_windows_roll(windows: tuple[RateWindow, ...], starts: list[datetime], until: datetime | None) -> None:
    assert pace(windows, starts, NOW) == until


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 7200), max_size=30), st.integers(1, 5))
def test_after_the_pace_an_attempt_keeps_every_window(seconds: list[int], count: int) -> None:
    window = RateWindow(count=count, period=HOUR)
    starts = [NOW - SECOND * n for n in seconds]
    then = pace((window,), starts, NOW) or NOW
    assert sum(start > then - HOUR for start in starts) < count


# --- from articles to deliveries -------------------------------------------------------------------------------------

LATE_ACCOUNT = replace(STANDING, created=ARTICLE.first_seen + SECOND)


def planned(
    novelty: Novelty = Novelty.NEWS, refusal: str | None = None, standing: Standing = STANDING
) -> Delivery | None:
    account = replace(ACCOUNT, delay=2 * MINUTE)
    return plan(ARTICLE, account, novelty=novelty, refusal=refusal, standing=standing, now=NOW)


@pytest.mark.parametrize(
    ("delivery", "state", "reason", "allowed"),
    [
        pytest.param(planned(), State.READY, None, None, id="news"),
        pytest.param(planned(Novelty.CHOSEN), State.READY, None, "first_run", id="chosen by first_run"),
        pytest.param(planned(Novelty.BACKDATED), State.HELD, "backdated", None, id="backdated"),
        pytest.param(planned(Novelty.FUTURE), State.HELD, "future", None, id="future"),
        pytest.param(planned(Novelty.MOVED), State.HELD, "moved", None, id="moved"),
        pytest.param(planned(refusal="never"), State.CANCELLED, "filtered: never", None, id="filtered"),
        pytest.param(
            planned(Novelty.BACKDATED, "never"), State.CANCELLED, "filtered: never", None, id="filtered and backdated"
        ),
        pytest.param(
            planned(Novelty.CHOSEN, "never"), State.CANCELLED, "filtered: never", None, id="filtered although chosen"
        ),
    ],
)
def test_a_new_article_becomes_a_delivery(
    delivery: Delivery | None, state: State, reason: str | None, allowed: str | None
) -> None:
    assert delivery is not None
    assert (delivery.state, delivery.reason, delivery.allowed_by) == (state, reason, allowed)
    assert (delivery.due, delivery.created, delivery.published) == (NOW + 2 * MINUTE, NOW, ARTICLE.published)
    assert (delivery.id, delivery.generation) == (READY.id, 0)


@pytest.mark.parametrize(
    "delivery",
    [
        pytest.param(planned(Novelty.BASELINE), id="baseline"),
        pytest.param(planned(Novelty.BASELINE, "never"), id="baseline and filtered"),
        pytest.param(planned(standing=LATE_ACCOUNT), id="the account came later"),
        pytest.param(planned(Novelty.CHOSEN, standing=LATE_ACCOUNT), id="the account came later, chosen"),
    ],
)
def test_what_is_no_news_for_an_account_has_no_delivery(delivery: Delivery | None) -> None:
    assert delivery is None


def test_an_account_that_came_with_the_poll_gets_its_articles() -> None:
    assert planned(standing=replace(STANDING, created=ARTICLE.first_seen)) is not None


FILTERED = replace(READY, state=State.CANCELLED, reason="filtered: never")


def routed(
    existing: Delivery | None, refusal: str | None = None, article: Article = ARTICLE, standing: Standing = STANDING
) -> tuple[State, str | None] | None:
    row = route_again(article, ACCOUNT, existing, refusal=refusal, standing=standing, now=NOW)
    return None if row is None else (row.state, row.reason)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        pytest.param(routed(None), (State.READY, None), id="added"),
        pytest.param(routed(None, "never"), (State.CANCELLED, "filtered: never"), id="added with the rule's name"),
        pytest.param(routed(READY), None, id="nothing changes"),
        pytest.param(routed(READY, "never"), (State.CANCELLED, "filtered: never"), id="a rule stops it now"),
        pytest.param(routed(FILTERED), (State.READY, None), id="the rule no longer holds"),
        pytest.param(routed(FILTERED, "never"), None, id="the same rule"),
        pytest.param(routed(FILTERED, "only"), (State.CANCELLED, "filtered: only"), id="another rule"),
        pytest.param(routed(replace(FILTERED, reason="cancelled by eva")), None, id="a person cancelled it"),
        pytest.param(routed(replace(READY, allowed_by="eva"), "never"), None, id="a person let it through"),
        pytest.param(
            routed(replace(READY, allowed_by="first_run"), "never"),
            (State.CANCELLED, "filtered: never"),
            id="first_run chose it",
        ),
        pytest.param(routed(replace(READY, last_tried=NOW), "never"), None, id="READY with an attempt"),
        pytest.param(routed(replace(FILTERED, last_tried=NOW)), None, id="CANCELLED with an attempt"),
        pytest.param(routed(ABSENT, "never"), None, id="its absence was proved"),
        pytest.param(routed(UNCLOSED, "never"), None, id="unclosed"),
        pytest.param(routed(hold(READY, "burst", NOW), "never"), None, id="HELD"),
        pytest.param(routed(at_state(State.POSTED), "never"), None, id="POSTED"),
        pytest.param(routed(at_state(State.REJECTED)), None, id="REJECTED"),
        pytest.param(routed(None, article=replace(ARTICLE, baseline=True)), None, id="baseline"),
        pytest.param(routed(FILTERED, article=replace(ARTICLE, baseline=True)), None, id="baseline, revived"),
        pytest.param(routed(None, standing=LATE_ACCOUNT), None, id="the account came later"),
        pytest.param(routed(FILTERED, standing=LATE_ACCOUNT), None, id="the account came later, revived"),
        pytest.param(routed(None, article=replace(ARTICLE, published=NOW - DAY)), (State.READY, None), id="a day old"),
        pytest.param(routed(None, article=replace(ARTICLE, published=NOW - DAY - SECOND)), None, id="too old"),
        pytest.param(
            routed(FILTERED, article=replace(ARTICLE, published=NOW - DAY - SECOND)), None, id="too old, revived"
        ),
        pytest.param(
            routed(READY, "never", article=replace(ARTICLE, published=NOW - DAY - SECOND)), None, id="too old, stopped"
        ),
    ],
)
def test_an_edit_routes_an_article_again(
    got: tuple[State, str | None] | None, expected: tuple[State, str | None] | None
) -> None:
    assert got == expected


def test_without_max_age_an_old_article_is_routed_again() -> None:
    old = replace(ARTICLE, published=NOW - 90 * DAY)
    account = replace(ACCOUNT, max_age=None)
    assert route_again(old, account, None, refusal=None, standing=STANDING, now=NOW) is not None


def test_a_revived_delivery_waits_for_the_accounts_delay_anew() -> None:
    account = replace(ACCOUNT, delay=2 * MINUTE)
    row = route_again(ARTICLE, account, FILTERED, refusal=None, standing=STANDING, now=NOW)
    assert row is not None
    assert row.due == NOW + 2 * MINUTE


# --- what may go -----------------------------------------------------------------------------------------------------


def rows(count: int) -> list[Delivery]:
    """READY rows, the oldest first."""
    return [replace(READY, id=f"{n:04d}", published=NOW - DAY + n * MINUTE) for n in range(count)]


def test_what_was_ambiguous_goes_first_then_the_oldest_then_by_id() -> None:
    old = replace(READY, id="5", published=NOW - DAY)
    twin = replace(old, id="3")
    new = replace(READY, id="1", published=NOW)
    open_one = replace(UNCLOSED, id="9", published=NOW)
    assert sorted([new, old, open_one, twin], key=order) == [open_one, twin, old, new]


@pytest.mark.parametrize(
    ("due", "burst", "held"),
    [
        pytest.param(rows(10), 10, 0, id="as many as the burst"),
        pytest.param(rows(11), 10, 1, id="one more"),
        pytest.param(rows(40), 10, 30, id="many"),
        pytest.param(rows(3), 0, 3, id="burst 0"),
        pytest.param(rows(40), None, 0, id="burst none"),
        pytest.param([], 10, 0, id="nothing due"),
        pytest.param([replace(row, allowed_by="eva") for row in rows(40)], 10, 0, id="let through by a person"),
        pytest.param([replace(row, allowed_by="eva") for row in rows(30)] + rows(10), 10, 0, id="those do not count"),
        pytest.param([replace(row, last_tried=NOW) for row in rows(40)], 10, 0, id="with an attempt"),
        pytest.param([replace(row, unclosed=True, frozen="t") for row in rows(40)], 10, 0, id="unclosed"),
    ],
)
def test_more_due_rows_than_burst_are_held(due: list[Delivery], burst: int | None, held: int) -> None:
    found = hold_burst(reversed(due), replace(ACCOUNT, burst=burst), NOW)
    assert [row.id for row in found] == [row.id for row in due[:held]], "the newest stay"
    assert {(row.state, row.reason, row.changed) for row in found} <= {(State.HELD, "burst", NOW)}


def test_held_and_staying_rows_of_a_burst_make_up_what_was_due() -> None:
    open_one = replace(UNCLOSED, id="open", published=NOW - 9 * DAY)
    allowed = replace(READY, id="allowed", allowed_by="eva", published=NOW - 9 * DAY)
    due = [open_one, allowed, *rows(12)]
    assert [row.id for row in hold_burst(due, ACCOUNT, NOW)] == ["0000", "0001"]


def claimed(
    row: Delivery = READY,
    *,
    account: Account = ACCOUNT,
    attempt: Attempt | None = None,
    refusal: str | None = None,
    first_seen: datetime = NOW - MINUTE,
    standing: Standing = STANDING,
    resolution: Resolution = NO_KEY,
    now: datetime = NOW,
) -> tuple[Step, State, str | None]:
    step = check_claim(
        row,
        account,
        attempt=attempt,
        refusal=refusal,
        first_seen=first_seen,
        standing=standing,
        resolution=resolution,
        now=now,
    )
    assert key_of(step.delivery) == key_of(row)
    return step.step, step.delivery.state, step.delivery.reason


LET_THROUGH = replace(READY, allowed_by="eva", allowed_at=NOW)
CHOSEN = replace(READY, allowed_by="first_run", allowed_at=NOW)
SEND = (Step.SEND, State.READY, None)
LOOK = (Step.LOOK, State.READY, None)
STALE = (Step.CHANGED, State.HELD, "stale")
RETURNED = replace(STANDING, active_since=NOW - 5 * SECOND)
SEEN_LONG_AGO = NOW - 25 * HOUR
LONG_DUE = replace(READY, due=SEEN_LONG_AGO)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        pytest.param(claimed(), SEND, id="fresh"),
        pytest.param(claimed(refusal="only"), (Step.CHANGED, State.CANCELLED, "filtered: only"), id="a rule of now"),
        pytest.param(claimed(LET_THROUGH, refusal="only"), SEND, id="a person is above the rules"),
        pytest.param(
            claimed(CHOSEN, refusal="only"),
            (Step.CHANGED, State.CANCELLED, "filtered: only"),
            id="first_run chose by time and not against the rules",
        ),
        pytest.param(
            claimed(CHOSEN, first_seen=SEEN_LONG_AGO, resolution=BLIND), SEND, id="what first_run chose is never stale"
        ),
        pytest.param(claimed(first_seen=NOW - DAY, resolution=BLIND), SEND, id="a day old"),
        pytest.param(claimed(LONG_DUE, first_seen=NOW - DAY - SECOND), STALE, id="older than max_age"),
        pytest.param(
            claimed(LONG_DUE, first_seen=SEEN_LONG_AGO, resolution=BLIND), STALE, id="older than max_age, blind"
        ),
        pytest.param(claimed(first_seen=SEEN_LONG_AGO, resolution=BLIND), SEND, id="old, and due only since a minute"),
        pytest.param(claimed(LET_THROUGH, first_seen=SEEN_LONG_AGO, resolution=BLIND), SEND, id="old and let through"),
        pytest.param(
            claimed(first_seen=SEEN_LONG_AGO, account=replace(ACCOUNT, max_age=None), resolution=BLIND),
            SEND,
            id="without max_age",
        ),
        pytest.param(
            claimed(first_seen=SEEN_LONG_AGO, standing=RETURNED, resolution=BLIND),
            SEND,
            id="max_age counts from the account's return",
        ),
        pytest.param(claimed(first_seen=SEEN_LONG_AGO, standing=RETURNED), LOOK, id="the account has returned"),
        pytest.param(claimed(first_seen=NOW - HOUR), SEND, id="an hour ago"),
        pytest.param(claimed(first_seen=NOW - HOUR - SECOND), LOOK, id="more than an hour ago"),
        pytest.param(
            claimed(UNCLOSED, attempt=AMBIGUOUS, resolution=PAGE, refusal="only", first_seen=SEEN_LONG_AGO),
            (Step.SEND, State.READY, UNCLOSED.reason),
            id="unclosed: neither rules nor age",
        ),
        pytest.param(
            claimed(ABSENT, attempt=AMBIGUOUS, now=ANSWERED), (Step.SEND, State.READY, ABSENT.reason), id="absent"
        ),
    ],
)
def test_a_claim_sends_looks_or_stops(
    got: tuple[Step, State, str | None], expected: tuple[Step, State, str | None]
) -> None:
    assert got == expected


@pytest.mark.parametrize(
    ("resolution", "looks"),
    [(PAGE, True), (CONTAINER, True), (TIMED_KEY, True), (NO_KEY, True), (LAGGING, True), (BY_ANSWER, False),
     (BLIND, False)],
    ids=RESOLUTIONS.keys(),
)  # fmt: skip
def test_only_what_can_be_read_is_looked_at_first(resolution: Resolution, looks: bool) -> None:
    assert looks_first(READY, NOW - 2 * HOUR, STANDING, resolution, NOW) is looks
    assert looks_first(READY, NOW - MINUTE, RETURNED, resolution, NOW) is looks
    assert not looks_first(READY, NOW - MINUTE, STANDING, resolution, NOW)


@pytest.mark.parametrize(
    ("row", "looks"),
    [
        pytest.param(replace(READY, last_tried=NOW - 2 * HOUR), True, id="last tried two hours ago"),
        pytest.param(replace(READY, last_tried=NOW - MINUTE), False, id="tried a minute ago"),
        pytest.param(replace(READY, occasion="edit:1"), False, id="an edit is not looked for by its link"),
    ],
)
def test_the_last_try_counts_as_a_look_at_the_network(row: Delivery, looks: bool) -> None:
    assert looks_first(row, NOW - 2 * HOUR, STANDING, NO_KEY, NOW) is looks


def test_what_an_account_missed_while_blocked_is_looked_at_and_what_came_after_is_not() -> None:
    after = replace(READY, created=RETURNED.active_since)
    assert looks_first(READY, NOW - MINUTE, RETURNED, NO_KEY, NOW)
    assert not looks_first(after, NOW - MINUTE, RETURNED, NO_KEY, NOW)


def test_an_article_that_is_there_already_is_posted_without_a_send() -> None:
    row = found_first(READY, RECEIPT, NOW)
    assert (row.state, row.reason, row.receipt, row.changed) == (State.POSTED, "was there already", RECEIPT, NOW)


@pytest.mark.parametrize(
    ("row", "resolution", "until"),
    [
        pytest.param(UNCLOSED, PAGE, None, id="a key for good"),
        pytest.param(ABSENT, PAGE, None, id="a key for good, absence seen"),
        pytest.param(UNCLOSED, replace(PAGE, key_window=HOUR), NOW + HOUR, id="a key for an hour"),
        pytest.param(UNCLOSED, BY_ANSWER, None, id="the duplicate answer"),
        pytest.param(UNCLOSED, BLIND, None, id="a written policy"),
        pytest.param(UNCLOSED, NO_KEY, None, id="a written policy where looks failed"),
        pytest.param(ABSENT, NO_KEY, ANSWERED + HOUR, id="a proof without a key is good for an hour"),
        pytest.param(ABSENT, CONTAINER, ANSWERED + HOUR, id="a proof beside a container"),
        pytest.param(ABSENT, TIMED_KEY, NOW + 50 * MINUTE, id="the key's window counts from its first attempt"),
        pytest.param(
            replace(ABSENT, absent_at=NOW + 45 * MINUTE),
            TIMED_KEY,
            NOW + 55 * MINUTE,
            id="or the proof, if it is good for longer",
        ),
    ],
)
def test_frozen_bytes_may_go_again_until(row: Delivery, resolution: Resolution, until: datetime | None) -> None:
    assert resend_until(row, AMBIGUOUS, resolution) == until


@pytest.mark.fault("D08")
@pytest.mark.parametrize(
    ("row", "resolution", "minutes"),
    [
        pytest.param(ABSENT, TIMED_KEY, 50, id="the key's window"),
        pytest.param(replace(ABSENT, absent_at=NOW + 45 * MINUTE), TIMED_KEY, 55, id="a late proof"),
        pytest.param(replace(ABSENT, absent_at=NOW), NO_KEY, 60, id="a proof without a key"),
        pytest.param(UNCLOSED, replace(PAGE, key_window=HOUR), 60, id="a timed key alone"),
    ],
)
def test_d08_past_its_deadline_a_resend_is_looked_up_again_and_never_sent(
    row: Delivery, resolution: Resolution, minutes: int
) -> None:
    last = NOW + minutes * MINUTE
    resent, attempt = resending(row)
    limited = replace(resent, state=State.READY)  # as a 429 leaves it
    assert claimed(limited, attempt=attempt, resolution=resolution, now=last - SECOND)[0] is Step.SEND
    step = check_claim(
        limited, ACCOUNT, attempt=attempt, refusal=None, first_seen=NOW, standing=STANDING, resolution=resolution,
        now=last,
    )  # fmt: skip
    assert (step.step, step.delivery.state, step.delivery.unclosed) == (Step.CHANGED, State.VERIFYING, True)
    assert (step.delivery.absent_at, step.delivery.absences, step.delivery.looks) == (None, 0, 0)
    assert step.delivery.frozen == row.frozen, "the same bytes, should they go again"


def test_an_attempt_freezes_the_post_and_marks_a_resend() -> None:
    assert (SENDING.state, SENDING.last_tried, SENDING.reason) == (State.SENDING, NOW, None)
    assert (ATTEMPT.key, ATTEMPT.key_since, ATTEMPT.resend) == (key_of(READY), NOW, False)
    assert (ATTEMPT.outcome, ATTEMPT.counted, ATTEMPT.finished) == (Evidence.OPEN, True, None)
    first = replace(AMBIGUOUS, key_since=NOW - HOUR, key="k", generation=3)
    row, again = begin(UNCLOSED, first, attempt_id="t2", post=first.post, stage=first.stage, now=NOW)
    assert (again.id, again.key, again.key_since, again.generation) == ("t2", "k", NOW - HOUR, 3)
    assert again.resend
    assert (row.state, row.frozen, row.unclosed) == (State.SENDING, "t1", True)


# --- stage -----------------------------------------------------------------------------------------------------------

PARTLY = Stage(data={"media": "7"})


@pytest.mark.parametrize(
    ("error", "due", "stage", "wait"),
    [
        pytest.param(NotReady("in work", wait=MINUTE, stage=PARTLY), NOW + MINUTE, PARTLY, None, id="NotReady"),
        pytest.param(NotReady("in work", wait=MINUTE), NOW + MINUTE, Stage(data={"old": 1}), None, id="NotReady, bare"),
        pytest.param(
            NotReady("in work", wait=timedelta(0)), NOW + SECOND, Stage(data={"old": 1}), None, id="NotReady, at once"
        ),
        pytest.param(OutcomeUnknown("timeout"), READY.due, Stage(data={"old": 1}), 30 * SECOND, id="OutcomeUnknown"),
    ],
)
def test_a_failed_stage_is_tried_again(
    error: DeliveryError, due: datetime, stage: Stage, wait: timedelta | None
) -> None:
    settled = stage_failed(replace(READY, stage=Stage(data={"old": 1})), error, STANDING, NOW)
    row = settled.delivery
    assert (row.state, row.due, row.stage, row.without_picture) == (State.READY, due, stage, False)
    assert (row.generation, row.unclosed, settled.attempt) == (0, False, None)
    assert (row.stage_since, settled.standing.state) == (NOW, AccountState.ACTIVE)
    if wait is None:
        assert settled.standing == STANDING, "an upload in work is no failure of the account"
    else:
        assert (waits(settled.standing, NOW), settled.standing.failures) == (wait, 1)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        pytest.param(READY, MediaRejected("no"), id="the picture was refused"),
        pytest.param(replace(READY, stage_tries=2, stage_since=NOW), OutcomeUnknown("x"), id="the third try"),
        pytest.param(replace(READY, stage_since=NOW - 30 * MINUTE), OutcomeUnknown("x"), id="after 30 minutes"),
        pytest.param(
            replace(READY, stage_since=NOW - 30 * MINUTE), NotReady("x", wait=MINUTE, stage=PARTLY), id="in work for 30"
        ),
    ],
)
def test_a_picture_that_cannot_be_staged_never_sinks_the_post(row: Delivery, error: DeliveryError) -> None:
    after = stage_failed(row, error, STANDING, NOW).delivery
    assert (after.state, after.pictures_skipped, after.generation) == (State.READY, 1, 1)
    assert (after.stage, after.stage_tries, after.stage_since) == (None, 0, None)


@pytest.mark.parametrize(
    "row",
    [READY, replace(READY, stage_tries=2, stage_since=NOW), replace(READY, stage_since=NOW - 30 * MINUTE)],
    ids=["first", "after two tries", "after 30 minutes"],
)
def test_a_network_that_is_away_is_no_try_of_the_picture(row: Delivery) -> None:
    settled = stage_failed(row, NotSent("refused"), STANDING, NOW)
    assert settled.delivery == replace(row, changed=NOW)
    assert (waits(settled.standing, NOW), settled.standing.failures) == (30 * SECOND, 1)


def test_a_definite_refusal_at_the_stage_ends_the_delivery() -> None:
    settled = stage_failed(READY, Rejected("the account may not post"), STANDING, NOW)
    assert (settled.delivery.state, settled.delivery.reason) == (State.REJECTED, "the account may not post")
    assert settled.standing == replace(STANDING, refusals=1)


def test_a_limit_at_the_stage_lets_the_account_wait_without_a_failure() -> None:
    settled = stage_failed(READY, RateLimited("429", wait=9 * MINUTE), STANDING, NOW)
    assert (settled.standing.not_before, settled.standing.failures) == (NOW + 9 * MINUTE, 0)
    assert (settled.delivery.state, settled.delivery.stage_tries) == (State.READY, 0)


def test_dead_credentials_at_the_stage_block_the_account_and_not_the_delivery() -> None:
    settled = stage_failed(READY, Unauthorized("401"), STANDING, NOW)
    assert (settled.standing.state, settled.standing.reason) == (AccountState.AUTH_BLOCKED, "401")
    assert (settled.delivery.state, settled.delivery.stage_tries) == (State.READY, 0)


# --- answers to a first attempt --------------------------------------------------------------------------------------


@each_resolution
@pytest.mark.parametrize(
    ("outcome", "state", "reason", "evidence", "counted"),
    [
        pytest.param(RECEIPT, State.POSTED, None, Evidence.POSTED, True, id="Receipt"),
        pytest.param(NotSent("refused"), State.READY, None, Evidence.NOT_SENT, False, id="NotSent"),
        pytest.param(RateLimited("429"), State.READY, None, Evidence.REFUSED, False, id="RateLimited"),
        pytest.param(Unauthorized("401"), State.READY, None, Evidence.REFUSED, False, id="Unauthorized"),
        pytest.param(MediaRejected("bad"), State.READY, None, Evidence.REFUSED, False, id="MediaRejected"),
        pytest.param(Rejected("too long"), State.REJECTED, "too long", Evidence.REFUSED, False, id="Rejected"),
        pytest.param(AlreadyPosted("dup"), State.HELD, "clash", Evidence.REFUSED, False, id="AlreadyPosted"),
        pytest.param(
            AlreadyPosted("dup", receipt=RECEIPT), State.HELD, "clash", Evidence.REFUSED, False, id="with its id"
        ),
        pytest.param(
            AlreadyPosted("dup", receipt=RECEIPT, ours=True), State.POSTED, None, Evidence.POSTED, True, id="ours"
        ),
    ],
)
def test_a_definite_answer_means_the_same_on_every_network(
    resolution: Resolution,
    outcome: Receipt | DeliveryError,
    state: State,
    reason: str | None,
    evidence: Evidence,
    counted: bool,
) -> None:
    settled = answered(outcome, resolution=resolution)
    assert settled.attempt is not None
    assert (settled.delivery.state, settled.delivery.reason) == (state, reason)
    assert (settled.attempt.outcome, settled.attempt.counted, settled.attempt.finished) == (evidence, counted, ANSWERED)
    assert (settled.delivery.unclosed, settled.delivery.frozen) == (False, None)
    assert (settled.delivery.receipt is not None) == (state is State.POSTED)
    assert settled.delivery.changed == ANSWERED


def test_the_platforms_words_are_kept_as_evidence() -> None:
    settled = answered(Rejected("422: text is too long"))
    assert settled.attempt is not None
    assert settled.attempt.evidence == "422: text is too long"


TROUBLED = replace(STANDING, failures=3, not_before=NOW - SECOND)


def test_a_receipt_ends_the_accounts_back_off() -> None:
    standing = answered(RECEIPT, standing=TROUBLED).standing
    assert (standing.failures, standing.not_before) == (0, None)


@pytest.mark.parametrize(
    ("outcome", "failures", "base"),
    [
        pytest.param(NotSent("x"), 0, 30 * SECOND, id="first NotSent"),
        pytest.param(NotSent("x"), 3, 4 * MINUTE, id="fourth NotSent"),
        pytest.param(OutcomeUnknown("x"), 0, 30 * SECOND, id="first OutcomeUnknown"),
        pytest.param(OutcomeUnknown("x"), 3, 4 * MINUTE, id="fourth OutcomeUnknown"),
        pytest.param(OutcomeUnknown("x"), 60, HOUR, id="an hour at most"),
    ],
)
def test_after_a_failure_the_account_waits_30_seconds_doubling_to_an_hour(
    outcome: DeliveryError, failures: int, base: timedelta
) -> None:
    standing = answered(outcome, standing=replace(STANDING, failures=failures)).standing
    assert (waits(standing, ANSWERED), standing.failures) == (base, failures + 1)


@pytest.mark.parametrize("failures", [0, 3])
def test_a_limit_is_obeyed_and_not_counted_as_a_failure(failures: int) -> None:
    before = replace(STANDING, failures=failures)
    told = answered(RateLimited("429", wait=17 * MINUTE), standing=before).standing
    assert (told.not_before, told.failures) == (ANSWERED + 17 * MINUTE, failures)
    untold = answered(RateLimited("429"), standing=before).standing
    assert (waits(untold, ANSWERED), untold.failures) == (30 * SECOND, failures)


def test_dead_credentials_block_the_account_and_leave_the_delivery_ready() -> None:
    settled = answered(Unauthorized("401: token revoked"))
    assert (settled.standing.state, settled.standing.reason) == (AccountState.AUTH_BLOCKED, "401: token revoked")
    assert settled.delivery.state is State.READY


UPLOADED = Stage(data={"media": "7"})


@pytest.mark.parametrize("outcome", [NotSent("refused"), RateLimited("429"), Unauthorized("401")], ids=lambda e: str(e))
def test_what_was_uploaded_for_a_call_that_created_nothing_is_not_uploaded_again(outcome: DeliveryError) -> None:
    row = replace(SENDING, stage_tries=2, stage_since=NOW - 29 * MINUTE)
    after = answered(outcome, row=row, attempt=replace(ATTEMPT, stage=UPLOADED)).delivery
    assert (after.stage, after.stage_tries, after.stage_since) == (UPLOADED, 0, None)
    assert (after.generation, after.frozen) == (0, None), "it is composed anew, under the key that nobody has seen"


def test_a_post_without_uploads_leaves_none() -> None:
    assert answered(NotSent("refused")).delivery.stage is None


@pytest.mark.parametrize("outcome", [NotSent("refused"), RateLimited("429"), Unauthorized("401")], ids=lambda e: str(e))
def test_the_bytes_of_a_resend_that_created_nothing_stay_those_of_the_first_attempt(outcome: DeliveryError) -> None:
    frozen = replace(AMBIGUOUS, stage=UPLOADED)
    row, attempt = begin(UNCLOSED, frozen, attempt_id="t2", post=frozen.post, stage=frozen.stage, now=NOW)
    after = answered(outcome, row=row, attempt=attempt).delivery
    assert (after.frozen, after.unclosed, after.stage) == ("t1", True, None)
    assert (attempt.post, attempt.stage, attempt.key) == (frozen.post, UPLOADED, frozen.key)


@pytest.mark.fault("D19")
@pytest.mark.parametrize("row", [SENDING, replace(UNCLOSED, state=State.SENDING)], ids=["first attempt", "resend"])
def test_d19_what_expired_proves_that_nothing_was_posted_and_is_made_anew_under_a_new_key(row: Delivery) -> None:
    row = replace(row, stage=UPLOADED, stage_tries=1, stage_since=NOW)
    settled = answered(StageExpired("EXPIRED"), row=row, attempt=replace(ATTEMPT, stage=UPLOADED), resolution=CONTAINER)
    after = settled.delivery
    assert settled.attempt is not None
    assert (after.state, after.unclosed, after.frozen, after.absent_at) == (State.READY, False, None, None)
    assert (after.generation, after.stage, after.stage_tries, after.stage_since) == (1, None, 0, None)
    assert (settled.attempt.outcome, settled.attempt.counted) == (Evidence.REFUSED, False)
    assert waits(settled.standing, ANSWERED) == 30 * SECOND, "what expires at once is not made in a loop"


def test_what_the_platform_says_it_has_is_not_made_anew() -> None:
    row = replace(UNCLOSED, state=State.SENDING, adopting=True)
    assert answered(StageExpired("EXPIRED"), row=row, resolution=CONTAINER).delivery.state is State.VERIFYING


def test_what_is_wanted_again_takes_nothing_of_the_first_one_along() -> None:
    first = replace(
        answered(RECEIPT).delivery,
        stage=UPLOADED, stage_tries=2, stage_since=NOW, pictures_skipped=3, without_picture=True, adopting=True,
        generation=4, looks=2, absences=1, absent_at=NOW,
    )  # fmt: skip
    second = again(first, "42", origin="https://n.example/1", others=[first], who="editor", now=ANSWERED)
    fresh = replace(
        READY,
        id=uid("https://n.example/1", "main", 0, "again:1"), occasion="again:1", reason=second.reason,
        due=ANSWERED, created=ANSWERED, changed=ANSWERED, allowed_by="editor", allowed_at=ANSWERED,
    )  # fmt: skip
    assert second == fresh


PICTURELESS = replace(
    READY, state=State.HELD, reason="picture: there is none", pictures_skipped=2, without_picture=True
)


def test_what_waited_for_a_picture_tries_all_of_them_when_it_is_let_through() -> None:
    row = approve(PICTURELESS, "editor", ANSWERED)
    assert (row.state, row.pictures_skipped, row.without_picture) == (State.READY, 0, False)


@pytest.mark.parametrize(
    ("pictures", "refusal", "state"),
    [
        pytest.param((Media(url="https://n.example/1.jpg"),), None, State.READY, id="a picture"),
        pytest.param((), None, State.HELD, id="still none"),
        pytest.param((Media(url="https://n.example/1.jpg"),), "never", State.HELD, id="a picture, but filtered"),
    ],
)
def test_an_edit_that_brings_a_picture_lets_go_what_waited_for_one(
    pictures: tuple[Media, ...], refusal: str | None, state: State
) -> None:
    edited = replace(ARTICLE, pictures=pictures)
    row = route_again(edited, ACCOUNT, PICTURELESS, refusal=refusal, standing=STANDING, now=NOW) or PICTURELESS
    assert row.state is state
    assert (row.pictures_skipped, row.without_picture) == ((0, False) if state is State.READY else (2, True))


def test_what_waits_for_a_picture_in_a_store_that_was_put_back_is_in_doubt() -> None:
    row = doubted(PICTURELESS, NOW)
    assert row is not None
    assert (row.state, row.reason) == (State.HELD, "restored")


def test_a_refused_picture_is_left_out_under_a_new_key() -> None:
    settled = answered(MediaRejected("bad"))
    row = settled.delivery
    assert (row.without_picture, row.generation, row.stage) == (True, 1, None)
    assert key_of(row) != ATTEMPT.key
    assert settled.standing == STANDING


def test_a_refused_picture_where_there_was_none_is_a_refusal() -> None:
    settled = answered(MediaRejected("bad"), attempt=replace(ATTEMPT, post=POST))
    assert (settled.delivery.state, settled.delivery.reason) == (State.REJECTED, "bad")
    assert settled.delivery.generation == 0


AMBIGUOUS_ANSWERS = [
    pytest.param(OutcomeUnknown("read timed out"), id="OutcomeUnknown"),
    pytest.param(NotReady("in work", wait=MINUTE), id="NotReady, which only stage may say"),
    pytest.param(Undecided("the list ended"), id="Undecided, which only find may say"),
    pytest.param(DeliveryError("what?"), id="an answer without a class"),
]


@each_readable
@pytest.mark.parametrize("outcome", AMBIGUOUS_ANSWERS)
def test_an_ambiguous_answer_is_looked_up(resolution: Resolution, outcome: DeliveryError) -> None:
    settled = answered(outcome, resolution=resolution)
    row = settled.delivery
    assert settled.attempt is not None
    assert (row.state, row.unclosed, row.frozen, row.reason) == (State.VERIFYING, True, "t1", str(outcome))
    assert (settled.attempt.outcome, settled.attempt.counted) == (Evidence.UNKNOWN, True)
    assert waits(settled.standing, ANSWERED) == 30 * SECOND


@pytest.mark.parametrize(
    ("resolution", "look_at"),
    [
        pytest.param(PAGE, ANSWERED, id="page: at once"),
        pytest.param(CONTAINER, ATTEMPT.deadline + 5 * MINUTE, id="container"),
        pytest.param(TIMED_KEY, ATTEMPT.deadline + 10 * MINUTE, id="timed key"),
        pytest.param(NO_KEY, ATTEMPT.deadline + 10 * MINUTE, id="no key"),
        pytest.param(LAGGING, ATTEMPT.deadline + 10 * MINUTE, id="lagging"),
        pytest.param(BY_ANSWER, ATTEMPT.deadline + 10 * MINUTE, id="by answer"),
    ],
)
def test_the_settle_time_counts_from_the_attempts_own_deadline(resolution: Resolution, look_at: datetime) -> None:
    row = answered(OutcomeUnknown("x"), resolution=resolution).delivery
    assert row.look_at == look_at


@each_readable
def test_our_own_key_said_to_be_there_without_an_id_is_looked_up_to_adopt_it(resolution: Resolution) -> None:
    row = answered(AlreadyPosted("dup", ours=True), resolution=resolution).delivery
    assert (row.state, row.adopting, row.unclosed, row.look_at) == (State.VERIFYING, True, True, ANSWERED)


@pytest.mark.fault("D10")
@pytest.mark.parametrize(
    ("policy", "state", "words"),
    [
        pytest.param(OnUnknown.REVIEW, State.NEEDS_REVIEW, "read timed out", id="by default a person decides"),
        pytest.param(OnUnknown.RESEND, State.READY, "resent by on_unknown: read timed out", id="resend"),
        pytest.param(OnUnknown.DROP, State.CANCELLED, "dropped by on_unknown: read timed out", id="drop"),
    ],
)
def test_d10_an_unknown_outcome_on_a_blind_network_follows_the_written_policy_and_says_so(
    policy: OnUnknown, state: State, words: str
) -> None:
    settled = answered(OutcomeUnknown("read timed out"), account=replace(ACCOUNT, on_unknown=policy), resolution=BLIND)
    row = settled.delivery
    assert (row.state, row.reason, row.look_at) == (state, words, None)
    assert (row.unclosed, row.frozen) == (True, "t1"), "the facts stay"
    assert waits(settled.standing, ANSWERED) == 30 * SECOND


@pytest.mark.fault("D10")
def test_d10_the_policy_resends_the_same_bytes_once_and_marks_them() -> None:
    account = replace(ACCOUNT, on_unknown=OnUnknown.RESEND)
    first = answered(OutcomeUnknown("x"), account=account, resolution=BLIND)
    assert claimed(first.delivery, account=account, attempt=first.attempt, resolution=BLIND)[0] is Step.SEND
    row, again = begin(
        first.delivery, first.attempt, attempt_id="t2", post=ATTEMPT.post, stage=ATTEMPT.stage, now=ANSWERED
    )
    assert (again.resend, again.key, again.post) == (True, ATTEMPT.key, ATTEMPT.post)
    second = answered(OutcomeUnknown("y"), row=row, attempt=again, account=account, resolution=BLIND)
    assert (second.delivery.state, second.delivery.reason) == (State.NEEDS_REVIEW, "y")


def test_a_policy_never_resends_what_the_network_says_it_has() -> None:
    account = replace(ACCOUNT, on_unknown=OnUnknown.RESEND)
    row = answered(AlreadyPosted("dup", ours=True), account=account, resolution=BLIND).delivery
    assert (row.state, row.reason) == (State.NEEDS_REVIEW, "the platform says that it has the post")
    adopting = replace(VERIFYING, adopting=True)
    assert review(adopting, AMBIGUOUS, account, "x", NOW).state is State.NEEDS_REVIEW


# --- answers after an ambiguous attempt ------------------------------------------------------------------------------


@each_resolution
@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(NotSent("refused"), id="NotSent"),
        pytest.param(RateLimited("429"), id="RateLimited"),
        pytest.param(Unauthorized("401"), id="Unauthorized"),
    ],
)
def test_a_resend_that_made_nothing_closes_nothing(resolution: Resolution, outcome: DeliveryError) -> None:
    row, attempt = resending(UNCLOSED)
    settled = answered(outcome, row=row, attempt=attempt, resolution=resolution)
    assert (settled.delivery.state, settled.delivery.unclosed, settled.delivery.frozen) == (State.READY, True, "t1")
    assert settled.attempt is not None
    assert not settled.attempt.counted


@each_readable
@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(MediaRejected("bad"), id="MediaRejected"),
        pytest.param(Rejected("duplicate text"), id="Rejected"),
        pytest.param(OutcomeUnknown("x"), id="OutcomeUnknown"),
    ],
)
def test_after_an_ambiguous_attempt_a_refusal_proves_nothing(resolution: Resolution, outcome: DeliveryError) -> None:
    row, attempt = resending(UNCLOSED)
    after = answered(outcome, row=row, attempt=attempt, resolution=resolution).delivery
    assert (after.state, after.unclosed, after.frozen) == (State.VERIFYING, True, "t2")
    assert (after.generation, after.without_picture, after.adopting) == (0, False, False)


@each_resolution
@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(RECEIPT, id="Receipt"),
        pytest.param(AlreadyPosted("dup", receipt=RECEIPT), id="the duplicate answer names the post"),
        pytest.param(AlreadyPosted("dup", receipt=RECEIPT, ours=True), id="under our own key"),
    ],
)
def test_success_closes_an_ambiguous_attempt(resolution: Resolution, outcome: Receipt | DeliveryError) -> None:
    row, attempt = resending(UNCLOSED)
    after = answered(outcome, row=row, attempt=attempt, resolution=resolution).delivery
    assert (after.state, after.receipt, after.unclosed, after.frozen) == (State.POSTED, RECEIPT, False, None)


@each_readable
def test_a_duplicate_answer_to_a_resend_is_looked_up_only_to_adopt_the_id(resolution: Resolution) -> None:
    row, attempt = resending(UNCLOSED)
    after = answered(AlreadyPosted("dup"), row=row, attempt=attempt, resolution=resolution).delivery
    assert (after.state, after.adopting, after.unclosed, after.look_at) == (State.VERIFYING, True, True, ANSWERED)


@pytest.mark.parametrize("resolution", [CONTAINER, TIMED_KEY, NO_KEY], ids=["container", "timed key", "no key"])
def test_a_duplicate_answer_after_a_proved_absence_is_no_clash_but_our_own_late_post(resolution: Resolution) -> None:
    row, attempt = resending(ABSENT)
    after = answered(AlreadyPosted("dup"), row=row, attempt=attempt, resolution=resolution).delivery
    assert (after.state, after.adopting, after.unclosed, after.look_at) == (State.VERIFYING, True, True, ANSWERED)


def test_a_duplicate_answer_that_names_the_post_after_a_proved_absence_is_success() -> None:
    row, attempt = resending(ABSENT)
    after = answered(AlreadyPosted("dup", receipt=RECEIPT), row=row, attempt=attempt).delivery
    assert (after.state, after.receipt) == (State.POSTED, RECEIPT)


def test_on_a_blind_network_a_duplicate_answer_to_a_resend_goes_to_a_person() -> None:
    row, attempt = resending(UNCLOSED)
    for policy in (OnUnknown.REVIEW, OnUnknown.RESEND):
        account = replace(ACCOUNT, on_unknown=policy)
        after = answered(AlreadyPosted("dup"), row=row, attempt=attempt, account=account, resolution=BLIND).delivery
        assert (after.state, after.unclosed) == (State.NEEDS_REVIEW, True)


# --- recovery --------------------------------------------------------------------------------------------------------


def recovered(
    *, resolution: Resolution, now: datetime, account: Account = ACCOUNT, standing: Standing = STANDING
) -> Settled:
    return recover_after_crash(SENDING, ATTEMPT, account=account, standing=standing, resolution=resolution, now=now)


@each_readable
def test_after_a_crash_sending_becomes_verifying_and_never_ready(resolution: Resolution) -> None:
    settled = recovered(resolution=resolution, now=NOW + 2 * HOUR)
    row = settled.delivery
    assert settled.attempt is not None
    assert (row.state, row.unclosed, row.frozen) == (State.VERIFYING, True, "t1")
    assert (settled.attempt.outcome, settled.attempt.finished) == (Evidence.UNKNOWN, NOW + 2 * HOUR)
    assert settled.attempt.evidence == "the program ended during the call"


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (OnUnknown.REVIEW, State.NEEDS_REVIEW), (OnUnknown.RESEND, State.READY), (OnUnknown.DROP, State.CANCELLED),
    ],
)  # fmt: skip
def test_after_a_crash_a_blind_network_follows_the_written_policy(policy: OnUnknown, state: State) -> None:
    account = replace(ACCOUNT, on_unknown=policy)
    row = recovered(resolution=BLIND, now=NOW + HOUR, account=account).delivery
    assert (row.state, row.unclosed) == (state, True)


def test_the_wait_after_a_crash_counts_from_the_call() -> None:
    late = recovered(resolution=NO_KEY, now=NOW + 2 * HOUR).standing
    assert (waits(late, NOW), late.failures) == (30 * SECOND, 1)
    waiting = replace(STANDING, failures=1, not_before=NOW + 3 * HOUR)
    assert recovered(resolution=NO_KEY, now=NOW + 2 * HOUR, standing=waiting).standing.not_before == NOW + 3 * HOUR


# --- accounts --------------------------------------------------------------------------------------------------------


def test_a_blocked_account_is_asked_again_15_minutes_1_hour_and_6_hours_after_the_block_then_daily() -> None:
    standing, now, times = STANDING, NOW, []
    for _ in range(5):
        standing = block(standing, "401", now)
        assert (standing.state, standing.reason) == (AccountState.AUTH_BLOCKED, "401")
        assert standing.probe_at is not None
        now = standing.probe_at
        times.append(now - NOW)
    assert times == [15 * MINUTE, HOUR, 6 * HOUR, 6 * HOUR + DAY, 6 * HOUR + 2 * DAY]


def test_an_account_that_may_send_again_is_judged_from_this_moment_on() -> None:
    blocked = block(replace(TROUBLED, identity=None, fingerprint="f"), "401", NOW)
    standing = unblock(blocked, NOW + DAY)
    assert (standing.state, standing.active_since, standing.reason) == (AccountState.ACTIVE, NOW + DAY, None)
    assert (standing.not_before, standing.failures, standing.probe_at, standing.probes) == (None, 0, None, 0)
    assert standing.fingerprint == "f"
    again = block(standing, "401", NOW)
    assert again.probe_at == NOW + 15 * MINUTE


def test_an_account_whose_network_cannot_be_asked_waits() -> None:
    first = unreachable(STANDING, None, "refused", NOW)
    second = unreachable(first, None, "refused", NOW)
    assert [waits(one, NOW) for one in (first, second)] == [30 * SECOND, MINUTE]
    assert [one.failures for one in (first, second)] == [1, 2]
    assert first.state is AccountState.ACTIVE
    told = unreachable(STANDING, 7 * MINUTE, "busy", NOW)
    assert (told.not_before, told.failures) == (NOW + 7 * MINUTE, 0)
    assert (first.reason, told.reason) == ("refused", "busy")
    assert unreachable(block(STANDING, "401", NOW), None, "busy", NOW).reason == "401"


# --- what is unknown -------------------------------------------------------------------------------------------------

RESENT = replace(AMBIGUOUS, id="t2", resend=True)
ADOPTING = replace(VERIFYING, adopting=True)


@pytest.mark.parametrize(
    ("resolution", "row", "attempt", "step", "state"),
    [
        pytest.param(PAGE, VERIFYING, AMBIGUOUS, Step.CHANGED, State.READY, id="page: same bytes, same key"),
        pytest.param(PAGE, VERIFYING, RESENT, Step.CHANGED, State.READY, id="page: as often as it takes"),
        pytest.param(PAGE, ADOPTING, AMBIGUOUS, Step.LOOK, State.VERIFYING, id="page: the id is looked up"),
        pytest.param(
            replace(PAGE, key_window=HOUR), VERIFYING, AMBIGUOUS, Step.CHANGED, State.READY, id="the key still stands"
        ),
        pytest.param(
            replace(PAGE, key_window=MINUTE),
            VERIFYING,
            AMBIGUOUS,
            Step.LOOK,
            State.VERIFYING,
            id="the key is forgotten",
        ),
        pytest.param(CONTAINER, VERIFYING, AMBIGUOUS, Step.LOOK, State.VERIFYING, id="container"),
        pytest.param(
            TIMED_KEY, VERIFYING, AMBIGUOUS, Step.LOOK, State.VERIFYING, id="timed key: looked up all the same"
        ),
        pytest.param(NO_KEY, VERIFYING, AMBIGUOUS, Step.LOOK, State.VERIFYING, id="no key"),
        pytest.param(LAGGING, VERIFYING, AMBIGUOUS, Step.LOOK, State.VERIFYING, id="lagging"),
        pytest.param(BY_ANSWER, VERIFYING, AMBIGUOUS, Step.CHANGED, State.READY, id="by answer: once more"),
        pytest.param(BY_ANSWER, VERIFYING, RESENT, Step.CHANGED, State.NEEDS_REVIEW, id="by answer: only once"),
        pytest.param(
            BY_ANSWER,
            replace(VERIFYING, adopting=True),
            AMBIGUOUS,
            Step.CHANGED,
            State.NEEDS_REVIEW,
            id="by answer: never what it says it has",
        ),
        pytest.param(BLIND, VERIFYING, AMBIGUOUS, Step.CHANGED, State.NEEDS_REVIEW, id="blind"),
    ],
)
def test_the_next_step_of_an_unknown_outcome(
    resolution: Resolution, row: Delivery, attempt: Attempt, step: Step, state: State
) -> None:
    now = NOW + 20 * MINUTE
    found = next_step(row, attempt, account=ACCOUNT, resolution=resolution, now=now)
    assert (found.step, found.delivery.state, found.delivery.unclosed) == (step, state, True)
    assert (found.delivery.frozen, key_of(found.delivery)) == (row.frozen, key_of(row))


@each_resolution
def test_nothing_is_done_with_an_unknown_outcome_before_its_time(resolution: Resolution) -> None:
    row = replace(VERIFYING, look_at=NOW + MINUTE)
    found = next_step(row, AMBIGUOUS, account=ACCOUNT, resolution=resolution, now=NOW + 59 * SECOND)
    assert (found.step, found.delivery) == (Step.WAIT, row)
    due = next_step(row, AMBIGUOUS, account=ACCOUNT, resolution=resolution, now=NOW + MINUTE)
    assert due.step is not Step.WAIT


@pytest.mark.fault("C01")
@each_readable
def test_c01_a_clock_that_went_back_a_day_sends_nothing_again(resolution: Resolution) -> None:
    row = answered(OutcomeUnknown("x"), resolution=resolution).delivery
    found = next_step(row, ATTEMPT, account=ACCOUNT, resolution=resolution, now=NOW - DAY)
    assert (found.step, found.delivery) == (Step.WAIT, row)


def look(
    result: Receipt | DeliveryError | None,
    row: Delivery = VERIFYING,
    *,
    attempt: Attempt = AMBIGUOUS,
    account: Account = ACCOUNT,
    standing: Standing = STANDING,
    resolution: Resolution = NO_KEY,
    now: datetime = NOW,
) -> Settled:
    return looked(row, attempt, result, account=account, standing=standing, resolution=resolution, now=now)


CAN_LOOK = pytest.mark.parametrize(
    "resolution",
    [PAGE, CONTAINER, TIMED_KEY, NO_KEY],
    ids=["page", "container", "timed key", "no key"],
)


@each_readable
@pytest.mark.parametrize("row", [VERIFYING, ADOPTING], ids=["unknown", "adopting"])
def test_presence_closes_an_ambiguous_attempt(resolution: Resolution, row: Delivery) -> None:
    settled = look(RECEIPT, row, resolution=resolution, standing=TROUBLED)
    after = settled.delivery
    assert settled.attempt is not None
    assert (after.state, after.receipt, after.unclosed, after.look_at) == (State.POSTED, RECEIPT, False, None)
    assert (settled.attempt.outcome, settled.attempt.counted) == (Evidence.POSTED, True)
    assert settled.standing == TROUBLED, "being found says nothing of the network's health now"


@CAN_LOOK
def test_absence_is_proved_by_two_looks_a_minute_apart(resolution: Resolution) -> None:
    first = look(None, resolution=resolution)
    assert (first.delivery.state, first.delivery.unclosed) == (State.VERIFYING, True)
    assert (first.delivery.look_at, first.attempt) == (NOW + MINUTE, AMBIGUOUS)
    second = look(None, first.delivery, resolution=resolution, now=NOW + MINUTE)
    row = second.delivery
    assert second.attempt is not None
    assert (row.state, row.unclosed, row.absent_at, row.look_at) == (State.READY, False, NOW + MINUTE, None)
    assert (second.attempt.outcome, second.attempt.counted) == (Evidence.ABSENT, False)
    assert (row.frozen, key_of(row)) == ("t1", ATTEMPT.key), "the same bytes under the same key"


@pytest.mark.parametrize(
    ("row", "resolution", "result"),
    [
        pytest.param(VERIFYING, LAGGING, None, id="absence where the list lags"),
        pytest.param(ADOPTING, NO_KEY, None, id="absence of what the network says it has"),
        pytest.param(ADOPTING, PAGE, None, id="absence under a key said to be there"),
        pytest.param(VERIFYING, NO_KEY, Undecided("short list"), id="a list that ended too early"),
        pytest.param(VERIFYING, LAGGING, Undecided("short list"), id="a list that lags"),
    ],
)
def test_three_answered_looks_that_cannot_decide_go_to_a_person(
    row: Delivery, resolution: Resolution, result: DeliveryError | None
) -> None:
    now = NOW
    for n in (1, 2):
        row = look(result, row, resolution=resolution, now=now).delivery
        assert (row.state, row.looks, row.look_at) == (State.VERIFYING, n, now + 10 * MINUTE)
        now += 10 * MINUTE
    settled = look(result, row, resolution=resolution, now=now)
    row = settled.delivery
    assert (row.state, row.unclosed, row.look_at) == (State.NEEDS_REVIEW, True, None)
    assert row.reason == "3 looks could not tell whether it was posted"
    assert settled.attempt == AMBIGUOUS, "nothing was learnt"


def test_one_absence_and_two_looks_that_cannot_decide_prove_nothing() -> None:
    row = VERIFYING
    for result in (None, Undecided("x"), Undecided("x")):
        row = look(result, row).delivery
    assert (row.state, row.unclosed) == (State.NEEDS_REVIEW, True)


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        pytest.param(NotSent("refused"), None, id="no connection"),
        pytest.param(OutcomeUnknown("timeout"), None, id="no answer"),
        pytest.param(RateLimited("429"), None, id="429"),
        pytest.param(RateLimited("429", wait=11 * MINUTE), 11 * MINUTE, id="429 with a time"),
        pytest.param(Unauthorized("401"), None, id="401"),
    ],
)
@each_readable
def test_a_look_that_fails_is_no_look(resolution: Resolution, error: DeliveryError, wait: timedelta | None) -> None:
    before = replace(VERIFYING, looks=2, absences=1)
    settled = look(error, before, resolution=resolution)
    row = settled.delivery
    assert (row.state, row.looks, row.absences, row.unclosed) == (State.VERIFYING, 2, 1, True)
    assert (row.failed_looks, row.look_since, settled.attempt) == (1, NOW, AMBIGUOUS)
    assert row.look_at is not None
    if wait is None:
        assert 30 * SECOND <= row.look_at - NOW <= 33 * SECOND
    else:
        assert row.look_at == NOW + wait
    blocked = isinstance(error, Unauthorized)
    assert (settled.standing.state is AccountState.AUTH_BLOCKED) == blocked


def test_failed_looks_are_repeated_under_a_growing_back_off() -> None:
    row, found = VERIFYING, []
    for _ in range(3):
        row = look(OutcomeUnknown("x"), row).delivery
        assert row.look_at is not None
        found.append(base_of(row.look_at - NOW))
    assert found == [30 * SECOND, MINUTE, 2 * MINUTE]


def test_a_day_without_an_answered_look_goes_to_a_person() -> None:
    failing = look(OutcomeUnknown("x")).delivery
    almost = look(OutcomeUnknown("x"), failing, now=NOW + DAY - SECOND).delivery
    assert almost.state is State.VERIFYING
    row = look(OutcomeUnknown("503"), almost, now=NOW + DAY).delivery
    assert (row.state, row.unclosed) == (State.NEEDS_REVIEW, True)
    assert row.reason == "no look was answered for a day: 503"


@pytest.mark.parametrize(
    ("row", "due", "state"),
    [
        pytest.param(VERIFYING, NOW + DAY - SECOND, None, id="less than a day"),
        pytest.param(VERIFYING, NOW + DAY, State.NEEDS_REVIEW, id="a day after its look was due"),
        pytest.param(replace(VERIFYING, look_at=NOW + HOUR), NOW + DAY, None, id="not yet a day after it"),
        pytest.param(
            replace(VERIFYING, look_at=NOW + DAY, look_since=NOW), NOW + DAY, State.NEEDS_REVIEW, id="its looks failed"
        ),
    ],
)
def test_what_nobody_could_look_up_for_a_day_goes_to_a_person(
    row: Delivery, due: datetime, state: State | None
) -> None:
    found = unanswered(row, AMBIGUOUS, account=ACCOUNT, now=due)
    assert (found.state if found else None) is state
    assert found is None or (found.unclosed, found.frozen, found.look_at) == (True, row.frozen, None)


def test_an_answered_look_begins_the_day_of_failing_looks_anew() -> None:
    failing = look(OutcomeUnknown("x")).delivery
    for result in (None, Undecided("x")):
        answered_once = look(result, failing, now=NOW + 12 * HOUR).delivery
        assert (answered_once.failed_looks, answered_once.look_since) == (0, None)
        again = look(OutcomeUnknown("x"), answered_once, now=NOW + 30 * HOUR).delivery
        assert again.state is State.VERIFYING


# --- a person's moves ------------------------------------------------------------------------------------------------

Move = Callable[[Delivery, str, datetime], Delivery]
MOVES: dict[str, Move] = {
    "approve": approve,
    "retry": retry,
    "cancel": cancel,
    "resolve posted": lambda row, who, now: resolve(row, Verdict.POSTED, "https://m.example/1", who, now),
    "resolve absent": lambda row, who, now: resolve(row, Verdict.ABSENT, None, who, now),
    "resolve drop": lambda row, who, now: resolve(row, Verdict.DROP, None, who, now),
}
#: From which states each move exists, and where it leads.
ALLOWED = {
    "approve": ({State.HELD}, State.READY),
    "retry": ({State.REJECTED, State.CANCELLED}, State.READY),
    "cancel": ({State.HELD, State.READY, State.REJECTED, State.NEEDS_REVIEW}, State.CANCELLED),
    "resolve posted": ({State.VERIFYING, State.NEEDS_REVIEW}, State.POSTED),
    "resolve absent": ({State.VERIFYING, State.NEEDS_REVIEW}, State.READY),
    "resolve drop": ({State.VERIFYING, State.NEEDS_REVIEW}, State.CANCELLED),
}
#: What a person is told to do instead.
HINTS = {
    State.HELD: "`deliveries approve` or `deliveries cancel`",
    State.READY: "`deliveries cancel` stops it",
    State.SENDING: "it is being sent",
    State.VERIFYING: "`deliveries resolve` if you know it",
    State.NEEDS_REVIEW: "look at the account, then `deliveries resolve`",
    State.POSTED: "a second post is never made",
    State.REJECTED: "`deliveries retry`",
    State.CANCELLED: "`deliveries retry`",
}


def a_row(state: State) -> Delivery:
    """A row as it really stands in a state."""
    ambiguous = state in (State.VERIFYING, State.NEEDS_REVIEW)
    return (
        replace(VERIFYING, state=state, reason="because") if ambiguous else replace(at_state(state), reason="because")
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", MOVES)
def test_a_persons_move_leads_where_the_table_says_or_is_refused_with_what_to_do_instead(
    name: str, state: State
) -> None:
    row, (sources, target) = a_row(state), ALLOWED[name]
    if state not in sources:
        with pytest.raises(NotAllowed, match=HINTS[state]):
            MOVES[name](row, "eva", ANSWERED)
        return
    after = MOVES[name](row, "eva", ANSWERED)
    assert (after.state, after.changed) == (target, ANSWERED)
    if target is State.READY:
        assert (after.allowed_by, after.allowed_at, after.due) == ("eva", ANSWERED, ANSWERED)
        assert (after.frozen, after.unclosed, after.absent_at, after.stage) == (None, False, None, None)
        assert (after.reason, after.look_at, after.adopting) == (None, None, False)
    if target is State.CANCELLED:
        assert "eva" in (after.reason or "")
        assert after.look_at is None


@pytest.mark.parametrize(
    ("row", "name", "rise"),
    [
        pytest.param(hold(READY, "burst", NOW), "approve", 0, id="nothing was sent under the key"),
        pytest.param(hold(READY, "clash", NOW), "approve", 1, id="the network knows the key or the text"),
        pytest.param(hold(ABSENT, "account removed", NOW), "approve", 1, id="other bytes were sent under the key"),
        pytest.param(at_state(State.REJECTED), "retry", 1, id="after REJECTED"),
        pytest.param(at_state(State.CANCELLED), "retry", 1, id="after CANCELLED"),
        pytest.param(a_row(State.NEEDS_REVIEW), "resolve absent", 1, id="out of NEEDS_REVIEW"),
    ],
)
def test_what_is_composed_anew_goes_under_a_new_key(row: Delivery, name: str, rise: int) -> None:
    after = MOVES[name](row, "eva", NOW)
    assert after.generation == row.generation + rise
    assert (key_of(after) == key_of(row)) == (rise == 0)


def test_a_retry_gives_the_picture_another_chance() -> None:
    assert not retry(replace(READY, state=State.REJECTED, without_picture=True), "eva", NOW).without_picture
    assert retry(replace(READY, state=State.REJECTED, pictures_skipped=2), "eva", NOW).pictures_skipped == 0


def test_what_a_person_saw_is_the_receipt() -> None:
    row = resolve(a_row(State.NEEDS_REVIEW), Verdict.POSTED, "https://m.example/1", "eva", NOW)
    assert (row.receipt, row.reason) == (
        Receipt(remote_id="https://m.example/1", url="https://m.example/1"),
        "seen by eva",
    )
    assert (row.unclosed, row.frozen) == (False, None)


@pytest.mark.parametrize("state", [State.READY, State.NEEDS_REVIEW])
def test_cancelling_what_may_be_live_does_not_make_it_dead(state: State) -> None:
    given_up = cancel(replace(UNCLOSED, state=state), "eva", NOW)
    assert (given_up.state, given_up.unclosed) == (State.CANCELLED, True)
    with pytest.raises(NotAllowed, match=r"may be live.*`deliveries resolve` with --posted URL or --absent"):
        retry(given_up, "eva", NOW)


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(Verdict.POSTED, State.POSTED), (Verdict.ABSENT, State.READY), (Verdict.DROP, State.CANCELLED)],
)
def test_what_was_given_up_while_unknown_can_still_be_resolved(verdict: Verdict, state: State) -> None:
    given_up = replace(UNCLOSED, state=State.CANCELLED)
    assert resolve(given_up, verdict, "https://m.example/1", "eva", NOW).state is state


def test_what_a_rule_cancelled_cannot_be_resolved() -> None:
    with pytest.raises(NotAllowed, match="`deliveries retry`"):
        resolve(FILTERED, Verdict.POSTED, None, "eva", NOW)


# --- the table as a whole --------------------------------------------------------------------------------------------

#: Where each state leads, whoever moves it.
LEAVES_TO: dict[State, set[State]] = {
    State.HELD: {State.READY, State.CANCELLED},
    # REJECTED by a definite refusal of the stage; NEEDS_REVIEW if unclosed while its account moves to another platform.
    State.READY: {
        State.SENDING,
        State.HELD,
        State.CANCELLED,
        State.POSTED,
        State.VERIFYING,
        State.REJECTED,
        State.NEEDS_REVIEW,
    },
    State.SENDING: {State.POSTED, State.READY, State.REJECTED, State.VERIFYING, State.HELD},
    State.VERIFYING: {State.POSTED, State.READY, State.NEEDS_REVIEW},
    State.NEEDS_REVIEW: {State.POSTED, State.READY, State.CANCELLED},
    State.POSTED: set(),
    State.REJECTED: {State.READY, State.CANCELLED},
    State.CANCELLED: {State.READY},
}
OUTCOMES: dict[str, Receipt | DeliveryError] = {
    "Receipt": RECEIPT,
    "NotSent": NotSent("x"),
    "NotReady": NotReady("x", wait=MINUTE),
    "RateLimited": RateLimited("x"),
    "RateLimited with a time": RateLimited("x", wait=MINUTE),
    "Unauthorized": Unauthorized("x"),
    "MediaRejected": MediaRejected("x"),
    "Rejected": Rejected("x"),
    "AlreadyPosted": AlreadyPosted("x"),
    "AlreadyPosted with its id": AlreadyPosted("x", receipt=RECEIPT),
    "AlreadyPosted under our key": AlreadyPosted("x", ours=True),
    "AlreadyPosted under our key with its id": AlreadyPosted("x", receipt=RECEIPT, ours=True),
    "OutcomeUnknown": OutcomeUnknown("x"),
    "Undecided": Undecided("x"),
    "no class": DeliveryError("x"),
}
POLICIES = tuple(replace(ACCOUNT, on_unknown=policy) for policy in OnUnknown)


def leaves_to(state: State, account: Account) -> set[State]:
    """Where the machine may lead a state in one move: VERIFYING and NEEDS_REVIEW may be passed through."""
    allowed = set(LEAVES_TO[state])
    if State.VERIFYING in allowed and state is State.SENDING:
        allowed |= LEAVES_TO[State.VERIFYING]
    if State.NEEDS_REVIEW in allowed and account.on_unknown is OnUnknown.DROP:
        allowed.add(State.CANCELLED)
    return allowed


def check_move(case: object, was: Delivery, now: Delivery, account: Account, *, proved: bool) -> None:
    """What holds of each move of the machine."""
    assert now.state is was.state or now.state in leaves_to(was.state, account), case
    assert now.generation in (was.generation, was.generation + 1), case
    assert (key_of(now) == key_of(was)) == (now.generation == was.generation), case
    if was.unclosed and not proved:
        assert now.unclosed, f"{case}: closed without evidence"
    if now.unclosed:
        assert now.frozen is not None, f"{case}: unclosed without its attempt"
        assert now.generation == was.generation, f"{case}: composed anew while unclosed"
    assert (now.state is State.POSTED) == (now.receipt is not None), case
    assert now.state is not State.VERIFYING or now.look_at is not None, case


def calls() -> Iterator[tuple[str, Delivery, Attempt]]:
    yield "first", SENDING, ATTEMPT
    yield "first without a picture", SENDING, replace(ATTEMPT, post=POST)
    yield "unclosed", *resending(UNCLOSED)
    yield "after absence", *resending(ABSENT)
    yield "adopting", *resending(replace(UNCLOSED, adopting=True))


def test_every_answer_to_every_call_on_every_network_keeps_the_table() -> None:
    cases = product(calls(), OUTCOMES.items(), RESOLUTIONS.items(), POLICIES)
    for (call, row, attempt), (name, outcome), (network, resolution), account in cases:
        case = (call, name, network, account.on_unknown)
        settled = answered(outcome, row=row, attempt=attempt, account=account, resolution=resolution)
        after = settled.delivery
        check_move(case, row, after, account, proved=after.state is State.POSTED)
        assert settled.attempt is not None, case
        assert settled.attempt.outcome is not Evidence.OPEN, case
        if settled.attempt.outcome is Evidence.UNKNOWN:
            assert after.unclosed, case
            assert waits(settled.standing, ANSWERED) >= 30 * SECOND, f"{case}: no back-off"
            assert settled.attempt.counted, f"{case}: it may have made a post"
        if account.on_unknown is OnUnknown.REVIEW:
            assert (after.state is State.NEEDS_REVIEW) == (
                resolution is BLIND and after.unclosed and settled.attempt.outcome is Evidence.UNKNOWN
            ), case


def test_recovery_on_every_network_keeps_the_table() -> None:
    for (call, row, attempt), (network, resolution), account in product(calls(), RESOLUTIONS.items(), POLICIES):
        case = (call, network, account.on_unknown)
        settled = recover_after_crash(
            row, attempt, account=account, standing=STANDING, resolution=resolution, now=ANSWERED
        )
        after = settled.delivery
        check_move(case, row, after, account, proved=False)
        assert after.unclosed, case
        assert after.state is not State.READY or (resolution is BLIND and account.on_unknown is OnUnknown.RESEND), case
        assert waits(settled.standing, NOW) >= 30 * SECOND, case


LOOKS: dict[str, Receipt | DeliveryError | None] = {
    "found": RECEIPT,
    "absent": None,
    "Undecided": Undecided("x"),
    "NotSent": NotSent("x"),
    "RateLimited": RateLimited("x"),
    "Unauthorized": Unauthorized("x"),
    "OutcomeUnknown": OutcomeUnknown("x"),
    "Rejected": Rejected("x"),
}


def looking() -> Iterator[Delivery]:
    histories = product((0, 1, 2), (0, 1), (False, True), (None, NOW - 2 * DAY))
    for looks, absences, adopting, since in histories:
        yield replace(VERIFYING, looks=max(looks, absences), absences=absences, adopting=adopting, look_since=since)


def test_every_look_on_every_network_keeps_the_table() -> None:
    cases = product(looking(), LOOKS.items(), RESOLUTIONS.items(), POLICIES, (AMBIGUOUS, RESENT))
    for row, (name, result), (network, resolution), account, attempt in cases:
        case = (name, network, account.on_unknown, row.looks, row.absences, row.adopting, attempt.resend)
        absent = result is None and row.absences == 1 and not row.adopting and resolution is not LAGGING
        after = look(result, row, attempt=attempt, account=account, resolution=resolution).delivery
        check_move(case, row, after, account, proved=absent or result is RECEIPT)
        assert after.unclosed == (not absent and result is not RECEIPT), case
        if after.state is State.READY and not absent:
            assert account.on_unknown is OnUnknown.RESEND, case
            assert not attempt.resend, f"{case}: the policy resends once"
            assert not row.adopting, case


def test_every_next_step_on_every_network_keeps_the_table() -> None:
    times = (NOW - DAY, NOW, NOW + HOUR, NOW + DAY)
    cases = product(looking(), RESOLUTIONS.items(), POLICIES, (AMBIGUOUS, RESENT), times)
    for row, (network, resolution), account, attempt, now in cases:
        case = (network, account.on_unknown, row.adopting, attempt.resend, now)
        found = next_step(row, attempt, account=account, resolution=resolution, now=now)
        check_move(case, row, found.delivery, account, proved=False)
        assert (found.step is Step.CHANGED) == (found.delivery.state is not State.VERIFYING), case


def test_every_claim_on_every_network_keeps_the_table() -> None:
    claims = ((READY, None), (LET_THROUGH, None), (UNCLOSED, AMBIGUOUS), (UNCLOSED, RESENT), (ABSENT, AMBIGUOUS))
    times = (NOW - DAY, NOW, NOW + HOUR, NOW + 2 * DAY)
    for (row, attempt), (network, resolution), refusal, now in product(
        claims, RESOLUTIONS.items(), (None, "only"), times
    ):
        case = (network, row.unclosed, refusal, now)
        step = check_claim(
            row, ACCOUNT, attempt=attempt, refusal=refusal, first_seen=NOW, standing=STANDING, resolution=resolution,
            now=now,
        )  # fmt: skip
        check_move(case, row, step.delivery, ACCOUNT, proved=False)
        assert (step.step is Step.CHANGED) == (step.delivery.state is not State.READY), case
        if row.unclosed:
            assert step.delivery.state in (State.READY, State.VERIFYING), f"{case}: rules and age are not for it"


@pytest.mark.parametrize("state", State)
def test_no_move_of_a_person_leaves_the_table(state: State) -> None:
    passing = {State.CANCELLED} if state is State.VERIFYING else set()  # a person need not wait for NEEDS_REVIEW
    for name, (sources, target) in ALLOWED.items():
        if state in sources:
            assert target in LEAVES_TO[state] | passing, name


# --- many steps ------------------------------------------------------------------------------------------------------


class Walk:
    """One delivery led through calls and looks as a pipeline would, its rules watched from outside."""

    def __init__(self, resolution: Resolution, account: Account) -> None:
        self.resolution, self.account = resolution, account
        self.row, self.now = READY, NOW
        self.attempts: dict[str, Attempt] = {}
        self.standing = STANDING
        #: What we know from outside: the last ambiguous attempt that nothing has disproved.
        self.open: Attempt | None = None

    def step(self, outcome: Receipt | DeliveryError, result: Receipt | DeliveryError | None, wait: timedelta) -> None:
        self.now += wait
        if self.row.state is State.READY:
            self._claim(outcome)
        elif self.row.state is State.VERIFYING:
            self._verify(result)

    def _claim(self, outcome: Receipt | DeliveryError) -> None:
        frozen = self.attempts[self.row.frozen] if self.row.frozen else None
        step = check_claim(
            self.row,
            self.account,
            attempt=frozen,
            refusal=None,
            first_seen=self.now,
            standing=self.standing,
            resolution=self.resolution,
            now=self.now,
        )
        self.row = step.delivery
        if step.step is Step.CHANGED:
            self.open = frozen
            return
        post = frozen.post if frozen else replace(WITH_PICTURE, created_at=self.now)
        key = f"t{len(self.attempts)}"
        row, attempt = begin(self.row, frozen, attempt_id=key, post=post, stage=Stage(), now=self.now)
        self._watch_send(attempt)
        settled = settle(
            row,
            attempt,
            outcome,
            account=self.account,
            standing=self.standing,
            resolution=self.resolution,
            now=self.now + SECOND,
        )
        assert settled.attempt is not None
        if settled.attempt.outcome is Evidence.UNKNOWN:
            self.open = settled.attempt
        self._keep(settled)

    def _watch_send(self, attempt: Attempt) -> None:
        """A send while an earlier one may be live: the same bytes, and a reason why this cannot double."""
        if self.open is None:
            return
        assert (attempt.key, attempt.post) == (self.open.key, self.open.post)
        assert attempt.resend
        if self.resolution.read_back is ReadBack.BY_KEY:
            return
        policy = self.account.on_unknown is OnUnknown.RESEND
        assert policy or self.resolution.read_back is ReadBack.BY_ANSWER

    def _verify(self, result: Receipt | DeliveryError | None) -> None:
        assert self.row.frozen is not None
        attempt = self.attempts[self.row.frozen]
        step = next_step(self.row, attempt, account=self.account, resolution=self.resolution, now=self.now)
        self.row = step.delivery
        if step.step is Step.LOOK:
            self._keep(
                looked(
                    self.row,
                    attempt,
                    result,
                    account=self.account,
                    standing=self.standing,
                    resolution=self.resolution,
                    now=self.now,
                )
            )

    def _keep(self, settled: Settled) -> None:
        assert settled.attempt is not None
        self.row, self.standing = settled.delivery, settled.standing
        self.attempts[settled.attempt.id] = settled.attempt
        if self.row.state is State.POSTED or self.row.absent_at == self.now:
            self.open = None
        assert self.row.unclosed == (self.open is not None)


WAITED = st.sampled_from((SECOND, 2 * MINUTE, 15 * MINUTE, HOUR, 30 * HOUR))
STEPS = st.lists(
    st.tuples(st.sampled_from(tuple(OUTCOMES.values())), st.sampled_from(tuple(LOOKS.values())), WAITED), max_size=25
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(tuple(RESOLUTIONS.values())), st.sampled_from(POLICIES), STEPS)
def test_no_history_of_answers_sends_twice_without_a_reason(
    resolution: Resolution,
    account: Account,
    steps: list[tuple[Receipt | DeliveryError, Receipt | DeliveryError | None, timedelta]],
) -> None:
    walk = Walk(resolution, account)
    for outcome, result, wait in steps:
        walk.step(outcome, result, wait)
