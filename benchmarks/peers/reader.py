"""reader: a library that polls feeds politely and keeps every entry in SQLite; it posts nothing.

It is called as its documentation shows. https://reader.readthedocs.io/
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.contestants import Peer, Task
from benchmarks.measure import Command

_ADD = """
from reader import make_reader
with make_reader("reader.db") as reader:
    for url in open("feeds").read().split():
        reader.add_feed(url)
"""

_ROUND = """
from reader import make_reader
with make_reader("reader.db") as reader:
    for result in reader.update_feeds_iter(scheduled=False):
        assert not isinstance(result.value, Exception), result
"""


class Program(Peer):
    """Adds the feeds, then updates all of them each time."""

    name = "reader"
    # Its own copy of feedparser needs sgmllib3k, which feedparser does not bring any more.
    requirements = ("reader==3.26", "feedparser==6.0.14", "requests==2.34.2", "sgmllib3k==1.0.0")
    posts = False

    def set_up(self, task: Task) -> Command:
        """Two scripts and a list of feeds."""
        (task.folder / "feeds").write_text("\n".join(task.feeds))
        (task.folder / "first.py").write_text(_ADD + _ROUND)
        (task.folder / "round.py").write_text(_ROUND)
        return Command(argv=[self.program("python"), "round.py"], folder=task.folder, environment={})

    def first(self, command: Command) -> Command:
        """Its database must know the feeds."""
        return replace(command, argv=[self.program("python"), "first.py"])
