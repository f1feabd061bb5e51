"""Every block of code in the README and the guides is run, in the order of its page.

Sybil finds the blocks, and keeps the names that Python blocks of a page share. None is skipped.
"""

import re
import shutil
from pathlib import Path

import pytest
import yaml
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
        project.services.close()


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=[name_of(block) for block in ALL_BLOCKS])
def test_every_block_does_what_it_says(block, projects):
    block.namespace["project"] = projects(block.document)
    block.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    opened = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[::2]
    assert set(opened) <= {*BLOCKS, "text", "{toctree}"}


def test_the_report_page_lists_all_that_a_run_writes():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    stages = [stage.get("do", stage) for stage in stages]
    written = [out for stage in stages for out in stage.get("outs", []) + stage.get("metrics", [])]
    listed = re.sub(r"<\w+>", "${key}", (ROOT / "docs/report.md").read_text(encoding="utf-8"))
    listed = re.sub(r"`(\S+)\.parquet`, `\.json`", r"`\1.parquet`, `\1.json`", listed)
    missing = [out for out in written if not re.search(rf"`{re.escape(out)}[/`]", listed)]
    assert not missing


def test_the_report_page_names_its_sections_in_their_order():
    page = (ROOT / "pipeline/report/templates/report.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h2[^>]*>([^<]+)", page)
    guide = (ROOT / "docs/report.md").read_text(encoding="utf-8")
    table = guide.partition("| section |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| ([A-Z][^|]+) \|", table, re.MULTILINE) == titles
