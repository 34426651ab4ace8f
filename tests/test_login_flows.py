"""Each network's login, from the address that a person opens to the tokens; nothing but loopback is asked."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

import pytest
from pydantic import BaseModel

from autopublish import platforms
from autopublish.errors import DeliveryError, LoginError, Unauthorized
from autopublish.login import DEFAULT_PORT, Way, log_in
from autopublish.login._redirect import listening
from autopublish.models import Credentials
from autopublish.net import Client
from autopublish.platforms._base import Platform
from autopublish.platforms._http import Answer, Http
from autopublish.platforms._login import credentials_of, token_error
from autopublish.redaction import redact
from tests.servers.logins import FakeLogins
from tests.servers.scripted import Fault, Then

PASTE = Way(paste=True)
SIXTY_DAYS = timedelta(days=60)
#: Only a broken test comes near it.
PATIENCE_SECONDS = 20


@pytest.fixture
def server() -> Iterator[FakeLogins]:
    """A server with every login."""
    with FakeLogins() as one:
        yield one


@pytest.fixture
def client() -> Iterator[Client]:
    """The way to it."""
    with closing(Client(user_agent="test")) as one:
        yield one


@dataclass(slots=True)
class Person:
    """Who opens each address and agrees, and types what comes of it."""

    server: FakeLogins
    #: What they make of what the browser ends at.
    types: Callable[[str], str] = str
    shown: list[str] = field(default_factory=list)
    came: str = ""
    hidden: str = ""

    def show(self, url: str) -> None:
        self.shown.append(url)
        self.came = self.server.say_yes(url)

    def ask(self, words: str) -> str:
        return self.types(self.came)

    def ask_hidden(self, words: str) -> str:
        return self.hidden


class Browser(Person):
    """Who lets the browser come back by itself."""

    def show(self, url: str) -> None:
        super().show(url)
        Thread(target=_open, args=(self.types(self.came),)).start()

    def ask(self, words: str) -> str:
        raise AssertionError("nothing is to be typed")


def _open(url: str) -> int:
    try:
        with urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def settings_of(name: str, server: FakeLogins, **more: Any) -> BaseModel:
    """An account's settings without tokens, every address the server's."""
    kind = platforms.load(name).Settings
    number, secret = server.app
    app = {"client_id": number, "app_id": number, "client_secret": secret, "app_secret": secret}
    own: dict[str, Any] = {"consumer_key": number, "consumer_secret": secret, "blog": "kaltimnews", "page": "1002"}
    own |= {**app, "user_id": "17", "identifier": "kaltim.test"}
    own |= dict.fromkeys(("server", "login_server", "token_server", "service"), server.url)
    return kind.model_validate({key: value for key, value in own.items() if key in kind.model_fields} | more)


def log_in_with(settings: BaseModel, name: str, client: Client, person: Person, way: Way = PASTE) -> Credentials:
    """What the login on a platform gives, by these settings."""
    login = platforms.load(name).login
    assert login is not None
    return log_in(login, settings, Http(client, allow_private=True), person, way)


def flow(name: str, server: FakeLogins, client: Client, person: Person, way: Way = PASTE, **more: Any) -> Credentials:
    """What the login on a platform gives."""
    return log_in_with(settings_of(name, server, **more), name, client, person, way)


CODES = ("facebook", "instagram", "linkedin", "mastodon", "threads", "tumblr")


@pytest.fixture
def tumblr_route(server: FakeLogins, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tumblr's token endpoint is one more of the server's."""
    named = server.named
    monkeypatch.setattr(server, "named", lambda call: "redeem" if call.path == "/v2/oauth2/token" else named(call))


@pytest.mark.usefixtures("tumblr_route")
@pytest.mark.parametrize("name", CODES)
def test_a_code_that_the_browser_brings_becomes_a_token(name: str, server: FakeLogins, client: Client) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    given = flow(name, server, client, Browser(server), Way(port=port))
    assert server.asked["redirect_uri"] == f"http://127.0.0.1:{port}/"
    assert set(given.values.values()) <= good(name, server)


@pytest.mark.usefixtures("tumblr_route")
@pytest.mark.parametrize("name", CODES)
def test_a_code_that_a_person_types_becomes_a_token(name: str, server: FakeLogins, client: Client) -> None:
    given = flow(name, server, client, Person(server))
    assert set(given.values.values()) <= good(name, server)
    assert given.lifetime == {"facebook": None, "instagram": SIXTY_DAYS, "threads": SIXTY_DAYS}.get(
        name, timedelta(hours=1)
    )


