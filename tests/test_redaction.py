"""Secrets are found by value wherever they might be shown or kept, in every form that others give them."""

from __future__ import annotations

import base64
import copy
import gc
import html
import json
import logging
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from urllib.parse import quote, quote_plus

import click
import pytest
from pydantic import SecretStr

from autopublish.app import build
from autopublish.cli import COMMANDS
from autopublish.cli._common import print_json, say, table
from autopublish.config import resolve_secrets
from autopublish.errors import SecretError
from autopublish.logs import Format, set_up
from autopublish.models import Account, AccountState, State
from autopublish.platforms._base import Platform
from autopublish.platforms._http import Answer, error_from, evidence
from autopublish.redaction import LEAST, MARK, Redactor, forms_of, redact
from tests.desk import PAGE, Desk

#: Everything that somebody escapes.
ODD = "cAnarY-ü/?+&=<'\"> %41\\x~🐤z9"


class Owner:
    """Something that was given a secret."""


@pytest.fixture
def owner() -> Iterator[Owner]:
    """It lives as long as the test."""
    yield Owner()
    gc.collect()


def lowered(quoted: str) -> str:
    """The same with its escapes in lower case."""
    return re.sub("%..", lambda found: found[0].lower(), quoted)


def forms(secret: str) -> dict[str, str]:
    """How the secret may be quoted, made as those do who quote it."""
    raw = secret.encode()
    return {
        "raw": secret,
        "url": quote(secret, safe=""),
        "url-path": quote(secret),
        "form": quote_plus(secret),
        "url-in-lower-case": lowered(quote(secret, safe="")),
        "json": json.dumps(secret)[1:-1],
        "json-with-other-scripts": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json-of-php": json.dumps(secret).replace("/", "\\/")[1:-1],
        "json-in-json": json.dumps(json.dumps({"password": secret})),
        "html": html.escape(secret),
        "html-of-php": html.escape(secret).replace("&#x27;", "&#039;"),
        "repr": repr(secret),
        "repr-of-bytes": repr(raw),
        "base64": base64.b64encode(raw).decode(),
        "base64-in-urls": base64.urlsafe_b64encode(raw).decode(),
        "basic-pair": f"Basic {base64.b64encode(b'user:' + raw).decode()}",
        "basic-pair-of-an-id": f"Basic {base64.b64encode(b'me:' + raw).decode()}",
        "basic-pair-of-a-name": f"Basic {base64.b64encode(b'name:' + raw + b':x').decode()}",
    }


