"""`autopublish check`: whether a run would work, before there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autopublish.cli._common import FAILED, config_option, in_words, json_option, plain, print_json, watching

if TYPE_CHECKING:
    from autopublish.checks import Finding

_STYLES = {"ok": "green", "note": "yellow", "wrong": "red"}


@click.command()
@config_option
@json_option
@in_words
def check(config: Path, *, as_json: bool) -> None:
    """Check feeds, accounts, clock, disk and files, and say what the next run would do; posts and writes nothing.

    Each feed is read and each network is asked who is logged in. It takes less than a minute, whoever does not answer.
    """
    from autopublish import checks

    with watching(wanted=not as_json) as watch:
        if watch is not None:
            watch("asking feeds and networks")
        findings = checks.check(config)
    is_good = all(finding.verdict is not checks.Verdict.WRONG for finding in findings)
    if as_json:
        print_json({"good": is_good, "findings": [_document(finding) for finding in findings]})
    else:
        show(findings)
    if not is_good:
        raise SystemExit(FAILED)


def _document(finding: Finding) -> dict[str, object]:
    return {
        "subject": finding.subject,
        "name": finding.name,
        "verdict": finding.verdict.value,
        "words": finding.words,
        "remedy": finding.remedy,
    }


def show(findings: Sequence[Finding]) -> None:
    """One line for each finding, and below it what to do."""
    for finding in findings:
        verdict = finding.verdict.value
        click.secho(f"{verdict:<5}", fg=_STYLES[verdict], nl=False)
        about = f"{finding.subject} {finding.name}" if finding.name else finding.subject
        click.echo(f"  {plain(about)}: {plain(finding.words)}")
        if finding.remedy:
            click.echo(f"       -> {plain(finding.remedy)}")