def good(name: str, server: FakeLogins) -> set[str]:
    """The tokens that an account of the platform may have."""
    return {"facebook": {"pageTOKENcanaryKaltim2"}, "threads": server.long, "instagram": server.long}.get(
        name, server.short
    )


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("mastodon", "read:accounts read:statuses write:statuses write:media"),
        ("threads", "threads_basic,threads_content_publish,threads_delete"),
        ("linkedin", "openid profile w_member_social"),
    ],
)
def test_no_more_is_asked_for_than_posting_needs(name: str, scopes: str, server: FakeLogins, client: Client) -> None:
    flow(name, server, client, Person(server))
    assert server.asked["scope"] == scopes


def test_a_page_of_an_organisation_needs_further_rights(server: FakeLogins, client: Client) -> None:
    flow("linkedin", server, client, Person(server), organization="4711")
    assert server.asked["scope"].split() == [
        "openid", "profile", "w_member_social", "w_organization_social", "rw_organization_admin",
    ]  # fmt: skip


def test_a_proof_key_goes_along_where_the_network_takes_one(server: FakeLogins, client: Client) -> None:
    flow("mastodon", server, client, Person(server))
    assert server.asked["code_challenge_method"] == "S256"
    flow("linkedin", server, client, Person(server))
    assert "code_challenge" not in server.asked


def test_two_logins_share_no_state_and_no_proof_key(server: FakeLogins, client: Client) -> None:
    seen = []
    for _ in range(2):
        flow("mastodon", server, client, Person(server))
        seen.append((server.asked["state"], server.asked["code_challenge"]))
    assert len({*seen[0], *seen[1]}) == 4


def test_what_a_refresh_token_is_for_is_kept_with_the_token(server: FakeLogins, client: Client) -> None:
    server.gives_refresh = True
    given = flow("linkedin", server, client, Person(server))
    assert given.values["refresh_token"] in server.refresh


def test_an_address_that_the_network_knows_takes_the_place_of_ours(server: FakeLogins, client: Client) -> None:
    flow("threads", server, client, Person(server), Way(redirect="https://news.example/back"))
    assert server.asked["redirect_uri"] == "https://news.example/back"


def test_without_a_browser_the_address_is_ours_all_the_same(server: FakeLogins, client: Client) -> None:
    flow("linkedin", server, client, Person(server))
    assert server.asked["redirect_uri"] == f"http://127.0.0.1:{DEFAULT_PORT}/"


def test_a_mastodon_server_shows_the_code_itself(server: FakeLogins, client: Client) -> None:
    flow("mastodon", server, client, Person(server))
    assert server.asked["redirect_uri"] == "urn:ietf:wg:oauth:2.0:oob"


def _other_state(came: str) -> str:
    return came.replace(dict(parse_qsl(urlsplit(came).query))["state"], "x" * 32)


@pytest.mark.parametrize(
    ("types", "words"),
    [
        (_other_state, "does not belong to this login"),
        (lambda came: came.split("&state")[0], "does not belong to this login"),
        (lambda _: "wrong", "the login was refused"),
        (lambda came: came.replace("code=", "error=access_denied&was="), "gave no code: access_denied"),
        (lambda _: "", "gave no code"),
    ],
    ids=["state of another", "no state", "wrong code", "the person refused", "nothing"],
)
def test_what_is_typed_must_be_the_answer_to_our_question(
    types: Callable[[str], str], words: str, server: FakeLogins, client: Client
) -> None:
    with pytest.raises(LoginError, match=words):
        flow("linkedin", server, client, Person(server, types=types))


def test_metas_ending_of_a_code_is_taken_off(server: FakeLogins, client: Client) -> None:
    given = flow("threads", server, client, Person(server, types=lambda came: _code(came) + "#_"))
    assert set(given.values.values()) <= server.long


def _code(came: str) -> str:
    return dict(parse_qsl(urlsplit(came).query))["code"]


@pytest.mark.parametrize("missing", ["client_id", "client_secret"])
def test_an_app_that_is_not_in_the_file_is_asked_for(missing: str, server: FakeLogins, client: Client) -> None:
    person = Person(server)
    none: dict[str, Any] = {missing: None}
    settings = settings_of("tumblr", server, **none)
    with pytest.raises(LoginError, match=f"the login needs `{missing}` of your own app"):
        log_in_with(settings, "tumblr", client, person)
    assert person.shown == []


def test_a_page_that_the_person_may_not_use_is_refused_with_those_that_they_may(
    server: FakeLogins, client: Client
) -> None:
    with pytest.raises(LoginError, match=r"may not use `page: 9`; it may use 1001 \(Berau\), 1002 \(Kaltim\)"):
        flow("facebook", server, client, Person(server), page="9")


