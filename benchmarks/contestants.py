"""The programs that are measured: how each is set up for some feeds and accounts, and called."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Command

YARDSTICK = Path(__file__).with_name("yardstick.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a program is set up for."""

    folder: Path
    url: str
    feeds: Sequence[str]
    #: How many accounts get each article.
    accounts: int = 1


class Contestant(ABC):
    """A program that polls feeds and posts what is new, one round each time that it is called."""

    name: str
    #: Whether it posts; one that only polls is not asked where posts are counted.
    posts: bool = True
    #: Whether it makes one post of each of several new articles of a feed.
    posts_each: bool = True

    @abstractmethod
    def set_up(self, task: Task) -> Command:
        """Its folder holds all that it needs; gives what runs one round."""

    def first(self, command: Command) -> Command:
        """What runs its first round, which records what is there."""
        return command


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python, and beside it the `autopublish`, that are measured."""

    folder: Path

    @classmethod
    def current(cls) -> Interpreter:
        """The one that runs this."""
        return cls(Path(sys.executable).parent)

    @property
    def python(self) -> str:
        """Its path."""
        return str(self.folder / "python")

    @property
    def program(self) -> str:
        """The path of the command."""
        return str(self.folder / "autopublish")


class Ours(Contestant):
    """autopublish, with no limit on how much it may post at once."""

    name = "autopublish"

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter

    def set_up(self, task: Task) -> Command:
        """One YAML file, and one token for each account."""
        file = task.folder / "autopublish.yaml"
        file.write_text("\n".join([*self._feeds(task), *self._accounts(task), ""]))
        argv = [self._interpreter.program, "run", "--config", str(file)]
        return Command(argv=argv, folder=task.folder, environment=tokens(task))

    def staying(self, command: Command) -> Command:
        """The same as a daemon, which does not end by itself."""
        argv = ["daemon" if word == "run" else word for word in command.argv]
        return Command(argv=argv, folder=command.folder, environment=command.environment)

    def _feeds(self, task: Task) -> list[str]:
        lines = ["feeds:"]
        for number, url in enumerate(task.feeds):
            lines += [f"  feed-{number}:", f"    url: {url}", "    allow_private: yes"]
        return lines

    def _accounts(self, task: Task) -> list[str]:
        lines = ["defaults:", "  allow_private: yes", "  burst: none", "  at_most: none", "accounts:"]
        for number in range(task.accounts):
            lines += [
                f"  account-{number}:",
                "    platform: mastodon",
                f"    server: {task.url}",
                f"    access_token: env:TOKEN_{number}",
            ]
        return lines


class Yardstick(Contestant):
    """The standard library alone; it has one account."""

    name = "yardstick"

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter

    def set_up(self, task: Task) -> Command:
        """One JSON file."""
        settings = {
            "store": str(task.folder / "yardstick.db"),
            "feeds": list(task.feeds),
            "statuses": f"{task.url}/api/v1/statuses",
            "token": token(task, 0),
        }
        file = task.folder / "yardstick.json"
        file.write_text(json.dumps(settings))
        argv = [self._interpreter.python, str(YARDSTICK), str(file)]
        return Command(argv=argv, folder=task.folder, environment={})


class Peer(Contestant):
    """A program of somebody else, in an environment of its own."""

    #: What pip installs.
    requirements: tuple[str, ...]

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter

    def program(self, name: str) -> str:
        """The path of one of its commands."""
        return str(self._interpreter.folder / name)


def token(task: Task, account: int) -> str:
    """The token of one account of one program."""
    return f"token-{task.folder.name}-{account}"


def tokens(task: Task) -> dict[str, str]:
    """The environment that holds the accounts' tokens."""
    return {f"TOKEN_{number}": token(task, number) for number in range(task.accounts)}
