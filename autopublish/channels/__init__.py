"""Channels: the ways by which a notice reaches a person, one module a kind; `ping` tells a monitor that all is well.

A channel is given a notice and either gives it away or says why not. It knows no store, no clock, no configuration and
no other channel; what is told, when, and through which one, `autopublish.telling` says. Modules load when used.
"""

from autopublish.channels._base import DEADLINE, Channel, Notice, Told

__all__ = ["DEADLINE", "Channel", "Notice", "Told"]
