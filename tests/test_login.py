"""Logins: what they give is kept sealed, renewed in time and after a refusal, and lost by no race and no crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from autopublish.app import App, build
from autopublish.cli import main
from autopublish.errors import DeliveryError, NotSent, SecretError
from autopublish.models import AccountState, AlertKind, Credentials, Kept, Standing, State
from autopublish.pipeline import Connection, Pipeline
from autopublish.pipeline._tokens import kept_from, renew
from autopublish.redaction import redact
from autopublish.vault import Vault, new_key
from tests.desk import Desk, Said, seen_on
from tests.servers.pds import FakePds
from tests.servers.scripted import Fault, Made, Then
from tests.servers.tumblr import FakeTumblr

KEY = "DESK_KEY"
TOP = f"key: env:{KEY}\n"
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
#: Only a broken test comes near it.
PATIENCE_SECONDS = 20


@pytest.fixture
def blog() -> Iterator[FakeTumblr]:
    """A server with Tumblr's API and its login."""
    with FakeTumblr() as server:
        yield server


@pytest.fixture
def desk(desk: Desk, blog: FakeTumblr) -> Desk:
    """A folder with an account that a person has to log in, and a key to seal what that gives."""
    desk.environment |= {KEY: new_key(), "BLOG_SECRET": blog.app[1]}
    desk.configure(account(blog), more=TOP)
    return desk


def account(blog: FakeTumblr, *more: str) -> str:
    """The account, without its tokens."""
    lines = (
        "platform: tumblr",
        f"blog: {blog.blog}",
        f"client_id: {blog.app[0]}",
        "client_secret: env:BLOG_SECRET",
        f"server: {blog.url}",
        f"login_server: {blog.url}",
        "allow_private: yes",
        *more,
    )
    return "".join(["  blog:\n", *(f"    {line}\n" for line in lines)])


def sky(pds: FakePds) -> str:
    """An account whose password is asked for."""
    lines = ("platform: bluesky", f"service: {pds.url}", f"identifier: {pds.handle}", "allow_private: yes")
    return "".join(["  sky:\n", *(f"    {line}\n" for line in lines)])


def typed(desk: Desk, text: str, *words: str) -> Said:
    """The command, with what a person types."""
    done = CliRunner(env=desk.environment).invoke(main, words, input=text, catch_exceptions=False)
    return Said(code=done.exit_code, out=done.stdout, err=done.stderr)


def log_in(desk: Desk, blog: FakeTumblr) -> None:
    """A person logs in, and the account has posted an article."""
    said = typed(desk, f"{blog.code}\n", "accounts", "login", "blog", "--paste")
    assert (said.code, said.out) == (0, f"blog: logged in as {blog.blog}\n"), said.err
    desk("run")
    with desk.store() as store:
        has_posted = any(store.articles_like("/first/"))
    if not has_posted:
        desk.show("first")
        desk("run")


def kept(desk: Desk) -> Kept:
    """What the store keeps of the login."""
    with desk.store() as store:
        found = store.kept("blog")
    assert found is not None
    return found


def make_due(desk: Desk) -> None:
    """The tokens are to be renewed now."""
    was = kept(desk)
    with desk.store() as store:
        assert store.change_kept(was, replace(was, renew_at=datetime.now(UTC) - timedelta(seconds=1)))


def standing(desk: Desk, name: str = "blog") -> Standing:
    """What the store knows of an account."""
    with desk.store() as store:
        return store.standing(name)


def names_on(blog: FakeTumblr) -> list[str]:
    """The articles that readers of the blog see beside the first one, the newest first."""
    names = [post.source.rstrip("/").rpartition("/")[2] for post in blog.visible()]
    return [name for name in names if name != "first"]


def expire(blog: FakeTumblr) -> None:
    """The access token is over; the refresh token still works."""
    blog.token = "anotherTOKENcanary0123456789"


# --- the vault -------------------------------------------------------------------------------------------------------


