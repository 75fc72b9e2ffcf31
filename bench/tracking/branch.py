"""Results kept on a git branch of their own, which shares no history with the code."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.text.errors import BadInput, unknown
from bench.tracking.git import Git

_NAME, _EMAIL = "dcbench nightly", "nightly@localhost"

#: The first commit is the same in every clone, so that branches begun in two of them are related.
_FIRST = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in {"NAME": _NAME, "EMAIL": _EMAIL, "DATE": "2000-01-01T00:00:00Z"}.items()
}


class ResultsBranch:
    """A branch that is checked out in a git worktree of its own.

    The main checkout's HEAD, index and files are never touched. What a killed job leaves in the
    worktree stays there, and the next `save` commits it.
    """

    def __init__(self, root: Path, branch: str, remote: str | None = "origin") -> None:
        """Check the names; nothing is changed.

        Args:
            root: A checkout of the repository.
            branch: The branch's name, without ``refs/heads/``.
            remote: The remote that shares the branch. Without any remote, or with None, the branch
                is kept locally.

        Raises:
            BadInput: `root` is in no git repository, or a name is invalid.
        """
        self._root = root.resolve()
        self._branch = branch
        self._ref = f"refs/heads/{branch}"
        self._folder: Path | None = None
        self._git = Git(self._root)
        if not self._root.is_dir() or not self._git.succeeds("rev-parse", "--git-dir"):
            raise BadInput(f"{root} is in no git repository")
        # The name of a branch and not, like "@{-1}", an expression for one.
        found = self._git.run("check-ref-format", "--branch", branch)
        if found.returncode or found.stdout.strip() != branch:
            raise BadInput(f"{branch!r} is not a valid name of a branch")
        remotes = self._git.output("remote").split()
        if remote is not None and remotes and remote not in remotes:
            raise unknown("git remote", remote, remotes)
        self._remote = remote if remotes else None
        keys = ("user.name", "user.email")
        if not all(self._git.succeeds("config", "--get", key) for key in keys):
            self._git = Git(self._root, {"user.name": _NAME, "user.email": _EMAIL})

    def open(self, folder: Path) -> Path:
        """Check the branch out, with all that the remote has.

        Commits that were not pushed are put on top of the remote's, as in `save`. A branch that
        exists neither here nor on the remote begins with an empty commit.

        Args:
            folder: Folder for the worktree: one of an earlier `open`, an empty one, or none yet.

        Returns:
            `folder` as an absolute path.

        Raises:
            BadInput: The folder or the branch is used by something else, the remote cannot be
                reached, or the changes of branch and remote cannot be put together.
        """
        folder = folder.resolve()
        self._git.output("worktree", "prune")
        worktrees = self._worktrees()
        reopened = folder in worktrees
        if reopened:
            self._end_rebase(folder)
            worktrees = self._worktrees()
            if worktrees[folder] != self._ref:
                raise BadInput(f"{folder} is not a worktree of branch {self._branch!r}")
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"{folder} exists and is no worktree of {self._root}: move it away")
        for other, ref in worktrees.items():
            if ref == self._ref and other != folder:
                raise BadInput(f"branch {self._branch!r} is checked out in {other}")
        here, there = self._tip(), self._fetch()
        if here is None:
            self._git.output("update-ref", self._ref, there or self._first_commit(), "")
        if reopened:
            self._commit(folder, "Left by a night that was ended")
        else:
            self._git.output("worktree", "add", "--quiet", str(folder), self._branch)
        if there is not None and not self._is_ancestor(there, self._ref):
            self._rebase(folder, there)
        self._folder = folder
        return folder

    def save(self, message: str, push: bool) -> bool:
        """Commit everything in the worktree, ignored files too, if something changed.

        Args:
            message: Message of the commit.
            push: Push the branch, with earlier commits that were not pushed. If the remote has
                moved, the commits are put on top of the remote's. If both changed a file, the
                local version is kept as a whole.

        Returns:
            Whether there was a commit.

        Raises:
            BadInput: There is no remote to push to, or it does not accept the branch; the commit
                is kept. Or the worktree is gone.
        """
        folder = self._folder
        if folder is None:
            raise RuntimeError("save() before open()")
        if push and self._remote is None:
            raise BadInput(f"branch {self._branch!r} cannot be pushed: no git remote")
        # Without the file git would go up to the repository around the folder.
        if not (folder / ".git").exists():
            raise BadInput(f"{folder} is no git worktree any more")
        changed = self._commit(folder, message)
        if push:
            self._push(folder)
        return changed

    def _commit(self, folder: Path, message: str) -> bool:
        self._git.output("add", "--all", "--force", ".", folder=folder)
        changed = not self._git.succeeds("diff", "--cached", "--quiet", folder=folder)
        if changed:
            self._git.output("commit", "--quiet", "-m", message, folder=folder)
        return changed

    def _push(self, folder: Path) -> None:
        command = ("push", "--quiet", str(self._remote), f"{self._ref}:{self._ref}")
        try:
            self._git.output(*command)
        except BadInput:
            there = self._fetch()
            if there is None or self._is_ancestor(there, self._ref):
                raise  # not because the remote has moved
            self._rebase(folder, there)
            self._git.output(*command)

    def _rebase(self, folder: Path, onto: str) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".attributes") as attributes:
            attributes.write("* -merge\n")  # files are taken whole, never mixed
            attributes.flush()
            whole = ("-c", f"core.attributesFile={attributes.name}")
            try:
                # To a rebase "theirs" are the commits that it moves, which are ours.
                self._git.output(*whole, "rebase", "--quiet", "-X", "theirs", onto, folder=folder)
            except BadInput:
                self._end_rebase(folder)
                raise

    def _end_rebase(self, folder: Path) -> None:
        """Go back to before a rebase that has failed, or whose process was killed."""
        state = self._git.output(
            "rev-parse", "--path-format=absolute", "--git-path", "rebase-merge", folder=folder
        )
        if Path(state).exists():
            self._git.output("rebase", "--abort", folder=folder)

    def _fetch(self) -> str | None:
        """The commit of the remote's branch; None if there is no remote, or no such branch."""
        if self._remote is None:
            return None
        listed = self._git.run("ls-remote", "--exit-code", self._remote, self._ref)
        if listed.returncode == 2:
            return None
        tracked = f"refs/remotes/{self._remote}/{self._branch}"
        self._git.output(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            self._remote,
            f"+{self._ref}:{tracked}",
        )
        return self._git.output("rev-parse", "--verify", tracked)

    def _first_commit(self) -> str:
        tree = self._git.output("mktree")
        return self._git.output("commit-tree", tree, "-m", "Results begin", environment=_FIRST)

    def _tip(self) -> str | None:
        found = self._git.run("rev-parse", "--verify", "--quiet", self._ref)
        return found.stdout.strip() or None

    def _is_ancestor(self, older: str, newer: str) -> bool:
        return self._git.succeeds("merge-base", "--is-ancestor", older, newer)

    def _worktrees(self) -> dict[Path, str]:
        """The branch, as a full reference, of each worktree; empty for a detached HEAD."""
        found: dict[Path, str] = {}
        folder = self._root
        for line in self._git.output("worktree", "list", "--porcelain", "-z").split("\0"):
            kind, _, value = line.partition(" ")
            if kind == "worktree":
                folder = Path(value).resolve()
                found[folder] = ""
            elif kind == "branch":
                found[folder] = value
        return found
