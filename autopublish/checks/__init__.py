"""What `check` finds before a run: feeds, accounts, clock, disk, files, store, and what the next run would do.

Stands above `app`, whose parts it puts together to look and never to act: nothing is posted, and nothing is written to
the store. Each finding is good or says what to do. It knows neither terminal nor exit codes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from autopublish.app import now_utc, user_agent
from autopublish.checks._accounts import ask_account
from autopublish.checks._ask import Question, ask_all
from autopublish.checks._channels import channels
from autopublish.checks._feeds import ask_feed
from autopublish.checks._findings import Finding, Verdict
from autopublish.checks._machine import Memory, clock_beside, disks, files, program, remember
from autopublish.checks._next import next_run
from autopublish.config import Config, load
from autopublish.models import Account, FeedSettings
from autopublish.net import Client
from autopublish.pipeline._clock import Timekeeper

__all__ = ["PATIENCE", "Finding", "Verdict", "check"]

#: All questions to other machines together; what has not answered by then is told as such.
PATIENCE = timedelta(seconds=45)


def check(
    path: Path, *, clock: Callable[[], datetime] = now_utc, patience: timedelta = PATIENCE
) -> tuple[Finding, ...]:
    """All findings, in the order in which a person would mend them; nothing is posted or written.

    It takes `patience` and little more, however many servers do not answer.

    Raises:
        ConfigError: the file is wrong.
    """
    config = load(path)
    now = clock()
    memory = remember(config, now)
    client = Client(user_agent=user_agent(config.contact))
    keeper = Timekeeper(client, clock)
    try:
        answers = ask_all(_questions(config, memory, client, clock), patience)
    finally:
        client.cut_off()
        client.close()
    return (
        program(),
        *files(config),
        memory.finding,
        *disks(config),
        *channels(config, client, memory),
        clock_beside(keeper.offsets()),
        *(answer.finding for answer in answers.values()),
        *next_run(config, memory, answers),
    )


def _questions(config: Config, memory: Memory, client: Client, clock: Callable[[], datetime]) -> tuple[Question, ...]:
    def about_feed(settings: FeedSettings) -> Question:
        known = memory.feeds.get(settings.name)
        host = urlsplit(settings.url).netloc.lower() or settings.url
        return Question(
            subject="feed",
            name=settings.name,
            host=host,
            ask=lambda: ask_feed(settings, known, client, clock(), ZoneInfo(config.timezone)),
        )

    def about_account(account: Account) -> Question:
        standing = memory.standings.get(account.name)
        return Question(
            subject="account",
            name=account.name,
            host=f"account {account.name}",
            ask=lambda: ask_account(account, standing, config, client, memory.kept.get(account.name)),
        )

    return (*(about_feed(feed) for feed in config.feeds), *(about_account(account) for account in config.accounts))
