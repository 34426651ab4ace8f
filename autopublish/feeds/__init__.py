"""Feeds: a URL to a parsed document. Knows no account, store or article.

fetch        one polite GET
parse        the bytes -> a Document
  wellformed   encoding, limits, and where each item stands
  cut          which items need reading
  xmlfeed      RSS, RSS 1.0 and Atom by feedparser
  jsonfeed     JSON Feed
  entries      what an entry states -> an Item, whatever the format
discover     where a site has its feed
"""
