"""rss2discord: feeds to one webhook, one message for what is new in a feed, with its memory in a JSON file.

It asks with validators and writes the whole file after each feed. https://github.com/fluffy-critter/rss2discord
"""

from __future__ import annotations

import json
from dataclasses import replace

from benchmarks.contestants import Peer, Task
from benchmarks.measure import Command


class Program(Peer):
    """Run with a list of feeds."""

    name = "rss2discord"
    requirements = ("rss2discord==0.5.2", "feedparser==6.0.14", "requests==2.34.2")
    #: Ten articles are one message, and no more than that go in one run.
    posts_each = False

    def set_up(self, task: Task) -> Command:
        """One JSON file."""
        settings = {
            "webhook": f"{task.url}/hook/{task.folder.name}",
            "database": str(task.folder / "database.json"),
            "feeds": list(task.feeds),
        }
        config = task.folder / "rss2discord.json"
        config.write_text(json.dumps(settings))
        return Command(argv=[self.program("rss2discord"), str(config)], folder=task.folder, environment={})

    def first(self, command: Command) -> Command:
        """Its option to record what is there."""
        return replace(command, argv=[*command.argv, "--populate"])
