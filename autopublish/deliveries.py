"""Deliveries: the table of states and moves as functions of values and `now`.

The step between articles and receipts. `plan` and `route_again` make deliveries of articles, `hold_burst`, `pace` and
`check_claim` say what may go, `settle` says what an outcome means, `next_step` and `looked` resolve what is unknown,
`recover_after_crash` what a dead process left; `approve`, `retry`, `cancel` and `resolve` are a person's moves, `pause`
and `resume` those on a whole account. Nothing else decides a state. This module does not know the store, the network,
the clock or any platform.

One rule carries the weight: once an attempt was ambiguous, only success, proved presence or proved absence closes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto

from autopublish.clock import WRONG
from autopublish.errors import (
    AlreadyPosted,
    AutopublishError,
    DeliveryError,
    MediaRejected,
    NotReady,
    NotSent,
    RateLimited,
    Rejected,
    StageExpired,
    Unauthorized,
    Undecided,
)
from autopublish.models import (
    BREAKER,
    FOREVER,
    Account,
    AccountState,
    Article,
    Attempt,
    Budget,
    Delivery,
    Evidence,
    Identity,
    Novelty,
    OnUnknown,
    Post,
    RateWindow,
    ReadBack,
    Receipt,
    Resolution,
    Stage,
    Standing,
    State,
    Stop,
)

#: The first back-off of an account; it doubles up to MOST_BACKOFF.
FIRST_BACKOFF = timedelta(seconds=30)
MOST_BACKOFF = timedelta(hours=1)
#: Two looks that prove absence lie this far apart.
BETWEEN_ABSENCES = timedelta(minutes=1)
#: Looks that could not decide lie this far apart, and after so many a person decides.
BETWEEN_LOOKS = timedelta(minutes=10)
MOST_LOOKS = 3
#: Looks may fail for so long before a person decides.
LOOKS_MAY_FAIL = timedelta(days=1)
#: A proof of absence is good for so long: with a key that the network has forgotten, and without any key.
PROOF_AFTER_KEY = timedelta(minutes=10)
PROOF_WITHOUT_KEY = timedelta(hours=1)
#: An article first seen or last tried longer ago is looked up before its first send.
LOOK_FIRST_AFTER = timedelta(hours=1)
#: What is shown first so soon after a long pause may be older than it says: some sites write dates that lie ahead.
FIRST_ROUND = timedelta(minutes=15)
#: One call may take so long.
CALL_DEADLINE = timedelta(seconds=60)
#: An article has so many pictures at most; a platform that refuses more never saw one.
MOST_PICTURES = 10
#: Stage tries, and time since the first one, after which the next picture is taken.
MOST_STAGE_TRIES = 3
MOST_STAGE_TIME = timedelta(minutes=30)
#: An upload in work is asked about after this time at the earliest.
LEAST_WAIT = timedelta(seconds=1)
#: Waits between tries of `whoami` on a blocked account: 15 min, 1 h and 6 h after the block, then daily.
PROBE_AFTER = (timedelta(minutes=15), timedelta(minutes=45), timedelta(hours=5), timedelta(days=1))
#: So many posts refused in a row are no matter of single articles any more: the account is PAUSED.
MOST_REFUSALS = 5
#: Is written down as who let an article through that `first_run` chose.
FIRST_RUN = "first_run"
#: Begins the reason of what a rule of the configuration stopped.
FILTERED = "filtered: "
#: A post of such a delivery may be live, and nobody knows.
_MAY_BE_LIVE = (State.SENDING, State.VERIFYING, State.NEEDS_REVIEW)


# --- keys and times --------------------------------------------------------------------------------------------------


def uid(origin: str, account: str, part: int, occasion: str) -> str:
    """The delivery's id: the same in a restored store or a second copy of the program."""
    return hashlib.sha256("\0".join((origin, account, str(part), occasion)).encode()).hexdigest()


def key_of(delivery: Delivery) -> str:
    """What the platform knows the post by, 32 hex digits; another one for each composition."""
    return hashlib.sha256(f"{delivery.id}{delivery.generation}".encode()).hexdigest()[:32]


def backoff(failures: int, seed: str) -> timedelta:
    """The wait after so many failures in a row: 30 s doubling to 1 h, up to a tenth longer by the seed."""
    base = min(FIRST_BACKOFF * (1 << min(max(failures, 1) - 1, 20)), MOST_BACKOFF)
    fraction = int(hashlib.sha256(f"{seed}{failures}".encode()).hexdigest()[:4], 16) / 0xFFFF
    return base * (1 + fraction / 10)


def pace(windows: Iterable[RateWindow], starts: Sequence[datetime], now: datetime) -> datetime | None:
    """When the account may attempt again by its rate windows; None: now. `starts`: counted attempts, any order."""
    until: datetime | None = None
    for window in windows:
        inside = sorted(start for start in starts if start > now - window.period)
        if len(inside) >= window.count:
            free = inside[-window.count] + window.period
            until = max(until or free, free)
    return until


def afford(
    budgets: Iterable[Budget], paid: Sequence[tuple[datetime, int]], price: int, now: datetime
) -> datetime | None:
    """When the account may pay `price` by its budgets; None: now.

    `paid`: when counted attempts began and what each cost, in any order; money is in millionths of a dollar. What a
    budget never pays for waits for its whole period, in which somebody may raise it.
    """
    until: datetime | None = None
    for budget in budgets:
        inside = sorted((start, cost) for start, cost in paid if start > now - budget.period)
        lacking = sum(cost for _, cost in inside) + price - budget.microdollars
        for start, cost in inside:
            if lacking <= 0:
                break
            lacking -= cost
            until = max(until or now, start + budget.period)
        if lacking > 0:
            until = max(until or now, now + budget.period)
    return until


# --- from articles to deliveries -------------------------------------------------------------------------------------