def core(form: str) -> str:
    """The middle of what was quoted, which no edge of base64 touches."""
    return form[len(form) // 3 : -len(form) // 3]


FORMS = forms(ODD)


# --- by value --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("H09")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_h09_a_secret_is_found_in_each_form_that_others_give_it(form: str, owner: Owner) -> None:
    redactor = Redactor()
    redactor.know(owner, [ODD])
    shown = redactor(f"login refused: {form} was wrong")
    assert MARK in shown
    assert core(form) not in shown
    assert shown.startswith("login refused: ")
    assert shown.endswith(" was wrong")


PARTS = {
    "password-of-a-pair": ("123456:AAH-xyz_0987", "bot AAH-xyz_0987"),
    "path-of-a-webhook": ("https://hooks.example/services/T00/B00/XyZ", "url: /services/T00/B00/XyZ (refused)"),
    "token-of-an-address": ("https://x.example/hook?access=abcdefghijkl", "no such token: abcdefghijkl"),
    "password-of-an-address": ("https://me:s3cr3t-pw@x.example/", "wrong: s3cr3t-pw"),
    "line-of-a-key": ("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----\n", "bad line MIIEvQIBADANBgkq"),
    "without-its-blanks": ("  hunter-22 ", "wrong: hunter-22!"),
}


@pytest.mark.fault("H09")
@pytest.mark.parametrize(("secret", "text"), PARTS.values(), ids=PARTS)
def test_h09_a_part_that_gives_access_alone_is_found_too(secret: str, text: str, owner: Owner) -> None:
    redactor = Redactor()
    redactor.know(owner, [secret])
    assert MARK in redactor(text)


ORDINARY = {
    "host-of-a-webhook": ("https://hooks.example/services/T00/B00/XyZ", "hooks.example refused"),
    "short-path": ("https://hooks.example/in?x=1", "wrote /in?x=1"),
    "head-of-a-key": ("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n", "expected -----BEGIN KEY-----"),
    "too-short": ("x" * (LEAST - 1), "xxxxx"),
    "blank": (" " * 20, "a" + " " * 20),
    "name-of-a-pair": ("editor:AAH-xyz_0987", "editor"),
    "unreadable-address": ("https://[x/services/T00/B00/XyZ", "/services/T00"),
}


@pytest.mark.parametrize(("secret", "text"), ORDINARY.values(), ids=ORDINARY)
def test_what_gives_no_access_stays(secret: str, text: str, owner: Owner) -> None:
    redactor = Redactor()
    redactor.know(owner, [secret])
    assert redactor(text) == text


def test_no_form_is_so_short_that_words_hold_it() -> None:
    assert min(map(len, forms_of("abcdef"))) >= LEAST


def test_a_secret_inside_a_longer_one_spoils_neither(owner: Owner) -> None:
    redactor = Redactor()
    redactor.know(owner, ["secret-one", "my-secret-one-too"])
    assert redactor("my-secret-one-too, secret-one") == f"{MARK}, {MARK}"


# --- as long as needed -----------------------------------------------------------------------------------------------


def test_a_secret_is_known_only_as_long_as_what_was_given_it_lives() -> None:
    redactor, first, second = Redactor(), Owner(), Owner()
    redactor.know(first, ["old-password"])
    redactor.know(second, ["new-password"])
    assert redactor("old-password new-password") == f"{MARK} {MARK}"
    del first
    gc.collect()
    assert redactor("old-password new-password") == f"old-password {MARK}"


def test_a_secret_of_two_is_known_until_both_are_gone() -> None:
    redactor, first, second = Redactor(), Owner(), Owner()
    redactor.know(first, ["the-password"])
    redactor.know(second, ["the-password"])
    del first
    gc.collect()
    assert redactor("the-password") == MARK
    del second
    gc.collect()
    assert redactor("the-password") == "the-password"


@pytest.mark.fault("H09")
def test_h09_what_knows_secrets_shows_and_gives_away_none(owner: Owner) -> None:
    redactor = Redactor()
    redactor.know(owner, ["the-password"])
    redactor("builds its forms")
    assert "the-password" not in f"{redactor!r} {redactor} {redactor!a}"
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            take(redactor)
    with pytest.raises(TypeError):
        vars(redactor)


# --- where they are resolved and shown -------------------------------------------------------------------------------


class Settings(Platform.Settings):
    """Those of an account with a secret and a list of them."""

    token: SecretStr
    more: tuple[SecretStr, ...] = ()


def settings_of(folder: Path, **values: object) -> object:
    """The settings of an account with their secrets, which are then in use."""
    account = Account(name="one", platform="any", template="", settings=Settings.model_validate(values))
    return resolve_secrets(account, base=folder)[0]


def test_each_secret_that_is_resolved_is_known_as_long_as_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE", "value-of-one")
    (tmp_path / "two").write_text("value-of-two\n")
    settings = settings_of(tmp_path, token="env:ONE", more=["file:two"])
    assert redact("value-of-one, value-of-two") == f"{MARK}, {MARK}"
    del settings
    gc.collect()
    assert redact("value-of-one, value-of-two") == "value-of-one, value-of-two"


def test_secrets_go_with_the_account_that_the_configuration_no_longer_names(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "secret").write_text("value-of-sky")
    sky = "  sky:\n    platform: bluesky\n    identifier: news.example\n    app_password: file:secret\n"
    desk.configure(PAGE, sky)
    with closing(build(desk.file)) as app:
        app.reload()
        app.connect(app.accounts["sky"])
        gc.collect()
        assert redact("value-of-sky") == MARK
        desk.configure(PAGE)
        app.reload()
        gc.collect()
        assert redact("value-of-sky") == "value-of-sky"


def test_secrets_that_are_not_all_there_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "value-of-one")
    with pytest.raises(SecretError):
        settings_of(tmp_path, token="env:ONE", more=["file:absent"])
    assert redact("value-of-one") == "value-of-one"


