"""Prints the only `sh` block under one heading of a Markdown file, so that what is documented is what is run."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def block(text: str, heading: str) -> str:
    """The block under `## HEADING`.

    Raises:
        SystemExit: there is not exactly one such heading with exactly one such block.
    """
    sections = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    blocks = [
        found for section in sections for found in re.findall(r"^```sh\n(.+?)^```$", section, re.DOTALL | re.MULTILINE)
    ]
    if len(sections) != 1 or len(blocks) != 1:
        raise SystemExit(
            f'"## {heading}": {len(sections)} headings with {len(blocks)} sh blocks, expected one with one'
        )
    return str(blocks[0]).strip()


if __name__ == "__main__":
    print(block(Path(sys.argv[1]).read_text(), sys.argv[2]))
