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
        rows = [(each, _page(each).partition("\n")[0]) for each in known.available()]
        if as_json:
            print_json([{"platform": each, "about": about} for each, about in rows])
        else:
            table(rows, ["platform", "about"])
        return
    page = _page(name)
    if as_json:
        print_json({"platform": name, "page": page})
    else:
        click.echo(page)


def _page(name: str) -> str:
    """The docstring of the platform's module."""
    try:
        platform = known.load(name)
    except LookupError as error:
        refuse(str(error.args[0]))
    return inspect.getdoc(sys.modules[platform.__module__]) or f"{name} has no page"
