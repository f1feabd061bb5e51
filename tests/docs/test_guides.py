"""Every block of code in the README and the guides is run, in the order of its page.

Sybil finds the blocks, and keeps the names that Python blocks of a page share. None is skipped.
"""

import re
import shutil
from pathlib import Path

import pytest
from sybil import Document, Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from tests.docs.project import ROOT, Project, finish_project

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

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
SYBIL = Sybil([CodeBlockParser(*block) for block in BLOCKS.items()])


ALL_BLOCKS = [block for page in PAGES for block in SYBIL.parse(page).examples()]


def name_of(block: Example) -> str:
    return f"{Path(block.path).name}:{block.line}"


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Give each page a copy of one finished project."""
    folder = tmp_path_factory.mktemp("guides")
    finished = finish_project(folder / "finished" / "project")
    copies: dict[str, Project] = {}

    def project_of(document: Document) -> Project:
        name = Path(document.path).stem
        if name not in copies:
            shutil.copytree(folder / "finished", folder / name, symlinks=True)
            copies[name] = Project(folder / name / "project", finished.files_run)
        return copies[name]

    yield project_of
    for project in copies.values():
        project.close()


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=[name_of(block) for block in ALL_BLOCKS])
def test_every_block_does_what_it_says(block, projects):
    block.namespace["project"] = projects(block.document)
    block.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    opened = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[::2]
    assert set(opened) <= {*BLOCKS, "text", "{toctree}"}
