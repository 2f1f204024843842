"""What stands around the code for those who join: each names what there is."""

from __future__ import annotations

import re
import sys

import pytest
import yaml

from ptv_hub import __version__
from tests import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml" for name in ("number", "checkpoint")]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_what_the_makefile_has(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    jobs = yaml.safe_load(path.read_text())["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert runs
    for words in (run.removeprefix("sudo ").split() for run in runs):
        assert words[0] == "make"
        assert words[1] in targets
    assert all("timeout-minutes" in job for job in jobs.values())


def test_every_python_that_is_promised_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={PYTHONS[0]}"
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if ":: Python :: 3." in c]
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    assert tuple(named) == tuple(jobs["newest"]["strategy"]["matrix"]["python"]) == PYTHONS


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_ask_for_what_the_command_line_says_of_itself(path):
    form = yaml.safe_load(path.read_text())
    fields = {field["id"]: field for field in form["body"] if "id" in field}
    assert "`ptv-hub env`" in fields["env"]["attributes"]["description"]
    assert fields["env"]["validations"] == fields["command"]["validations"] == {"required": True}


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    latest = re.findall(r"^## \[(\d[^]]*)\] - (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[0]
    assert (citation["version"], str(citation["date-released"])) == latest
    assert citation["version"] == __version__
