"""feediverse: feeds to one Mastodon account, with the time of the newest post in its configuration.

It gets and parses every feed in full each time. https://github.com/edsu/feediverse
"""

from __future__ import annotations

from datetime import UTC, datetime

from benchmarks.contestants import Peer, Task, token
from benchmarks.measure import Command


class Program(Peer):
    """Run with a list of feeds; what is dated before its first run is not posted."""

    name = "feediverse"
    requirements = ("feediverse==0.4.1", "Mastodon.py==1.8.1", "feedparser==6.0.14")

    def set_up(self, task: Task) -> Command:
        """One YAML file."""
        lines = [
            f"url: {task.url}",
            "name: feediverse",
            "client_id: client",
            "client_secret: secret",
            f"access_token: {token(task, 0)}",
            f"updated: '{datetime.now(UTC).isoformat()}'",
            "feeds:",
        ]
        for url in task.feeds:
            lines += [f"- url: {url}", "  template: '{title} {link}'"]
        config = task.folder / "feediverse.yaml"
        config.write_text("\n".join([*lines, ""]))
        return Command(argv=[self.program("feediverse"), "--config", str(config)], folder=task.folder, environment={})