@pytest.mark.fault("H09")
@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("quoted", FORMS.values(), ids=FORMS)
def test_h09_no_event_holds_a_secret(
    quoted: str, form: Format, owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    redact.know(owner, [ODD])
    log = logging.getLogger("autopublish.test")
    with set_up(2, form):
        log.error("failed: reason=%s", f"said {quoted}")
        log.error(f"failed with {quoted}")
        logging.getLogger("foreign").error("GET %s", quoted)
        try:
            raise LookupError(quoted)
        except LookupError:
            log.exception("failed: account=%s", "one")
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 4
    for spelling in (quoted, json.dumps(quoted)[1:-1], json.dumps(quoted, ensure_ascii=False)[1:-1]):
        assert core(spelling) not in told
    assert "failed" in told


@pytest.mark.fault("H09")
def test_h09_an_error_that_ends_a_thread_is_one_event_without_secrets(
    owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    redact.know(owner, [ODD])

    def fail() -> None:
        raise LookupError(f"said {ODD}")

    before = threading.excepthook
    with set_up(0, Format.JSON):
        thread = threading.Thread(target=fail, name="worker")
        thread.start()
        thread.join()
    assert threading.excepthook is before
    told = json.loads(capsys.readouterr().err)
    assert (told["event"], told["thread"]) == ("thread ended by an error", "worker")
    assert told["traceback"].endswith(f"LookupError: said {MARK}")


@pytest.mark.fault("H09")
@pytest.mark.parametrize("before", [0, 150, 190, 3990, 5000])
@pytest.mark.parametrize("kind", ["text", "html", "json"])
def test_h09_what_an_answer_quotes_is_redacted_before_it_is_cut(kind: str, before: int, owner: Owner) -> None:
    secret = "s3cr3t with blanks"
    redact.know(owner, [secret])
    filler = ("<p>" * before)[:before] if kind == "html" else ("a " * before)[:before]
    said = f"{filler}{secret} was wrong"
    body = json.dumps({"error": said}) if kind == "json" else said
    answer = Answer(status=401, headers={}, body=body.encode(), url="https://x.example/")
    for words in (evidence(answer), str(error_from(answer))):
        assert "s3cr" not in words
        assert words.startswith("status 401: ")


@pytest.mark.fault("H09")
def test_h09_what_the_store_keeps_in_words_holds_no_secret(leaky: Desk, owner: Owner) -> None:
    redact.know(owner, [ODD])
    leaky.configure(PAGE)
    assert leaky("run").code == 0
    leaky.show("one")
    assert leaky("run").code == 0
    now = datetime.now(UTC)
    with leaky.store() as store:
        (standing,), (feed,) = store.standings().values(), store.feeds()
        said = f"said {ODD}"
        store.save_standing(standing, replace(standing, state=AccountState.PAUSED, reason=said), now=now)
        store.save_feeds([replace(feed, failures=1, last_error=said)])
        row = store.deliveries_of(store.articles_like("/one/")[0].id)[0]
        assert store.change(row, replace(row, state=State.CANCELLED, reason=said), why=said)
        assert store.standing("page").reason == f"said {MARK}"
        assert store.feeds()[0].last_error == f"said {MARK}"
        assert store.delivery(row.id).reason == f"said {MARK}"
        assert store.events(row.id)[-1].why == f"said {MARK}"
    found = [name for name, (_, content) in leaky.tree().items() if b"cAnarY" in content]
    assert found == []


@pytest.mark.fault("H09")
def test_h09_what_a_run_reports_holds_no_secret_and_is_told_once(leaky: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(leaky.folder.parent / "outside"))
    with closing(build(leaky.file)) as app:
        app.run()
        leaky.show("one")
        first, again = app.run(), app.run()
        said = [one.delivery.reason or "" for one in first.changed] + [one.reason for one in first.troubles]
        assert sum("canary reached" in words for words in said) > 3
        assert [words for words in said if "cAnarY" in words] == []
        assert [one.told_before for one in again.troubles if one.account == "login"] == [True]


@pytest.mark.fault("H09")
def test_h09_what_commands_print_holds_no_secret(owner: Owner, capsys: pytest.CaptureFixture[str]) -> None:
    redact.know(owner, [ODD])
    print_json({"reason": ODD, "more": [ODD, {"count": 3}], "none": None})
    assert json.loads(capsys.readouterr().out) == {"reason": MARK, "more": [MARK, {"count": 3}], "none": None}
    table([[ODD, f"b {ODD}"]], ["one", "two"])
    say(ODD)
    told = capsys.readouterr()
    assert told.out.splitlines()[1].split() == [MARK, "b", MARK]
    assert told.err == f"{MARK}\n"


class Failing(ModuleType):
    """A module with a command that fails with a secret in its words, while another is in one of its locals."""

    @staticmethod
    @click.command()
    def fail() -> None:
        """Fail."""
        owner, kept = Owner(), "kept-in-a-local"
        redact.know(owner, [ODD, kept])
        raise LookupError(f"reached\x1b[2J {ODD} {FORMS['basic-pair']} {kept}")


@pytest.mark.fault("H09")
@pytest.mark.fault("H10")
@pytest.mark.parametrize("form", Format)
def test_h09_h10_a_crash_is_told_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Format) -> None:
    monkeypatch.setitem(COMMANDS, "fail", ("failing:fail", "Fail."))
    monkeypatch.setitem(sys.modules, "autopublish.cli.failing", Failing("failing"))
    said = Desk(tmp_path)("--log-format", form.value, "fail")
    assert said.code == 1
    assert "LookupError: reached" in said.err
    assert "Traceback" in said.err
    assert "\x1b" not in said.err
    last = said.err.rpartition("LookupError")[2]
    assert not [one for one in ("cAnarY", core(FORMS["basic-pair"]), "kept-in-a-local") if one in last]
    if form is Format.JSON:
        assert json.loads(said.err)["event"] == "the program failed"


# --- canaries through the whole program ------------------------------------------------------------------------------

LEAKY = '''"""Leaky: a platform that quotes its secret in everything that it says."""

import logging
import urllib.request
from pydantic import SecretStr
from autopublish.errors import NotSent, OutcomeUnknown, Rejected, Unauthorized
from autopublish.models import Identity
from autopublish.platforms._base import Platform
from autopublish.text import TextLimits
from tests.test_redaction import forms

ERRORS = {"notsent": NotSent, "unknown": OutcomeUnknown, "rejected": Rejected, "unauthorized": Unauthorized}


class Leaky(Platform):
    class Settings(Platform.Settings):
        token: SecretStr
        fails: str

    limits = TextLimits(length=300, count=len)

    def whoami(self):
        secret = self.settings.token.get_secret_value()
        words = "canary reached " + " | ".join(forms(secret).values())
        log = logging.getLogger("leaky")
        log.error("asked https://x.example/bot%s", secret)
        log.error(words)
        if self.settings.fails == "login":
            raise Unauthorized(words)
        if self.settings.fails == "login-bug":
            raise KeyError(words)
        return Identity(id=self.settings.fails, name="who")

    def publish(self, post, stage, *, key):
        secret = self.settings.token.get_secret_value()
        words = "canary reached " + " | ".join(forms(secret).values())
        try:
            raise ValueError(words)
        except ValueError:
            logging.getLogger("leaky").exception("publish failed: %r", secret)
        raise ERRORS.get(self.settings.fails, RuntimeError)(words)
'''
FAILS = ("login", "login-bug", "notsent", "unknown", "rejected", "unauthorized", "bug")
READERS = (
    "status", "status --json", "status --check", "status --check --json", "why /one/", "why /one/ --json",
    "deliveries list --all", "deliveries list --all --json", "accounts list", "accounts list --json", "config check",
    "accounts resume login", "accounts resume login-bug",
)  # fmt: skip


@pytest.fixture
def leaky(tmp_path: Path) -> Desk:
    """A desk with an account for each way of failing on a platform that quotes its secret always."""
    folder = tmp_path / "desk"
    folder.mkdir()
    package = tmp_path / "outside"
    about = package / "leaky-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[autopublish.platforms]\nleaky = leaky:Leaky\n")
    (package / "leaky.py").write_text(LEAKY)
    desk = Desk(folder)
    (tmp_path / "token").write_text(ODD)
    (tmp_path / "token").chmod(0o600)
    root = Path(__file__).parent.parent
    desk.environment["PYTHONPATH"] = f"{package}:{root}"
    accounts = [
        f"  {one}:\n    platform: leaky\n    token: file:../token\n    fails: {one}\n    at_most: none\n"
        for one in FAILS
    ]
    desk.configure(PAGE, *accounts)
    desk.show("zero")
    return desk


