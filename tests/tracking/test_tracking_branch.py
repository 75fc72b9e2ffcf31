"""Results on a git branch, with real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.text.errors import BadInput
from bench.tracking.branch import ResultsBranch

BRANCH = "results"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def own_git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's git settings play no part, and git looks for no repository above."""
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return settings


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A repository without a remote, with a staged, an edited and an untracked file."""
    root = tmp_path / "alone"
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", "alone")
    for name in ("code.py", "staged.py"):
        (root / name).write_text("1\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "code")
    for name in ("code.py", "staged.py", "untracked.py"):
        (root / name).write_text("2\n")
    git(root, "add", "staged.py")
    return root


@pytest.fixture
def remote(tmp_path: Path, alone: Path) -> Path:
    git(tmp_path, "clone", "--quiet", "--bare", str(alone), "remote.git")
    return tmp_path / "remote.git"


@pytest.fixture
def clones(tmp_path: Path, remote: Path) -> tuple[Path, Path]:
    for name in ("one", "two"):
        git(tmp_path, "clone", "--quiet", str(remote), name)
    return tmp_path / "one", tmp_path / "two"


def main_checkout(root: Path) -> tuple[str, str, str]:
    return (
        git(root, "symbolic-ref", "HEAD") + git(root, "rev-parse", "HEAD"),
        git(root, "ls-files", "--stage"),
        git(root, "status", "--porcelain"),
    )


def log(repository: Path, branch: str = BRANCH) -> list[str]:
    return git(repository, "log", "--format=%s", branch, "--").splitlines()


def files(repository: Path, branch: str = BRANCH) -> list[str]:
    return git(repository, "ls-tree", "-r", "--name-only", branch).splitlines()


def content(repository: Path, name: str) -> str:
    return git(repository, "show", f"{BRANCH}:{name}")


def saved(root: Path, folder: Path, name: str, text: str, push: bool = True) -> bool:
    """Open, write a file, save."""
    branch = ResultsBranch(root, BRANCH)
    branch.open(folder)
    (folder / name).write_text(text)
    return branch.save(f"{name} of {root.name}", push)


# Without a remote.


def test_a_new_branch_has_no_history_and_no_files(alone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    assert ResultsBranch(alone, BRANCH).open(folder) == folder
    assert [path.name for path in folder.iterdir()] == [".git"]
    assert len(log(alone)) == 1
    assert files(alone) == []
    assert git(folder, "symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"


def test_the_main_checkout_is_not_touched(alone: Path, tmp_path: Path) -> None:
    before = main_checkout(alone)
    for text in ("1", "2"):
        saved(alone, tmp_path / "results", "a.json", text, push=False)
    assert main_checkout(alone) == before
    assert (alone / "untracked.py").read_text() == "2\n"
    assert len(log(alone)) == 3


def test_saving_says_whether_there_was_something_to_commit(alone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    branch = ResultsBranch(alone, BRANCH)
    branch.open(folder)
    assert not branch.save("nothing", push=False)
    (folder / "machine").mkdir()
    (folder / "machine" / "a.json").write_text("1")
    assert branch.save("first", push=False)
    assert not branch.save("nothing", push=False)
    (folder / "machine" / "a.json").unlink()
    assert branch.save("second", push=False)
    assert log(alone)[:2] == ["second", "first"]
    assert files(alone) == []


def test_ignored_files_are_results_too(alone: Path, tmp_path: Path, own_git_settings: Path) -> None:
    (tmp_path / "ignore").write_text("*.json\n")
    git(alone, "config", "core.excludesFile", str(tmp_path / "ignore"))
    assert saved(alone, tmp_path / "results", "a.json", "1", push=False)
    assert files(alone) == ["a.json"]


def test_a_worktree_is_opened_again_with_what_a_killed_job_left(
    alone: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    saved(alone, folder, "a.json", "1", push=False)
    (folder / "a.json").write_text("2")
    (folder / "half.json").write_text("{")
    branch = ResultsBranch(alone, BRANCH)
    branch.open(folder)
    assert (folder / "half.json").read_text() == "{"
    assert files(alone) == ["a.json", "half.json"]
    assert content(alone, "a.json") == "2"


@pytest.mark.parametrize("emptied", [False, True])
def test_a_worktree_whose_folder_was_deleted(alone: Path, tmp_path: Path, emptied: bool) -> None:
    folder = tmp_path / "results"
    saved(alone, folder, "a.json", "1", push=False)
    for path in folder.iterdir():
        path.unlink()
    if not emptied:
        folder.rmdir()
    ResultsBranch(alone, BRANCH).open(folder)
    assert (folder / "a.json").read_text() == "1"


def test_another_folder_after_the_first_was_deleted(alone: Path, tmp_path: Path) -> None:
    saved(alone, tmp_path / "results", "a.json", "1", push=False)
    (tmp_path / "results").rename(tmp_path / "moved")
    ResultsBranch(alone, BRANCH).open(tmp_path / "second")
    assert (tmp_path / "second" / "a.json").read_text() == "1"


def test_a_worktree_may_lie_in_the_checkout(alone: Path) -> None:
    before = main_checkout(alone)
    (alone / ".git" / "info" / "exclude").write_text("/.asv/\n")
    assert saved(alone, alone / ".asv" / "results", "a.json", "1", push=False)
    assert main_checkout(alone) == before
    assert files(alone) == ["a.json"]


def test_saving_into_a_deleted_worktree_leaves_the_checkout_around_it(alone: Path) -> None:
    (alone / ".git" / "info" / "exclude").write_text("/.asv/\n")
    folder = alone / ".asv" / "results"
    branch = ResultsBranch(alone, BRANCH)
    branch.open(folder)
    (folder / ".git").unlink()
    (folder / "a.json").write_text("1")
    before = main_checkout(alone)
    with pytest.raises(BadInput, match="is no git worktree any more"):
        branch.save("lost", push=False)
    assert main_checkout(alone) == before


def test_saving_needs_an_open_branch(alone: Path) -> None:
    with pytest.raises(RuntimeError, match="before open"):
        ResultsBranch(alone, BRANCH).save("nothing", push=False)


def test_pushing_without_a_remote_is_bad_input(alone: Path, tmp_path: Path) -> None:
    branch = ResultsBranch(alone, BRANCH)
    branch.open(tmp_path / "results")
    with pytest.raises(BadInput, match="cannot be pushed: no git remote"):
        branch.save("results", push=True)


@pytest.mark.parametrize(
    ("settings", "author"),
    [
        ("[user]\nname = Ada\nemail = ada@example.org\n", "Ada <ada@example.org>"),
        ("", "dcbench nightly <nightly@localhost>"),
        ("[user]\nname = Ada\nuseConfigOnly = true\n", "dcbench nightly <nightly@localhost>"),
    ],
)
def test_the_author(
    alone: Path, tmp_path: Path, own_git_settings: Path, settings: str, author: str
) -> None:
    own_git_settings.write_text(settings)
    saved(alone, tmp_path / "results", "a.json", "1", push=False)
    assert git(alone, "log", "-1", "--format=%an <%ae>", BRANCH) == author


def test_the_codes_hooks_do_not_run(alone: Path, tmp_path: Path) -> None:
    hooks = alone / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-commit", "commit-msg", "post-checkout"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    assert saved(alone, tmp_path / "results", "a.json", "1", push=False)


def test_a_hooks_environment_names_no_other_repository(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / "index"))
    saved(alone, tmp_path / "results", "a.json", "1", push=False)
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert files(alone) == ["a.json"]


# Bad input.


@pytest.mark.parametrize("name", ["", "a b", "-x", "a..b", "a/", "HEAD", "@{-1}", "refs/heads/~"])
def test_an_invalid_name_of_a_branch(alone: Path, name: str) -> None:
    with pytest.raises(BadInput, match="not a valid name of a branch"):
        ResultsBranch(alone, name)


def test_a_root_that_is_in_no_repository(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BadInput, match="is in no git repository"):
            ResultsBranch(root, BRANCH)


def test_a_remote_that_is_not_the_repositorys(clones: tuple[Path, Path]) -> None:
    with pytest.raises(BadInput, match=r"unknown git remote 'orgin'; did you mean 'origin'\?"):
        ResultsBranch(clones[0], BRANCH, remote="orgin")


def test_a_folder_with_other_files(alone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "thesis.tex").write_text("…")
    with pytest.raises(BadInput, match="is no worktree of"):
        ResultsBranch(alone, BRANCH).open(folder)
    assert (folder / "thesis.tex").exists()


def test_a_folder_of_another_branch(alone: Path) -> None:
    with pytest.raises(BadInput, match="is not a worktree of branch 'results'"):
        ResultsBranch(alone, BRANCH).open(alone)


def test_a_branch_that_is_checked_out_elsewhere(alone: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"branch 'main' is checked out in {alone}"):
        ResultsBranch(alone, "main").open(tmp_path / "results")


def test_a_remote_that_cannot_be_reached(clones: tuple[Path, Path], tmp_path: Path) -> None:
    git(clones[0], "remote", "set-url", "origin", str(tmp_path / "absent.git"))
    with pytest.raises(BadInput, match="does not appear to be a git repository") as error:
        ResultsBranch(clones[0], BRANCH).open(tmp_path / "results")
    assert "\n" not in str(error.value)


# With a remote.


def test_two_clones_push_in_turn(clones: tuple[Path, Path], tmp_path: Path, remote: Path) -> None:
    before = [main_checkout(clone) for clone in clones]
    for turn in range(2):
        for clone in clones:
            name = f"{clone.name}{turn}.json"
            assert saved(clone, tmp_path / f"results-{clone.name}", name, "1")
    assert files(remote) == ["one0.json", "one1.json", "two0.json", "two1.json"]
    assert len(log(remote)) == 5
    assert (tmp_path / "results-two" / "one1.json").exists()
    assert [main_checkout(clone) for clone in clones] == before


def test_a_fresh_clone_has_the_remotes_results(
    clones: tuple[Path, Path], tmp_path: Path, remote: Path
) -> None:
    saved(clones[0], tmp_path / "results", "a.json", "1")
    folder = tmp_path / "results-two"
    branch = ResultsBranch(clones[1], BRANCH)
    branch.open(folder)
    assert (folder / "a.json").read_text() == "1"
    assert not branch.save("nothing", push=True)
    assert len(log(remote)) == 2


def test_no_remote_means_local(clones: tuple[Path, Path], tmp_path: Path, remote: Path) -> None:
    branch = ResultsBranch(clones[0], BRANCH, remote=None)
    branch.open(tmp_path / "results")
    assert git(remote, "branch", "--list", BRANCH) == ""
    with pytest.raises(BadInput, match="no git remote"):
        branch.save("results", push=True)


def test_a_local_branch_without_a_worktree_is_forwarded(
    clones: tuple[Path, Path], tmp_path: Path
) -> None:
    one, two = clones
    saved(one, tmp_path / "results-one", "a.json", "1")
    saved(two, tmp_path / "results-two", "b.json", "1")
    git(one, "worktree", "remove", str(tmp_path / "results-one"))
    ResultsBranch(one, BRANCH).open(tmp_path / "again")
    assert (tmp_path / "again" / "b.json").exists()
    assert git(one, "rev-parse", BRANCH) == git(two, "rev-parse", BRANCH)


def test_forwarding_keeps_what_a_killed_job_left(
    clones: tuple[Path, Path], tmp_path: Path, remote: Path
) -> None:
    one, two = clones
    saved(one, tmp_path / "results-one", "a.json", "1")
    (tmp_path / "results-one" / "half.json").write_text("{")
    saved(two, tmp_path / "results-two", "b.json", "1")
    assert saved(one, tmp_path / "results-one", "c.json", "1")
    assert files(remote) == ["a.json", "b.json", "c.json", "half.json"]


def test_a_commit_that_was_not_pushed_is_pushed_later(
    clones: tuple[Path, Path], tmp_path: Path, remote: Path
) -> None:
    folder = tmp_path / "results"
    saved(clones[0], folder, "a.json", "1", push=False)
    assert git(remote, "branch", "--list", BRANCH) == ""
    branch = ResultsBranch(clones[0], BRANCH)
    branch.open(folder)
    assert not branch.save("nothing", push=True)
    assert files(remote) == ["a.json"]


def both_open(clones: tuple[Path, Path], tmp_path: Path) -> list[tuple[ResultsBranch, Path]]:
    """Two jobs at the same time: both have opened before either saves."""
    jobs = []
    for clone in clones:
        branch = ResultsBranch(clone, BRANCH)
        jobs.append((branch, branch.open(tmp_path / f"results-{clone.name}")))
    return jobs


@pytest.mark.parametrize("begun", [False, True])
def test_a_remote_that_moves_during_the_job(
    clones: tuple[Path, Path], tmp_path: Path, remote: Path, begun: bool
) -> None:
    shared = "".join(f"line {i}\n" for i in range(20))
    if begun:
        saved(clones[0], tmp_path / "results-one", "shared.json", shared)
    (first, one), (second, two) = both_open(clones, tmp_path)
    (one / "a.json").write_text("1")
    (one / "shared.json").write_text(f"one\n{shared}")
    (two / "b.json").write_text("2")
    (two / "shared.json").write_text(f"{shared}two\n")
    assert first.save("one", push=True)
    assert second.save("two", push=True)
    assert files(remote)[:2] == ["a.json", "b.json"]
    assert log(remote)[:2] == ["two", "one"]
    # The later job's file as a whole, not a mixture.
    assert content(remote, "shared.json") == f"{shared}two"
    assert git(two, "status", "--porcelain") == ""


def test_a_push_that_fails_keeps_the_commit(
    clones: tuple[Path, Path], tmp_path: Path, remote: Path
) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected branch\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(BadInput, match="pre-receive hook declined"):
        saved(clones[0], tmp_path / "results", "a.json", "1")
    hook.unlink()
    assert log(clones[0])[0] == "a.json of one"
    assert saved(clones[0], tmp_path / "results", "b.json", "1")
    assert files(remote) == ["a.json", "b.json"]


def test_a_conflict_leaves_the_worktree_as_it_was(
    clones: tuple[Path, Path], tmp_path: Path, remote: Path
) -> None:
    saved(clones[0], tmp_path / "results-one", "a.json", "1")
    (first, one), (second, two) = both_open(clones, tmp_path)
    (one / "a.json").write_text("2")
    (two / "a.json").unlink()
    first.save("changed", push=True)
    with pytest.raises(BadInput, match="rebase"):
        second.save("deleted", push=True)
    assert git(two, "symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"
    assert git(two, "status", "--porcelain") == ""
    assert log(two)[0] == "deleted"
    # From here on only a person can tell what is right.
    with pytest.raises(BadInput, match="rebase"):
        ResultsBranch(clones[1], BRANCH).open(two)


def test_what_a_killed_night_left_is_put_on_top_of_the_remote(
    clones: tuple[Path, Path], tmp_path: Path, remote: Path
) -> None:
    """A commit that was not pushed, and a file that was not committed."""
    (first, one), (second, two) = both_open(clones, tmp_path)
    (two / "b.json").write_text("committed")
    second.save("not pushed", push=False)
    (two / "c.json").write_text("not committed")
    (one / "a.json").write_text("1")
    first.save("meanwhile", push=True)
    reopened = ResultsBranch(clones[1], BRANCH)
    assert sorted(p.name for p in reopened.open(two).glob("*.json")) == [
        "a.json",
        "b.json",
        "c.json",
    ]
    reopened.save("the night goes on", push=True)
    assert files(remote) == ["a.json", "b.json", "c.json"]


def test_a_rebase_that_was_killed_is_undone(
    clones: tuple[Path, Path], tmp_path: Path, remote: Path
) -> None:
    saved(clones[0], tmp_path / "results-one", "a.json", "1")
    (first, one), (second, two) = both_open(clones, tmp_path)
    (one / "a.json").write_text("2")
    first.save("one", push=False)
    (two / "a.json").write_text("3")
    second.save("two", push=True)
    git(one, "fetch", "--quiet", "origin", BRANCH)
    with pytest.raises(subprocess.CalledProcessError):
        git(one, "rebase", "--quiet", "FETCH_HEAD")
    git(remote, "update-ref", "-d", f"refs/heads/{BRANCH}")
    ResultsBranch(clones[0], BRANCH).open(one)
    assert git(one, "symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"
    assert (one / "a.json").read_text() == "2"