def plan(
    article: Article, account: Account, *, novelty: Novelty, refusal: str | None, standing: Standing, now: datetime
) -> Delivery | None:
    """The delivery of a new article for an account; None if it is baseline or the account came later."""
    if novelty is Novelty.BASELINE or _came_later(standing, article, now):
        return None
    delivery = Delivery(
        id=uid(article.origin, account.name, 0, "new"),
        article=article.id,
        account=account.name,
        state=State.READY,
        published=article.published,
        due=now + account.delay,
        created=now,
        changed=now,
    )
    if refusal is not None:
        return replace(delivery, state=State.CANCELLED, reason=FILTERED + refusal)
    match novelty:
        case Novelty.BACKDATED:
            return replace(delivery, state=State.HELD, reason="backdated")
        case Novelty.FUTURE:
            return replace(delivery, state=State.HELD, reason="future")
        case Novelty.MOVED:
            return replace(delivery, state=State.HELD, reason="moved")
        case Novelty.CHOSEN:
            return replace(delivery, allowed_by=FIRST_RUN, allowed_at=now)
        case _:
            return delivery


def _came_later(standing: Standing, article: Article, now: datetime) -> bool:
    """Whether the account came after the article; one that comes only later was dated by a clock that went wrong."""
    return min(standing.created, now) > article.first_seen


def route_again(
    article: Article,
    account: Account,
    existing: Delivery | None,
    *,
    refusal: str | None,
    standing: Standing,
    now: datetime,
) -> Delivery | None:
    """What an edit, or a further feed, changes for one account; None: nothing.

    Only where no attempt exists, never for baseline articles, never for an account made after the article was first
    seen, and not once the article is older than `max_age`.
    """
    too_old = account.max_age is not None and now - article.published > account.max_age
    if article.baseline or _came_later(standing, article, now) or too_old:
        return None
    if existing is None:
        return plan(article, account, novelty=Novelty.NEWS, refusal=refusal, standing=standing, now=now)
    if existing.last_tried is not None:
        return None
    if existing.state is State.READY and refusal is not None and not _by_person(existing):
        return replace(existing, state=State.CANCELLED, reason=FILTERED + refusal, changed=now)
    if lacks_picture(existing) and refusal is None and article.pictures:
        return replace(_with_pictures(existing), state=State.READY, reason=None, due=now + account.delay, changed=now)
    by_rule = existing.state is State.CANCELLED and (existing.reason or "").startswith(FILTERED)
    if by_rule and refusal is None and article.published > now:
        return hold(replace(existing, due=now + account.delay), "future", now)
    if by_rule and refusal is None:
        return replace(existing, state=State.READY, reason=None, due=now + account.delay, changed=now)
    if by_rule and refusal is not None and existing.reason != FILTERED + refusal:
        return replace(existing, reason=FILTERED + refusal, changed=now)
    return None


# --- what may go -----------------------------------------------------------------------------------------------------


def order(delivery: Delivery) -> tuple[bool, datetime, str]:
    """The order within an account: what was ambiguous first, then oldest published first."""
    return (not delivery.unclosed, delivery.published, delivery.id)


def hold_burst(due: Iterable[Delivery], account: Account, now: datetime) -> tuple[Delivery, ...]:
    """The deliveries that the burst rule holds: all but the newest `burst` of those that nobody let through."""
    counted = [row for row in due if row.allowed_by is None and row.last_tried is None and not row.unclosed]
    if account.burst is None or len(counted) <= account.burst:
        return ()
    counted.sort(key=order)
    surplus = counted[: len(counted) - account.burst]
    return tuple(replace(row, state=State.HELD, reason="burst", changed=now) for row in surplus)


class Step(StrEnum):
    """What comes next for a delivery."""

    #: Compose (or take the frozen bytes) and send.
    SEND = auto()
    #: Look for it on the network first.
    LOOK = auto()
    #: Nothing before `look_at`.
    WAIT = auto()
    #: The returned row is a new state: save it.
    CHANGED = auto()


@dataclass(frozen=True, slots=True)
class Next:
    """A step, and the delivery as it stands for it."""

    step: Step
    delivery: Delivery


def resend_until(delivery: Delivery, attempt: Attempt, resolution: Resolution) -> datetime | None:
    """Until when the frozen bytes may go again; None: without end."""
    window = resolution.key_window
    if window == FOREVER and (delivery.unclosed or resolution.read_back is ReadBack.BY_KEY):
        return None
    if delivery.absent_at is None:
        # Without a proof only a standing key, the duplicate answer or a written policy let the bytes go again.
        by_key = resolution.read_back is ReadBack.BY_KEY
        return attempt.key_since + window if by_key and window is not None else None
    if window is None or window == FOREVER:
        return delivery.absent_at + PROOF_WITHOUT_KEY
    return max(attempt.key_since + window, delivery.absent_at + PROOF_AFTER_KEY)


def check_claim(
    delivery: Delivery,
    account: Account,
    *,
    attempt: Attempt | None,
    refusal: str | None,
    first_seen: datetime,
    standing: Standing,
    resolution: Resolution,
    now: datetime,
    awake_since: datetime | None = None,
) -> Next:
    """What is to be done with a due READY delivery: send it, look first, or not at all.

    `attempt` is the frozen one if there is any; `refusal` the filters' answer of now, which can only stop;
    `awake_since` as for `looks_first`.
    """
    if delivery.frozen is not None and attempt is not None:
        until = resend_until(delivery, attempt, resolution)
        if until is not None and now >= until:
            return Next(Step.CHANGED, _look_again(delivery, now))
        return Next(Step.SEND, delivery)
    if refusal is not None and not _by_person(delivery):
        stopped = replace(delivery, state=State.CANCELLED, reason=FILTERED + refusal, changed=now)
        return Next(Step.CHANGED, stopped)
    if delivery.allowed_by is None and account.max_age is not None:
        # `due` is set anew where a person's stop kept it.
        since = max(first_seen, standing.active_since, delivery.due)
        if now - since > account.max_age:
            return Next(Step.CHANGED, replace(delivery, state=State.HELD, reason="stale", changed=now))
    looks = looks_first(delivery, first_seen, standing, resolution, now, awake_since)
    return Next(Step.LOOK if looks else Step.SEND, delivery)


