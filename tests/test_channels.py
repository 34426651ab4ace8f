"""Channels: what each gives away and to whom, how it fails, and that no secret is shown by it."""

from __future__ import annotations

import base64
import hmac
import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr, ValidationError

from autopublish.channels import Notice, Told
from autopublish.channels.account import OfAccount, key_of, post_of
from autopublish.channels.command import Command
from autopublish.channels.mail import Mail, Security
from autopublish.channels.ping import Method, Ping
from autopublish.channels.webhook import Webhook
from autopublish.errors import ChannelError, OutcomeUnknown
from autopublish.models import Post, Receipt, Stage
from autopublish.net import Client
from autopublish.redaction import redact
from autopublish.text import TextLimits, characters, unlinked
from tests.servers.mail import MailServer, Way
from tests.servers.wire import Peer, Wire, always, answer, server_tls, trust_file

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SOON = timedelta(seconds=0.5)
PASSWORD = "c4nary-Ma1l-Passw0rd"
DESK = "desk@news.example"
TOLD = Told(kind="account", subject="sky", words="sky posts nothing: Grüße", since=NOW, telling="first")
NOTICE = Notice(
    id="0123456789abcdef",
    at=NOW,
    title="autopublish: sky posts nothing: Grüße 🐤",
    text="sky posts nothing: Grüße 🐤\n\nThis comes from autopublish on here",
    alerts=(TOLD,),
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """It trusts the authority of the tests."""
    with closing(Client(user_agent="autopublish-test/1", ca_file=trust_file(tmp_path))) as one:
        yield one


# --- mail ------------------------------------------------------------------------------------------------------------


def mail(server: MailServer, client: Client, *, deadline: timedelta = timedelta(seconds=10), **keys: Any) -> Mail:
    """A channel to the server, with what the file would say."""
    said = {"to": [DESK], "server": server.address, "security": "none", **keys}
    return Mail(Mail.Settings.model_validate(said), client, deadline=deadline)


@pytest.mark.parametrize("way", Way)
def test_a_letter_arrives_by_each_way_and_reads_as_it_was_written(way: Way, client: Client) -> None:
    with MailServer(way=way) as server:
        mail(server, client, security=way.value).tell(NOTICE)
    (letter,) = server.letters
    assert (letter.sender, letter.to, letter.under_tls) == (DESK, (DESK,), way is not Way.NONE)
    assert letter.mail["Subject"] == NOTICE.title
    assert letter.body == f"{NOTICE.text}\n"


def test_a_letter_says_who_it_is_from_and_that_a_program_wrote_it(client: Client) -> None:
    with MailServer() as server:
        keys: dict[str, Any] = {"to": [DESK, "night@news.example"], "from": "bot@news.example"}
        mail(server, client, **keys).tell(NOTICE)
    (letter,) = server.letters
    assert letter.to == (DESK, "night@news.example")
    assert letter.sender == "bot@news.example"
    assert letter.mail["From"] == "autopublish <bot@news.example>"
    assert letter.mail["To"] == f"{DESK}, night@news.example"
    assert letter.mail["Date"].datetime == NOW
    assert letter.mail["Message-ID"] == "<0123456789abcdef@news.example>"
    assert letter.mail["Auto-Submitted"] == "auto-generated"


def test_a_login_is_made_under_tls_alone(client: Client) -> None:
    with MailServer(way=Way.STARTTLS, logins={"bot": PASSWORD}) as server:
        mail(server, client, security="starttls", user="bot", password=PASSWORD).tell(NOTICE)
    (letter,) = server.letters
    assert (letter.user, letter.under_tls) == ("bot", True)
    assert [line.split(" ")[0] for line in server.heard] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize(
    "steering",
    ["two\nBcc: all@news.example", "two\r\nBcc: all@news.example", "two\rBcc: all@news.example", "two\x00\x1b[2J"],
)
def test_no_title_adds_a_header_or_steers_a_terminal(steering: str, client: Client) -> None:
    with MailServer() as server:
        mail(server, client).tell(replace(NOTICE, title=steering))
    (letter,) = server.letters
    assert letter.to == (DESK,)
    assert letter.mail["Bcc"] is None
    assert letter.mail["Subject"].isprintable()


def test_a_line_of_one_dot_ends_no_letter(client: Client) -> None:
    with MailServer() as server:
        mail(server, client).tell(replace(NOTICE, text="one\n.\ntwo\n..three"))
    assert server.letters[0].body == "one\n.\ntwo\n..three\n"


@pytest.mark.fault("P08")
@pytest.mark.parametrize(
    ("refused", "said", "words"),
    [
        ("CONNECT", "554 no", "it refused (554 no)"),
        ("MAIL", "451 4.7.1 greylisted", "it refused (451 4.7.1 greylisted)"),
        ("RCPT", "550 5.1.1 no such box", f"{DESK} was refused (550 5.1.1 no such box)"),
        (".", "552 too much", "it refused (552 too much)"),
        ("DATA", "421 closing", "it refused (421 closing)"),
    ],
    ids=["greeting", "sender", "recipient", "letter", "data"],
)
def test_p08_a_server_that_refuses_is_told_in_its_own_words(
    refused: str, said: str, words: str, client: Client
) -> None:
    with MailServer() as server:
        server.refusals[refused] = said
        with pytest.raises(ChannelError) as told:
            mail(server, client).tell(NOTICE)
    assert str(told.value) == f"{server.address}: {words}"
    assert server.letters == []


def test_a_letter_that_reaches_one_of_two_was_taken(client: Client) -> None:
    with MailServer() as server:
        server.refusals["gone@news.example"] = "550 no such box"
        mail(server, client, to=[DESK, "gone@news.example"]).tell(NOTICE)
    assert server.letters[0].to == (DESK,)


@pytest.mark.parametrize("silent", ["CONNECT", "EHLO", "MAIL", "DATA"])
def test_a_server_that_falls_silent_is_left_at_the_deadline(silent: str, client: Client) -> None:
    with MailServer() as server:
        server.refusals[silent] = ""
        began = time.monotonic()
        with pytest.raises(ChannelError, match="deadline passed"):
            mail(server, client, deadline=SOON).tell(NOTICE)
        assert time.monotonic() - began < 5


def test_a_server_that_drips_its_greeting_is_left_at_the_deadline(client: Client) -> None:
    with Wire(lambda peer: peer.drip(b"220 " + b"x" * 10_000, every_seconds=0.02)) as wire:
        said = {"to": DESK, "server": f"127.0.0.1:{wire.port}", "security": "none"}
        with pytest.raises(ChannelError, match="deadline passed"):
            Mail(Mail.Settings.model_validate(said), client, deadline=SOON).tell(NOTICE)


def test_a_server_whose_answer_never_ends_is_left_after_a_megabyte(client: Client) -> None:
    def talk_on(peer: Peer) -> None:
        peer.sock.sendall(b"220 mail.example\r\n")
        with suppress(OSError):
            while True:
                peer.sock.sendall(b"250-" + b"x" * 8_000 + b"\r\n")

    with Wire(talk_on) as wire:
        said = {"to": DESK, "server": f"127.0.0.1:{wire.port}", "security": "none"}
        with pytest.raises(ChannelError, match="says more than 1000000 bytes"):
            Mail(Mail.Settings.model_validate(said), client).tell(NOTICE)


def test_a_server_that_hangs_up_and_one_that_is_not_there_are_told(client: Client) -> None:
    with MailServer() as server:
        server.hangs_up_after = "MAIL"
        with pytest.raises(ChannelError, match="the server closed the connection"):
            mail(server, client).tell(NOTICE)
    with pytest.raises(ChannelError, match="refused"):
        mail(server, client).tell(NOTICE)


def test_a_server_without_starttls_hears_no_letter_and_no_password(client: Client) -> None:
    with MailServer(logins={"bot": PASSWORD}) as server, pytest.raises(ChannelError, match="nothing was sent"):
        mail(server, client, security="starttls", user="bot", password=PASSWORD).tell(NOTICE)
    assert server.letters == []
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.heard)


