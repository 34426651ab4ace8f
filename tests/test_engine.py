"""The local engine: each key one call at a time, no key in the way of another, and an end that is an end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from autopublish.engines.local import LocalEngine

#: By the real clock; only a broken engine comes near it.
PATIENCE_SECONDS = 20


def engine_of(threads: int = 8, **handlers: Callable[[str], None]) -> LocalEngine:
    engine = LocalEngine(threads=threads)
    engine.handlers.update(handlers)
    return engine


class Calls:
    """What was called, how often, and how many calls of one key overlapped."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.order: list[str] = []
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, key: str) -> None:
        self.begin(key)
        self.end(key)

    def begin(self, key: str) -> None:
        with self._lock:
            self.order.append(key)
            self.count[key] += 1
            self.inside[key] += 1
            self.most[key] = max(self.most[key], self.inside[key])

    def end(self, key: str) -> None:
        with self._lock:
            self.inside[key] -= 1


def passed(event: threading.Event) -> None:
    assert event.wait(PATIENCE_SECONDS), "nobody came"


@pytest.mark.parametrize("keys", [0, 1, 2, 30])
def test_each_key_is_called_once(keys: int) -> None:
    calls = Calls()
    engine_of(poll=calls).run_until_quiet(("poll", str(n)) for n in range(keys))
    assert calls.count == {str(n): 1 for n in range(keys)}


def test_the_verb_is_part_of_the_key() -> None:
    polls, drains = Calls(), Calls()
    engine_of(poll=polls, drain=drains).run_until_quiet([("poll", "a"), ("drain", "a"), ("poll", "a")])
    assert (polls.count, drains.count) == ({"a": 1}, {"a": 1})


def test_several_wakes_before_the_beginning_are_one_call() -> None:
    calls = Calls()
    engine = engine_of(drain=calls)
    for _ in range(5):
        engine.wake("drain", "a")
    engine.run_until_quiet()
    assert calls.count == {"a": 1}
    engine.run_until_quiet()
    assert calls.count == {"a": 1}, "what is done is done"


@pytest.mark.parametrize("others", [[], ["b"]], ids=["in the calling thread", "in the pool"])
def test_a_key_woken_while_it_runs_runs_once_more(others: list[str]) -> None:
    calls = Calls()

    def poll(key: str) -> None:
        calls.begin(key)
        if key == "a" and calls.count["a"] == 1:
            for _ in range(3):
                engine.wake("poll", "a")
        calls.end(key)

    engine = engine_of(poll=poll)
    engine.run_until_quiet(("poll", key) for key in ["a", *others])
    assert calls.count == {"a": 2, **dict.fromkeys(others, 1)}


def test_what_a_call_wakes_is_done_before_all_is_quiet() -> None:
    calls = Calls()

    def poll(key: str) -> None:
        for account in "abc":
            engine.wake("drain", account)

    engine = engine_of(poll=poll, drain=calls)
    engine.run_until_quiet([("poll", "one")])
    assert calls.count == {"a": 1, "b": 1, "c": 1}


def test_a_key_never_runs_twice_at_once() -> None:
    """Four keys, each woken again and again by the calls of all others, from many threads."""
    calls, left = Calls(), Counter(dict.fromkeys("abcd", 40))

    def drain(key: str) -> None:
        calls.begin(key)
        left[key] -= 1
        if left[key] > 0:
            for other in "abcd":
                engine.wake("drain", other)
        calls.end(key)

    engine = engine_of(drain=drain)
    engine.run_until_quiet(("drain", key) for key in "abcd")
    assert calls.most == dict.fromkeys("abcd", 1)
    assert all(calls.count[key] >= 40 for key in "abcd")


def test_a_wake_from_another_thread_while_the_key_runs_does_not_make_it_run_twice_at_once() -> None:
    calls, running, woken = Calls(), threading.Event(), threading.Event()

    def drain(key: str) -> None:
        calls.begin(key)
        if key == "a" and calls.count["a"] == 1:
            running.set()
            passed(woken)
        calls.end(key)

    def wake() -> None:
        passed(running)
        engine.wake("drain", "a")
        woken.set()

    engine = engine_of(drain=drain)
    thread = threading.Thread(target=wake)
    thread.start()
    engine.run_until_quiet([("drain", "a"), ("drain", "b")])
    thread.join()
    assert (calls.count["a"], calls.most["a"]) == (2, 1)


def test_one_stuck_key_delays_no_other() -> None:
    calls, others = Calls(), threading.Event()

    def drain(key: str) -> None:
        if key == "stuck":
            passed(others)
        calls(key)
        if len(calls.order) == 20:
            others.set()

    keys = ["stuck", *(str(n) for n in range(20))]
    engine_of(threads=2, drain=drain).run_until_quiet(("drain", key) for key in keys)
    assert calls.order[-1] == "stuck"
    assert len(calls.order) == 21


