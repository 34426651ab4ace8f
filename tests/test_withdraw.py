"""A person takes posts away, and tests an account with a post that goes away at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from autopublish.cli import main
from autopublish.models import AccountState, Delivery, Receipt, State
from tests.desk import PAGE, Desk, Said, seen_on, sky
from tests.servers.mastodon import FakeMastodon
from tests.servers.pds import FakePds, Fault, Made, Then

TOKEN = "DESK_TOKEN"


def toots(server: FakeMastodon) -> str:
    """An account on a Mastodon server."""
    return (
        f"  toots:\n    platform: mastodon\n    server: {server.url}\n    access_token: env:{TOKEN}\n"
        "    allow_private: yes\n"
    )


@pytest.fixture
def mastodon(desk: Desk) -> Iterator[FakeMastodon]:
    """A Mastodon server."""
    with FakeMastodon() as server:
        desk.environment[TOKEN] = server.token
        yield server


def begin(desk: Desk, *accounts: str) -> None:
    """These accounts are configured and have posted the article `one`."""
    desk.configure(*accounts)
    desk("run")
    desk.show("one")
    assert desk("run").code == 0


def typed(desk: Desk, text: str, *words: str) -> Said:
    """The command, with what a person types."""
    done = CliRunner(env=desk.environment).invoke(main, words, input=text, catch_exceptions=False)
    return Said(code=done.exit_code, out=done.stdout, err=done.stderr)


def events(desk: Desk, row: Delivery) -> list[tuple[str, str | None]]:
    """What a person did to a delivery."""
    with desk.store() as store:
        return [(event.what, event.why) for event in store.events(row.id) if event.actor != "autopublish"]


# --- withdraw --------------------------------------------------------------------------------------------------------


@contextmanager
def _on_page(desk: Desk, _pds: FakePds, _mastodon: FakeMastodon) -> Iterator[Callable[[], int]]:
    begin(desk, PAGE)
    yield lambda: len(desk.pages())


@contextmanager
def _on_bluesky(desk: Desk, pds: FakePds, _mastodon: FakeMastodon) -> Iterator[Callable[[], int]]:
    begin(desk, sky(pds))
    yield lambda: len(seen_on(pds))


@contextmanager
def _on_mastodon(desk: Desk, _pds: FakePds, mastodon: FakeMastodon) -> Iterator[Callable[[], int]]:
    begin(desk, toots(mastodon))
    yield lambda: len(mastodon.visible())


PLACES = [("page", _on_page), ("sky", _on_bluesky), ("toots", _on_mastodon)]


@pytest.mark.parametrize(("account", "place"), PLACES, ids=[name for name, _ in PLACES])
def test_a_post_is_taken_away_and_never_goes_again_by_itself(
    desk: Desk, pds: FakePds, mastodon: FakeMastodon, account: str, place: Callable[..., Iterator[Callable[[], int]]]
) -> None:
    with place(desk, pds, mastodon) as shown:  # type: ignore[attr-defined] # contextmanager gives one
        row = desk.row("one", account)
        assert (shown(), row.state) == (1, State.POSTED)
        said = desk("deliveries", "withdraw", row.id[:8], "--yes")
        assert (said.code, said.out) == (0, f"{row.id[:8]} {account}: withdrawn: Article one\n")
        assert shown() == 0
        after = desk.row("one", account)
        assert after.state is State.CANCELLED
        assert (after.reason or "").startswith("withdrawn by ")
        desk.retitle("one", "Article one, once more")
        assert desk("run").code == 0
        desk("run")
        assert (shown(), desk.row("one", account).state) == (0, State.CANCELLED)
        ((what, why),) = events(desk, row)
        assert what == "POSTED -> CANCELLED"
        assert why is not None
        assert row.receipt is not None
        assert why.endswith(str(row.receipt.url))


@pytest.mark.parametrize(("account", "place"), PLACES, ids=[name for name, _ in PLACES])
def test_a_post_that_is_gone_already_counts_as_withdrawn(
    desk: Desk, pds: FakePds, mastodon: FakeMastodon, account: str, place: Callable[..., Iterator[Callable[[], int]]]
) -> None:
    with place(desk, pds, mastodon) as shown:  # type: ignore[attr-defined] # contextmanager gives one
        row = desk.row("one", account)
        assert desk("deliveries", "withdraw", row.id, "--yes").code == 0
        desk.change(desk.row("one", account), state=State.POSTED, changed=datetime.now(UTC))
        assert desk("deliveries", "withdraw", row.id, "--yes").code == 0
        assert (shown(), desk.row("one", account).state) == (0, State.CANCELLED)


def test_a_failed_delete_changes_nothing_and_says_why(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    row = desk.row("one", "sky")
    pds.script("deleteRecord", Fault(then=Then.ANSWER, status=500))
    said = desk("deliveries", "withdraw", row.id, "--yes")
    assert said.code == 1
    assert f"{row.id[:8]} sky: left as it was: status 500" in said.err
    assert desk.row("one", "sky") == row
    assert seen_on(pds) == ["one"]


def test_one_that_cannot_be_withdrawn_stops_no_other(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds), PAGE)
    pds.stop()
    rows = [desk.row("one", name) for name in ("sky", "page")]
    said = desk("deliveries", "withdraw", *(row.id for row in rows), "--yes")
    assert said.code == 1
    assert "left as it was" in said.err
    assert [desk.row("one", name).state for name in ("sky", "page")] == [State.POSTED, State.CANCELLED]


def test_it_asks_first_and_shows_what_it_would_delete(desk: Desk) -> None:
    begin(desk, PAGE)
    row = desk.row("one", "page")
    assert row.receipt is not None
    said = typed(desk, "n\n", "deliveries", "withdraw", row.id)
    assert said.code == 1
    assert f"Article one: {row.receipt.url}" in said.err
    assert desk.row("one", "page").state is State.POSTED
    assert typed(desk, "y\n", "deliveries", "withdraw", row.id).code == 0
    assert desk.pages() == set()


def test_only_what_is_posted_can_be_withdrawn(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    pds.stop()
    desk.show("two")
    desk("run")
    row = desk.row("two", "sky")
    said = desk("deliveries", "withdraw", row.id, "--yes")
    assert said.code == 1
    assert "only what is POSTED can be withdrawn" in said.err
    assert desk.row("two", "sky").state is State.READY


def test_a_network_that_lets_no_program_delete_leaves_the_delivery_as_it_is(desk: Desk) -> None:
    keys = ("platform: webhook", "url: http://127.0.0.1:9/", "allow_private: yes", "secret: env:DESK_HOOK")
    hook = "".join(["  hook:\n", *(f"    {key}\n" for key in keys)])
    begin(desk, PAGE)
    desk.environment["DESK_HOOK"] = "hook-secret-0123456789-0123456789"
    desk.configure(PAGE, hook)
    desk("run")
    desk.show("two")
    desk("run")
    desk.end_waits()
    row = desk.row("two", "hook")
    posted = desk.change(
        row, state=State.POSTED, receipt=Receipt(remote_id="1", url=None), frozen=None, changed=datetime.now(UTC)
    )
    said = desk("deliveries", "withdraw", row.id, "--yes")
    assert said.code == 1
    assert "no program may delete on webhook: take it away by hand, at 1" in said.err
    assert desk.row("two", "hook") == posted


def test_a_post_of_an_account_that_was_removed_is_left_with_the_remedy(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds), PAGE)
    desk.configure(PAGE)
    desk("run")
    row = desk.row("one", "sky")
    said = desk("deliveries", "withdraw", row.id, "--yes")
    assert said.code == 1
    assert "the configuration names no account sky" in said.err


def test_what_was_seen_by_a_person_without_an_id_is_refused(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    row = desk.row("one", "sky")
    url = "https://bsky.app/profile/x/post/1"
    desk.change(row, receipt=Receipt(remote_id=url, url=url), changed=datetime.now(UTC))
    said = desk("deliveries", "withdraw", row.id, "--yes")
    assert said.code == 1
    assert "this is no post of the account" in said.err
    assert seen_on(pds) == ["one"]


def test_a_withdrawn_delivery_is_posted_anew_when_a_person_wants_it(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    row = desk.row("one", "sky")
    desk("deliveries", "withdraw", row.id, "--yes")
    assert desk("deliveries", "retry", row.id).code == 0
    assert desk.row("one", "sky").receipt is None
    assert desk("run").code == 0
    assert seen_on(pds) == ["one"]
    assert desk.row("one", "sky").receipt != row.receipt


# --- test ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("account", "place"), PLACES, ids=[name for name, _ in PLACES])
def test_a_test_is_posted_read_back_and_deleted_and_no_delivery_knows_of_it(
    desk: Desk, pds: FakePds, mastodon: FakeMastodon, account: str, place: Callable[..., Iterator[Callable[[], int]]]
) -> None:
    with place(desk, pds, mastodon) as shown:  # type: ignore[attr-defined] # contextmanager gives one
        with desk.store() as store:
            before = (store.newest_deliveries(99), store.count_articles(), store.standings())
        said = desk("accounts", "test", account, "--yes")
        assert said.code == 0, said.err
        posted, *more = said.out.splitlines()
        assert posted.startswith(f"{account}: posted: ")
        assert more == [f"{account}: read back: it is there", f"{account}: deleted"]
        assert shown() == 1
        with desk.store() as store:
            assert (store.newest_deliveries(99), store.count_articles(), store.standings()) == before


def test_a_test_asks_first_and_says_as_whom_it_posts(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    desk("run")
    said = typed(desk, "n\n", "accounts", "test", "sky")
    assert said.code == 1
    assert f'deleted at once" as {pds.handle}?' in said.err
    assert pds.called("putRecord") == []
    assert typed(desk, "y\n", "accounts", "test", "sky").code == 0
    (call,) = pds.called("putRecord")
    assert b"autopublish test 20" in call.body
    assert pds.visible() == []


def test_a_test_that_cannot_be_deleted_says_where_it_stands(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    pds.script("deleteRecord", Fault(then=Then.ANSWER, status=500))
    said = desk("accounts", "test", "sky", "--yes")
    assert said.code == 1
    assert "not deleted: status 500" in said.out
    assert "take it away by hand, at https://bsky.app/" in said.out


def test_a_test_of_which_nobody_knows_is_looked_for_and_deleted(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    pds.script("putRecord", Fault(made=Made.AT_ONCE, then=Then.RESET))
    said = desk("accounts", "test", "sky", "--yes")
    assert said.code == 0, said.out
    assert "nobody knows whether it was posted" in said.out
    assert said.out.endswith("sky: read back: it is there\nsky: deleted\n")
    assert pds.visible() == []


def test_a_refused_test_says_why(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    pds.script("putRecord", Fault(then=Then.ANSWER, status=401, body=b'{"error":"AuthMissing","message":"no"}'))
    said = desk("accounts", "test", "sky", "--yes")
    assert said.code == 1
    assert said.out.startswith("sky: not posted: ")


def test_a_network_that_is_away_is_said_before_anything_is_posted(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    pds.stop()
    said = desk("accounts", "test", "sky", "--yes")
    assert (said.code, said.out) == (1, "")


@pytest.mark.parametrize("state", [AccountState.PAUSED, AccountState.SAFE_MODE])
def test_a_stopped_account_posts_no_test(desk: Desk, state: AccountState) -> None:
    begin(desk, PAGE)
    with desk.store() as store:
        was = store.standing("page")
        store.save_standing(was, replace(was, state=state, reason="elections"), now=datetime.now(UTC))
    said = desk("accounts", "test", "page", "--yes")
    assert (said.code, said.out) == (1, "")
    assert f"it is {state}: elections" in said.err


def test_while_everything_is_stopped_no_test_is_posted(desk: Desk) -> None:
    begin(desk, PAGE)
    desk("stop", "--reason", "elections")
    said = desk("accounts", "test", "page", "--yes")
    assert said.code == 1
    assert "everything was stopped by" in said.err


def test_a_test_of_an_account_that_another_process_works_on_is_refused(desk: Desk) -> None:
    begin(desk, PAGE)
    with desk.store() as store, store.own("run", datetime.now(UTC)) as owner:
        assert owner.take("drain", ["page"]) == {}
        said = desk("accounts", "test", "page", "--yes")
    assert said.code == 1
    assert "is at work on it: try again in a moment" in said.err


def test_a_test_as_somebody_else_than_before_is_refused(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    pds.did, pds.handle = "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "berau.test"
    desk.configure(sky(pds))
    said = desk("accounts", "test", "sky", "--yes")
    assert said.code == 1
    assert "the credentials belong to berau.test" in said.err