@pytest.mark.parametrize("call", ["redeem", "exchange", "pages"])
@pytest.mark.parametrize("status", [400, 500])
def test_a_refusal_in_the_middle_is_told_without_any_secret(
    call: str, status: int, server: FakeLogins, client: Client
) -> None:
    body = f"no: {server.app[1]}".encode()
    server.script(call, Fault(then=Then.ANSWER, status=status, body=body))
    flow_of = Person(server)
    with pytest.raises((LoginError, DeliveryError)) as refused:
        flow("facebook", server, client, flow_of)
    assert f"status {status}" in str(refused.value)
    assert not [token for token in (*server.short, *server.long) if token in str(refused.value)]


def test_a_login_with_a_number_gives_a_token_and_its_secret(server: FakeLogins, client: Client) -> None:
    given = flow("x", server, client, Person(server))
    assert given.values == {
        "access_token": "accessTOKENcanary1",
        "access_token_secret": "accessSECRETcanary1",
    }
    assert given.lifetime is None


@pytest.mark.parametrize("typed", ["", "123"], ids=["none", "wrong"])
def test_a_wrong_number_is_refused(typed: str, server: FakeLogins, client: Client) -> None:
    with pytest.raises(LoginError):
        flow("x", server, client, Person(server, types=lambda _: typed))


def test_a_wrong_app_is_refused_with_the_networks_words(server: FakeLogins, client: Client) -> None:
    with pytest.raises(LoginError, match="Could not authenticate you"):
        flow("x", server, client, Person(server), consumer_secret="another")


def test_a_password_is_taken_as_it_was_typed(server: FakeLogins, client: Client) -> None:
    given = flow("bluesky", server, client, Person(server, hidden=" abcd-efgh-ijkl-mnop \n"))
    assert given.values == {"app_password": "abcd-efgh-ijkl-mnop"}
    with pytest.raises(LoginError, match="no password"):
        flow("bluesky", server, client, Person(server, hidden="  "))


# --- the way back ----------------------------------------------------------------------------------------------------


def test_what_comes_without_our_state_is_refused_and_does_not_end_the_wait() -> None:
    with listening(0, "our-state") as back:
        came: list[str] = []
        waiting = Thread(target=lambda: came.append(back.wait(PATIENCE_SECONDS)))
        waiting.start()
        for path in ("?code=evil&state=other", "?code=evil", "favicon.ico", "other?code=evil&state=our-state"):
            assert _open(f"{back.address}{path}") == 404
        assert came == []
        assert _open(f"{back.address}?code=good&state=our-state") == 200
        waiting.join(PATIENCE_SECONDS)
        assert came == ["good"]
        assert _open(f"{back.address}?code=late&state=our-state") == 404


def test_a_connection_on_which_nothing_comes_holds_nobody_up() -> None:
    with listening(0, "s") as back, socket.create_connection(urlsplit(back.address).netloc.split(":")):  # type: ignore[arg-type] # the port is a number in text
        Thread(target=_open, args=(f"{back.address}?code=good&state=s",)).start()
        assert back.wait(PATIENCE_SECONDS) == "good"


def test_who_comes_back_before_anybody_waits_is_not_lost() -> None:
    with listening(0, "s") as back:
        assert _open(f"{back.address}?code=good&state=s") == 200
        assert back.wait(PATIENCE_SECONDS) == "good"


def test_a_person_who_never_comes_back_ends_the_wait() -> None:
    with listening(0, "s") as back, pytest.raises(LoginError, match="--paste"):
        back.wait(0.01)


def test_a_port_that_is_taken_is_told() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LoginError, match=f"the port {port} of this machine cannot be used"), listening(port, "s"):
            raise AssertionError("it is open")


# --- renewal ---------------------------------------------------------------------------------------------------------


def adapter(name: str, server: FakeLogins, client: Client, **secrets: str) -> Platform:
    """A platform with these secrets."""
    return platforms.load(name)(settings_of(name, server, **secrets), Http(client, allow_private=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["threads", "instagram"])
def test_a_long_token_is_renewed_for_sixty_days(name: str, server: FakeLogins, client: Client) -> None:
    server.long.add("oldTOKEN0123456789")
    platform = adapter(name, server, client, access_token="oldTOKEN0123456789")
    given = platform.refresh()
    assert platform.can_refresh()
    assert given.lifetime == SIXTY_DAYS
    assert given.values["access_token"] in server.long - {"oldTOKEN0123456789"}


@pytest.mark.parametrize("name", ["threads", "instagram"])
def test_a_token_that_has_ended_needs_a_person(name: str, server: FakeLogins, client: Client) -> None:
    with pytest.raises(Unauthorized) as refused:
        adapter(name, server, client, access_token="deadTOKEN0123456789").refresh()
    assert "deadTOKEN" not in str(refused.value)


def test_a_token_of_a_facebook_page_is_not_renewed_by_instagram(client: Client, server: FakeLogins) -> None:
    settings = settings_of("instagram", server).model_copy(update={"server": "https://graph.facebook.com"})
    assert not platforms.load("instagram")(settings, Http(client)).can_refresh()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["linkedin", "tumblr"])
