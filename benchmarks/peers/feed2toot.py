"""feed2toot: feeds to one Mastodon account, with the ids of what was posted in a file.

It gets and parses every feed in full each time. https://gitlab.com/chaica/feed2toot
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.contestants import Peer, Task, token
from benchmarks.measure import Command

_CONFIG = """[mastodon]
instance_url={url}
user_credentials={folder}/token
client_credentials={folder}/client

[cache]
cachefile={folder}/cache
cache_limit={remembered}

[lock]
lock_file={folder}/lock

[rss]
uri_list={folder}/feeds
toot={{title}} {{link}}
"""


class Program(Peer):
    """Run with a list of feeds; each run takes as many of a feed's articles as it shows."""

    name = "feed2toot"
    # Mastodon.py 2 is what pip takes today; feed2toot names no version.
    requirements = ("feed2toot==0.17", "Mastodon.py==2.3.3", "feedparser==6.0.14")

    def set_up(self, task: Task) -> Command:
        """An ini file, a list of feeds, and a file for each credential."""
        folder = task.folder
        (folder / "token").write_text(f"{token(task, 0)}\n{task.url}\n")
        (folder / "client").write_text(f"client\nsecret\n{task.url}\n")
        (folder / "feeds").write_text("".join(f"{url}\n" for url in task.feeds))
        config = _CONFIG.format(url=task.url, folder=folder, remembered=1000 * len(task.feeds))
        (folder / "feed2toot.ini").write_text(config)
        argv = [self.program("feed2toot"), "--config", str(folder / "feed2toot.ini"), "--limit", "1000"]
        return Command(argv=argv, folder=folder, environment={})

    def first(self, command: Command) -> Command:
        """Its option to record what is there."""
        return replace(command, argv=[*command.argv, "--populate-cache"])
