"""What the nightly job calls: measure new commits with asv and say what got worse.

``python -m bench.nightly`` measures the commits since the last one that was measured, compares the
newest with the last good one, publishes the pages, and ends with 1 and a list if something got
worse. A killed nightly is started again with the same command and goes on.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from asv.machine import Machine as AsvMachine
from filelock import FileLock, Timeout

from bench.asv_benchmarks.profile import DEFAULT, PROFILES
from bench.command_line import Parser
from bench.errors import BadInput, unknown
from bench.tracking.asv_commands import Asv
from bench.tracking.branch import ResultsBranch
from bench.tracking.commits import Repository, spread
from bench.tracking.comparison import Change, Verdict, compare, worse
from bench.tracking.configuration import Configuration
from bench.tracking.journal import Journal, Night
from bench.tracking.machine import Machine, examine, require_gpu
from bench.tracking.results import (
    Value,
    measured_commits,
    missing,
    modules,
    read,
    set_aside_damaged,
)
from bench.tracking.summary import Findings, lines, markdown

#: Kinds of benchmarks that the machine's state moves.
_NOISY = ("time", "peakmemory")


def parser() -> argparse.ArgumentParser:
    """The command line's parser."""
    root = Parser(
        prog="python -m bench.nightly",
        description="Measure new commits with asv, compare, publish; 1 if something got worse.",
        allow_abbrev=False,
    )
    root.add_argument("--base", metavar="REV", help="compare with this commit, not the last good")
    root.add_argument(
        "--profile", default="nightly", metavar="NAME", help=f"{', '.join(PROFILES)} (default last)"
    )
    root.add_argument(
        "--bench", action="append", metavar="REGEX", help="only these benchmarks; repeat for more"
    )
    root.add_argument("--machine", metavar="NAME", help="keep results under it (default: host's)")
    root.add_argument(
        "--commits", type=int, default=5, metavar="N", help="measure at most N new (default 5)"
    )
    root.add_argument(
        "--rounds",
        type=int,
        default=3,
        metavar="N",
        help="times that seem worse are measured again in N rounds, both commits in turn (default"
        " 3)",
    )
    root.add_argument("--require-gpu", action="store_true", help="refuse to run without a GPU")
    where = root.add_mutually_exclusive_group()
    where.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="default .asv/results, with other profiles than fast .asv/PROFILE/results",
    )
    where.add_argument("--branch", metavar="NAME", help="keep results on this branch")
    root.add_argument("--push", action="store_true", help="push the branch to origin")
    root.add_argument(
        "--summary", type=Path, metavar="FILE", help="Markdown (default $GITHUB_STEP_SUMMARY)"
    )
    root.add_argument("--no-publish", action="store_true", help="write no pages")
    root.add_argument("--accept", metavar="REV", help="measure nothing: call this commit good")
    root.add_argument("--reason", metavar="TEXT", help="why it is accepted")
    return root


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Instead of ``sys.argv``.
        root: Of the checkout; by default the present folder.

    Returns:
        0 where nothing got worse, 1 where something did, 2 for bad input and where asv could not
        measure, 130 when interrupted.
    """
    try:
        options = parser().parse_args(arguments)
        _check(options)
        with _Session(options, (root or Path.cwd()).resolve()) as session:
            return session.accept() if options.accept else session.run()
    except BadInput as error:
        print(f"nightly: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nightly: interrupted; the same command continues", file=sys.stderr)
        return 130


def _check(options: argparse.Namespace) -> None:
    if options.profile not in PROFILES:
        raise unknown("profile", options.profile, PROFILES)
    for name in ("commits", "rounds"):
        if getattr(options, name) < 1:
            raise BadInput(f"--{name} must be at least 1, got {getattr(options, name)}")
    for regex in options.bench or []:
        try:
            re.compile(regex)
        except re.error as error:
            raise BadInput(f"--bench {regex!r} is no regular expression: {error}") from error
    if options.push and not options.branch:
        raise BadInput("--push needs --branch NAME, which is what it pushes")
    if bool(options.accept) != bool(options.reason):
        raise BadInput("--accept REV and --reason TEXT need each other")


class _Session:
    """One nightly. A context manager, which keeps a second one out.

    Args:
        options: Of the command line.
        root: Of the checkout.
    """

    def __init__(self, options: argparse.Namespace, root: Path) -> None:
        self.options = options
        self.repository = Repository(root)
        self.branch = ResultsBranch(root, options.branch) if options.branch else None
        self.folder = root / ".asv"
        self.folder.mkdir(exist_ok=True)
        self._lock = FileLock(self.folder / "nightly.lock")

    def __enter__(self) -> _Session:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise BadInput(f"another nightly holds {str(self._lock.lock_file)!r}") from None
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        options = self.options
        results = options.results and options.results.resolve()
        if self.branch:
            results = self.branch.open(self.folder / "branch") / "results"
        elif results is None and options.profile != DEFAULT:
            # Of one commit a profile with fewer parameters would replace the results of others.
            results = self.folder / options.profile / "results"
        self.configuration = Configuration.load(self.repository.root, results)
        self.results = self.configuration.results_dir
        self.results.mkdir(parents=True, exist_ok=True)
        self.machine = options.machine or str(AsvMachine.get_unique_machine_name())
        when = datetime.datetime.now(datetime.UTC)
        logs = self.folder / "logs" / when.strftime("%Y%m%d-%H%M%S")
        self.asv = Asv(self.configuration, options.profile, self.machine, logs)
        self.when = when.isoformat(timespec="seconds")
        self.journal = Journal(self.results)
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def accept(self) -> int:
        """Call a commit good."""
        commit = self.repository.resolve(self.options.accept)
        before = self.journal.find(commit, self.options.profile, self.machine)
        facts = before.facts if before else None
        self._write(commit, "accepted", None, facts, [self.options.reason])
        print(f"accepted: {self.repository.title(commit)}")
        return 0

    def run(self) -> int:
        """Measure, compare, publish."""
        facts = examine()
        if self.options.require_gpu:
            require_gpu(facts)
        repository = self.repository
        found = Findings(
            repository.title(repository.head),
            repository.head,
            self.options.profile,
            self.machine,
            logs=self.asv.logs,
            config=self.asv.config.relative_to(repository.root),
        )
        found.notes += facts.warnings()
        if repository.is_dirty("bench/asv_benchmarks", "asv.conf.json"):
            found.notes.append("benchmarks are those of the working tree, which is not committed")
        found.notes += [f"half-written results set aside: {path}" for path in self._repair()]
        lineage = repository.lineage(repository.head)
        good = self.journal.last_good(lineage[1:], self.options.profile, self.machine)
        base = repository.resolve(self.options.base) if self.options.base else None
        if base is None and good is not None:
            base = good.commit
        self.asv.introduce_machine()
        self.asv.discover(repository.head)
        between = self._between(lineage, base)
        for commit in ([base] if base else []) + between:
            self._measure(commit)
        if base and good and good.facts and not self.options.base:
            self._measure_again_where_the_machine_changed(base, good.facts, facts, found)
        self._judge(found, base, self._since(lineage, base))
        if base and not self.options.base:
            self._judge_steps(found, lineage)
        if not self.options.no_publish:
            self.asv.publish()
            found.pages = self.configuration.html_dir
        if not self.options.base:
            # A comparison with any commit says nothing about the next night's.
            verdicts = [change.describe() for change in (*found.worse, *found.crept)]
            self._write(repository.head, "bad" if found.red else "good", base, facts, verdicts)
        self._tell(found)
        return 1 if found.red else 0

    def _repair(self) -> list[Path]:
        return set_aside_damaged(self.results)

    def _between(self, lineage: Sequence[str], base: str | None) -> list[str]:
        """The commits to measure after the base, oldest first, HEAD last."""
        if self.options.base or base is None:
            return [lineage[0]]
        known = measured_commits(self.results, self.machine)
        new = list(reversed(lineage[: lineage.index(base)]))
        missing = [commit for commit in new if commit not in known or commit == lineage[0]]
        return spread(missing, self.options.commits)

    def _measure(self, commit: str) -> None:
        """Run what has no result yet, a module at a time, so that little is lost by a kill."""
        names = missing(self.results, self.machine, commit)
        for regex in self._parts():
            if not any(re.search(regex, name) for name in names):
                continue
            self.asv.measure(commit, regex)
            self._keep(f"{commit[:10]}: {regex}")

    def _parts(self) -> list[str]:
        """Regular expressions of the benchmarks: of each module, or as the user says."""
        return self.options.bench or [f"^{name}\\." for name in modules(self.results)]

    def _measure_again_where_the_machine_changed(
        self, base: str, before: Machine, now: Machine, found: Findings
    ) -> None:
        changed = now.differs_from(before)
        if not changed:
            return
        found.notes.append(
            f"the machine changed ({'; '.join(changed)}): times of {base[:10]} were measured anew"
        )
        known = read(self.results, self.machine, base)
        noisy = [value.name for value in known.values() if value.kind in _NOISY]
        if noisy:
            self.asv.measure_in_turn([base], noisy, rounds=1)

    def _since(self, lineage: Sequence[str], base: str | None) -> list[str]:
        """The measured commits after the base, oldest first."""
        if base not in lineage:
            return [lineage[0]]
        known = measured_commits(self.results, self.machine)
        return [c for c in reversed(lineage[: lineage.index(base)]) if c in known]

    def _judge(self, found: Findings, base: str | None, since: Sequence[str]) -> None:
        """Compare with the base; times that seem worse are measured again in turn."""
        found.measured = sum(
            value.value is not None and not math.isnan(value.value)
            for value in self._values(found.commit_hash).values()
        )
        if base is None:
            found.worse = worse(
                compare({}, self._values(found.commit_hash), self.configuration.thresholds)
            )
        else:
            found.base, found.base_hash = self.repository.title(base), base
            found.changes = self._compare(base, found.commit_hash)
            suspected = [c for c in worse(found.changes) if _is_suspicion(c)]
            if suspected:
                names = [change.name for change in suspected]
                pair = [base, found.commit_hash]
                self.asv.measure_in_turn(pair, names, self.options.rounds)
                found.changes = self._compare(base, found.commit_hash)
            found.worse = worse(found.changes)
            confirmed = {change.name for change in found.worse}
            found.refuted = [c.name for c in suspected if c.name not in confirmed]
            for commit in since:
                for change in worse(self._compare(base, commit)):
                    if change.name in confirmed:
                        found.first_bad.setdefault(change.name, commit[:10])
        if any(change.new is not None and change.new.value is None for change in found.worse):
            found.reasons = self.asv.failures()

    def _judge_steps(self, found: Findings, lineage: Sequence[str]) -> None:
        """Compare what has no noise with the reference, which small steps cannot creep away from.

        A series of steps below the threshold would pass every night.
        """
        reference = self.journal.reference(lineage[1:], self.options.profile, self.machine)
        if reference is None or reference.commit == found.base_hash:
            return
        seen = {change.name for change in found.worse}
        found.crept = [
            change
            for change in worse(self._compare(reference.commit, found.commit_hash))
            if change.verdict is Verdict.REGRESSION
            and change.kind not in _NOISY
            and change.name not in seen
        ]
        found.reference = self.repository.title(reference.commit)

    def _values(self, commit: str) -> dict[str, Value]:
        values = read(self.results, self.machine, commit)
        if not self.options.bench:
            return values
        regexes = [re.compile(regex) for regex in self.options.bench]
        return {
            name: value
            for name, value in values.items()
            if any(regex.search(name) for regex in regexes)
        }

    def _compare(self, base: str, new: str) -> list[Change]:
        return compare(self._values(base), self._values(new), self.configuration.thresholds)

    def _keep(self, message: str) -> None:
        if self.branch:
            self.branch.save(message, push=self.options.push)

    def _write(
        self,
        commit: str,
        verdict: Literal["good", "bad", "accepted"],
        base: str | None,
        facts: Machine | None,
        reasons: list[str],
    ) -> None:
        self.journal.add(
            Night(
                commit=commit,
                verdict=verdict,
                profile=self.options.profile,
                machine=self.machine,
                when=self.when,
                base=base,
                facts=facts,
                worse=reasons,
            )
        )
        self._keep(f"{commit[:10]}: {verdict}")

    def _tell(self, found: Findings) -> None:
        print("\n".join(lines(found)))
        target = self.options.summary or os.environ.get("GITHUB_STEP_SUMMARY")
        if target:
            with Path(target).open("a") as file:
                file.write(markdown(found))


def _is_suspicion(change: Change) -> bool:
    """Whether the machine's noise may have done it."""
    return change.verdict is Verdict.REGRESSION and change.kind in _NOISY


if __name__ == "__main__":
    sys.exit(main())
