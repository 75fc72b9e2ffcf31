"""The workflows of GitHub Actions: checked without running them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = Path(sys.executable).with_name("actionlint")

#: What each job may do, beside nothing.
PERMISSIONS = {
    "ci.yml": {
        "test": {"contents": "read"},
        "docs": {"contents": "read"},
        "compare": {"contents": "read"},
    },
    "nightly-gpu.yml": {
        "nightly": {"contents": "write"},
        "pages": {"pages": "write", "id-token": "write"},
    },
}

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def load(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    content["on"] = content.pop(True)  # as YAML 1.1 reads the key "on"
    return content


def actionlint(path: Path) -> subprocess.CompletedProcess[str]:
    configuration = ROOT / ".github" / "actionlint.yaml"
    return subprocess.run(
        [ACTIONLINT, "-no-color", "-config-file", configuration, path],
        capture_output=True,
        text=True,
    )


def scripts(workflow: dict[str, Any]) -> list[str]:
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


def targets(script: str) -> list[str]:
    """What a script makes: the first word after each `make`."""
    return re.findall(r"\bmake ([\w-]+)", script)


def variables(script: str) -> list[str]:
    """What a script's `make` is given."""
    calls = re.findall(r"\bmake .*", script)
    return [name for call in calls for name in re.findall(r"\b([A-Z]+)=", call)]


def test_the_workflows_are_these() -> None:
    assert {path.name for path in WORKFLOWS} == set(PERMISSIONS)


@each_workflow
def test_actionlint_finds_nothing(path: Path) -> None:
    done = actionlint(path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "whole", "broken", "complaint"),
    [
        ("nightly-gpu.yml", "needs: nightly", "needs: nigthly", "nigthly"),
        ("nightly-gpu.yml", "outputs.pages == 'true'", "outputs.paegs == 'true'", "paegs"),
        ("nightly-gpu.yml", "x64, gpu]", "x64, tpu]", "tpu"),
        ("ci.yml", "github.event_name == 'pull_request'", "github.event_nam == 1", "event_nam"),
        ("ci.yml", "timeout-minutes: 60", "timeout-minuts: 60", "timeout-minuts"),
    ],
)
def test_actionlint_finds_mistakes(
    tmp_path: Path, name: str, whole: str, broken: str, complaint: str
) -> None:
    text = (ROOT / ".github" / "workflows" / name).read_text()
    assert whole in text
    copy = tmp_path / name
    copy.write_text(text.replace(whole, broken), encoding="utf-8")
    done = actionlint(copy)
    assert done.returncode == 1
    assert complaint in done.stdout


@each_workflow
def test_the_makefile_has_the_targets_and_uses_the_variables(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    called = [target for script in scripts(load(path)) for target in targets(script)]
    assert called
    assert set(called) <= set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, re.MULTILINE))
    given = [name for script in scripts(load(path)) for name in variables(script)]
    assert given
    assert [name for name in given if not re.search(rf"\$[({{$]{name}\b", makefile)] == []


@each_workflow
def test_scripts_have_no_expressions(path: Path) -> None:
    """GitHub pastes them into the script as text, which whoever names a branch could use."""
    assert [script for script in scripts(load(path)) if "${{" in script] == []


@each_workflow
def test_jobs_end_and_may_do_only_what_they_must(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == PERMISSIONS[
        path.name
    ]
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 1440


@each_workflow
def test_actions_have_a_version(path: Path) -> None:
    steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert [action for action in used if not re.search(r"@v\d+(\.\d+)*$", action)] == []


@each_workflow
def test_hidden_files_are_uploaded(path: Path) -> None:
    """upload-artifact leaves out what lies in a folder like .asv unless told."""
    steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]
    uploads = [step for step in steps if step.get("uses", "").startswith("actions/upload-artifact")]
    assert uploads
    for step in uploads:
        assert step["if"] == "always()"
        assert step["with"]["include-hidden-files"] is True


def test_ci_runs_on_pull_requests_and_main() -> None:
    workflow = load(ROOT / ".github" / "workflows" / "ci.yml")
    assert set(workflow["on"]) == {"pull_request", "push"}
    assert workflow["on"]["push"] == {"branches": ["main"]}


def test_nights_do_not_cancel_each_other_and_can_be_started_by_hand() -> None:
    workflow = load(ROOT / ".github" / "workflows" / "nightly-gpu.yml")
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert set(workflow["on"]) == {"schedule", "workflow_dispatch"}
    assert set(workflow["on"]["workflow_dispatch"]["inputs"]) >= {"base", "profile", "accept"}


# The step before the nightly's checkout.


def tidy(folder: Path) -> None:
    workflow = load(ROOT / ".github" / "workflows" / "nightly-gpu.yml")
    (script,) = [
        step["run"]
        for step in workflow["jobs"]["nightly"]["steps"]
        if step.get("name") == "Tidy up after the last night"
    ]
    subprocess.run(["bash", "-e", "-c", script], cwd=folder, check=True, capture_output=True)


def test_tidying_up_an_empty_folder(tmp_path: Path) -> None:
    tidy(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_after_tidying_up_the_branch_can_be_deleted_and_environments_are_there(
    tmp_path: Path, damaged: bool
) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "-m", "code")
    git("branch", "asv-results")
    git("worktree", "add", "--quiet", ".asv/branch results", "asv-results")
    worktree = tmp_path / ".asv" / "branch results"
    (worktree / "half.json").write_text("{")
    if damaged:
        (worktree / ".git").unlink()
    for folder in ("env", "html"):
        (tmp_path / ".asv" / folder).mkdir()
    tidy(tmp_path)
    git("branch", "--delete", "--force", "asv-results")
    assert [path.name for path in (tmp_path / ".asv").iterdir()] == ["env"]
