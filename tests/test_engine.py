"""The local engine: each key one call at a time, no key in the way of another, and an end that is an end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import process_time

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


@pytest.mark.fault("P01")
def test_p01_who_interrupts_again_does_not_cut_the_call_that_ends(interrupts: list[int]) -> None:
    ended = threading.Event()

    def drain(_: str) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        wait_until(lambda: engine.is_stopping)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        wait_until(lambda: len(interrupts) == 2)
        threading.Event().wait(0.1)  # time enough for a main thread that wants to leave
        ended.set()

    engine = engine_of(drain=drain)
    with pytest.raises(KeyboardInterrupt):
        engine.run_until_quiet([("drain", "a")])
    assert ended.is_set()


@pytest.fixture
def interrupts() -> Iterator[list[int]]:
    """Every interrupt that reached the program."""
    seen: list[int] = []

    def interrupt(number: int, _: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    yield seen
    signal.signal(signal.SIGINT, before)


# --- later -----------------------------------------------------------------------------------------------------------

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


class Time:
    """A clock that the engine's waits move."""

    def __init__(self) -> None:
        self.now = START
        self.waits: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def wait(self, _: threading.Condition, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    """A clock that the engine's waits move."""
    return Time()


def later_engine(time: Time, **handlers: Callable[[str], None]) -> LocalEngine:
    engine = LocalEngine(clock=time, wait=time.wait)
    engine.handlers.update(handlers)
    return engine


def in_seconds(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_key_woken_for_later_is_called_when_its_time_has_come(time: Time) -> None:
    called: list[tuple[str, datetime]] = []
    engine = later_engine(time, drain=lambda key: called.append((key, time.now)))
    engine.wake("drain", "b", in_seconds(50))
    engine.wake("drain", "a", in_seconds(20))
    engine.run_until_over(lambda: None)
    assert called == [("a", in_seconds(20)), ("b", in_seconds(50))]
    assert time.waits == [20, 30]
    assert engine.later == {}


def test_what_is_woken_for_later_is_not_waited_for_by_a_run_that_ends_when_all_is_quiet(time: Time) -> None:
    calls = Calls()
    engine = later_engine(time, drain=calls)
    engine.wake("drain", "a", in_seconds(20))
    engine.run_until_quiet([("drain", "b")])
    assert (calls.count, time.waits) == ({"b": 1}, [])
    assert engine.later == {("drain", "a"): in_seconds(20)}


def test_of_several_times_the_earliest_counts(time: Time) -> None:
    calls = Calls()
    engine = later_engine(time, drain=calls)
    for seconds in (40, 20, 30):
        engine.wake("drain", "a", in_seconds(seconds))
    engine.run_until_over(lambda: None)
    assert (calls.count, time.now) == ({"a": 1}, in_seconds(20))


def test_a_long_wait_is_cut_into_minutes_in_which_is_asked_what_there_is_to_do(time: Time) -> None:
    calls, quiet = Calls(), Counter[str]()

    def when_quiet() -> None:
        quiet["times"] += 1
        if quiet["times"] == 2:
            engine.wake("drain", "found")

    engine = later_engine(time, drain=calls)
    engine.wake("drain", "a", in_seconds(150))
    engine.run_until_over(when_quiet)
    assert calls.order == ["found", "a"]
    assert time.waits == [60, 60, 30]
    assert quiet["times"] == 5, "at first, after each minute, after each call"


def test_what_is_found_when_all_is_quiet_is_worked_on_before_it_is_over(time: Time) -> None:
    calls, found = Calls(), ["b", "a"]

    def when_quiet() -> None:
        if found:
            engine.wake("drain", found.pop(), in_seconds(10))

    engine = later_engine(time, drain=calls)
    engine.run_until_over(when_quiet)
    assert calls.order == ["a", "b"]


def test_a_call_may_have_itself_called_again_later(time: Time) -> None:
    calls = Calls()

    def drain(key: str) -> None:
        calls(key)
        if calls.count[key] < 3:
            engine.wake("drain", key, time.now + timedelta(seconds=30))

    engine = later_engine(time, drain=drain)
    engine.wake("drain", "a")
    engine.run_until_over(lambda: None)
    assert (calls.count, time.now) == ({"a": 3}, in_seconds(60))


def test_a_stuck_key_does_not_hold_up_what_falls_due_meanwhile() -> None:
    begun, drained = threading.Event(), threading.Event()

    def drain(key: str) -> None:
        if key == "stuck":
            begun.set()
            passed(drained)
        else:
            passed(begun)
            drained.set()

    engine = engine_of(threads=2, drain=drain)
    engine.wake("drain", "stuck")
    engine.wake("drain", "due", datetime.now(UTC) + timedelta(milliseconds=50))
    engine.run_until_over(lambda: None)
    assert drained.is_set()


def test_a_wake_from_outside_ends_the_wait() -> None:
    calls = Calls()
    engine = engine_of(drain=calls)
    waiting = threading.Event()

    def wake() -> None:
        passed(waiting)
        engine.wake("drain", "far", datetime.now(UTC))

    thread = threading.Thread(target=wake)
    thread.start()
    engine.wake("drain", "far", datetime.now(UTC) + timedelta(hours=1))
    engine.run_until_over(waiting.set)
    thread.join()
    assert calls.count == {"far": 1}


def test_an_interrupt_ends_the_wait_at_once_and_begins_nothing() -> None:
    calls = Calls()
    engine = engine_of(drain=calls)

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    engine.wake("drain", "far", datetime.now(UTC) + timedelta(hours=1))
    threading.Timer(0.05, interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        engine.run_until_over(lambda: None)
    assert (calls.count, engine.is_stopping) == ({}, True)


def test_a_failure_ends_the_wait_for_what_comes_later(time: Time) -> None:
    calls = Calls()

    def drain(key: str) -> None:
        calls(key)
        raise Bug(key)

    engine = later_engine(time, drain=drain)
    engine.wake("drain", "soon", in_seconds(10))
    engine.wake("drain", "late", in_seconds(3600))
    with pytest.raises(Bug, match="soon"):
        engine.run_until_over(lambda: None)
    assert (calls.count, time.now) == ({"soon": 1}, in_seconds(10))


def test_what_need_not_be_called_any_more_is_not_waited_for(time: Time) -> None:
    calls = Calls()
    engine = later_engine(time, drain=calls)
    engine.wake("drain", "off", in_seconds(3600))
    engine.wake("drain", "on", in_seconds(20))
    engine.run_until_over(lambda: engine.keep_later({("drain", "on")}))
    assert (calls.count, time.now) == ({"on": 1}, in_seconds(20))


def test_a_wait_costs_no_processor_time() -> None:
    engine = engine_of(drain=lambda _: None)
    engine.wake("drain", "a", datetime.now(UTC) + timedelta(seconds=0.5))
    before = process_time()
    engine.run_until_over(lambda: None)
    assert process_time() - before < 0.2


# --- a daemon's ------------------------------------------------------------------------------------------------------

BEAT = ("reconcile", "")


@contextmanager
def at_work(engine: LocalEngine, *, every_seconds: float = 60.0) -> Iterator[None]:
    """The engine works as a daemon's does, in a thread of its own, and has ended in the end."""
    thread = threading.Thread(target=engine.run_until_stopped, args=(BEAT,), kwargs={"every_seconds": every_seconds})
    thread.start()
    try:
        yield
    finally:
        engine.stop()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "it does not stop"


def test_what_finds_work_is_called_at_once_and_again_and_again() -> None:
    beats = Calls()
    with at_work(engine_of(reconcile=beats), every_seconds=0.01):
        wait_until(lambda: beats.count[""] >= 3)


def test_what_is_woken_meanwhile_is_called_without_a_wait_for_the_next_beat() -> None:
    calls = Calls()
    engine = engine_of(reconcile=Calls(), drain=calls)
    with at_work(engine):
        engine.wake("drain", "now")
        wait_until(lambda: calls.count["now"] == 1)
        engine.wake("drain", "soon", datetime.now(UTC) + timedelta(milliseconds=50))
        wait_until(lambda: calls.count["soon"] == 1)


def test_of_two_later_times_each_is_kept_by_one_alarm() -> None:
    calls = Calls()
    engine = engine_of(reconcile=Calls(), drain=calls)
    with at_work(engine):
        engine.wake("drain", "second", datetime.now(UTC) + timedelta(milliseconds=120))
        engine.wake("drain", "first", datetime.now(UTC) + timedelta(milliseconds=40))
        wait_until(lambda: len(calls.order) == 2)
    assert calls.order == ["first", "second"]


@pytest.mark.fault("P03")
def test_p03_a_stuck_key_holds_up_neither_the_beat_nor_what_falls_due() -> None:
    beats, calls, over = Calls(), Calls(), threading.Event()

    def drain(key: str) -> None:
        if key == "stuck":
            passed(over)
        calls(key)

    engine = engine_of(reconcile=beats, drain=drain)
    engine.wake("drain", "stuck")
    with at_work(engine, every_seconds=0.01):
        engine.wake("drain", "due", datetime.now(UTC) + timedelta(milliseconds=20))
        wait_until(lambda: calls.count["due"] == 1 and beats.count[""] >= 3)
        assert calls.count["stuck"] == 0
        over.set()


@pytest.mark.fault("P03")
def test_p03_calls_that_take_every_thread_do_not_hold_up_the_beat_and_are_told_as_such() -> None:
    over, beats, calls = threading.Event(), Calls(), Calls()

    def slow(key: str) -> None:
        calls.begin(key)
        passed(over)
        calls.end(key)

    engine = engine_of(2, reconcile=beats, poll=slow)
    with at_work(engine, every_seconds=0.05):
        for number in range(6):
            engine.wake("poll", str(number))
        wait_until(lambda: len(calls.order) == 2)
        seen = beats.count[""]
        wait_until(lambda: beats.count[""] >= seen + 3)
        assert len(calls.order) == 2, "the thread for the beat is for nothing else"
        assert engine.held_up_seconds > 0.05
        over.set()
        wait_until(lambda: len(calls.order) == 6)
        wait_until(lambda: engine.held_up_seconds == 0)


@pytest.mark.fault("C01")
def test_c01_a_clock_that_jumps_back_a_day_does_not_stop_the_beat() -> None:
    time, beats = Time(), Calls()
    engine = LocalEngine(clock=time)
    engine.handlers.update(reconcile=beats, drain=Calls())
    with at_work(engine, every_seconds=0.01):
        engine.wake("drain", "later", in_seconds(3600))
        wait_until(lambda: beats.count[""] >= 2)
        time.now -= timedelta(days=1)
        seen = beats.count[""]
        wait_until(lambda: beats.count[""] >= seen + 3)


@pytest.mark.fault("P01")
def test_p01_who_is_stopped_lets_what_runs_end_and_begins_nothing_more() -> None:
    begun, over, calls = threading.Event(), threading.Event(), Calls()

    def drain(key: str) -> None:
        if key == "runs":
            begun.set()
            passed(over)
        calls(key)

    engine = engine_of(threads=1, reconcile=Calls(), drain=drain)
    thread = threading.Thread(target=engine.run_until_stopped, args=(BEAT,))
    thread.start()
    engine.wake("drain", "runs")
    passed(begun)
    engine.wake("drain", "waits")
    engine.stop()
    assert engine.is_stopping
    thread.join(0.1)
    assert thread.is_alive(), "it waits for what runs"
    over.set()
    thread.join(PATIENCE_SECONDS)
    assert (calls.order, thread.is_alive()) == (["runs"], False)


def test_an_exception_ends_a_daemons_engine_too() -> None:
    def drain(key: str) -> None:
        raise Bug(key)

    engine = engine_of(reconcile=lambda _: engine.wake("drain", "bad"), drain=drain)
    with pytest.raises(Bug, match="bad"):
        engine.run_until_stopped(BEAT)


def test_no_thread_of_a_daemons_engine_is_left_behind() -> None:
    before, beats = threading.active_count(), Calls()
    engine = engine_of(reconcile=beats)
    with at_work(engine):
        wait_until(lambda: beats.count[""] == 1)
        engine.wake("reconcile", "", datetime.now(UTC) + timedelta(milliseconds=10))
        wait_until(lambda: beats.count[""] == 2)
    assert threading.active_count() == before


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