def is_stale(delivery: Delivery) -> bool:
    """Whether it is HELD since its article is older than `max_age`."""
    return delivery.state is State.HELD and delivery.reason == "stale"


def _look_again(delivery: Delivery, now: datetime) -> Delivery:
    """What was proved does not hold any more: VERIFYING from the beginning."""
    return replace(
        delivery,
        state=State.VERIFYING,
        unclosed=True,
        look_at=now,
        looks=0,
        absences=0,
        absent_at=None,
        changed=now,
    )


def _by_person(delivery: Delivery) -> bool:
    """Whether a person let this very delivery through, against filters too; `first_run` only chose by time."""
    return delivery.allowed_by not in (None, FIRST_RUN)


def looks_first(
    delivery: Delivery,
    first_seen: datetime,
    standing: Standing,
    resolution: Resolution,
    now: datetime,
    awake_since: datetime | None = None,
) -> bool:
    """Whether the network is asked for the article before its first send.

    `awake_since` is when the program began to look again after nobody had looked for long: what was published before
    may have been posted by a store that was put back since, together with all that tells so.
    """
    if resolution.read_back in (ReadBack.NONE, ReadBack.BY_ANSWER) or delivery.occasion != "new":
        return False
    last = max(first_seen, delivery.last_tried or first_seen)
    returned = standing.active_since > delivery.created
    is_older = awake_since is not None and min(delivery.published, first_seen - FIRST_ROUND) < awake_since <= now
    return returned or is_older or rests_on_look(delivery) or now - last > LOOK_FIRST_AFTER


def found_first(delivery: Delivery, receipt: Receipt, now: datetime) -> Delivery:
    """The delivery of an article that was found on the account before its first send."""
    return replace(delivery, state=State.POSTED, reason="was there already", receipt=receipt, changed=now)


def is_dead(delivery: Delivery) -> bool:
    """Whether it is HELD since the article's address led nowhere."""
    return delivery.state is State.HELD and delivery.reason == "dead link"


def lacks_picture(delivery: Delivery) -> bool:
    """Whether it is HELD since its network takes posts with a picture only."""
    return delivery.state is State.HELD and (delivery.reason or "").startswith("picture: ")


def _with_pictures(delivery: Delivery) -> Delivery:
    """All pictures of the article are tried again."""
    return replace(delivery, without_picture=False, pictures_skipped=0)


def hold(delivery: Delivery, reason: str, now: datetime) -> Delivery:
    """The delivery waits for a person, with the reason."""
    return replace(delivery, state=State.HELD, reason=reason, changed=now)


def stage_failed(delivery: Delivery, error: DeliveryError, standing: Standing, now: datetime) -> Settled:
    """What a failed `stage` means: nothing visible exists, so it is tried again, then done without the picture."""
    row, since = replace(delivery, changed=now), delivery.stage_since or now
    match error:
        case NotReady() if now - since < MOST_STAGE_TIME:
            stage = error.stage if isinstance(error.stage, Stage) else delivery.stage
            return Settled(
                replace(row, stage=stage, stage_since=since, due=now + max(error.wait, LEAST_WAIT)), None, standing
            )
        case NotReady() | MediaRejected() if delivery.pictures_skipped < MOST_PICTURES:
            return Settled(_next_picture(row), None, standing)
        case MediaRejected() | Rejected():
            after = _refused_again(standing, str(error))
            return Settled(replace(row, state=State.REJECTED, reason=str(error)), None, after)
        case RateLimited():
            return Settled(row, None, _account_waits(standing, error.wait or backoff(1, delivery.id), str(error), now))
        case Unauthorized():
            return Settled(row, None, block(standing, str(error), now))
        case NotSent():
            # Nothing was tried with the picture: the network is away.
            return Settled(row, None, _failed(standing, delivery, str(error), now))
        case _:
            tries = delivery.stage_tries + 1
            row = replace(row, stage_tries=tries, stage_since=since)
            if tries >= MOST_STAGE_TRIES or now - since >= MOST_STAGE_TIME:
                row = _next_picture(row)
            return Settled(row, None, _failed(standing, delivery, str(error), now))


def _next_picture(delivery: Delivery) -> Delivery:
    """Composed anew with the article's next picture, without one when there are no more."""
    return _anew(replace(delivery, pictures_skipped=delivery.pictures_skipped + 1))


def _without_picture(delivery: Delivery) -> Delivery:
    return _anew(replace(delivery, without_picture=True))


def _anew(delivery: Delivery) -> Delivery:
    return replace(delivery, generation=delivery.generation + 1, stage=None, stage_tries=0, stage_since=None)


def begin(
    delivery: Delivery,
    attempt: Attempt | None,
    *,
    attempt_id: str,
    post: Post,
    stage: Stage,
    now: datetime,
    deadline: timedelta = CALL_DEADLINE,
    microdollars: int = 0,
) -> tuple[Delivery, Attempt]:
    """SENDING and the frozen attempt, to be written before the call; `attempt` is the one whose bytes go again."""
    key = attempt.key if attempt else key_of(delivery)
    made = Attempt(
        id=attempt_id,
        delivery=delivery.id,
        account=delivery.account,
        key=key,
        generation=attempt.generation if attempt else delivery.generation,
        post=post,
        stage=stage,
        started=now,
        deadline=now + deadline,
        key_since=attempt.key_since if attempt else now,
        resend=attempt is not None,
        microdollars=microdollars,
    )
    return replace(delivery, state=State.SENDING, reason=None, last_tried=now, changed=now), made


