"""`autopublish preview`: posts as they would be, nothing written or sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from autopublish.app import glance
from autopublish.cli._common import FAILED, config_option, in_words, json_option, plain, print_json, say
from autopublish.config import digest_of
from autopublish.errors import FeedError

if TYPE_CHECKING:
    from autopublish.pipeline import Draft, Previewed


@click.command()
@click.argument("target", required=False)
@config_option
@click.option(
    "-n",
    "--newest",
    "most",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How many articles of each feed.",
)
@json_option
@in_words
def preview(target: str | None, config: Path, most: int, *, as_json: bool) -> None:
    """Show the posts that articles would become; writes and sends nothing.

    TARGET is the address of a feed, of an article or of a site, whose feed is found, or the name of a configured feed;
    without it all of these are shown, and one that cannot be read is named. An address is enough: without a
    configuration file each network is shown with the default template.
    """
    if click.get_current_context().get_parameter_source("config") is ParameterSource.COMMANDLINE:
        digest_of(config)  # what was named must be there
    unread: list[FeedError] = []
    shown = glance(config, target, most=most, tell=say, unread=unread.append)
    if as_json:
        print_json([_document(one) for one in shown])
    else:
        for one in shown:
            show(one)
    for error in unread:
        say(f"the feed cannot be read: {error}")
    if unread:
        raise SystemExit(FAILED)


def _document(one: Previewed) -> dict[str, object]:
    return {
        "feed": one.feed,
        "article": one.article.link,
        "title": one.article.title,
        "published": one.article.published.isoformat(),
        "posts": [_draft(draft) for draft in one.drafts],
    }


def _draft(draft: Draft) -> dict[str, object]:
    post = draft.post
    return {
        "account": draft.account,
        "platform": draft.platform,
        "text": post.text if post else None,
        "length": post.length if post else None,
        "room": post.room if post else None,
        "shortened": list(post.shortened) if post else [],
        "reason": draft.refusal or draft.problem,
        "note": draft.note,
    }


def show(one: Previewed) -> None:
    """One article and its posts."""
    click.secho(plain(one.article.title or one.article.link or "(without title)"), bold=True)
    for draft in one.drafts:
        if draft.post is None:
            why = f"not posted: {draft.refusal}" if draft.refusal else f"held: {draft.problem}"
            click.echo(f"  {draft.account}: {plain(why)}")
            continue
        given = f", shortened: {', '.join(draft.post.shortened)}" if draft.post.shortened else ""
        click.secho(f"  {draft.account} ({draft.platform}), {draft.post.length} of {draft.post.room}{given}", fg="cyan")
        for line in plain(draft.post.text).split("\n"):
            click.echo(f"    | {line}".rstrip())
        if draft.note:
            click.echo(f"    note: {plain(draft.note)}")
    click.echo()
