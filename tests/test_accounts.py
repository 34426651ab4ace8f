"""A person stops accounts and lets them go on: what that changes, what it leaves, and what a run beside it sees."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import pytest

from autopublish import deliveries
from autopublish.app import build
from autopublish.deliveries import NotAllowed, Ruling
from autopublish.errors import StoreError
from autopublish.models import AccountState, Delivery, Identity, Stage, Standing, State
from autopublish.platforms.bluesky import Bluesky
from tests.desk import FEED, PAGE, SECRET, Desk, seen_on, sky
from tests.servers.pds import FakePds, Fault, Made, Then

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DOWN = Fault(then=Then.ANSWER, status=503)
LOST = Fault(then=Then.ANSWER, status=500)
#: Only a broken test comes near it.
PATIENCE_SECONDS = 20


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder with a feed that shows one article."""
    folder = tmp_path / "desk"
    folder.mkdir()
    made = Desk(folder)
    made.show("zero")
    return made


@pytest.fixture
def other() -> Iterator[FakePds]:
    """A Bluesky server with somebody else's account."""
    with FakePds() as server:
        server.did, server.handle = "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "berau.test"
        yield server


def begin(desk: Desk, *accounts: str) -> None:
    """These accounts are configured and have posted the article `first`."""
    desk.configure(*(accounts or (PAGE,)))
    desk("run")
    desk.show("first")
    assert desk("run").code == 0


def standing(desk: Desk, account: str) -> Standing:
    """What the store knows of an account."""
    with desk.store() as store:
        return store.standing(account)


def events(desk: Desk, subject: str) -> list[tuple[str, str | None]]:
    """What happened to an account or a delivery by a person."""
    with desk.store() as store:
        return [(event.what, event.why) for event in store.events(subject) if event.actor != "autopublish"]


# --- list ------------------------------------------------------------------------------------------------------------


def test_the_list_shows_who_is_logged_in_what_was_posted_what_waits_and_why(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds), PAGE)
    desk("accounts", "pause", "sky", "--reason", "elections")
    desk.show("one", "two")
    desk("run")
    said = desk("accounts", "list")
    heads, first, second = (line.split() for line in said.out.splitlines())
    assert heads == ["account", "platform", "who", "state", "posted", "waiting", "note"]
    assert first[:6] == ["sky", "bluesky", pds.handle, "PAUSED", "1", "2"]
    assert second[:3] + second[-3:] == ["page", "page", "News", "ACTIVE", "3", "0"]
    assert ": elections" in said.out
    assert (said.code, said.err) == (0, "")


def test_the_list_for_machines_has_the_same(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds), PAGE)
    desk("accounts", "pause", "sky")
    desk.show("one")
    desk("run")
    sky_row, page_row = desk("accounts", "list", "--json").json()
    assert (sky_row["account"], sky_row["state"], sky_row["posted"], sky_row["waiting"]) == ("sky", "PAUSED", 1, 1)
    assert sky_row["reason"].startswith("paused by ")
    assert (page_row["identity"], page_row["posted"], page_row["reason"]) == ("News", 2, None)


def test_the_list_says_until_when_an_account_waits_or_is_asked_again(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds), PAGE)
    with desk.store() as store:
        was = store.standing("sky")
        store.save_standing(was, deliveries.block(was, "token dead", NOW), now=NOW)
        page = store.standing("page")
        store.save_standing(page, replace(page, not_before=datetime(2099, 1, 1, tzinfo=UTC), reason="429"), now=NOW)
    out = desk("accounts", "list").out
    assert "token dead; asked again 2026-11-24 10:15:00 or when the credentials change" in out
    assert "waits until 2099-01-01 00:00:00" in out


# --- pause -----------------------------------------------------------------------------------------------------------