# --- what an outcome means -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settled:
    """The rows after an outcome; `attempt` is None where none was made."""

    delivery: Delivery
    attempt: Attempt | None
    standing: Standing


def settle(
    delivery: Delivery,
    attempt: Attempt,
    outcome: Receipt | DeliveryError,
    *,
    account: Account,
    standing: Standing,
    resolution: Resolution,
    now: datetime,
) -> Settled:
    """The rows after the answer to one attempt."""
    match outcome:
        case Receipt():
            return _posted(delivery, attempt, outcome, standing, now)
        case AlreadyPosted():
            return _duplicate(delivery, attempt, outcome, account, standing, resolution, now)
        case NotSent():
            done = replace(attempt, finished=now, outcome=Evidence.NOT_SENT, evidence=str(outcome), counted=False)
            return Settled(_goes_again(delivery, attempt, now), done, _failed(standing, delivery, str(outcome), now))
        case RateLimited():
            wait, row = outcome.wait or backoff(1, delivery.id), _goes_again(delivery, attempt, now)
            return Settled(row, _refused(attempt, outcome, now), _account_waits(standing, wait, str(outcome), now))
        case Unauthorized():
            row = _goes_again(delivery, attempt, now)
            return Settled(row, _refused(attempt, outcome, now), block(standing, str(outcome), now))
        case StageExpired() if not delivery.adopting:
            row = replace(_anew(delivery), state=State.READY, frozen=None, unclosed=False, absent_at=None, changed=now)
            # The account waits: what expires again and again must not be made in a loop.
            return Settled(row, _refused(attempt, outcome, now), _failed(standing, delivery, str(outcome), now))
        case MediaRejected() if not delivery.unclosed and attempt.post.picture is not None:
            row = replace(_without_picture(delivery), state=State.READY, frozen=None, changed=now)
            return Settled(row, _refused(attempt, outcome, now), standing)
        case Rejected() | MediaRejected() if not delivery.unclosed:
            row = replace(delivery, state=State.REJECTED, reason=str(outcome), frozen=None, changed=now)
            return Settled(row, _refused(attempt, outcome, now), _refused_again(standing, str(outcome)))
        case _:
            return _unknown(delivery, attempt, str(outcome), account, standing, resolution, now)


def _goes_again(delivery: Delivery, attempt: Attempt, now: datetime) -> Delivery:
    """READY after a call that created nothing, with what was made ready for it: no upload is made twice for that."""
    row = replace(delivery, state=State.READY, changed=now)
    if delivery.frozen is not None:
        return row
    return replace(row, stage=attempt.stage if attempt.stage.data else None, stage_tries=0, stage_since=None)


def recover_after_crash(
    delivery: Delivery,
    attempt: Attempt,
    *,
    account: Account,
    standing: Standing,
    resolution: Resolution,
    now: datetime,
) -> Settled:
    """The rows of a delivery that a dead process left in SENDING: never as if it had not been sent."""
    settled = _unknown(delivery, attempt, "the program ended during the call", account, standing, resolution, now)
    # The account's wait counts from the call, not from the moment that its end was noticed.
    until = attempt.started + backoff(standing.failures + 1, delivery.id)
    kept = max(until, standing.not_before) if standing.not_before else until
    return replace(settled, standing=replace(settled.standing, not_before=kept))


def _posted(delivery: Delivery, attempt: Attempt, receipt: Receipt, standing: Standing, now: datetime) -> Settled:
    row = replace(
        delivery,
        state=State.POSTED,
        reason=None,
        receipt=receipt,
        frozen=None,
        unclosed=False,
        look_at=None,
        changed=now,
    )
    done = replace(attempt, finished=now, outcome=Evidence.POSTED, counted=True)
    return Settled(row, done, replace(standing, failures=0, refusals=0, not_before=None, reason=None))


def _duplicate(
    delivery: Delivery,
    attempt: Attempt,
    answer: AlreadyPosted,
    account: Account,
    standing: Standing,
    resolution: Resolution,
    now: datetime,
) -> Settled:
    # A resend rests on an ambiguous attempt even where its absence was proved: that one may have come late.
    is_own = answer.ours or delivery.unclosed or attempt.resend
    if is_own and answer.receipt is not None:
        return _posted(delivery, attempt, answer.receipt, standing, now)
    if is_own:
        settled = _unknown(delivery, attempt, str(answer), account, standing, resolution, now)
        row = settled.delivery
        if row.state is State.VERIFYING:
            row = replace(row, adopting=True, look_at=now)
        elif row.state is State.READY:  # a policy must not send again what the platform says it has
            row = replace(row, state=State.NEEDS_REVIEW, reason="the platform says that it has the post")
        return replace(settled, delivery=row)
    row = replace(hold(delivery, "clash", now), frozen=None)
    return Settled(row, _refused(attempt, answer, now), standing)


def _unknown(
    delivery: Delivery,
    attempt: Attempt,
    evidence: str,
    account: Account,
    standing: Standing,
    resolution: Resolution,
    now: datetime,
) -> Settled:
    row = replace(
        delivery,
        state=State.VERIFYING,
        reason=evidence,
        frozen=attempt.id,
        unclosed=True,
        looks=0,
        absences=0,
        failed_looks=0,
        look_since=None,
        absent_at=None,
        changed=now,
    )
    done = replace(attempt, finished=now, outcome=Evidence.UNKNOWN, evidence=evidence)
    if resolution.read_back is ReadBack.NONE:
        row = review(row, attempt, account, evidence, now)
    elif resolution.read_back is ReadBack.BY_KEY:
        row = replace(row, look_at=now)
    else:
        row = replace(row, look_at=attempt.deadline + resolution.settle)
    return Settled(row, done, _failed(standing, delivery, evidence, now))


