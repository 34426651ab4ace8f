"""Commands, thin: parse, build, call one method, show, exit code."""


def main() -> None:
    """Run the command line."""
    raise SystemExit(2)
