"""The list of faults and the tests that show them name the same faults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LIST = (TESTS / "faults.md").read_text()
HEADING = re.compile(r"^### ([A-Z]\d\d) (P[01]) (.+)$", re.MULTILINE)
IDS = [found[0] for found in HEADING.findall(LIST)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One test with the faults of its name and of its marks."""

    place: str
    name: str
    named: frozenset[str]
    marked: frozenset[str]


def marked_in(path: Path) -> Iterator[Marked]:
    """Every test of a file that names or marks a fault."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            head = re.match(r"test_((?:[a-z]\d\d_)*)", node.name)
            named = frozenset(head[1].upper().split("_")) - {""} if head else frozenset()
            marked = frozenset(marks_in(node.decorator_list))
            if named or marked:
                yield Marked(place=path.name, name=node.name, named=named, marked=marked)


def marks_in(decorators: list[ast.expr]) -> Iterator[str]:
    """The faults that decorators mark, also those of single parameters."""
    for decorator in decorators:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                yield from (str(ast.literal_eval(argument)) for argument in node.args)


MARKED = [one for path in sorted(TESTS.rglob("test_*.py")) for one in marked_in(path)]


def test_every_fault_of_the_list_has_an_id_of_its_own_a_priority_and_an_expectation() -> None:
    headings = re.findall(r"^### .*$", LIST, re.MULTILINE)
    assert len(IDS) == len(headings) == len(set(IDS)) == 100
    bodies = re.split(r"^##.*$", LIST, flags=re.MULTILINE)
    assert all(body.strip().endswith((".", ".**")) for body in bodies if body.strip())


def test_the_ids_of_each_chapter_follow_each_other() -> None:
    for letter in dict.fromkeys(one[0] for one in IDS):
        chapter = [int(one[1:]) for one in IDS if one[0] == letter]
        assert chapter == list(range(1, len(chapter) + 1)), letter


@pytest.mark.parametrize("one", MARKED, ids=lambda one: f"{one.place}-{one.name}")
def test_a_test_marks_the_faults_that_its_name_names_and_they_are_in_the_list(one: Marked) -> None:
    assert one.named == one.marked
    assert one.marked <= set(IDS)


def test_the_tests_of_faults_are_found() -> None:
    assert len(MARKED) > 100
    assert {"F01", "D02", "D11", "S08", "O03", "H09"} <= {fault for one in MARKED for fault in one.marked}