def _refused(attempt: Attempt, error: AutopublishError, now: datetime) -> Attempt:
    return replace(attempt, finished=now, outcome=Evidence.REFUSED, evidence=str(error), counted=False)


def review(delivery: Delivery, attempt: Attempt, account: Account, reason: str, now: datetime) -> Delivery:
    """The machine cannot know: a person decides, or the account's written policy, once."""
    row = replace(delivery, look_at=None, changed=now)
    if account.on_unknown is OnUnknown.DROP:
        return replace(row, state=State.CANCELLED, reason=f"dropped by on_unknown: {reason}")
    if account.on_unknown is OnUnknown.RESEND and not attempt.resend and not delivery.adopting:
        return replace(row, state=State.READY, reason=f"resent by on_unknown: {reason}")
    return replace(row, state=State.NEEDS_REVIEW, reason=reason)


# --- accounts --------------------------------------------------------------------------------------------------------


def block(standing: Standing, reason: str, now: datetime) -> Standing:
    """The account is AUTH_BLOCKED with the reason; its deliveries stay as they are."""
    again = PROBE_AFTER[min(standing.probes, len(PROBE_AFTER) - 1)]
    return replace(
        standing,
        state=AccountState.AUTH_BLOCKED,
        reason=reason,
        probe_at=now + again,
        probes=standing.probes + 1,
    )


def unblock(standing: Standing, now: datetime) -> Standing:
    """The account may send again; what waited is judged from this moment on."""
    return replace(
        standing,
        state=AccountState.ACTIVE,
        reason=None,
        active_since=now,
        not_before=None,
        failures=0,
        refusals=0,
        probe_at=None,
        probes=0,
    )


def unreachable(standing: Standing, wait: timedelta | None, why: str, now: datetime) -> Standing:
    """The account's network could not be asked: it waits."""
    if wait is not None:
        return _account_waits(standing, wait, why, now)
    return _back_off(standing, standing.account, why, now)


def _failed(standing: Standing, delivery: Delivery, why: str, now: datetime) -> Standing:
    return _back_off(standing, delivery.id, why, now)


def _back_off(standing: Standing, seed: str, why: str, now: datetime) -> Standing:
    failures = standing.failures + 1
    return replace(_account_waits(standing, backoff(failures, seed), why, now), failures=failures)


def _refused_again(standing: Standing, why: str) -> Standing:
    """One more refusal in a row; after so many the circuit breaker pauses the account, and what waits is kept."""
    after = replace(standing, refusals=standing.refusals + 1)
    if after.refusals < MOST_REFUSALS or standing.state is not AccountState.ACTIVE:
        return after
    words = f"{BREAKER}{after.refusals} posts in a row were refused, the last: {why}"
    return replace(after, state=AccountState.PAUSED, reason=words)


def _account_waits(standing: Standing, wait: timedelta, why: str, now: datetime) -> Standing:
    # Why it is blocked matters more than why it waits.
    reason = why if standing.state is AccountState.ACTIVE else standing.reason
    return replace(standing, not_before=now + wait, reason=reason)


# --- a store that was put back from a copy ---------------------------------------------------------------------------

#: Why a delivery is HELD that a store may know nothing newer of, and what it says while it is looked for first.
RESTORED = "restored"
_LOOKED_FOR = "restored: looked for before it is sent"


def doubted(delivery: Delivery, now: datetime) -> Delivery | None:
    """What would go by itself, in a store that may not know what was posted last; None: it does not go.

    Without an attempt it is HELD; what rests on a proof that is older than the copy is looked up anew.
    """
    # These go on without a look at the account: when a link answers, a picture appears, a category goes on.
    waits = is_stopped(delivery) or lacks_picture(delivery) or is_dead(delivery)
    if delivery.state is not State.READY and not waits:
        return None
    if delivery.frozen is not None:
        return _look_again(delivery, now)
    return hold(delivery, "restored", now)


def stopped(standing: Standing, why: str) -> Standing:
    """SAFE_MODE, also where credentials are missing, which would end by itself; what a person paused stays PAUSED."""
    if standing.state is AccountState.PAUSED:
        return standing
    return replace(standing, state=AccountState.SAFE_MODE, reason=why)


def started(standing: Standing, now: datetime) -> Standing:
    """ACTIVE again after SAFE_MODE or a stop of everything; what a person paused, or the network blocks, stays so.

    What waited is judged from this moment on: it has not become stale, and is looked for before it is sent, where the
    network can be read. What the network asked us to wait for is still waited for.
    """
    match standing.state:
        case AccountState.SAFE_MODE:
            return unblock(standing, now)
        case AccountState.ACTIVE:
            return replace(standing, active_since=now)
        case _:
            return standing


def stopped_for_clock(standing: Standing, why: str) -> Standing:
    """SAFE_MODE for a clock that is wrong; what is blocked or paused sends nothing anyway, and stays what it is."""
    return stopped(standing, why) if standing.state is AccountState.ACTIVE else standing


def is_stopped_for_clock(standing: Standing) -> bool:
    """Whether the clock alone keeps it in SAFE_MODE."""
    return standing.state is AccountState.SAFE_MODE and (standing.reason or "").startswith(WRONG)


def clock_is_right(standing: Standing, now: datetime) -> Standing:
    """ACTIVE again if the clock alone stopped it."""
    return started(standing, now) if is_stopped_for_clock(standing) else standing


def righted(delivery: Delivery, now: datetime) -> Delivery:
    """What was written at a time that has not come: it goes by now, and what rests on a proof is looked up anew."""
    row = replace(
        delivery,
        due=min(delivery.due, now),
        created=min(delivery.created, now),
        changed=now,
        stage_since=_by(delivery.stage_since, now),
        look_at=_by(delivery.look_at, now),
        look_since=_by(delivery.look_since, now),
        last_tried=_by(delivery.last_tried, now),
    )
    return _look_again(row, now) if row.frozen is not None else row


