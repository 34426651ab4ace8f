"""autopublish: every article of a site on each of its social accounts, well made, once.

One line of data runs through the package, and each noun has a module:

    feed -> articles -> posts -> deliveries -> receipts

Two verbs run it: **poll** a feed (feed to deliveries, one transaction) and **drain** an account (due deliveries
to receipts). `pipeline/__init__.py` draws the whole flow. Layers, each seeing only those below it:

    cli                                       what a person types
    checks | daemon                           looks at all of it before trouble comes; stays and works by itself
    listener                                  what it tells other programs of this machine over HTTP
    app                                       the only place where the concrete parts meet
    engines | login | ways                    what wakes the two verbs; how accounts log in; the configured channels
    config | pipeline | logs | metrics | telling
    channels | feeds | media | platforms | store    edges: network, disk, libraries
    vault                                     seals what logins gave
    disk | net | redaction                    what outlives a power loss; one way to other machines; secrets by value
    articles | posts | cards | deliveries     core: values and `now` in, values out
    hashtags
    text
    models
    errors
"""

__version__ = "0.1.0"
