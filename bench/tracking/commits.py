"""Commits of the repository whose results are tracked."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.text.errors import BadInput


class Repository:
    """A git checkout.

    Args:
        root: Folder of the checkout.

    Raises:
        BadInput: There is no git repository, no commit, or not the whole history.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.head = self.resolve("HEAD")
        if self.git("rev-parse", "--is-shallow-repository") == "true":
            raise BadInput(f"{str(root)!r} is a shallow clone: git fetch --unshallow")

    def git(self, *arguments: str) -> str:
        """Output of a git command, without the last newline.

        Raises:
            BadInput: git refuses; the message has its words.
        """
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments], capture_output=True, text=True
        )
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise BadInput(f"git {' '.join(arguments)} failed in {str(self.root)!r}: {said}")
        return done.stdout.rstrip("\n")

    def resolve(self, revision: str) -> str:
        """Full hash of a revision.

        Raises:
            BadInput: There is no such commit.
        """
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        except BadInput as error:
            raise BadInput(f"no commit {revision!r} in {str(self.root)!r}") from error

    def title(self, commit: str) -> str:
        """Short hash and subject."""
        return self.git("log", "-1", "--format=%h %s", commit)

    def ancestors(self, commit: str) -> list[str]:
        """Full hashes of a commit and of all that it builds on, newest first."""
        return self.git("rev-list", "--topo-order", commit).splitlines()

    def between(self, base: str, commit: str) -> list[str]:
        """Full hashes of the commits after a base, along first parents, oldest first."""
        found = self.git("rev-list", "--first-parent", "--reverse", f"{base}..{commit}")
        return found.splitlines()

    def is_dirty(self, *paths: str) -> bool:
        """Whether tracked or new files below `paths` differ from the commit."""
        return bool(self.git("status", "--porcelain", "--", *paths))


def spread(commits: list[str], count: int) -> list[str]:
    """At most `count` of the commits, evenly spaced, the last always among them.

    Args:
        commits: Oldest first.
        count: At least 1.
    """
    if len(commits) <= count:
        return commits
    return [commits[(k + 1) * len(commits) // count - 1] for k in range(count)]