def _by(time: datetime | None, now: datetime) -> datetime | None:
    return None if time is None else min(time, now)


def released(delivery: Delivery, resolution: Resolution | None, now: datetime) -> Delivery | None:
    """READY, to be looked for before it is sent; None: its network cannot tell, and it stays HELD."""
    can_tell = resolution is not None and resolution.read_back in (ReadBack.STRONG, ReadBack.BY_KEY)
    if delivery.state is not State.HELD or delivery.reason != RESTORED or delivery.occasion != "new" or not can_tell:
        return None
    return replace(delivery, state=State.READY, reason=_LOOKED_FOR, changed=now)


def rests_on_look(delivery: Delivery) -> bool:
    """Whether it may only be sent if a look saw that it is not there."""
    return delivery.reason == _LOOKED_FOR


# --- the big switch --------------------------------------------------------------------------------------------------

#: Begins the reason of what is HELD since a category of its article is stopped.
STOPPED = "stopped: "


def is_stopped(delivery: Delivery) -> bool:
    """Whether it is HELD since a category of its article is stopped."""
    return delivery.state is State.HELD and (delivery.reason or "").startswith(STOPPED)


def held_for(stop: Stop) -> str:
    """The reason of what is HELD for the stop of a category."""
    return f"{STOPPED}{stop.category}"


def hold_stopped(delivery: Delivery, stops: Iterable[Stop], now: datetime) -> Delivery | None:
    """HELD by one of these stops of its article's categories; None: it stays as it is.

    Only what would go by itself, and nothing that carries an attempt which may be live. What a person let through after
    the stop goes all the same.
    """
    if delivery.state is not State.READY or delivery.unclosed:
        return None
    stop = next((one for one in stops if not _let_through_since(delivery, one)), None)
    if stop is None:
        return None
    if rests_on_look(delivery):
        # It may only go if a look saw that it is not there, and would go without one once the stop is over.
        return hold(delivery, RESTORED, now)
    return hold(delivery, f"stopped: {stop.category}", now)


def _let_through_since(delivery: Delivery, stop: Stop) -> bool:
    return _by_person(delivery) and delivery.allowed_at is not None and delivery.allowed_at > stop.since


def release_stopped(delivery: Delivery, left: Iterable[Stop], standing: Standing | None, now: datetime) -> Delivery:
    """READY again, in its order and under the rules of now, after the stop that held it.

    It is due from now on, and `max_age` counts from that: it has not become stale because it was stopped. It stays HELD
    if one of the stops that are `left` keeps it, or if the account that it was meant for is no more.
    """
    if standing is None or standing.created > delivery.created:
        return hold(delivery, "account removed", now)
    row = replace(delivery, state=State.READY, reason=None, due=now, changed=now)
    return hold_stopped(row, left, now) or row


# --- what is unknown -------------------------------------------------------------------------------------------------


def next_step(delivery: Delivery, attempt: Attempt, *, account: Account, resolution: Resolution, now: datetime) -> Next:
    """What is to be done with a VERIFYING delivery at `now`."""
    if delivery.look_at is not None and now < delivery.look_at:
        return Next(Step.WAIT, delivery)
    standing_key = resolution.key_window is not None and (
        resolution.key_window == FOREVER or now < attempt.key_since + resolution.key_window
    )
    match resolution.read_back:
        case ReadBack.BY_KEY if standing_key and not delivery.adopting:
            return Next(Step.CHANGED, replace(delivery, state=State.READY, look_at=None, changed=now))
        case ReadBack.BY_ANSWER if not attempt.resend and not delivery.adopting:
            return Next(Step.CHANGED, replace(delivery, state=State.READY, look_at=None, changed=now))
        case ReadBack.NONE | ReadBack.BY_ANSWER:
            reason = delivery.reason or "the outcome is unknown"
            return Next(Step.CHANGED, review(delivery, attempt, account, reason, now))
        case _:
            return Next(Step.LOOK, delivery)


def looked(
    delivery: Delivery,
    attempt: Attempt,
    result: Receipt | DeliveryError | None,
    *,
    account: Account,
    standing: Standing,
    resolution: Resolution,
    now: datetime,
) -> Settled:
    """The rows after a look: found, absent (None), undecided, or a look that failed."""
    match result:
        case Receipt():
            settled = _posted(delivery, attempt, result, standing, now)
            # Being found says nothing of the network's health now: the back-off stays.
            return replace(settled, standing=standing)
        case None if resolution.read_back is not ReadBack.LAGGING and not delivery.adopting:
            return _absent(delivery, attempt, standing, now)
        case None | Undecided():
            row = replace(delivery, looks=delivery.looks + 1, failed_looks=0, look_since=None, changed=now)
            if row.looks >= MOST_LOOKS:
                reason = f"{row.looks} looks could not tell whether it was posted"
                return Settled(review(row, attempt, account, reason, now), attempt, standing)
            return Settled(replace(row, look_at=now + BETWEEN_LOOKS), attempt, standing)
        case _:
            return _failed_look(delivery, attempt, result, account, standing, now)


def _absent(delivery: Delivery, attempt: Attempt, standing: Standing, now: datetime) -> Settled:
    row = replace(
        delivery, looks=delivery.looks + 1, absences=delivery.absences + 1, failed_looks=0, look_since=None, changed=now
    )
    if row.absences < 2:
        return Settled(replace(row, look_at=now + BETWEEN_ABSENCES), attempt, standing)
    row = replace(row, state=State.READY, reason="was not there", unclosed=False, absent_at=now, look_at=None)
    return Settled(row, replace(attempt, outcome=Evidence.ABSENT, counted=False), standing)