def test_what_was_sealed_is_opened_by_the_same_key_for_the_same_account_alone() -> None:
    key = new_key()
    sealed = Vault(key).seal("blog", {"access_token": "canary-7d1f"})
    assert "canary" not in sealed
    assert Vault(key).open("blog", sealed) == {"access_token": "canary-7d1f"}
    for other, name in ((Vault(new_key()), "blog"), (Vault(key), "another")):
        with pytest.raises(SecretError, match=f"autopublish accounts login {name}"):
            other.open(name, sealed)


def test_a_sealed_value_that_was_changed_is_not_opened() -> None:
    vault = Vault(new_key())
    sealed = vault.seal("blog", {"access_token": "canary-7d1f"})
    place = len(sealed) // 2
    with pytest.raises(SecretError):
        vault.open("blog", sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :])


@pytest.mark.parametrize("key", ["", "short-canary", "x" * 44], ids=["empty", "short", "no base64 of 32 bytes"])
def test_what_can_be_no_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(SecretError, match="autopublish accounts key") as refused:
        Vault(key)
    assert "canary" not in str(refused.value)


def test_the_key_is_searched_for_in_texts_as_long_as_its_vault_lives() -> None:
    key = new_key()
    vault = Vault(key)
    assert key not in redact(f"key={key}")
    assert repr(vault) == "<Vault>"


def test_the_command_prints_a_new_key_each_time(desk: Desk) -> None:
    first, second = (desk("accounts", "key").out.strip() for _ in range(2))
    assert first != second
    assert Vault(first).open("a", Vault(first).seal("a", {})) == {}


# --- when tokens are renewed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lifetime", "ahead"),
    [
        (timedelta(days=60), timedelta(days=7)),
        (timedelta(days=10), timedelta(days=2)),
        (timedelta(hours=2), timedelta(minutes=24)),
        (timedelta(minutes=10), timedelta(minutes=5)),
        (timedelta(minutes=3), timedelta(minutes=3)),
    ],
    ids=["seven days at most", "a fifth", "a fifth of hours", "five minutes at least", "shorter than that"],
)
def test_tokens_are_renewed_when_little_of_their_life_is_left(lifetime: timedelta, ahead: timedelta) -> None:
    before = Kept(account="blog", platform="tumblr", login="1", sealed="", obtained=NOW, tries=2)
    after = kept_from(Credentials(values={}, lifetime=lifetime), before, "sealed", NOW, renewable=True)
    assert (after.expires, after.renew_at) == (NOW + lifetime, NOW + lifetime - ahead)
    assert (after.sealed, after.tries, after.login) == ("sealed", 0, "1")


@pytest.mark.parametrize(("lifetime", "renewable"), [(None, True), (timedelta(days=60), False)], ids=["endless", "not"])
def test_tokens_that_do_not_end_or_cannot_be_renewed_are_left_alone(
    lifetime: timedelta | None, renewable: bool
) -> None:
    before = Kept(account="blog", platform="tumblr", login="1", sealed="", obtained=NOW)
    after = kept_from(Credentials(values={}, lifetime=lifetime), before, "sealed", NOW, renewable=renewable)
    assert after.renew_at is None
    assert after.expires == (NOW + lifetime if lifetime else None)


# --- the store -------------------------------------------------------------------------------------------------------