@pytest.mark.parametrize("way", [Way.STARTTLS, Way.TLS])
def test_a_server_with_a_strange_certificate_hears_nothing(way: Way, client: Client) -> None:
    stranger = server_tls(issuer=trustme.CA())
    with MailServer(way=way, tls=stranger) as server, pytest.raises(ChannelError, match="SSLCertVerificationError"):
        mail(server, client, security=way.value).tell(NOTICE)
    assert not any(line.startswith("MAIL") for line in server.heard)


@pytest.mark.fault("H09")
def test_h09_a_refused_password_is_in_no_error(client: Client) -> None:
    with MailServer(way=Way.TLS, logins={"bot": "another"}) as server:
        server.refusals["AUTH"] = f"535 {PASSWORD} is wrong, and so is {base64.b64encode(PASSWORD.encode()).decode()}"
        channel = mail(server, client, security="tls", user="bot", password=PASSWORD)
        redact.know(channel, [PASSWORD])
        with pytest.raises(ChannelError) as told:
            channel.tell(NOTICE)
    assert "the user or password was refused (535" in str(told.value)
    assert not holds(told.value, PASSWORD)


@pytest.mark.fault("H09")
def test_h09_a_password_that_mail_cannot_carry_is_in_no_error(client: Client) -> None:
    secret = f"{PASSWORD}-ü"
    with MailServer(way=Way.TLS, logins={}) as server, pytest.raises(ChannelError, match="plain ASCII") as told:
        mail(server, client, security="tls", user="bot", password=secret).tell(NOTICE)
    assert not holds(told.value, secret)