def _failed_look(
    delivery: Delivery, attempt: Attempt, error: DeliveryError, account: Account, standing: Standing, now: datetime
) -> Settled:
    since = delivery.look_since or now
    failed = delivery.failed_looks + 1
    wait = error.wait if isinstance(error, RateLimited) and error.wait else backoff(failed, delivery.id)
    row = replace(delivery, failed_looks=failed, look_since=since, look_at=now + wait, changed=now)
    if now - since >= LOOKS_MAY_FAIL:
        row = review(row, attempt, account, f"no look was answered for a day: {error}", now)
    if isinstance(error, Unauthorized):
        return Settled(row, attempt, block(standing, str(error), now))
    return Settled(
        row, attempt, unreachable(standing, wait if isinstance(error, RateLimited) else None, str(error), now)
    )


def unanswered(delivery: Delivery, attempt: Attempt, *, account: Account, now: datetime) -> Delivery | None:
    """A VERIFYING delivery whose account could not even be asked for a day: a person decides; None: not yet."""
    since = delivery.look_since or delivery.look_at or now
    if now - since < LOOKS_MAY_FAIL:
        return None
    return review(delivery, attempt, account, "the account could not be asked for a day", now)


# --- a person's moves ------------------------------------------------------------------------------------------------


class NotAllowed(AutopublishError):
    """The move does not exist from this state; the text says what does."""


def approve(delivery: Delivery, who: str, now: datetime) -> Delivery:
    """READY, let through by a person."""
    if delivery.state is not State.HELD:
        raise NotAllowed(_instead(delivery, "only a HELD delivery can be approved"))
    if lacks_picture(delivery):
        delivery = _with_pictures(delivery)
    # Composed anew, it needs a key of its own if the old one was used.
    again = 1 if delivery.reason == "clash" or delivery.frozen is not None else 0
    return _let_through(replace(delivery, generation=delivery.generation + again), who, now)


def retry(delivery: Delivery, who: str, now: datetime) -> Delivery:
    """READY again after REJECTED or CANCELLED, composed anew."""
    if delivery.state not in (State.REJECTED, State.CANCELLED):
        raise NotAllowed(_instead(delivery, "only a REJECTED or CANCELLED delivery can be tried again"))
    if delivery.unclosed:
        raise NotAllowed(
            "this delivery was given up while its outcome was unknown: it may be live. Look at the account, then use "
            "`deliveries resolve` with --posted URL or --absent"
        )
    return _let_through(
        replace(delivery, generation=delivery.generation + 1, without_picture=False, pictures_skipped=0, receipt=None),
        who,
        now,
    )


#: Begins the occasion of a post that a person wants again.
AGAIN = "again:"


def again(
    delivery: Delivery, typed: str, *, origin: str, others: Iterable[Delivery], who: str, now: datetime
) -> Delivery:
    """A further delivery of what is POSTED, under a key of its own: the second post is the person's wish.

    `typed` is the id or the address of the post that is there, to show that they know it; `origin` is the article's,
    and `others` are all of its deliveries on the account.

    Raises:
        NotAllowed: it is not POSTED, its post is another one, or a further one is on its way already.
    """
    if delivery.state is not State.POSTED or delivery.receipt is None:
        raise NotAllowed(_instead(delivery, "only what is POSTED can be posted again"))
    known = delivery.receipt
    if not typed or typed not in (known.remote_id, known.url):
        raise NotAllowed(f"its post is not {typed}: give the id or the address of the one that is there")
    others = tuple(others)
    if any(row.state not in (State.POSTED, State.CANCELLED) or row.unclosed for row in others):
        raise NotAllowed("the article is on its way to this account already; see `autopublish deliveries list`")
    number = 1 + sum(row.occasion.startswith(AGAIN) for row in others)
    occasion = f"{AGAIN}{number}"
    # Nothing of the first one goes along: a container that it was published from would be published twice.
    return Delivery(
        id=uid(origin, delivery.account, delivery.part, occasion),
        article=delivery.article,
        account=delivery.account,
        part=delivery.part,
        occasion=occasion,
        state=State.READY,
        reason=f"wanted again by {who}, beside {known.remote_id}",
        published=delivery.published,
        due=now,
        created=now,
        changed=now,
        allowed_by=who,
        allowed_at=now,
    )


def resolution_for(delivery: Delivery, resolution: Resolution) -> Resolution:
    """How an unknown outcome of this delivery is resolved: what a person wants again only its key tells from the first.

    A look by the article's link would find the post that was there before.
    """
    if not delivery.occasion.startswith(AGAIN) or resolution.read_back is ReadBack.BY_KEY:
        return resolution
    return replace(resolution, read_back=ReadBack.NONE)


def cancel(delivery: Delivery, who: str, now: datetime) -> Delivery:
    """CANCELLED by a person."""
    if delivery.state not in (State.HELD, State.READY, State.REJECTED, State.NEEDS_REVIEW):
        raise NotAllowed(_instead(delivery, "it cannot be cancelled now"))
    return replace(delivery, state=State.CANCELLED, reason=f"cancelled by {who}", look_at=None, changed=now)


def withdraw(delivery: Delivery, who: str, now: datetime) -> Delivery:
    """CANCELLED once its post was taken away; it never goes again by itself.

    Raises:
        NotAllowed: it is not POSTED.
    """
    if delivery.state is not State.POSTED or delivery.receipt is None:
        raise NotAllowed(_instead(delivery, "only what is POSTED can be withdrawn"))
    return replace(delivery, state=State.CANCELLED, reason=f"withdrawn by {who}", look_at=None, changed=now)


class Verdict(StrEnum):
    """What a person saw on the account."""

    POSTED = "posted"
    ABSENT = "absent"
    DROP = "drop"


