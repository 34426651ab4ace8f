"""`autopublish platforms`: which networks there are, and each one's page."""

from __future__ import annotations

import inspect
import sys

import click

from autopublish import platforms as known
from autopublish.cli._common import in_words, json_option, print_json, refuse, table


@click.command()
@click.argument("name", required=False)
@json_option
@in_words
def platforms(name: str | None, *, as_json: bool) -> None:
    """List the platforms, or show the page of one: credentials, what is posted, what happens on an unknown outcome."""
    if name is None:
        rows = [(each, about(each)) for each in known.available()]
        if as_json:
            print_json([{"platform": each, "about": about} for each, about in rows])
        else:
            table(rows, ["platform", "about"])
        return
    try:
        page = _page(name)
    except (ImportError, LookupError) as error:
        refuse(_in_words(error))
    if as_json:
        print_json({"platform": name, "page": page})
    else:
        click.echo(page)


def about(name: str) -> str:
    """The first line of its page; one of an outside package that does not load hides no other."""
    try:
        return _page(name).partition("\n")[0]
    except (ImportError, LookupError) as error:
        return f"does not load: {_in_words(error)}"


def _in_words(error: ImportError | LookupError) -> str:
    # The text of a KeyError is that of its argument in quotes.
    return str(error.args[0] if error.args else error)


def _page(name: str) -> str:
    """The docstring of the platform's module.

    Raises:
        ImportError: it does not load.
        LookupError: there is no such platform.
    """
    platform = known.load(name)
    return inspect.getdoc(sys.modules[platform.__module__]) or f"{name} has no page"
