"""The whole line: a feed's document in, receipts out. The flow, and who does each step:

    poll   fetch      feeds.fetch      conditional GET, bounded, polite
           parse      feeds.parse      items, cleaned; without those of the last document
           identify   articles         new, known, edited, moved, doubled                 pure
           route      deliveries       which accounts and when, and why not the others    pure
           save       store            articles, aliases, deliveries, validators          ONE transaction
    - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -
    drain  claim      deliveries       the account's next due delivery, inside its rate windows
           picture    media            fetched once per article
           compose    posts            article and configuration of now -> post           pure
           stage      platform         uploads: repeatable, invisible
           intend     store            READY -> SENDING with the frozen attempt           one transaction
           publish    platform         the one irreversible call
           settle     deliveries       outcome -> state, receipt, evidence                one transaction
    verify            platform.find    what is unknown is looked up, later

`Pipeline` gives the two verbs to an engine, which only decides when they are called. Everything that it needs comes
with `Parts`; it knows no configuration file, no command and no platform's name.
"""

from autopublish.pipeline._parts import Changed, Connection, Parts, Polled, Trouble, tell_bug
from autopublish.pipeline._pipeline import Pipeline
from autopublish.pipeline._preview import Draft, Previewed, posts_of_article, posts_of_feed

__all__ = [
    "Changed",
    "Connection",
    "Draft",
    "Parts",
    "Pipeline",
    "Polled",
    "Previewed",
    "Trouble",
    "posts_of_article",
    "posts_of_feed",
    "tell_bug",
]
