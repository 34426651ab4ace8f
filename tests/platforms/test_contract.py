"""What every platform keeps: each module of `autopublish.platforms` is found and asked, none is named here."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from autopublish.errors import DeliveryError, NotSent, OutcomeUnknown, Undecided
from autopublish.models import Account, Post, Receipt, Stage
from autopublish.platforms import available, load
from autopublish.platforms._base import Platform, ReadBack
from tests.platforms.contract import Bench, Contract

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