def test_a_paused_account_keeps_what_waits_and_its_neighbours_go_on(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds), PAGE)
    said = desk("accounts", "pause", "sky", "--reason", "elections")
    assert (said.code, said.out, said.err) == (0, "sky: paused; 0 deliveries wait\n", "")
    desk.show("one")
    ran = desk("run")
    assert ran.code == 0
    assert ": elections" in ran.err
    assert (seen_on(pds), desk.pages()) == (["first"], {"first", "one"})
    assert desk.row("one", "sky").state is State.READY
    ((what, why),) = events(desk, "sky")
    assert what == "ACTIVE -> PAUSED"
    assert why is not None
    assert why.endswith(": elections")


def test_a_pause_says_how_many_wait(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    pds.stop()
    desk.show("one")
    desk("run")
    assert desk("accounts", "pause", "sky").out == "sky: paused; 1 delivery waits\n"


def test_a_second_pause_is_refused_with_the_reason_of_the_first(desk: Desk) -> None:
    begin(desk)
    desk("accounts", "pause", "page", "--reason", "elections")
    said = desk("accounts", "pause", "page", "--reason", "another")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("page: left as it was: it is PAUSED already: paused by ")
    assert said.err.endswith(": elections\n")


def test_several_accounts_are_paused_at_once_and_one_that_is_refused_stops_no_other(desk: Desk) -> None:
    begin(desk, PAGE, PAGE.replace("page:", "second:", 1).replace("out", "two"))
    desk("accounts", "pause", "page")
    said = desk("accounts", "pause", "page", "second")
    assert (said.code, said.out) == (1, "second: paused; 0 deliveries wait\n")
    assert standing(desk, "second").state is AccountState.PAUSED


@pytest.mark.parametrize(("name", "words"), [("pgae", "did you mean page?"), ("zzz", "there are page")])
def test_a_name_that_no_account_has_changes_none(desk: Desk, name: str, words: str) -> None:
    begin(desk)
    said = desk("accounts", "pause", "page", name)
    assert (said.code, said.out) == (2, "")
    assert f"no account is called {name}; {words}" in said.err
    assert standing(desk, "page").state is AccountState.ACTIVE


def test_each_name_that_is_wrong_is_told(desk: Desk) -> None:
    begin(desk)
    desk.configure(PAGE, PAGE.replace("page:", "second:", 1).replace("out", "two"))
    said = desk("accounts", "pause", "zzz", "page", "second")
    assert said.code == 2
    assert said.err.splitlines() == [
        "no account is called zzz; there are page",
        "the account second is new in the configuration; `autopublish run` takes it over first",
    ]


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_an_account_in_safe_mode_is_neither_paused_nor_resumed(desk: Desk, pds: FakePds, command: str) -> None:
    begin(desk, sky(pds))
    with desk.store() as store:
        was = store.standing("sky")
        safe = replace(was, state=AccountState.SAFE_MODE, reason="restored from a copy")
        store.save_standing(was, safe, now=NOW)
    calls = len(pds.calls)
    said = desk("accounts", command, "sky")
    assert said.code == 1
    assert "SAFE_MODE" in said.err
    assert "restored from a copy" in said.err
    assert (standing(desk, "sky"), len(pds.calls)) == (safe, calls)


def wait_for(done: Callable[[], bool]) -> None:
    """It has come to pass in another process."""
    end = monotonic() + PATIENCE_SECONDS
    while not done():
        assert monotonic() < end, "it never came to pass"
        sleep(0.01)


def test_a_pause_beside_a_run_lets_the_call_in_flight_end_and_stops_the_next(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    desk.show("one", "two")
    pds.script("putRecord", Fault(then=Then.SILENCE, made=Made.AT_ONCE))
    before = len(pds.called("putRecord"))
    with subprocess.Popen(
        desk.line("run"), env=desk.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            wait_for(lambda: len(pds.called("putRecord")) > before)
            assert desk("accounts", "pause", "sky").code == 0
            pds.stop()
            pds.start()
            process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert standing(desk, "sky").state is AccountState.PAUSED
    assert (desk.row("one", "sky").state, desk.row("two", "sky").state) == (State.VERIFYING, State.READY)
    assert len(pds.called("putRecord")) == before + 1


def test_a_pause_between_two_posts_of_a_run_stops_the_second(desk: Desk) -> None:
    begin(desk)
    desk.show("one", "two")
    with closing(build(desk.file)) as app:

        def watch(words: str) -> None:
            if words == "page: posted: Article one":
                app.pause("page", who="eva", why=None)

        report = app.run(watch=watch)
    assert desk.pages() == {"first", "one"}
    assert desk.row("two", "page").state is State.READY
    assert report.standings["page"].reason == "paused by eva"


# --- resume ----------------------------------------------------------------------------------------------------------


def test_a_resumed_account_goes_on_with_what_waited(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    desk("accounts", "pause", "sky")
    desk.show("one")
    desk("run")
    said = desk("accounts", "resume", "sky")
    assert (said.code, said.out, said.err) == (0, f"sky: goes on as {pds.handle}; 1 delivery waits\n", "")
    assert seen_on(pds) == ["first"], "it is a run that posts"
    assert desk("run").code == 0
    assert seen_on(pds) == ["one", "first"]
    assert [what for what, _ in events(desk, "sky")] == ["ACTIVE -> PAUSED", "PAUSED -> ACTIVE"]


def test_a_blocked_account_goes_on_as_soon_as_its_network_takes_the_credentials(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    desk.show("one")
    desk.environment[SECRET] = "wxyz-wxyz-wxyz-wxyz"
    assert desk("run").code == 1
    assert standing(desk, "sky").state is AccountState.AUTH_BLOCKED
    desk.environment[SECRET] = pds.password
    assert desk("accounts", "resume", "sky").code == 0
    now = standing(desk, "sky")
    assert (now.state, now.probe_at, now.probes, now.reason) == (AccountState.ACTIVE, None, 0, None)
    assert desk("run").code == 0
    assert seen_on(pds) == ["one", "first"]


def test_the_first_resume_pins_who_is_logged_in(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    desk("run")
    assert standing(desk, "sky").identity is None
    desk("accounts", "pause", "sky")
    desk("accounts", "resume", "sky")
    pinned = standing(desk, "sky").identity
    assert pinned is not None
    assert (pinned.id, pinned.name) == (pds.did, pds.handle)


@pytest.mark.parametrize("state", [AccountState.PAUSED, AccountState.AUTH_BLOCKED])
@pytest.mark.parametrize("failure", ["refused", "down", "no secret"])
def test_a_network_that_does_not_say_who_is_logged_in_leaves_the_account_as_it_was(
    desk: Desk, pds: FakePds, failure: str, state: AccountState
) -> None:
    begin(desk, sky(pds))
    with desk.store() as store:
        was = store.standing("sky")
        left = replace(was, state=state, reason="some reason", probe_at=NOW, probes=2)
        store.save_standing(was, left, now=NOW)
    if failure == "down":
        pds.script("createSession", DOWN)
    else:
        desk.environment[SECRET] = "wxyz-wxyz-wxyz-wxyz" if failure == "refused" else None
    said = desk("accounts", "resume", "sky")
    words = {
        "refused": "Invalid identifier or password; put credentials that work in place of these",
        "down": "; try again later",
        "no secret": f"{SECRET} is not set",
    }
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("sky: left as it was: ")
    assert words[failure] in said.err
    assert standing(desk, "sky") == left


@pytest.mark.fault("P02")
def test_p02_a_platform_that_fails_in_an_unforeseen_way_stops_no_other_account(
    desk: Desk, pds: FakePds, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk, sky(pds), PAGE)
    desk("accounts", "pause", "sky", "page")

    def fail(_: Bluesky) -> Identity:
        raise ZeroDivisionError(pds.password[::-1])  # the log has the line, not what it comes to

    monkeypatch.setattr(Bluesky, "whoami", fail)
    said = desk("accounts", "resume", "sky", "page")
    assert (said.code, said.out) == (1, "page: goes on as News; 0 deliveries wait\n")
    assert "sky: left as it was: the program failed during the call: ZeroDivisionError" in said.err
    assert pds.password[::-1] not in said.err
    assert standing(desk, "sky").state is AccountState.PAUSED


def test_a_resume_of_what_nothing_stops_asks_no_network(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    calls = len(pds.calls)
    said = desk("accounts", "resume", "sky")
    assert (said.code, said.err) == (1, "sky: left as it was: it is ACTIVE: nothing stops it\n")
    assert len(pds.calls) == calls


@pytest.mark.fault("D13")
def test_d13_what_the_network_asked_to_wait_for_outlives_a_pause(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    until = datetime.now(UTC).replace(microsecond=0) + HOUR
    with desk.store() as store:
        was = store.standing("sky")
        store.save_standing(was, replace(was, not_before=until, reason="429"), now=NOW)
    desk.show("one")
    desk("accounts", "pause", "sky")
    said = desk("accounts", "resume", "sky")
    assert re.search("goes on as .+ from .+ on; ", said.out)
    assert standing(desk, "sky").not_before == until
    desk("run")
    assert seen_on(pds) == ["first"]


def test_an_account_whose_platform_changed_in_the_file_waits_for_the_run_that_takes_it_over(
    desk: Desk, pds: FakePds
) -> None:
    begin(desk, sky(pds, name="one"))
    desk("accounts", "pause", "one")
    desk.configure(PAGE.replace("page:", "one:", 1))
    said = desk("accounts", "resume", "one")
    assert said.code == 1
    assert "`autopublish run` takes that over first" in said.err
    assert standing(desk, "one").state is AccountState.PAUSED


# --- another identity ------------------------------------------------------------------------------------------------


def exchange(desk: Desk, other: FakePds) -> None:
    """The credentials of `sky` are somebody else's now, which a run has noticed."""
    desk.end_waits()
    desk.configure(sky(other))
    desk.show("one")
    assert desk("run").code == 1
    assert standing(desk, "sky").state is AccountState.AUTH_BLOCKED


@pytest.mark.fault("O07")
@pytest.mark.parametrize("accepted", [(), ("--accept-identity", "kaltim.test"), ("--accept-identity", "nobody")])
def test_o07_another_identity_is_refused_with_both_names_unless_it_is_the_one_that_a_person_named(
    desk: Desk, pds: FakePds, other: FakePds, accepted: tuple[str, ...]
) -> None:
    begin(desk, sky(pds))
    exchange(desk, other)
    before = standing(desk, "sky")
    said = desk("accounts", "resume", "sky", *accepted)
    assert (said.code, said.out) == (1, "")
    assert f"belong to {other.handle} ({other.did})" in said.err
    assert f"has posted as {pds.handle} ({pds.did})" in said.err
    assert f"--accept-identity {other.handle}" in said.err
    assert standing(desk, "sky") == before
    assert seen_on(other) == []


@pytest.mark.fault("O07")
@pytest.mark.parametrize("by", ["name", "id"])
def test_o07_an_identity_that_a_person_confirms_takes_the_place_of_the_old_one(
    desk: Desk, pds: FakePds, other: FakePds, by: str
) -> None:
    begin(desk, sky(pds))
    exchange(desk, other)
    said = desk("accounts", "resume", "sky", "--accept-identity", other.handle if by == "name" else other.did)
    assert (said.code, said.out) == (0, f"sky: goes on as {other.handle}; 1 delivery waits\n")
    ((_, why),) = events(desk, "sky")
    assert why == f"{other.handle} ({other.did}) takes the place of {pds.handle} ({pds.did})"
    assert desk("run").code == 0
    assert (seen_on(pds), seen_on(other)) == (["first"], ["one"])


@pytest.mark.fault("O07")
def test_o07_a_run_that_is_at_work_posts_no_more_as_the_old_identity(
    desk: Desk, pds: FakePds, other: FakePds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, pds.password)
    begin(desk, sky(pds))
    desk.show("one", "two")
    with closing(build(desk.file)) as app:

        def watch(words: str) -> None:
            if words == "sky: posted: Article one":
                desk.configure(sky(other))
                desk("accounts", "pause", "sky")
                assert desk("accounts", "resume", "sky", "--accept-identity", other.handle).code == 0

        app.run(watch=watch)
    assert (seen_on(pds), seen_on(other)) == (["one", "first"], [])
    assert desk.row("two", "sky").state is State.READY
    assert desk("run").code == 0
    assert (seen_on(pds), seen_on(other)) == (["one", "first"], ["two"])


@pytest.mark.fault("O07")
def test_o07_while_an_outcome_is_unknown_no_other_identity_takes_the_account(
    desk: Desk, pds: FakePds, other: FakePds
) -> None:
    begin(desk, sky(pds))
    pds.script("putRecord", LOST)
    desk.show("lost")
    desk("run")
    assert desk.row("lost", "sky").unclosed
    exchange(desk, other)
    before = standing(desk, "sky")
    said = desk("accounts", "resume", "sky", "--accept-identity", other.handle)
    assert said.code == 1
    assert "1 delivery of the old identity may be live" in said.err
    assert standing(desk, "sky") == before
    assert desk("deliveries", "resolve", desk.row("lost", "sky").id, "--drop").code == 0
    assert desk("accounts", "resume", "sky", "--accept-identity", other.handle).code == 0
    assert desk("run").code == 0
    assert (seen_on(pds), seen_on(other)) == (["first"], ["one"])


# --- the decisions as functions --------------------------------------------------------------------------------------

OLD = Identity(id="1", name="old")
NEW = Identity(id="2", name="new")
PAUSED = Standing(
    account="a", platform="p", created=NOW, active_since=NOW, state=AccountState.PAUSED, reason="by eva", identity=OLD
)


def row(state: State = State.READY, **values: object) -> Delivery:
    plain = Delivery(
        id="0" * 64, article="1", account="a", state=state, published=NOW, due=NOW, created=NOW, changed=NOW
    )
    return replace(plain, **values)  # type: ignore[arg-type] # the caller's keys are fields


def resumed(*rows: Delivery, identity: Identity = NEW) -> Ruling:
    return deliveries.resume(PAUSED, rows, identity, "f2", accepted=NEW.id, now=NOW + HOUR)


UNSETTLED = {
    "unclosed": row(unclosed=True, frozen="x"),
    **{state.value: row(state) for state in (State.SENDING, State.VERIFYING, State.NEEDS_REVIEW)},
}


@pytest.mark.parametrize("unsettled", UNSETTLED.values(), ids=UNSETTLED)
def test_what_may_be_live_keeps_another_identity_out_and_not_the_same_one(unsettled: Delivery) -> None:
    with pytest.raises(NotAllowed, match="1 delivery of the old identity may be live"):
        resumed(row(), unsettled)
    assert resumed(row(), unsettled, identity=OLD).standing.state is AccountState.ACTIVE


def test_what_was_made_ready_for_the_old_identity_is_composed_anew() -> None:
    plain = row()
    proved = row(id="1" * 64, frozen="x", absent_at=NOW, reason="was not there", generation=1)
    uploaded = row(id="2" * 64, stage=Stage(data={"blob": "x"}), stage_tries=1)
    held = row(State.HELD, id="3" * 64, reason="burst")
    changes = {was.id: after for was, after in resumed(plain, proved, uploaded, held).changes}
    assert set(changes) == {proved.id, uploaded.id}
    again = changes[proved.id]
    assert (again.frozen, again.absent_at, again.reason, again.generation) == (None, None, None, 2)
    assert (changes[uploaded.id].stage, changes[uploaded.id].stage_tries) == (None, 0)
    assert all(after.state is State.READY and after.changed == NOW + HOUR for after in changes.values())


def test_the_same_identity_under_a_new_name_is_the_same_and_its_name_is_learnt() -> None:
    renamed = Identity(id=OLD.id, name="renamed")
    ruling = resumed(row(frozen="x"), identity=renamed)
    assert (ruling.standing.identity, ruling.standing.fingerprint, ruling.changes) == (renamed, "f2", ())


def test_a_resumed_account_counts_as_active_from_then_on_and_keeps_its_probe() -> None:
    failing = replace(PAUSED, failures=3, not_before=NOW + 2 * HOUR)
    now = deliveries.resume(failing, (), OLD, "f", accepted=None, now=NOW + HOUR).standing
    assert (now.active_since, now.failures, now.not_before) == (NOW + HOUR, 3, NOW + 2 * HOUR)


# --- two writers -----------------------------------------------------------------------------------------------------


def test_what_a_drain_learns_during_a_resume_leaves_the_new_identity(desk: Desk) -> None:
    begin(desk)
    with desk.store() as store:
        before = store.standing("page")
        fresh = replace(before, state=AccountState.ACTIVE, identity=NEW, active_since=NOW + HOUR)
        store.rule("page", lambda _, rows: Ruling(standing=fresh), actor="eva", now=NOW)
        failing = deliveries.unreachable(before, HOUR, "down", NOW)
        store.save_standing(before, failing, now=NOW)
        now = store.standing("page")
    assert (now.identity, now.active_since) == (NEW, NOW + HOUR)
    assert now.not_before == NOW + HOUR


def test_a_refusal_of_before_a_resume_does_not_block_what_was_resumed_since(desk: Desk) -> None:
    begin(desk)
    with desk.store() as store:
        before = store.standing("page")
        again = deliveries.unblock(before, datetime.now(UTC))
        store.rule("page", lambda _, rows: Ruling(standing=again), actor="eva", now=NOW)
        store.save_standing(before, deliveries.block(before, "token dead", NOW), now=NOW)
        assert store.standing("page") == again


def test_a_decision_that_raises_changes_nothing_and_one_about_nobody_is_refused(desk: Desk) -> None:
    begin(desk)
    desk.show("one")

    def refuse(_: Standing, rows: object) -> Ruling:
        raise NotAllowed("no")

    with desk.store() as store:
        before = store.standing("page")
        with pytest.raises(NotAllowed):
            store.rule("page", refuse, actor="eva", now=NOW)
        with pytest.raises(StoreError, match="the account nobody is not in the store"):
            store.rule("nobody", refuse, actor="eva", now=NOW)
        assert store.standing("page") == before


def test_a_decision_sees_what_is_not_final_and_writes_it_with_the_account(desk: Desk) -> None:
    begin(desk)
    desk("accounts", "pause", "page")
    desk.show("one", "two")
    desk("run")
    with desk.store() as store:
        seen: list[Delivery] = []

        def decide(was: Standing, rows: object) -> Ruling:
            assert isinstance(rows, tuple)
            seen.extend(rows)
            changed = replace(rows[0], state=State.HELD, reason="burst", changed=NOW + 365 * 24 * HOUR)
            return Ruling(standing=deliveries.unblock(was, NOW), changes=((rows[0], changed),), why="because")

        store.rule("page", decide, actor="eva", now=NOW)
        assert len(seen) == 2, "what is posted is final"
        assert store.delivery(seen[0].id).reason == "burst"
        assert [event.why for event in store.events("page") if event.actor == "eva"] == ["because"]


def test_the_order_of_accounts_is_the_files_with_news_and_without(desk: Desk) -> None:
    names = ["zeta", "alpha", "mid"]
    pages = [PAGE.replace("page:", f"{name}:", 1).replace("out", name) for name in names]
    desk.configure(*pages, feeds=FEED)
    assert [one["account"] for one in desk("run", "--json").json()["accounts"]] == names
    assert [one["account"] for one in desk("run", "--json").json()["accounts"]] == names, "the file is not read"
    desk.configure(*reversed(pages))
    assert [one["account"] for one in desk("run", "--json").json()["accounts"]] == names[::-1]
    assert [one["account"] for one in desk("accounts", "list", "--json").json()] == names[::-1]
