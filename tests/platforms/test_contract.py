"""What every platform keeps: each module of `autopublish.platforms` is found and asked, none is named here."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import unicodedata
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from autopublish.errors import (
    DeliveryError,
    MediaRejected,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import Account, Article, Post, Receipt, Stage
from autopublish.platforms import available, load
from autopublish.platforms._base import Platform, ReadBack
from autopublish.posts import compose
from autopublish.text import WORD_JOINER
from tests.platforms.contract import Bench, Contract, Network
from tests.servers.scripted import Fault, Made, Then
from tests.servers.wire import Peer, Wire, answer

ROOT = Path(__file__).parents[2]
NAMES = tuple(name for name in available() if (ROOT / "autopublish" / "platforms" / f"{name}.py").exists())
KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "fedcba9876543210fedcba9876543210"
#: What an account may have beside the platform's own keys.
COMMON = {field.name for field in dataclasses.fields(Account)} - {"name", "settings"}
#: An adapter has no loop around an attempt, no sleep, log, clock, chance or store (and so none of these).
FORBIDDEN = {"asyncio", "logging", "random", "sched", "secrets", "sqlite3", "threading", "time", "uuid"}


def contract_of(name: str) -> Contract | None:
    module = f"tests.platforms.test_{name}"
    contract = getattr(import_module(module), "CONTRACT", None) if find_spec(module) else None
    return contract if isinstance(contract, Contract) else None


CONTRACTS = {name: contract for name in NAMES if (contract := contract_of(name)) is not None}
FAILURES = [(name, failure) for name, contract in CONTRACTS.items() for failure in contract.failures]

each_platform = pytest.mark.parametrize("name", NAMES)
each_bench = pytest.mark.parametrize("name", CONTRACTS)


def own_settings(name: str) -> dict[str, Any]:
    """The platform's own keys of its example account."""
    example = yaml.safe_load((ROOT / "config" / "platforms" / f"{name}.yaml").read_text())
    (account,) = example["accounts"].values()
    assert account["platform"] == name
    return {key: value for key, value in account.items() if key not in COMMON}


def publish(bench: Bench, *, key: str = KEY) -> Receipt:
    """The receipt of one attempt by an adapter of its own."""
    platform = bench.make()
    return platform.publish(bench.post, platform.stage(bench.post, Stage()), key=key)


# --- what stands in the files ---


def test_a_platform_is_found() -> None:
    assert NAMES


@each_platform
def test_a_platform_has_its_part_in_the_contract_test(name: str) -> None:
    assert contract_of(name) is not None


@each_platform
def test_a_platform_bears_the_name_of_its_module(name: str) -> None:
    assert load(name).name == name
    assert load(name).__module__ == f"autopublish.platforms.{name}"


@each_platform
def test_the_docstring_is_the_users_page(name: str) -> None:
    page = inspect.getdoc(sys.modules[load(name).__module__]) or ""
    title = page.partition("\n")[0]
    assert re.match(r"\S.*[:.]", title)
    assert re.search(r"\b(setup|credentials)\b", page, re.IGNORECASE)
    assert re.search(r"\boutcome\b", page, re.IGNORECASE)


@each_platform
def test_the_settings_refuse_unknown_keys_and_change(name: str) -> None:
    settings = load(name).Settings
    assert issubclass(settings, Platform.Settings)
    assert settings.model_config.get("extra") == "forbid"
    assert settings.model_config.get("frozen") is True


@each_platform
def test_the_example_account_is_valid(name: str) -> None:
    load(name).Settings.model_validate(own_settings(name))


@each_platform
def test_settings_never_show_a_secret(name: str) -> None:
    canary, settings = "canary-1b4e28ba", load(name).Settings
    hidden = [key for key, field in settings.model_fields.items() if field.annotation in (SecretStr, SecretStr | None)]
    values = own_settings(name) | dict.fromkeys(hidden, canary)
    assert canary not in repr(settings.model_validate(values))
    with pytest.raises(ValidationError) as refused:
        settings.model_validate(values | {"a_mistyped_key": canary})
    assert canary not in str(refused.value)


@each_platform
def test_a_key_that_names_a_secret_is_kept_as_one(name: str) -> None:
    for key, field in load(name).Settings.model_fields.items():
        if re.search(r"(token|secret|password)$", key):
            assert field.annotation in (SecretStr, SecretStr | None), key