def test_a_refresh_token_gives_a_new_pair(
    name: str, server: FakeLogins, client: Client, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("tumblr_route")
    server.gives_refresh, server.refresh = True, {"oldREFRESH0123456789"}
    platform = adapter(name, server, client, access_token="x" * 20, refresh_token="oldREFRESH0123456789")
    assert platform.can_refresh()
    given = platform.refresh()
    assert given.values["access_token"] in server.short
    assert given.values["refresh_token"] in server.refresh
    with pytest.raises(Unauthorized):
        platform.refresh()


def test_a_refresh_token_that_is_not_replaced_stays(server: FakeLogins, client: Client) -> None:
    server.refresh = {"oldREFRESH0123456789"}
    platform = adapter("linkedin", server, client, access_token="x" * 20, refresh_token="oldREFRESH0123456789")
    assert platform.refresh().values["refresh_token"] == "oldREFRESH0123456789"


@pytest.mark.parametrize("name", ["linkedin", "tumblr"])
def test_without_a_refresh_token_nothing_is_renewed(name: str, server: FakeLogins, client: Client) -> None:
    platform = adapter(name, server, client, access_token="x" * 20)
    assert not platform.can_refresh()
    with pytest.raises(Unauthorized):
        platform.refresh()


@pytest.mark.parametrize("name", [name for name in platforms.available() if platforms.load(name).login is None])
def test_a_platform_without_a_login_renews_nothing(name: str) -> None:
    assert platforms.load(name).refresh is Platform.refresh


@pytest.mark.parametrize("name", [name for name in platforms.available() if platforms.load(name).login is not None])
def test_what_a_login_gives_are_secrets_that_the_file_may_leave_out(name: str) -> None:
    platform = platforms.load(name)
    assert platform.login is not None
    for one in (*platform.login.gives, *getattr(platform.login, "also", ())):
        assert platform.Settings.model_fields[one].default is None, one


# --- what token endpoints answer -------------------------------------------------------------------------------------


def answer(body: str, status: int = 200) -> Answer:
    return Answer(status=status, headers={}, body=body.encode(), url="http://127.0.0.1/")


@pytest.mark.parametrize(
    ("stated", "lifetime"),
    [
        ("3600", timedelta(hours=1)),
        ("3600.9", timedelta(hours=1)),
        ("null", None),
        ("0", None),
        ("-1", None),
        ("true", None),
        ('"3600"', None),
        ("1e300", None),
    ],
)
def test_a_life_that_can_be_none_is_not_believed(stated: str, lifetime: timedelta | None) -> None:
    assert credentials_of(answer(f'{{"access_token": "t", "expires_in": {stated}}}')).lifetime == lifetime


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"access_token": 1}',
        '{"access_token": ""}',
        '{"access_token": "a b"}',
        '{"access_token": "a\\n"}',
    ],
)
def test_an_answer_without_a_token_is_no_success_and_shows_nothing(body: str) -> None:
    with pytest.raises(DeliveryError) as refused:
        credentials_of(answer(body))
    assert not isinstance(refused.value, Unauthorized)
    assert '"a' not in str(refused.value)


def test_an_answer_of_instagram_is_read_from_its_list() -> None:
    body = '{"data": [{"access_token": "t", "user_id": "1", "permissions": "x"}]}'
    assert credentials_of(answer(body)).values == {"access_token": "t"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, '{"error": "invalid_grant"}', "Unauthorized"),
        (400, '{"error": {"code": 190, "message": "expired"}}', "Unauthorized"),
        (400, '{"error": {"code": 190, "is_transient": true}}', "OutcomeUnknown"),
        (400, '{"error": {"code": 2}}', "OutcomeUnknown"),
        (400, "a proxy's page", "OutcomeUnknown"),
        (400, '{"error": "temporarily_unavailable"}', "OutcomeUnknown"),
        (401, "", "Unauthorized"),
        (403, '{"error": "access_denied"}', "Unauthorized"),
        (403, "a proxy's page", "OutcomeUnknown"),
        (429, "", "RateLimited"),
        (502, '{"error": "invalid_grant"}', "OutcomeUnknown"),
    ],
)
def test_only_the_servers_own_word_ends_a_login(status: int, body: str, kind: str) -> None:
    assert type(token_error(answer(body, status))).__name__ == kind


def test_what_a_login_learns_is_forgotten_with_it(server: FakeLogins, client: Client) -> None:
    given = flow("linkedin", server, client, Person(server))
    del given
    (token,) = server.short
    assert redact(f"x {token}") == f"x {token}"