def test_what_somebody_else_changed_meanwhile_is_not_changed(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    was = kept(desk)
    with desk.store() as store:
        begun = replace(was, tries=1)
        assert store.change_kept(was, begun)
        assert not store.change_kept(was, replace(was, sealed="another"))
        assert store.kept("blog") == begun
        assert store.change_kept(begun, replace(was, sealed="another"))
        assert not store.change_kept(begun, was)


@pytest.mark.parametrize(
    ("state", "names"),
    [(AccountState.ACTIVE, ("blog",)), *((state, ()) for state in AccountState if state is not AccountState.ACTIVE)],
)
def test_only_an_account_that_may_send_is_renewed(
    desk: Desk, blog: FakeTumblr, state: AccountState, names: tuple[str, ...]
) -> None:
    log_in(desk, blog)
    make_due(desk)
    with desk.store() as store:
        was = store.standing("blog")
        store.save_standing(was, replace(was, state=state), now=NOW)
        assert store.renewals(datetime.now(UTC)) == names
        assert store.renewals(NOW - timedelta(days=999)) == ()


def test_what_was_kept_of_another_platform_is_not_used(desk: Desk, blog: FakeTumblr, pds: FakePds) -> None:
    log_in(desk, blog)
    desk.configure(sky(pds).replace("  sky:\n", "  blog:\n", 1), more=TOP)
    assert "nobody is logged in" in desk("run").err
    with desk.store() as store:
        assert store.renewals(datetime.now(UTC) + timedelta(days=999)) == ()


def test_who_stays_is_woken_when_tokens_are_to_be_renewed(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    woken = list[tuple[str, str]]()

    def wake(verb: str, key: str, at: datetime | None = None, /) -> None:
        woken.append((verb, key))

    with closing(app_of(desk)) as app, app._owning() as parts:
        pipeline = Pipeline(replace(parts, wake=wake))
        pipeline.wake_all()
        assert ("drain", "blog") not in woken
        make_due(desk)
        pipeline.wake_all()
        assert ("drain", "blog") in woken


# --- login -----------------------------------------------------------------------------------------------------------


def test_an_account_that_nobody_logged_in_says_how_and_keeps_what_waits(desk: Desk, blog: FakeTumblr) -> None:
    said = desk("run")
    desk.show("one")
    assert desk("run").code == 1
    assert "nobody is logged in: `autopublish accounts login blog`" in said.err
    assert standing(desk).state is AccountState.AUTH_BLOCKED
    assert desk.row("one", "blog").state is State.READY
    log_in(desk, blog)
    assert names_on(blog) == ["one"]
    assert standing(desk).state is AccountState.ACTIVE


def test_a_login_is_possible_before_the_first_run_and_lasts(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    desk.show("one")
    assert desk("run").code == 0
    assert names_on(blog) == ["one"]
    assert desk.process("check").code == 0


def test_without_a_key_nothing_is_asked_for_and_the_remedy_is_said(desk: Desk, blog: FakeTumblr) -> None:
    desk.configure(account(blog))
    said = typed(desk, f"{blog.code}\n", "accounts", "login", "blog", "--paste")
    assert said.code == 1
    assert "`autopublish accounts key` prints one" in said.err
    assert "Open this address" not in said.err
    assert blog.called("token") == []


def test_a_missing_key_blocks_the_account_until_it_is_back(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    key, desk.environment[KEY] = desk.environment[KEY], None
    desk.show("one")
    said = desk("run")
    assert (said.code, names_on(blog)) == (1, [])
    assert f"key: env:{KEY} is not set" in said.err
    assert f"key: env:{KEY} is not set" in desk("config", "check").err
    desk.environment[KEY] = key
    assert desk("run").code == 0
    assert names_on(blog) == ["one"]


def test_another_key_opens_nothing_and_says_what_helps(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    desk.environment[KEY] = new_key()
    desk.show("one")
    assert "sealed with another key" in desk("run").err


def test_a_new_login_counts_as_new_credentials(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    fingerprint, asked = standing(desk).fingerprint, len(blog.called("whoami"))
    log_in(desk, blog)
    desk.show("one")
    desk("run")
    assert standing(desk).fingerprint != fingerprint
    assert len(blog.called("whoami")) == asked + 2, "by the login, and before its first post"


def test_a_refused_login_changes_nothing(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    before = kept(desk)
    said = typed(desk, "wrong-code\n", "accounts", "login", "blog", "--paste")
    assert said.code == 1
    assert "the login was refused" in said.err
    assert kept(desk) == before


def test_a_login_as_somebody_else_is_refused_unless_it_is_confirmed(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    before = kept(desk)
    blog.uuid = "t:somebodyelse"
    said = typed(desk, f"{blog.code}\n", "accounts", "login", "blog", "--paste")
    assert said.code == 1
    assert "you logged in as kaltimnews (t:somebodyelse)" in said.err
    assert kept(desk) == before
    words = ("accounts", "login", "blog", "--paste", "--accept-identity", "t:somebodyelse")
    assert typed(desk, f"{blog.code}\n", *words).code == 0
    identity = standing(desk).identity
    assert identity is not None
    assert identity.id == "t:somebodyelse"
    desk.show("one")
    assert desk("run").code == 0
    assert names_on(blog) == ["one"]


def test_a_secret_of_the_file_wins_and_a_login_is_refused(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    desk.environment["BLOG_TOKEN"] = "namedTOKENcanary0123"
    desk.configure(account(blog, "access_token: env:BLOG_TOKEN"), more=TOP)
    said = typed(desk, f"{blog.code}\n", "accounts", "login", "blog", "--paste")
    assert said.code == 1
    assert "the file names `access_token`" in said.err
    blog.token = "namedTOKENcanary0123"
    desk.show("one")
    assert desk("run").code == 0
    assert names_on(blog) == ["one"]


@pytest.mark.parametrize(("name", "words"), [("page", "no login on page"), ("blgo", "no account is called blgo")])
def test_what_has_no_login_says_so(desk: Desk, blog: FakeTumblr, name: str, words: str) -> None:
    page = "  page:\n    platform: page\n    folder: out\n    title: News\n"
    desk.configure(account(blog), page, more=TOP)
    said = typed(desk, "x\n", "accounts", "login", name)
    assert said.code in (1, 2)
    assert words in said.err


def test_the_browser_comes_back_to_the_program_by_itself(desk: Desk, blog: FakeTumblr) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        desk.line("accounts", "login", "blog", "--port", str(port)),
        env=desk.variables(),
        cwd=desk.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stderr is not None
        shown = next(line for line in command.stderr if line.startswith("http"))
        asked = dict(parse_qsl(urlsplit(shown.strip()).query))
        assert asked["redirect_uri"] == f"http://127.0.0.1:{port}/"
        back = {"code": blog.code, "state": asked["state"]}
        with urlopen(f"{asked['redirect_uri']}?{urlencode(back)}", timeout=PATIENCE_SECONDS) as page:
            assert b"may be closed" in page.read()
        out, _ = command.communicate(timeout=PATIENCE_SECONDS)
    assert (command.returncode, out) == (0, f"blog: logged in as {blog.blog}\n")


def test_a_password_is_asked_for_hidden_and_kept(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds), more=TOP)
    said = typed(desk, f"{pds.password}\n", "accounts", "login", "sky")
    assert (said.code, said.out) == (0, f"sky: logged in as {pds.handle}\n")
    assert pds.password not in said.err
    desk("run")
    desk.show("one")
    assert desk("run").code == 0
    assert seen_on(pds) == ["one"]


def test_accounts_that_leave_their_login_open_are_not_taken_for_one(desk: Desk, blog: FakeTumblr) -> None:
    desk.configure(account(blog), account(blog).replace("  blog:\n", "  second:\n", 1), more=TOP)
    assert "logs in as" not in desk("config", "check").err


# --- renewal ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D14")
def test_d14_a_token_that_is_over_is_renewed_once_and_the_same_delivery_goes(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    fingerprint, asked = standing(desk).fingerprint, len(blog.called("whoami"))
    expire(blog)
    desk.show("one")
    said = desk("run")
    assert (said.code, names_on(blog), blog.renewals) == (0, ["one"], 1)
    assert standing(desk).state is AccountState.ACTIVE
    assert standing(desk).fingerprint == fingerprint
    refused, posted = blog.called("publish")[-2:]
    assert refused.body == posted.body
    with desk.store() as store:
        assert store.attempts(desk.row("one", "blog").id)[-1].key == store.attempts(desk.row("one", "blog").id)[0].key
    desk.show("two")
    desk("run")
    assert (names_on(blog), blog.renewals) == (["two", "one"], 1)
    assert standing(desk).fingerprint == fingerprint
    assert len(blog.called("whoami")) == asked, "new tokens are no new login"


@pytest.mark.fault("D14")
def test_d14_who_is_logged_in_and_a_look_are_asked_again_with_new_tokens(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    expire(blog)
    desk("accounts", "pause", "blog")
    said = desk("accounts", "resume", "blog")
    assert (said.code, blog.renewals) == (0, 1)
    blog.script("publish", Fault(made=Made.AT_ONCE, then=Then.RESET))
    desk.show("one")
    desk("run")
    row = desk.row("one", "blog")
    assert row.state is State.VERIFYING
    desk.change(row, look_at=datetime.now(UTC) - timedelta(seconds=1), changed=datetime.now(UTC))
    desk.end_waits()
    expire(blog)
    desk("run")
    assert (desk.row("one", "blog").state, blog.renewals) == (State.POSTED, 2)
    assert names_on(blog) == ["one"]


@pytest.mark.fault("D14")
def test_d14_a_persons_commands_renew_a_token_that_is_over_as_well(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    desk.show("one")
    desk("run")
    expire(blog)
    assert desk("deliveries", "withdraw", desk.row("one", "blog").id, "--yes").code == 0
    assert (names_on(blog), blog.renewals) == ([], 1)
    expire(blog)
    said = desk("accounts", "test", "blog", "--yes")
    assert (said.code, blog.renewals) == (0, 2), said.err
    assert said.out.endswith("blog: read back: it is there\nblog: deleted\n")


@pytest.mark.fault("D14")
def test_d14_a_persons_command_says_how_to_log_in_where_no_token_can_be_had(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    blog.is_revoked, blog.refresh_token = True, None
    said = desk("accounts", "test", "blog", "--yes")
    assert said.code == 1
    assert "`autopublish accounts login blog`" in said.err


@pytest.mark.fault("D14")
def test_d14_tokens_are_renewed_ahead_of_time_although_nothing_waits(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    before = kept(desk)
    make_due(desk)
    assert desk("run").code == 0
    after = kept(desk)
    assert (blog.renewals, after.login) == (1, before.login)
    assert after.sealed != before.sealed
    assert after.renew_at is not None
    assert after.renew_at > datetime.now(UTC)
    desk("run")
    assert blog.renewals == 1


@pytest.mark.fault("D14")
@pytest.mark.parametrize("status", [500, 429], ids=["failed", "too fast"])
def test_d14_a_renewal_ahead_of_time_that_fails_keeps_the_account_at_work(
    desk: Desk, blog: FakeTumblr, status: int
) -> None:
    log_in(desk, blog)
    make_due(desk)
    blog.script("token", Fault(then=Then.ANSWER, status=status, body=b"{}"))
    desk.show("one")
    ran = desk("run", "--json")
    assert (ran.code, names_on(blog)) == (0, ["one"])
    (told,) = ran.json()["accounts"]
    assert "its token could not be renewed ahead of time" in told["reason"]
    after = kept(desk)
    assert after.tries == (0 if status == 429 else 1)
    assert after.renew_at is not None
    assert after.renew_at > datetime.now(UTC), "it is tried again later"


@pytest.mark.fault("D14")
def test_d14_a_server_that_cannot_renew_now_lets_the_account_wait_and_loses_nothing(
    desk: Desk, blog: FakeTumblr
) -> None:
    log_in(desk, blog)
    expire(blog)
    blog.script("token", Fault(then=Then.ANSWER, status=503, body=b"{}"))
    desk.show("one")
    desk("run")
    assert (standing(desk).state, desk.row("one", "blog").state) == (AccountState.ACTIVE, State.READY)
    desk.end_waits()
    assert desk("run").code == 0
    assert names_on(blog) == ["one"]


@pytest.mark.fault("D15")
def test_d15_who_comes_second_takes_the_tokens_that_the_first_one_got(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    first, second = (app_of(desk) for _ in range(2))
    with closing(first), closing(second):
        (one, other) = (app.connect(app.accounts["blog"]) for app in (first, second))
        expire(blog)
        renewed = renew_in(first, one)
        assert renew_in(second, other) == renewed
        assert blog.renewals == 1


@pytest.mark.fault("D15")
def test_d15_of_several_who_renew_at_once_one_asks_and_nobody_is_logged_out(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    expire(blog)
    barrier, came = Barrier(4), list[str]()

    def race() -> None:
        with closing(app_of(desk)) as app:
            connection = app.connect(app.accounts["blog"])
            barrier.wait(PATIENCE_SECONDS)
            came.append(renew_in(app, connection))

    threads = [Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert blog.renewals == 1
    assert len(came) == 4
    assert len(set(came) - {"busy"}) == 1
    desk.show("one")
    assert desk("run").code == 0
    assert names_on(blog) == ["one"]


def app_of(desk: Desk) -> App:
    """The program as a process of its own has it."""
    for name, value in desk.environment.items():
        os.environ[name] = value or ""
    return build(desk.file)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value or "")


def renew_in(app: App, connection: Connection) -> str:
    """What the account's token is after a renewal; `busy` if another process is at it."""
    with app._owning() as parts:
        try:
            return str(renew(parts, app.accounts["blog"], connection).kept)
        except NotSent:
            return "busy"


def killed_while_renewing(desk: Desk, blog: FakeTumblr, made: Made) -> None:
    """A run dies after it asked for new tokens and before it has the answer."""
    make_due(desk)
    blog.script("token", Fault(made=made, then=Then.SILENCE))
    with subprocess.Popen(
        desk.line("run"), env=desk.variables(), cwd=desk.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        try:
            assert blog.fell_silent.wait(PATIENCE_SECONDS)
        finally:
            run.send_signal(signal.SIGKILL)
    assert kept(desk).tries == 1, "the intent was written before the call"


@pytest.mark.fault("D15")
def test_d15_after_a_crash_the_old_pair_is_tried_once_and_works_if_the_call_was_not_made(
    desk: Desk, blog: FakeTumblr
) -> None:
    log_in(desk, blog)
    killed_while_renewing(desk, blog, Made.NEVER)
    desk.show("one")
    assert desk("run").code == 0
    assert (names_on(blog), blog.renewals, kept(desk).tries) == (["one"], 1, 0)


@pytest.mark.fault("D15")
def test_d15_after_a_crash_that_lost_the_new_pair_the_account_is_blocked_and_a_login_ends_that(
    desk: Desk, blog: FakeTumblr
) -> None:
    log_in(desk, blog)
    killed_while_renewing(desk, blog, Made.AT_ONCE)
    desk.show("one")
    said = desk("run")
    assert said.code == 1
    assert "log in anew: `autopublish accounts login blog`" in said.err
    assert (standing(desk).state, desk.row("one", "blog").state) == (AccountState.AUTH_BLOCKED, State.READY)
    asked = len(blog.called("token"))
    desk.end_waits()
    desk("run")
    assert len(blog.called("token")) == asked, "the old pair is tried once"
    log_in(desk, blog)
    assert names_on(blog) == ["one"]


@pytest.mark.fault("D15")
def test_d15_two_calls_without_an_answer_are_the_last(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    expire(blog)
    desk.show("one")
    blog.script("token", *(Fault(then=Then.ANSWER, status=500, body=b"{}") for _ in range(9)))
    for _ in range(4):
        desk.end_waits()
        desk("run")
    assert len(blog.called("token")) == 1 + 2
    assert standing(desk).state is AccountState.AUTH_BLOCKED


@pytest.mark.fault("D16")
def test_d16_a_login_that_was_revoked_blocks_the_account_tells_people_and_loses_nothing(
    desk: Desk, blog: FakeTumblr
) -> None:
    log_in(desk, blog)
    blog.is_revoked, blog.refresh_token = True, None
    desk.show("one", "two")
    said = desk("run")
    assert said.code == 1
    assert "`autopublish accounts login blog`" in said.err
    assert {desk.row(name, "blog").state for name in ("one", "two")} == {State.READY}
    with desk.store() as store:
        (alert,) = [alert for alert in store.alerts() if alert.cause.kind is AlertKind.ACCOUNT]
    assert "`autopublish accounts login blog`" in alert.cause.words
    blog.is_revoked = False
    log_in(desk, blog)
    assert names_on(blog) == ["two", "one"]


@pytest.mark.fault("D16")
def test_d16_the_end_of_tokens_that_are_not_renewed_is_known_for_alerts_and_of_others_not(
    desk: Desk, blog: FakeTumblr
) -> None:
    log_in(desk, blog)
    assert expires(desk) is None
    make_due(desk)
    blog.script("token", Fault(then=Then.ANSWER, status=400, body=b'{"error":"invalid_grant"}'))
    desk.show("one")
    assert desk("run").code == 0
    assert names_on(blog) == ["one"], "what there is still works"
    assert expires(desk) == kept(desk).expires is not None


def expires(desk: Desk) -> datetime | None:
    """Until when the account's credentials work, if people must hear of it."""
    identity = standing(desk).identity
    assert identity is not None
    return identity.expires


# --- secrecy ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("H14")
def test_h14_a_stolen_store_its_copies_and_backups_hold_no_token_and_no_key(
    desk: Desk, blog: FakeTumblr, tmp_path: Path
) -> None:
    log_in(desk, blog)
    expire(blog)
    desk.show("one")
    desk("run")
    desk.show("two")
    blog.script("publish", Fault(then=Then.ANSWER, status=500, body=f"no: {blog.token} {blog.refresh_token}".encode()))
    desk("-v", "run")
    desk("db", "backup", str(tmp_path / "backup.db"))
    canaries = (blog.token, blog.refresh_token, blog.code, blog.app[1], desk.environment[KEY])
    files = [path for path in (*desk.folder.rglob("*"), tmp_path / "backup.db") if path.is_file()]
    assert any(path.parent.name == "copies" for path in files)
    for path in files:
        content = path.read_bytes()
        assert not [canary for canary in canaries if canary is None or canary.encode() in content], path


@pytest.mark.fault("H14")
def test_h14_what_is_kept_is_shown_by_no_command_and_no_value(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    assert blog.refresh_token is not None
    assert kept(desk).sealed not in repr(kept(desk))
    assert "canary" not in repr(Credentials(values={"access_token": "canary"}))
    words = (("status",), ("accounts", "list", "--json"), ("-v", "run"), ("check",))
    told = "".join(said.out + said.err for said in (desk(*one) for one in words))
    assert not [one for one in (blog.token, blog.refresh_token, desk.environment[KEY]) if str(one) in told]


def test_a_refusal_that_repeats_the_token_is_told_without_it(desk: Desk, blog: FakeTumblr) -> None:
    log_in(desk, blog)
    with closing(app_of(desk)) as app:
        connection = app.connect(app.accounts["blog"])
        blog.script("whoami", Fault(then=Then.ANSWER, status=403, body=f"no {blog.token}".encode()))
        with pytest.raises(DeliveryError) as refused:
            connection.platform.whoami()
        assert blog.token not in str(refused.value)
        for secret in (blog.token, blog.refresh_token, blog.app[1]):
            assert redact(f"x {secret}") == "x …"
