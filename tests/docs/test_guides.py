"""Every block of code in the README and the guides is run, in the order of its page.

Sybil finds the blocks, keeps the names that Python blocks of a page share, and skips those that an
HTML comment before them marks, with the comment's reason.
"""

import re
import shutil
from pathlib import Path

import pytest
from sybil import Document, Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from tests.docs.project import ROOT, Project, finish_project

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MOST_SKIPPED = 6

run_python = PythonEvaluator()


def python(example: Example) -> None:
    project: Project = example.namespace["project"]
    if re.match(r"# (features|models|pipeline)/\S+\.py\n", example.parsed):
        project.write_module(example.parsed)
        return
    with project.entered():
        run_python(example)


def method(name: str):
    return lambda example: getattr(example.namespace["project"], name)(example.parsed)


BLOCKS = {
    "diff": method("enter_lines"),
    "python": python,
    "sh": method("shell"),
    "yaml": method("edit_params"),
}
SYBIL = Sybil([SkipParser(), *(CodeBlockParser(*block) for block in BLOCKS.items())])
EXAMPLES = [example for page in PAGES for example in SYBIL.parse(page).examples()]


def is_block(example: Example) -> bool:
    return isinstance(example.parsed, str)


def name_of(example: Example) -> str:
    page = Path(example.path).name
    return f"{page}:{example.line}" if is_block(example) else f"{page}:{example.line}-comment"


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Give each page a copy of one finished project."""
    folder = tmp_path_factory.mktemp("guides")
    finish_project(folder / "finished" / "project")
    copies: dict[str, Project] = {}

    def project_of(document: Document) -> Project:
        name = Path(document.path).stem
        if name not in copies:
            shutil.copytree(folder / "finished", folder / name, symlinks=True)
            copies[name] = Project(folder / name / "project")
        return copies[name]

    return project_of


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_every_block_does_what_it_says(example, projects):
    if is_block(example):
        example.namespace["project"] = projects(example.document)
    example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    opened = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[::2]
    assert set(opened) <= {*BLOCKS, "text", "{toctree}"}


def test_few_blocks_are_not_run():
    skipped = [example for example in EXAMPLES if not is_block(example)]
    assert len(skipped) <= MOST_SKIPPED
