"""What befalls the program through its operator: wrong files, missing secrets, second posts, other accounts."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autopublish import deliveries
from autopublish.models import Delivery, Receipt, State
from tests.bench.network import AT_ONCE, Call, Say, Step
from tests.bench.world import World
from tests.desk import FEED, PAGE, SECRET, Desk, Said, seen_on, sky
from tests.servers.mastodon import FakeMastodon
from tests.servers.pds import FakePds, Fault, Then
from tests.test_daemon import ALL, daemon, make_due, wait_for

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


# --- files -----------------------------------------------------------------------------------------------------------

#: What an editor's hand slips into the file, where, and what is said of it.
SLIPS = {
    "syntax": ("    folder: out\n", "    folder: [out\n", "yaml:7:13: a bracket opens here"),
    "unknown key": (
        "    folder: out\n",
        "    folder: out\n    foldr: out\n",
        "yaml:8:5: accounts.page.foldr: unknown key",
    ),
    "wrong type": (
        "    folder: out\n",
        "    folder: out\n    burst: many\n",
        "yaml:8:12: accounts.page.burst: expected a whole",
    ),
}


@pytest.mark.fault("O01")
def test_o01_the_daemon_goes_on_as_before_with_each_kind_of_wrong_file(folder: Path) -> None:
    desk = Desk(folder)
    desk.configure(PAGE)
    desk.show("zero")
    with daemon(desk) as running:
        running.until("first poll")
        for name, (right, wrong, place) in SLIPS.items():
            desk.configure(PAGE.replace(right, wrong))
            running.until(place).until("stays in force")
            running.told.clear()
            desk.show(name.replace(" ", "-"))
            make_due(desk)
            running.until(f"page: posted: Article {name.replace(' ', '-')}")
        assert running.end() == 0
    assert desk.pages() == {name.replace(" ", "-") for name in SLIPS}


@pytest.mark.fault("O01")
@pytest.mark.parametrize("command", ["config check", "run", "daemon"])
@pytest.mark.parametrize(("right", "wrong", "place"), SLIPS.values(), ids=SLIPS)
def test_o01_a_wrong_file_ends_each_command_with_line_and_column_before_anything_is_done(
    desk: Desk, command: str, right: str, wrong: str, place: str
) -> None:
    desk("run")
    desk.show("one")
    desk.configure(PAGE.replace(right, wrong))
    before = {name: content for name, (_, content) in desk.tree().items() if not name.startswith("autopublish.db.d")}
    said = desk(*command.split())
    assert said.code == 2
    assert place in said.out + said.err
    after = {name: content for name, (_, content) in desk.tree().items() if not name.startswith("autopublish.db.d")}
    assert after == before


# --- secrets ---------------------------------------------------------------------------------------------------------

CANARY = "cAnArY-0123-4567-89ab"
#: How a secret may be wrong: what the file of it holds (None: there is none), and its rights.
SECRETS = {"missing": (None, 0o600), "empty": ("", 0o600), "a sample": ("changeme", 0o600)}


def with_secret(desk: Desk, pds: FakePds, content: str | None, mode: int) -> None:
    """Two accounts, of which one has its secret in a file."""
    desk.configure(sky(pds).replace(f"env:{SECRET}", "file:secret"), PAGE)
    if content is not None:
        (desk.folder / "secret").write_text(content)
        (desk.folder / "secret").chmod(mode)


@pytest.mark.fault("O03")
@pytest.mark.parametrize(("content", "mode"), SECRETS.values(), ids=SECRETS)
def test_o03_an_account_whose_secret_is_no_secret_is_blocked_and_the_others_post(
    desk: Desk, pds: FakePds, content: str | None, mode: int
) -> None:
    with_secret(desk, pds, content, mode)
    assert (desk("config", "check").code, desk("run").code) == (2, 1)
    desk.show("one")
    assert desk("run").code == 1
    assert (desk.pages(), pds.calls) == ({"one"}, [])
    assert desk.row("one", "sky").state is State.READY
    with_secret(desk, pds, FakePds.password, 0o600)
    assert (desk("config", "check").code, desk("run").code) == (0, 0)
    assert seen_on(pds) == ["one"]


@pytest.mark.fault("O03")
@pytest.mark.fault("H09")
def test_o03_h09_a_secret_that_all_may_read_is_a_warning_and_its_value_is_printed_by_no_command(
    desk: Desk, pds: FakePds
) -> None:
    with_secret(desk, pds, CANARY, 0o644)
    checked = desk("config", "check")
    assert checked.code == 0
    assert f"everyone on this machine can read {desk.folder}/secret; run: chmod 600" in checked.err
    said = [checked, desk("run")]
    desk.show("one")
    said += [desk(*line.split()) for line in ("run", "check", "status", "accounts list", "why /one/")]
    assert any(CANARY in call.body.decode() for call in pds.calls), "it was used, and is wrong"
    assert said[2].code == 1
    assert [one for one in said if CANARY in one.out + one.err] == []


@pytest.mark.fault("H09")
def test_h09_secrets_are_in_no_list_of_processes(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds), feeds=ALL)
    pds.script("putRecord", Fault(then=Then.SILENCE))
    with daemon(desk) as running:
        wait_for(pds, "putRecord")
        shown = Path(f"/proc/{running.process.pid}")
        seen = (shown / "cmdline").read_bytes() + (shown / "comm").read_bytes()
        seen += b"".join(thread.read_bytes() for thread in shown.glob("task/*/comm"))
        running.process.kill()
    assert FakePds.password.encode() not in seen


@pytest.mark.fault("H10")
@pytest.mark.fault("F18")
def test_f18_h10_titles_and_answers_that_hold_line_breaks_and_terminal_codes_are_one_event_on_one_line(
    desk: Desk, pds: FakePds
) -> None:
    forged = '\x1b[2J\r\n{"event": "forged", "level": "error"}\u2028\u0085'
    desk.configure(sky(pds), PAGE)
    desk("run")
    desk.show("one", title=f"A&#10;{forged[1:]}")
    pds.script(
        "putRecord", Fault(then=Then.ANSWER, status=400, body=json.dumps({"error": "E", "message": forged}).encode())
    )
    said = desk.process("--log-format", "json", "-vv", "run")
    events = [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]
    assert any(event["event"] == "delivery changed" for event in events)
    assert [event for event in events if event["event"] == "forged"] == []
    steering = [char for char in said.out + said.err if not char.isprintable() and char != "\n"]
    assert steering == []


# --- names and addresses ---------------------------------------------------------------------------------------------


@pytest.mark.fault("O04")
def test_o04_a_renamed_account_begins_with_the_next_article_and_what_waited_for_the_old_name_is_asked_about(
    desk: Desk, pds: FakePds
) -> None:
    desk.configure(sky(pds))
    desk("run")
    desk.show("one")
    desk("run")
    desk("accounts", "pause", "sky")
    desk.show("two")
    desk("run")
    desk.configure(sky(pds, name="blue"))
    said = desk("run")
    assert "account sky removed: 1 delivery that waited is HELD" in said.err
    assert (desk.row("two", "sky").state, desk.find_row("one", "blue")) == (State.HELD, None)
    desk.show("three")
    desk("run")
    assert seen_on(pds) == ["three", "one"]


@pytest.mark.fault("O04")
@pytest.mark.parametrize("first_run", ["none", "all"])
def test_o04_a_feed_that_was_removed_and_comes_back_posts_only_what_it_showed_since(desk: Desk, first_run: str) -> None:
    desk.configure(PAGE)
    desk("run")
    desk.show("one")
    desk("run")
    desk.show("old", feed="other.xml")
    desk.configure(PAGE, feeds="  other:\n    url: ./other.xml\n")
    desk("run")
    desk.show("two")
    desk.configure(PAGE, feeds=f"{FEED}    first_run: {first_run}\n")
    desk("run")
    assert desk.pages() == {"one", "two"}
    assert len(list((desk.folder / "out" / "posts").glob("*.json"))) == 2


@pytest.mark.fault("O04")
def test_o04_a_feed_of_a_new_name_at_the_old_address_asks_for_no_second_post(desk: Desk) -> None:
    desk.configure(PAGE, feeds=ALL)
    desk("run")
    desk.configure(PAGE, feeds=ALL.replace("news:", "newsroom:"))
    said = desk("run")
    assert "newsroom takes over the history of" in said.err
    assert len(list((desk.folder / "out" / "posts").glob("*.json"))) == 1


# --- a second post ---------------------------------------------------------------------------------------------------


@pytest.fixture
def posted(desk: Desk, pds: FakePds) -> Delivery:
    """The article `one` is POSTED on `sky`."""
    desk.configure(sky(pds))
    desk("run")
    desk.show("one")
    desk("run")
    row = desk.row("one", "sky")
    assert row.state is State.POSTED
    return row


def receipt_of(row: Delivery) -> Receipt:
    """What the network answered."""
    assert row.receipt is not None
    return row.receipt


def post_again(desk: Desk, row: Delivery, typed: str, *more: str) -> Said:
    """A person wants a second post."""
    return desk("deliveries", "retry", row.id[:8], "--again", typed, *more)


def further(desk: Desk, row: Delivery) -> list[Delivery]:
    """The deliveries of the same article on the same account that a person wanted."""
    with desk.store() as store:
        return [one for one in store.deliveries_of(row.article) if one.id != row.id]


@pytest.mark.fault("O05")
@pytest.mark.parametrize("typed", ["", "at://did:plc:other/app.bsky.feed.post/3aaaaaaaaaaaa", "yes"])
def test_o05_who_does_not_name_the_post_that_is_there_gets_no_second_one(
    desk: Desk, pds: FakePds, posted: Delivery, typed: str
) -> None:
    said = post_again(desk, posted, typed)
    assert (said.code, said.out) == (1, "")
    assert f"its post is not {typed}" in said.err
    desk("run")
    assert (further(desk, posted), len(pds.called("putRecord"))) == ([], 1)


@pytest.mark.fault("O05")
@pytest.mark.parametrize("by", ["id", "address"])
def test_o05_who_names_the_post_that_is_there_gets_a_second_one_that_is_written_down(
    desk: Desk, pds: FakePds, posted: Delivery, by: str
) -> None:
    receipt = receipt_of(posted)
    said = post_again(desk, posted, receipt.remote_id if by == "id" else receipt.url or "")
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith("sky: to be posted again: Article one\n")
    assert seen_on(pds) == ["one"], "the next run sends it"
    assert desk("run").code == 0
    assert seen_on(pds) == ["one", "one"]
    (second,) = further(desk, posted)
    assert (second.state, second.occasion, second.receipt != receipt) == (State.POSTED, "again:1", True)
    with desk.store() as store:
        assert store.delivery(posted.id) == posted, "the first stays as it was"
        mark, *_ = store.events(second.id)
        told = store.events(posted.id)[-1]
    assert (mark.why, mark.actor, told.why) == (told.why, told.actor, mark.why)
    assert mark.actor != "autopublish"
    assert receipt.remote_id in (mark.why or "")
    desk("run")
    assert len(pds.called("putRecord")) == 2, "once wanted, once posted"


@pytest.mark.fault("O05")
def test_o05_while_the_second_post_is_on_its_way_there_is_no_third(desk: Desk, pds: FakePds, posted: Delivery) -> None:
    remote_id = receipt_of(posted).remote_id
    assert [post_again(desk, posted, remote_id).code for _ in range(2)] == [0, 1]
    desk("run")
    assert seen_on(pds) == ["one", "one"]
    assert post_again(desk, posted, remote_id).code == 0
    desk("run")
    assert seen_on(pds) == ["one", "one", "one"]
    assert {row.occasion for row in further(desk, posted)} == {"again:1", "again:2"}


@pytest.mark.fault("O05")
def test_o05_an_edit_of_the_article_neither_stops_nor_repeats_what_a_person_wanted(
    desk: Desk, pds: FakePds, posted: Delivery
) -> None:
    desk("accounts", "pause", "sky")
    assert post_again(desk, posted, receipt_of(posted).remote_id).code == 0
    desk.configure(sky(pds) + "    never: { words: [withdrawn] }\n")
    desk.retitle("one", "A title that was withdrawn")
    desk("run")
    assert [row.state for row in further(desk, posted)] == [State.READY]
    desk("accounts", "resume", "sky")
    desk("run")
    assert {post.text.partition("\n")[0] for post in pds.visible()} == {"A title that was withdrawn", "Article one"}
    assert len(pds.called("putRecord")) == 2


@pytest.mark.fault("O05")
def test_o05_a_second_post_takes_one_delivery_and_no_batch(desk: Desk, pds: FakePds, posted: Delivery) -> None:
    for more in ((posted.id,), ("--account", "sky"), ("--reason", "burst")):
        said = post_again(desk, posted, receipt_of(posted).remote_id, *more)
        assert said.code == 2
        assert "--again takes one ID" in said.err
    assert further(desk, posted) == []


@pytest.mark.fault("O05")
def test_o05_a_second_post_on_an_account_that_is_configured_no_more_is_refused(
    desk: Desk, pds: FakePds, posted: Delivery
) -> None:
    desk.configure(PAGE)
    desk("run")
    said = post_again(desk, posted, receipt_of(posted).remote_id)
    assert said.code == 2
    assert "the configuration names no account sky" in said.err


READY = Delivery(
    id="a" * 64,
    article="b",
    account="c",
    state=State.READY,
    published=NOW,
    due=NOW,
    created=NOW,
    changed=NOW,
)


@pytest.mark.fault("O05")
@pytest.mark.parametrize("state", [state for state in State if state is not State.POSTED])
def test_o05_only_what_is_posted_can_be_posted_again(state: State) -> None:
    row = replace(READY, state=state, receipt=Receipt(remote_id="1"))
    with pytest.raises(deliveries.NotAllowed, match="only what is POSTED can be posted again"):
        deliveries.again(row, "1", origin="o", others=[row], who="editor", now=NOW)


@pytest.mark.fault("O05")
def test_o05_a_second_post_has_a_key_of_its_own_and_nothing_of_the_first_one() -> None:
    first = replace(
        READY,
        state=State.POSTED,
        receipt=Receipt(remote_id="1", url="https://x.example/1"),
        last_tried=NOW,
        generation=2,
    )
    second = deliveries.again(first, "1", origin="o", others=[first], who="editor", now=NOW)
    assert second.id == deliveries.uid("o", "c", 0, "again:1")
    assert deliveries.key_of(second) not in {
        deliveries.key_of(replace(first, generation=generation)) for generation in range(10)
    }
    assert (second.receipt, second.last_tried, second.allowed_by) == (None, None, "editor")
    assert deliveries.key_of(second) == hashlib.sha256(f"{second.id}0".encode()).hexdigest()[:32]


@pytest.mark.fault("O05")
@pytest.mark.fault("D22")
@pytest.mark.parametrize("platform", ["strong", "timed", "lagging"])
def test_d22_o05_the_first_post_is_no_proof_of_the_second(unjudged_world: World, platform: str) -> None:
    world = unjudged_world
    world.add_account(platform)
    world.open_site()
    world.show_more(world.news("one"))
    world.run()
    first = world.delivery("one", platform)
    article = world.article("one")
    second = deliveries.again(
        first, receipt_of(first).remote_id, origin=article.origin, others=[first], who="editor", now=world.clock()
    )
    with world.store() as store:
        assert store.add_again(first, second, actor="editor")
        assert not store.add_again(first, second, actor="editor"), "not twice"
    world.network.script(platform, Call.PUBLISH, Step(say=Say.FAILED))
    world.until_quiet()
    with world.store() as store:
        row = store.delivery(second.id)
        assert (row.state, row.receipt) == (State.NEEDS_REVIEW, None), "a person knows which is which"
    assert world.posted(platform) == ["one"]


@pytest.mark.fault("O05")
def test_o05_where_the_network_knows_keys_a_second_post_of_unknown_outcome_is_closed_by_its_own(
    unjudged_world: World,
) -> None:
    world = unjudged_world
    world.add_account("keyed")
    world.open_site()
    world.show_more(world.news("one"))
    world.run()
    first = world.delivery("one", "keyed")
    second = deliveries.again(
        first,
        receipt_of(first).remote_id,
        origin=world.article("one").origin,
        others=[first],
        who="editor",
        now=world.clock(),
    )
    with world.store() as store:
        store.add_again(first, second, actor="editor")
    world.network.script("keyed", Call.PUBLISH, Step(say=Say.FAILED, creates=AT_ONCE))
    world.until_quiet()
    assert world.posted("keyed") == ["one", "one"]
    with world.store() as store:
        assert store.delivery(second.id).state is State.POSTED


# --- beside each other -----------------------------------------------------------------------------------------------


@pytest.mark.fault("O06")
def test_o06_runs_beside_the_daemon_and_commands_that_only_read_make_no_second_post(folder: Path, pds: FakePds) -> None:
    desk = Desk(folder)
    desk.configure(sky(pds), PAGE)
    desk.show("zero")
    with daemon(desk, minute=0.05) as running:
        running.until("first poll")
        for number in range(5):
            desk.show(f"n{number}")
            make_due(desk)
            assert {desk(*line.split()).code for line in ("run", "status", "preview", "deliveries list")} == {0}
        for number in range(5):
            while desk.row(f"n{number}", "sky").state is not State.POSTED:
                assert running.process.poll() is None
                time.sleep(0.01)
        assert running.end() == 0
    assert sorted(seen_on(pds)) == [f"n{number}" for number in range(5)]
    assert len(pds.called("putRecord")) == 5


@pytest.mark.fault("O06")
def test_o06_a_preview_asks_a_server_for_its_limits_and_for_nothing_else(desk: Desk) -> None:
    with FakeMastodon() as server:
        desk.environment["MASTODON_ACCESS_TOKEN"] = server.token
        account = (
            f"  toot:\n    platform: mastodon\n    server: {server.url}\n"
            "    access_token: env:MASTODON_ACCESS_TOKEN\n    allow_private: yes\n"
        )
        desk.configure(account)
        before = desk.tree()
        said = desk("preview")
        assert said.code == 0
        assert "Article zero" in said.out
        assert desk.tree() == before
        assert {call.method for call in server.calls} <= {"GET"}
        assert server.visible() == []
        desk("run")
        desk.show("one")
        assert desk("run").code == 0
        assert len(server.visible()) == 1


# --- another account -------------------------------------------------------------------------------------------------


@pytest.mark.fault("O07")
def test_o07_credentials_that_were_swapped_post_nothing_to_either_account_until_a_person_says_so(desk: Desk) -> None:
    with FakePds() as real, FakePds() as trial:
        trial.did, trial.handle = "did:plc:trialtrialtrialtrialtria", "trial.test"
        desk.configure(sky(real, name="main"), sky(trial, name="trial"))
        desk("run")
        desk.show("one")
        desk("run")
        desk.configure(sky(trial, name="main"), sky(real, name="trial"))
        desk.show("two")
        for _ in range(2):
            assert desk("run").code == 1
            desk.end_waits()
        assert (seen_on(real), seen_on(trial)) == (["one"], ["one"])
        desk.configure(sky(real, name="main"), sky(trial, name="trial"))
        assert desk("run").code == 0
        assert (seen_on(real), seen_on(trial)) == (["two", "one"], ["two", "one"])