def resolve(delivery: Delivery, verdict: Verdict, url: str | None, who: str, now: datetime) -> Delivery:
    """What a person knows closes what the machine cannot know."""
    given_up = delivery.state is State.CANCELLED and delivery.unclosed
    if delivery.state not in (State.NEEDS_REVIEW, State.VERIFYING) and not given_up:
        raise NotAllowed(_instead(delivery, "only what is VERIFYING or NEEDS_REVIEW can be resolved"))
    match verdict:
        case Verdict.POSTED:
            return replace(
                delivery,
                state=State.POSTED,
                reason=f"seen by {who}",
                receipt=Receipt(remote_id=url or "", url=url),
                frozen=None,
                unclosed=False,
                look_at=None,
                changed=now,
            )
        case Verdict.ABSENT:
            return _let_through(replace(delivery, generation=delivery.generation + 1), who, now)
        case Verdict.DROP:
            return replace(delivery, state=State.CANCELLED, reason=f"dropped by {who}", look_at=None, changed=now)


def _let_through(delivery: Delivery, who: str, now: datetime) -> Delivery:
    return replace(
        delivery,
        state=State.READY,
        reason=None,
        due=now,
        allowed_by=who,
        allowed_at=now,
        frozen=None,
        unclosed=False,
        adopting=False,
        absent_at=None,
        look_at=None,
        stage=None,
        stage_tries=0,
        stage_since=None,
        changed=now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a person's decision makes of an account and of its deliveries."""

    standing: Standing
    #: Deliveries before and after.
    changes: tuple[tuple[Delivery, Delivery], ...] = ()
    #: Is written down with it.
    why: str | None = None


def pause(standing: Standing, who: str, why: str | None) -> Ruling:
    """PAUSED by a person until a person resumes it; its deliveries stay as they are.

    Raises:
        NotAllowed: it is PAUSED already, or in SAFE_MODE, which a pause would hide.
    """
    if standing.state in (AccountState.PAUSED, AccountState.SAFE_MODE):
        raise NotAllowed(f"it is {standing.state} already: {standing.reason or 'no reason is known'}")
    words = f"paused by {who}: {why}" if why else f"paused by {who}"
    return Ruling(standing=replace(standing, state=AccountState.PAUSED, reason=words))


def check_resume(standing: Standing) -> None:
    """A person may resume the account.

    Raises:
        NotAllowed: nothing stops it, or it is in SAFE_MODE.
    """
    if standing.state is AccountState.ACTIVE:
        raise NotAllowed("it is ACTIVE: nothing stops it")
    if standing.state is AccountState.SAFE_MODE:
        reason = standing.reason or "no reason is known"
        raise NotAllowed(f"it is in SAFE_MODE ({reason}): look at its network, then `autopublish go` ends that")


def resume(
    standing: Standing,
    rows: Iterable[Delivery],
    identity: Identity,
    fingerprint: str,
    *,
    accepted: str | None,
    now: datetime,
) -> Ruling:
    """ACTIVE as `identity`, which is pinned; what the network asked us to wait for is still waited for.

    `rows` are the account's deliveries that are not final. Another identity than the pinned one must be `accepted` by
    its name or id; what was made ready for the old one is then composed anew.

    Raises:
        NotAllowed: nothing stops it, it is in SAFE_MODE, the identity is another one that nobody accepted, or what the
            old one may have posted is not settled: it would be looked up in the wrong account.
    """
    check_resume(standing)
    after = replace(
        unblock(standing, now),
        identity=identity,
        fingerprint=fingerprint,
        not_before=standing.not_before,
        failures=standing.failures,
    )
    old = standing.identity
    if old is None or old.id == identity.id:
        return Ruling(standing=after)
    names = f"{identity.name} ({identity.id})", f"{old.name} ({old.id})"
    if accepted not in (identity.name, identity.id):
        raise NotAllowed(
            f"the credentials belong to {names[0]}, but this account has posted as {names[1]}: put those back, or use "
            f"a new account name; if the change is meant, confirm it with --accept-identity {identity.name}"
        )
    return Ruling(standing=after, changes=_for_another(rows, now), why=f"{names[0]} takes the place of {names[1]}")


def _for_another(rows: Iterable[Delivery], now: datetime) -> tuple[tuple[Delivery, Delivery], ...]:
    """What waits, without the bytes and uploads that were made for the old identity."""
    rows = tuple(rows)
    unsettled = [row for row in rows if row.unclosed or row.state in _MAY_BE_LIVE]
    if unsettled:
        what = "1 delivery" if len(unsettled) == 1 else f"{len(unsettled)} deliveries"
        raise NotAllowed(
            f"{what} of the old identity may be live and would be looked for in the wrong account: settle each with "
            "`deliveries resolve` or `deliveries cancel` first"
        )
    return tuple(
        (row, replace(_anew(row), frozen=None, absent_at=None, reason=None, changed=now))
        for row in rows
        if row.state is State.READY and (row.frozen is not None or row.stage is not None)
    )


def _instead(delivery: Delivery, refusal: str) -> str:
    match delivery.state:
        case State.POSTED:
            hint = "it is posted; a second post is never made, unless `deliveries retry ID --again` names the first"
        case State.HELD:
            hint = "it is HELD: `deliveries approve` or `deliveries cancel`"
        case State.READY:
            hint = "it is READY and goes by itself; `deliveries cancel` stops it"
        case State.SENDING:
            hint = "it is being sent"
        case State.VERIFYING:
            hint = "its outcome is being looked up; `deliveries resolve` if you know it"
        case State.NEEDS_REVIEW:
            hint = "look at the account, then `deliveries resolve`"
        case State.REJECTED | State.CANCELLED:
            hint = f"it is {delivery.state}: `deliveries retry`"
    return f"{refusal}: {hint}"