@pytest.mark.fault("H09")
# The forms differ at the sink alone, which has its own tests: one of them is enough for each day.
@pytest.mark.parametrize("form", [pytest.param(Format.TEXT, marks=pytest.mark.long), Format.JSON])
def test_h09_canaries_are_in_no_log_output_or_file_of_the_program(leaky: Desk, form: Format) -> None:
    first = leaky.process("run")
    leaky.show("one")
    line = ("--log-format", form.value, "-vv", "run")
    ran = [first, leaky.process(*line), leaky.process(*line, "--json")]
    ran += [leaky.process(*reader.split()) for reader in READERS]
    printed = "\n".join(f"{one.out}\n{one.err}" for one in ran)
    assert printed.count("canary reached") > 20, "the paths were taken"
    with leaky.store() as store:
        (article,) = store.articles_like("/one/")
        kept = [row.reason for row in store.deliveries_of(article.id)]
        assert sum("canary reached" in (reason or "") for reason in kept) >= 2, "the words of the network are kept"
    files = {name: content for name, (_, content) in leaky.tree().items()}
    for name, quoted in FORMS.items():
        for spelling in (quoted, json.dumps(quoted)[1:-1], json.dumps(quoted, ensure_ascii=False)[1:-1]):
            assert core(spelling) not in printed, name
            assert [file for file, content in files.items() if core(spelling).encode() in content] == [], name
    assert "cAnarY" not in printed