def test_a_key_woken_by_a_running_call_does_not_wait_for_a_stuck_one() -> None:
    drained = threading.Event()

    def poll(key: str) -> None:
        if key == "stuck":
            passed(drained)
        else:
            engine.wake("drain", "a")

    engine = engine_of(threads=2, poll=poll, drain=lambda _: drained.set())
    engine.run_until_quiet([("poll", "stuck"), ("poll", "one")])
    assert drained.is_set()


def test_no_more_calls_than_threads_run_at_once() -> None:
    together = threading.Barrier(3)
    inside, most, lock = Counter[str](), Counter[str](), threading.Lock()

    def poll(_: str) -> None:
        with lock:
            inside["now"] += 1
            most["ever"] = max(most["ever"], inside["now"])
        together.wait(PATIENCE_SECONDS)
        with lock:
            inside["now"] -= 1

    engine_of(threads=3, poll=poll).run_until_quiet(("poll", str(n)) for n in range(12))
    assert most["ever"] == 3


class Bug(Exception):
    """What a handler fails with."""


@pytest.mark.parametrize(
    "error", [Bug("x"), KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__
)
def test_an_exception_is_raised_after_what_ran_has_ended_and_the_rest_is_not_begun(error: BaseException) -> None:
    both, failed, ended, begun = threading.Barrier(2), threading.Event(), threading.Event(), Calls()

    def drain(key: str) -> None:
        begun(key)
        if key == "bad":
            both.wait(PATIENCE_SECONDS)
            raise error
        if key == "slow":
            both.wait(PATIENCE_SECONDS)
            passed(failed)
            ended.set()

    engine = engine_of(threads=2, drain=drain)

    def watch_for_the_failure() -> None:
        wait_until(lambda: engine._failure is not None)
        failed.set()

    watch = threading.Thread(target=watch_for_the_failure)
    watch.start()
    with pytest.raises(type(error)) as raised:
        engine.run_until_quiet(("drain", key) for key in ["bad", "slow", "third", "fourth"])
    assert raised.value is error
    assert ended.is_set()
    assert sorted(begun.count) == ["bad", "slow"]
    watch.join()


def wait_until(true: Callable[[], bool]) -> None:
    """The condition holds; asked each millisecond, since nothing tells of it."""
    moment = threading.Event()
    for _ in range(PATIENCE_SECONDS * 1000):
        if true():
            return
        moment.wait(0.001)
    raise AssertionError("it never came true")


def test_an_exception_of_a_single_call_stops_what_it_woke() -> None:
    drains = Calls()

    def poll(_: str) -> None:
        engine.wake("drain", "a")
        raise Bug("x")

    engine = engine_of(poll=poll, drain=drains)
    with pytest.raises(Bug):
        engine.run_until_quiet([("poll", "one")])
    assert drains.count == {}


def test_the_first_of_two_exceptions_is_raised() -> None:
    def poll(key: str) -> None:
        if key == "second":
            wait_until(lambda: engine._failure is not None)
        raise Bug(key)

    engine = engine_of(threads=2, poll=poll)
    with pytest.raises(Bug, match="first"):
        engine.run_until_quiet([("poll", "second"), ("poll", "first")])


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    engine_of(poll=Calls()).run_until_quiet(("poll", str(n)) for n in range(20))
    assert threading.active_count() == before


def test_one_poll_after_the_other_runs_in_the_calling_thread() -> None:
    found: list[tuple[str, threading.Thread]] = []

    def poll(key: str) -> None:
        found.append((key, threading.current_thread()))
        if key == "one":
            engine.wake("poll", "two")

    engine = engine_of(poll=poll)
    engine.run_until_quiet([("poll", "one")])
    assert found == [("one", threading.current_thread()), ("two", threading.current_thread())]


def test_a_drain_never_runs_in_the_thread_that_an_interrupt_reaches() -> None:
    found: list[threading.Thread] = []
    engine_of(drain=lambda _: found.append(threading.current_thread())).run_until_quiet([("drain", "a")])
    assert found != [threading.current_thread()]


def test_an_interrupt_lets_the_only_call_end_and_begins_nothing_more() -> None:
    ended, begun = threading.Event(), Calls()

    def drain(key: str) -> None:
        begun(key)
        engine.wake("drain", "next")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        wait_until(lambda: engine.is_stopping)
        ended.set()

    engine = engine_of(drain=drain)
    with pytest.raises(KeyboardInterrupt):
        engine.run_until_quiet([("drain", "a")])
    assert ended.is_set()
    assert begun.count == {"a": 1}


IDLE_RUN = """
import sys, threading
from autopublish.engines.local import LocalEngine

engine = LocalEngine()
engine.handlers["poll"] = lambda key: print(key, threading.active_count())
engine.run_until_quiet([("poll", "one")])
print(sorted({"concurrent.futures", "queue", "apscheduler"} & set(sys.modules)))
"""


def test_an_idle_run_with_one_job_starts_no_thread_and_loads_no_pool() -> None:
    ran = subprocess.run([sys.executable, "-c", IDLE_RUN], check=True, capture_output=True, text=True)
    assert ran.stdout == "one 1\n[]\n"