def holds(error: BaseException | None, secret: str) -> bool:
    """Whether an error, or what it was raised from and would be shown with it, quotes the secret."""
    while error is not None:
        if secret in repr(error) or base64.b64encode(secret.encode()).decode() in repr(error):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"to": ["a@b.example\nBcc: x@y.example"]}, "one mail address"),
        ({"to": ["a@b.example, c@d.example"]}, "one mail address"),
        ({"to": ["Desk <desk@news.example>"]}, "one mail address"),
        ({"to": []}, "at least 1"),
        ({"server": "smtp.example:0"}, "a host, or a host and its port"),
        ({"server": "smtp.example:70000"}, "a host, or a host and its port"),
        ({"server": "smtp://smtp.example"}, "a host, or a host and its port"),
        ({"user": "bot"}, "both user and password"),
        ({"user": "bot", "password": "env:X", "security": "none"}, "a password is sent under TLS only"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Mail.Settings.model_validate({"to": [DESK], "server": "smtp.example", **keys})


@pytest.mark.parametrize(
    ("server", "security", "place"),
    [
        ("smtp.example", Security.STARTTLS, ("smtp.example", 587)),
        ("smtp.example", Security.TLS, ("smtp.example", 465)),
        ("smtp.example", Security.NONE, ("smtp.example", 25)),
        ("smtp.example:2525", Security.TLS, ("smtp.example", 2525)),
        ("[::1]:2525", Security.NONE, ("::1", 2525)),
    ],
)
def test_the_port_is_that_of_the_security_unless_it_is_named(
    server: str, security: Security, place: tuple[str, int], client: Client
) -> None:
    settings = Mail.Settings.model_validate({"to": DESK, "server": server, "security": security})
    assert Mail(settings, client)._place() == place


def test_a_letter_that_is_being_sent_is_cut_off_with_the_program(client: Client) -> None:
    with MailServer() as server:
        server.refusals["EHLO"] = ""
        channel = mail(server, client, deadline=timedelta(seconds=20))
        threading.Timer(0.2, client.cut_off).start()
        with pytest.raises(ChannelError, match="the program ends"):
            channel.tell(NOTICE)


# --- webhook ---------------------------------------------------------------------------------------------------------

KEY = b"autopublish-test-secret-32bytes!"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def webhook(url: str, client: Client, *, secret: str | None = None, allow_private: bool = True) -> Webhook:
    settings = Webhook.Settings(
        url=SecretStr(url), secret=SecretStr(secret) if secret else None, allow_private=allow_private
    )
    return Webhook(settings, client, deadline=SOON * 4)


def parts_of(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """The first line, the headers in lower case, and the body."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = (line.partition(": ") for line in lines)
    return first, {name.lower(): value for name, _, value in fields}, body


def test_a_webhook_gets_the_words_for_people_and_for_programs(client: Client) -> None:
    with Wire(always(answer(200, b"ok"))) as wire:
        webhook(f"{wire.url}/hook", client).tell(NOTICE)
    first, headers, body = parts_of(wire.requests[0])
    assert first == "POST /hook HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert "webhook-signature" not in headers
    assert json.loads(body) == {
        "type": "alert",
        "timestamp": "2026-11-24T10:00:00+00:00",
        "text": f"{NOTICE.title}\n\n{NOTICE.text}",
        "data": {
            "title": NOTICE.title,
            "text": NOTICE.text,
            "alerts": [
                {
                    "kind": "account",
                    "subject": "sky",
                    "words": "sky posts nothing: Grüße",
                    "since": "2026-11-24T10:00:00+00:00",
                    "telling": "first",
                }
            ],
        },
    }


def test_a_webhook_with_a_secret_is_signed_over_what_is_sent(client: Client) -> None:
    with Wire(always(answer(204))) as wire:
        webhook(wire.url, client, secret=SECRET).tell(NOTICE)
    _, headers, body = parts_of(wire.requests[0])
    signed = f"{NOTICE.id}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, sha256).digest()).decode()
    assert headers["webhook-id"] == NOTICE.id
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


@pytest.mark.parametrize("calling", ["<!channel> fell", "@all fell", "<@U123> fell", "@channel"])
def test_no_words_of_others_call_a_whole_channel(calling: str, client: Client) -> None:
    with Wire(always(answer(200))) as wire:
        webhook(wire.url, client).tell(replace(NOTICE, text=calling))
    document = json.loads(parts_of(wire.requests[0])[2])
    assert calling not in document["text"]
    assert document["data"]["text"] == calling


@pytest.mark.parametrize("status", [301, 302, 400, 404, 500])
def test_a_webhook_that_does_not_take_it_is_told_by_its_status(status: int, client: Client) -> None:
    with Wire(always(answer(status, headers={"Location": "http://127.0.0.1:1/"}))) as wire:
        with pytest.raises(ChannelError, match=f"^the webhook answered HTTP {status}$"):
            webhook(wire.url, client).tell(NOTICE)
        assert len(wire.requests) == 1


def test_a_webhook_that_is_silent_is_left_at_the_deadline(client: Client) -> None:
    with Wire(lambda peer: peer.hold()) as wire, pytest.raises(ChannelError, match="deadline passed"):
        webhook(wire.url, client).tell(NOTICE)


def test_a_webhook_in_the_own_network_is_called_only_if_that_is_allowed(client: Client) -> None:
    with Wire(always(answer(200))) as wire:
        with pytest.raises(ChannelError, match="allow_private is off"):
            webhook(wire.url, client, allow_private=False).tell(NOTICE)
        assert wire.connections == 0


@pytest.mark.fault("H09")
@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        (f"ftp://hooks.example/{PASSWORD}", None, "alerts.webhook.url refers to is no address"),
        (f"{PASSWORD}", None, "alerts.webhook.url refers to is no address"),
        (f"https://h.example:99999/{PASSWORD}", None, "alerts.webhook.url refers to is no address"),
        ("https://hooks.example/", f"whsec_{PASSWORD}!", "alerts.webhook.secret refers to is not of the form"),
    ],
    ids=["scheme", "no-address", "port", "secret"],
)
def test_h09_a_secret_that_is_none_is_told_without_its_value(
    url: str, secret: str | None, words: str, client: Client
) -> None:
    with pytest.raises(ChannelError, match=words) as told:
        webhook(url, client, secret=secret).check()
    assert not holds(told.value, PASSWORD)


# --- command ---------------------------------------------------------------------------------------------------------


def script(code: str) -> list[str]:
    """A program of a few lines."""
    return [sys.executable, "-c", code]


def test_a_command_reads_the_words_on_its_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "told"
    Command(script(f"import sys; open({str(file)!r}, 'wb').write(sys.stdin.buffer.read())")).tell(NOTICE)
    assert file.read_text() == f"{NOTICE.title}\n\n{NOTICE.text}\n"


def test_a_command_gets_its_arguments_as_they_are_and_no_shell_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "told"
    odd = "$(touch pwned); `id` && 'x' *"
    Command([*script("import sys; open(sys.argv[1], 'w').write(sys.argv[2])"), str(file), odd]).tell(NOTICE)
    assert file.read_text() == odd


@pytest.mark.fault("H09")
def test_h09_a_command_gets_none_of_our_environment_but_what_programs_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    file = tmp_path / "told"
    code = f"import os, json; json.dump(dict(os.environ), open({str(file)!r}, 'w'))"
    Command(script(code)).tell(NOTICE)
    given = json.loads(file.read_text())
    assert PASSWORD not in given.values()
    assert given["LC_ALL"] == "C.UTF-8"
    assert given["PATH"] == os.environ["PATH"]


def test_a_command_that_fails_is_told_with_the_first_of_what_it_printed() -> None:
    code = "import sys; print('no pager\\x1b[2J', file=sys.stderr, flush=True); print('y' * 10_000_000); sys.exit(3)"
    with pytest.raises(ChannelError, match=r"ended with 3: no pager") as told:
        Command(script(code)).tell(NOTICE)
    assert len(str(told.value)) < 400
    assert str(told.value).isprintable()


def test_a_command_that_does_not_end_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(file)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(ChannelError, match=r"was not done after 1 s, and was killed"):
        Command(script(code), deadline=timedelta(seconds=1)).tell(NOTICE)
    assert is_gone(int(file.read_text()))


def is_gone(pid: int) -> bool:
    """Whether the process ends within a moment; a dead one that nobody buried counts."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_command_that_reads_nothing_or_leaves_something_behind_has_taken_it() -> None:
    Command(["true"]).tell(replace(NOTICE, text="x" * 1_000_000))
    began = time.monotonic()
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    Command(script(code)).tell(NOTICE)
    assert time.monotonic() - began < 20


#: Starts something that begins a session of its own and keeps our pipes, writes down its id, and ends.
LEAVE = """
import subprocess, sys
left = subprocess.Popen([sys.executable, "-c", {code!r}], start_new_session=True)
open({file!r}, "a").write(f"{{left.pid}}\\n")
sys.exit({end})
"""
LEFT = {"stays": "import time; time.sleep(60)", "talks": "while True: print('y' * 9999)"}


@pytest.mark.parametrize("code", LEFT.values(), ids=LEFT)
def test_what_a_command_leaves_in_a_session_of_its_own_is_not_waited_for(code: str, tmp_path: Path) -> None:
    file = tmp_path / "left"
    began = time.monotonic()
    try:
        Command(script(LEAVE.format(code=code, file=str(file), end=0))).tell(replace(NOTICE, text="x" * 1_000_000))
        with pytest.raises(ChannelError, match="ended with 3"):
            Command(script(LEAVE.format(code=code, file=str(file), end=3))).tell(NOTICE)
        assert time.monotonic() - began < 20
    finally:
        for pid in file.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def test_a_command_can_be_asked_to_end_although_the_daemon_blocks_signals(tmp_path: Path) -> None:
    file = tmp_path / "blocked"
    code = f"import signal; open({str(file)!r}, 'w').write(str(len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))))"
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        Command(script(code)).tell(NOTICE)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    assert file.read_text() == "0"


def test_a_command_that_is_not_there_is_found_before_it_is_needed() -> None:
    with pytest.raises(ChannelError, match="there is no such program"):
        Command(["/no/such/program"]).check()
    Command(["true"]).check()


# --- account ---------------------------------------------------------------------------------------------------------


class FakeNetwork:
    """A network that keeps what is published, or raises."""

    def __init__(self, limits: TextLimits, *, fails: Exception | None = None) -> None:
        self.limits = limits
        self.fails = fails
        self.posts: list[tuple[Post, str]] = []

    def learn_limits(self) -> None:
        self.limits = replace(self.limits, length=self.limits.length - 1)

    def stage(self, post: Post, stage: Stage, /) -> Stage:
        return stage

    def publish(self, post: Post, stage: Stage, /, *, key: str) -> Receipt:
        if self.fails is not None:
            raise self.fails
        self.posts.append((post, key))
        return Receipt(remote_id="1")


def test_an_account_gets_a_post_within_its_limits_that_mentions_nobody() -> None:
    network = FakeNetwork(TextLimits(length=61, count=characters, neutralise=unlinked))
    text = "sky posts nothing: @all look at #this\n\n" + "more " * 50
    OfAccount("chat", lambda: network).tell(replace(NOTICE, text=text))
    ((post, _),) = network.posts
    assert len(post.text) <= 60
    assert post.text.startswith("sky posts nothing: @\u2060all look at #\u2060this")
    assert post.text.endswith("…")
    assert (post.shortened, post.created_at, post.link) == (("text",), NOW, None)


def test_a_notice_that_is_told_again_has_the_same_key_and_another_one_has_not() -> None:
    assert key_of(NOTICE) == key_of(replace(NOTICE, at=NOW + timedelta(minutes=5), text="other words"))
    assert key_of(NOTICE) != key_of(replace(NOTICE, id="another"))
    limits = TextLimits(length=500, count=characters)
    assert post_of(NOTICE, limits).text == NOTICE.text


def test_an_account_whose_network_gives_no_receipt_has_not_taken_it() -> None:
    network = FakeNetwork(TextLimits(length=500, count=characters), fails=OutcomeUnknown("timed out"))
    with pytest.raises(ChannelError, match=r"^chat: timed out$"):
        OfAccount("chat", lambda: network).tell(NOTICE)


# --- ping ------------------------------------------------------------------------------------------------------------


def ping(url: str, client: Client, *, fail_url: str | None = None, method: Method = Method.GET) -> Ping:
    fails = SecretStr(fail_url) if fail_url else None
    settings = Ping.Settings(url=SecretStr(url), fail_url=fails, method=method, allow_private=True)
    return Ping(settings, client, deadline=SOON * 4)


@pytest.mark.parametrize(
    ("method", "first", "body"),
    [(Method.GET, "GET /well HTTP/1.1", b""), (Method.POST, "POST /well HTTP/1.1", b'{"ready": 3}')],
)
def test_a_monitor_is_called_and_may_be_given_the_counts(
    method: Method, first: str, body: bytes, client: Client
) -> None:
    with Wire(always(answer(200, b"OK"))) as wire:
        ping(f"{wire.url}/well", client, method=method).well({"ready": 3})
    called, _, sent = parts_of(wire.requests[0])
    assert (called, sent) == (first, body)


def test_a_monitor_hears_of_trouble_under_its_own_address_or_hears_nothing(client: Client) -> None:
    with Wire(always(answer(200))) as wire:
        ping(f"{wire.url}/well", client).unwell({})
        assert wire.requests == []
        ping(f"{wire.url}/well", client, fail_url=f"{wire.url}/fail").unwell({})
    assert parts_of(wire.requests[0])[0] == "GET /fail HTTP/1.1"


@pytest.mark.fault("H09")
def test_h09_a_monitor_that_fails_is_told_without_its_address(client: Client) -> None:
    with Wire(always(answer(404))) as wire, pytest.raises(ChannelError, match="HTTP 404") as told:
        ping(f"{wire.url}/{PASSWORD}", client).well({})
    assert not holds(told.value, PASSWORD)
    with pytest.raises(ChannelError, match="refused") as gone:
        ping(f"{wire.url}/{PASSWORD}", client).well({})
    assert not holds(gone.value, PASSWORD)


# --- all of them -----------------------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[Client], object]] = {
    "mail": lambda client: Mail(
        Mail.Settings.model_validate(
            {"to": DESK, "server": "smtp.example", "user": "bot", "password": SecretStr(PASSWORD)}
        ),
        client,
    ),
    "webhook": lambda client: webhook(f"https://hooks.example/{PASSWORD}", client, secret=PASSWORD),
    "ping": lambda client: ping(f"https://ping.example/{PASSWORD}", client, fail_url=f"https://p.example/{PASSWORD}"),
}


@pytest.mark.fault("H09")
@pytest.mark.parametrize("kind", MAKERS)
def test_h09_no_channel_shows_its_secrets_when_it_is_printed(kind: str, client: Client) -> None:
    channel = MAKERS[kind](client)
    shown = f"{channel!r} {channel} {vars(channel)!r}"
    assert PASSWORD not in shown


def test_the_certificate_of_a_mail_server_is_asked_for_by_its_name(client: Client) -> None:
    assert client.tls().verify_mode is ssl.CERT_REQUIRED
    assert client.tls().check_hostname