@each_platform
def test_a_platform_that_can_be_read_can_find(name: str) -> None:
    platform = load(name)
    reads = platform.read_back not in (ReadBack.NONE, ReadBack.BY_ANSWER)
    assert (platform.find is not Platform.find) is reads


@each_platform
def test_an_adapter_knows_no_clock_log_or_chance(name: str) -> None:
    tree = ast.parse((ROOT / "autopublish" / "platforms" / f"{name}.py").read_text())
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    asked = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not imported & FORBIDDEN
    assert not asked & {"now", "utcnow", "today", "sleep"}


# --- what happens on a call ---


@each_bench
def test_whoami_names_the_same_account_each_time(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        identity = bench.make().whoami()
        assert identity.id
        assert bench.make().whoami() == identity


@each_bench
def test_the_limits_are_figures_that_can_hold(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        platform = bench.make()
        assert platform.limits.count(bench.post.text) <= platform.limits.length
        assert len(bench.post.text.encode()) <= (platform.limits.size_bytes or sys.maxsize)
        assert platform.settle >= timedelta(0)
        if platform.media is not None:
            assert platform.media.types
            assert min(platform.media.size_bytes, platform.media.side, platform.media.count) > 0


@each_bench
def test_what_a_server_states_are_figures_that_can_hold_and_nothing_is_posted_for_it(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        platform = bench.make()
        platform.learn_limits()
        assert platform.limits.count(bench.post.text) <= platform.limits.length
        assert (platform.media is None) is (bench.make().media is None)
        assert (bench.sent(), bench.visible()) == ([], 0)


@each_bench
def test_a_post_is_published_once_and_leaves_a_receipt(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        assert publish(bench).remote_id
        assert (len(bench.sent()), bench.visible()) == (1, 1)


@each_bench
def test_staging_shows_nothing_and_repeats_to_the_same(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        staged = bench.make().stage(bench.post, Stage())
        assert bench.make().stage(bench.post, staged) == staged
        assert bench.visible() == 0


@each_bench
@pytest.mark.fault("D11")
def test_d11_publish_is_a_pure_function_of_post_stage_and_key(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        stage = bench.make().stage(bench.post, Stage())
        first, again = (bench.make().publish(bench.post, stage, key=KEY) for _ in range(2))
        one, two = bench.sent()
        assert one == two
        if load(name).key_window is not None:
            assert (again, bench.visible()) == (first, 1)


@each_bench
def test_another_key_is_another_post_where_keys_are_known(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        publish(bench, key=KEY)
        publish(bench, key=OTHER_KEY)
        assert bench.visible() == 2


@each_bench
def test_what_was_published_is_found_and_nothing_before(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        if load(name).find is Platform.find:
            with pytest.raises(NotImplementedError):
                bench.make().find(bench.post, Stage(), key=KEY, since=bench.post.published)
            return
        post, since = bench.post, bench.post.published - timedelta(hours=1)
        if not CONTRACTS[name].shows_posts:
            for key in (None, KEY):
                with pytest.raises(Undecided):
                    bench.make().find(post, Stage(), key=key, since=since)
            return
        for key in (None, KEY):
            assert bench.make().find(post, Stage(), key=key, since=since) is None
        receipt = publish(bench)
        for key in (None, KEY):
            assert bench.make().find(post, Stage(), key=key, since=since) == receipt


@each_bench
@pytest.mark.fault("D05")
def test_d05_a_server_that_is_away_was_not_sent_anything(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        if bench.network is None:
            assert bench.make().http is not None  # it has no server that could be away
            return
        platform = bench.make()
        platform.whoami()
        stage = platform.stage(bench.post, Stage())
        bench.network.unplug()
        for adapter in (platform, bench.make()):
            with pytest.raises(NotSent):
                adapter.publish(bench.post, stage, key=KEY)
        assert bench.visible() == 0


@each_bench
@pytest.mark.fault("D21")
def test_d21_a_call_without_an_answer_is_unknown_and_never_repeated(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        if bench.network is None:
            publish(bench)
        else:
            bench.network.silence()
            with pytest.raises(OutcomeUnknown):
                publish(bench)
        assert len(bench.sent()) == 1


@pytest.mark.parametrize(("name", "failure"), FAILURES)
@pytest.mark.fault("H09")
def test_h09_each_failure_has_its_error_and_tells_no_secret(name: str, failure: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        assert bench.network is not None
        assert bench.secrets
        bench.network.fail(failure)
        with pytest.raises(DeliveryError) as raised:
            publish(bench)
        assert type(raised.value) is CONTRACTS[name].failures[failure]
        told = "\n".join(_chain(raised.value))
        assert str(raised.value)
        assert not [secret for secret in bench.secrets if secret in told]


def _chain(error: BaseException | None) -> list[str]:
    return [] if error is None else [f"{error!s} {error!r}", *_chain(error.__cause__ or error.__context__)]


@each_bench
def test_a_post_without_extras_is_published_as_well(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        plain = Post(
            text="Plain", link=None, title="Plain", created_at=bench.post.created_at, published=bench.post.published
        )
        stage = bench.make().stage(plain, Stage()) if CONTRACTS[name].needs_stage else Stage()
        bench.make().publish(plain, stage, key=KEY)
        assert bench.visible() == 1


# --- what goes wrong ---

#: Answers that tell nothing of what became of the post, with and without its having been made.
LOST = {
    "502": Fault(status=502, body=b"<h1>Bad Gateway</h1>"),
    "503": Fault(status=503, body=b"<h1>Service Unavailable</h1>"),
    "504": Fault(status=504, body=b""),
    "500-in-json": Fault(status=500, body=b'{"error":"x"}'),
    "reset": Fault(then=Then.RESET),
    "garbage": Fault(then=Then.GARBAGE),
    "unlisted-418": Fault(status=418, body=b"<h1>Teapot</h1>"),
    "unlisted-451": Fault(status=451, body=b"{}"),
}
#: Successes in which nothing can be read.
UNREADABLE = {
    "empty": Fault(status=200, body=b""),
    "broken": Fault(status=200, body=b'{"id": "1'),
    "a-page": Fault(status=200, body=b"<h1>Welcome</h1>", headers={"Content-Type": "text/html"}),
    "a-list": Fault(status=201, body=b"[]"),
    "without-an-id": Fault(status=201, body=b"{}"),
}
ON_NETWORK = tuple(name for name in CONTRACTS if CONTRACTS[name].failures)
on_each_network = pytest.mark.parametrize("name", ON_NETWORK)
each_made = pytest.mark.parametrize("made", [Made.NEVER, Made.AT_ONCE], ids=["nothing was made", "it was made"])


def network_of(bench: Bench) -> Network:
    assert bench.network is not None
    return bench.network


def outcome_of(bench: Bench) -> Receipt | DeliveryError:
    try:
        return publish(bench)
    except DeliveryError as error:
        return error


def check_lost(bench: Bench, fault: Fault, made: Made) -> None:
    """Nobody is sure of what was lost, unless the network itself then showed that it is there; and it goes once."""
    network_of(bench).answer(dataclasses.replace(fault, made=made))
    outcome = outcome_of(bench)
    is_shown = made is Made.AT_ONCE and isinstance(outcome, Receipt)
    assert is_shown or type(outcome) is OutcomeUnknown
    assert (len(bench.sent()), bench.visible()) == (1, 1 if made is Made.AT_ONCE else 0)


@on_each_network
@each_made
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
@pytest.mark.fault("D05")
@pytest.mark.fault("D09")
def test_d05_d09_an_answer_that_is_on_no_list_of_refusals_leaves_the_outcome_unknown(
    name: str, fault: Fault, made: Made, tmp_path: Path
) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        check_lost(bench, fault, made)


@on_each_network
@pytest.mark.fault("D05")
def test_d05_a_reset_in_the_middle_of_the_request_leaves_the_outcome_unknown(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        network_of(bench).answer(Fault(then=Then.RESET_READING))
        assert type(outcome_of(bench)) is OutcomeUnknown
        assert bench.visible() == 0


@on_each_network
@each_made
@pytest.mark.parametrize("fault", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.fault("D06")
@pytest.mark.fault("H12")
def test_d06_h12_a_success_that_cannot_be_read_is_none_where_the_receipt_stands_in_it(
    name: str, fault: Fault, made: Made, tmp_path: Path
) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        if CONTRACTS[name].reads_answer:
            check_lost(bench, fault, made)
        else:
            network_of(bench).answer(dataclasses.replace(fault, made=made))
            assert publish(bench).remote_id == KEY


@on_each_network
@each_made
@pytest.mark.fault("H12")
def test_h12_a_huge_answer_is_not_read_to_its_end(name: str, made: Made, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        check_lost(bench, Fault(status=200, body=b" " * 2_000_000), made)


@on_each_network
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.fault("H12")
def test_h12_a_publishing_call_follows_nobody_to_another_host(name: str, status: int, tmp_path: Path) -> None:
    def welcome(peer: Peer) -> None:
        peer.read_request()
        peer.write(answer(200, b"{}"))

    with CONTRACTS[name].bench(tmp_path) as bench, Wire(welcome) as elsewhere:
        headers = {"Location": f"{elsewhere.url}/posts"}
        network_of(bench).answer(Fault(status=status, body=b"", headers=headers))
        outcome = outcome_of(bench)
        # A receiver of events that has moved is a setting to be mended: nothing was taken.
        is_told = not CONTRACTS[name].reads_answer and type(outcome) is Unauthorized
        assert is_told or type(outcome) is OutcomeUnknown
        assert (elsewhere.requests, bench.visible()) == ([], 0)


@on_each_network
@pytest.mark.fault("D13")
def test_d13_a_limit_is_no_failure_and_its_wait_is_obeyed(name: str, tmp_path: Path) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        network_of(bench).answer(Fault(status=429, body=b"Too Many Requests", headers={"Retry-After": "4000"}))
        outcome = outcome_of(bench)
        assert isinstance(outcome, RateLimited)
        assert (outcome.wait or timedelta(0)) >= timedelta(seconds=4000)
        assert bench.visible() == 0


@on_each_network
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(RateLimited, marks=pytest.mark.fault("D13"), id="D13"),
        pytest.param(Unauthorized, marks=[pytest.mark.fault("D14"), pytest.mark.fault("D16")], id="D14-D16"),
        pytest.param(Rejected, marks=pytest.mark.fault("D17"), id="D17"),
        pytest.param(MediaRejected, marks=pytest.mark.fault("D19"), id="D19"),
    ],
)
def test_d13_d14_d16_d17_d19_a_definite_refusal_shows_nothing_and_the_next_attempt_is_the_one_post(
    name: str, kind: type[DeliveryError], tmp_path: Path
) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        failures = [failure for failure, error in CONTRACTS[name].failures.items() if error is kind]
        if not failures:
            assert (kind, bench.make().media) == (MediaRejected, None), "every network refuses in this way"
            return
        network_of(bench).fail(failures[0])
        assert type(outcome_of(bench)) is kind
        assert bench.visible() == 0
        assert publish(bench).remote_id
        assert bench.visible() == 1


# --- other people's words ---

TITLES = [
    "@everyone @here @channel @gubernur (@ibu_kota) ＠wakil",
    "<!channel> <!here|sini> <@U0123456789> <@123456789012345678> <@&1>",
    "@[Acme](urn:li:organization:1234) @[4711:Nama] kata@[4711]",
    "@redaksi@mastodon.example dan @redaksi.bsky.social",
    "/start #banjir $BTC /atau@robot",
    "*tebal* _miring_ ~~coret~~ `kode` [x](https://a.example) <b>&amp;</b> ||rahasia||",
    '&lt;b&gt; & \\ \\* {{ 7*7 }} {% raw %} %20 "kutip"',
    "> kutipan",
    "# Judul",
]


@each_bench
@pytest.mark.parametrize("title", TITLES)
@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
def test_h05_h06_a_reader_has_the_title_as_it_is_written_and_nobody_is_told_of_it(
    name: str, title: str, tmp_path: Path
) -> None:
    with CONTRACTS[name].bench(tmp_path) as bench:
        platform, when = bench.make(), bench.post.published
        platform.learn_limits()
        article = Article(
            id="1", feed="f", origin="guid|1", link=bench.post.link, title=title, published=when, first_seen=when
        )
        account = Account(name="a", platform=name, template="{{ title }}\n\n{{ link }}")
        post = compose(article, account, platform.limits, picture=bench.post.picture, now=bench.post.created_at)
        platform.publish(post, platform.stage(post, Stage()), key=KEY)
        shown = bench.seen()
        line = shown.text.partition("\n")[0].replace(WORD_JOINER, "")
        assert unicodedata.normalize("NFC", line) == title
        assert shown.pinged == ()
