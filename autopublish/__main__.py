"""`python -m autopublish` is the command `autopublish`."""

from autopublish.cli import main

main()
