"""Set-up of logging, called by the command line only."""

from __future__ import annotations

import logging


def set_up(verbosity: int) -> None:
    """Events of autopublish go to stderr: by default none below an error, with -v what happens, with -vv all."""
    level = {0: logging.ERROR, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("autopublish").setLevel(level)
    # It logs paths and queries, where some networks have their token; what matters of a call we log ourselves.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
