"""Feeds: a URL to a parsed document. Knows no account, store or article."""
