"""Platforms by name: one module each, found by its file; outside packages by entry point.

A module loads only when an account uses it.
"""
