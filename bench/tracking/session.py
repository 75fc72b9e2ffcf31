"""One nightly: which commits it measures, and what it compares them with."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from asv.machine import Machine as AsvMachine
from filelock import FileLock, Timeout

from bench.text.errors import BadInput
from bench.tracking import results
from bench.tracking.asv_commands import Asv
from bench.tracking.branch import ResultsBranch
from bench.tracking.commits import Repository, spread
from bench.tracking.comparison import Change, Verdict, compare, worse
from bench.tracking.configuration import Configuration
from bench.tracking.journal import Journal, Night, since_acceptance
from bench.tracking.machine import Machine, examine, require_gpu
from bench.tracking.results import Value
from bench.tracking.summary import Findings, lines, markdown

#: Kinds of benchmarks that the machine's state moves.
_NOISY = ("time", "peakmemory")
#: Nights that small steps are added up over, at most.
_LOOK_BACK = 100


class Session:
    """One nightly. A context manager, which keeps a second one out.

    Args:
        options: Options of `bench.nightly`'s command line.
        root: Folder of the checkout.

    Raises:
        BadInput: There is no checkout, or no such commit.
    """

    def __init__(self, options: argparse.Namespace, root: Path) -> None:
        self.options = options
        self.repository = Repository(root)
        self.head = self.repository.head
        self.given_base = self.repository.resolve(options.base) if options.base else None
        self.branch = ResultsBranch(root, options.branch) if options.branch else None
        self.folder = root / ".asv"
        self.folder.mkdir(exist_ok=True)
        self._lock = FileLock(self.folder / "nightly.lock")
        self._not_pushed: str | None = None

    def __enter__(self) -> Session:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise BadInput(f"another nightly holds {str(self._lock.lock_file)!r}") from None
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        options = self.options
        # Of one commit, a profile with fewer parameters would replace the results of another.
        kept = options.results or self.folder / options.profile / "results"
        if self.branch:
            kept = self.branch.open(self.folder / "branch") / "results" / options.profile
        self.configuration = Configuration.load(self.repository.root, kept.resolve())
        self.results = self.configuration.results_dir
        self.results.mkdir(parents=True, exist_ok=True)
        self.machine = options.machine or str(AsvMachine.get_unique_machine_name())
        self.when = datetime.datetime.now(datetime.UTC)
        self.logs = self.folder / "logs" / self.when.strftime("%Y%m%d-%H%M%S")
        self.asv = self._asv(self.configuration, "nightly.conf.json")
        self.journal = Journal(self.results, self.machine, options.profile)
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _asv(self, configuration: Configuration, name: str) -> Asv:
        config = self.folder / name
        return Asv(configuration, self.options.profile, self.machine, self.logs, config)

    def accept(self) -> int:
        """Call a commit good; returns 0."""
        commit = self.repository.resolve(self.options.accept)
        before = self.journal.find(commit)
        facts = before.facts if before else None
        self._write(commit, "accepted", None, facts, [self.options.reason])
        if self._not_pushed:
            raise BadInput(self._not_pushed)
        print(f"accepted: {self.repository.title(commit)}")
        return 0

    def run(self) -> int:
        """Measure, compare, publish; returns the exit code."""
        try:
            found = self._find()
        except BadInput as error:
            self._append_to_summary(f"# Not measured\n\n{error}\n")
            raise
        print("\n".join(lines(found)), flush=True)
        self._append_to_summary(markdown(found))
        problem = self._not_pushed
        if not self.options.no_publish:
            try:
                self.asv.publish()
            except BadInput as error:
                problem = str(error)
        if problem:
            print(f"nightly: {problem}", file=sys.stderr)
        return 1 if found.red else 2 if problem else 0

    def _find(self) -> Findings:
        """Measure, compare, and keep the verdict."""
        repository, head = self.repository, self.head
        facts = examine()
        if self.options.require_gpu:
            require_gpu(facts)
        found = Findings(
            repository.title(head),
            head,
            self.options.profile,
            self.machine,
            logs=self.logs,
            pages=None if self.options.no_publish else self.configuration.html_dir,
            config=self.asv.config.relative_to(repository.root),
            accept=self._accept_command(),
        )
        found.notes += facts.warnings()
        if repository.is_dirty("bench/asv_benchmarks", "asv.conf.json"):
            found.notes.append("benchmarks are those of the working tree, which is not committed")
        damaged = results.set_aside_damaged(self.results)
        found.notes += [f"half-written results set aside: {path}" for path in damaged]
        good = self.journal.good(repository.ancestors(head))
        night = None if self.given_base else self._last_good(good)
        base = self.given_base or (night.commit if night else None)
        self.asv.introduce_machine()
        self.asv.discover(head)
        for commit in dict.fromkeys([*([base] if base else []), *self._new(base)]):
            self._measure(commit, found)
        if base and night and night.facts:
            self._measure_again_if_the_machine_changed(base, night.facts, facts, found)
        if base is None:
            found.worse = worse(self._compare_values({}, self._values(head)))
        else:
            self._judge(found, base, accepted=bool(night and night.verdict == "accepted"))
        if night:
            self._judge_steps(found, [n for n in good if n.commit != head])
        found.measured = sum(map(_is_number, self._values(head).values()))
        if any(change.new is not None and not _is_number(change.new) for change in found.worse):
            found.reasons = self.asv.failures()
        if not (self.options.base or self.options.bench):
            self._keep_verdict(found, base, facts)
        return found

    def _last_good(self, good: Sequence[Night]) -> Night | None:
        """The commit that HEAD is compared with.

        Raises:
            BadInput: Good commits are known, and HEAD builds on none of them.
        """
        own = self.journal.find(self.head)
        if own and own.verdict == "accepted":
            return own
        earlier = [night for night in good if night.commit != self.head]
        if not earlier and self.journal.knows_good(besides=self.head):
            raise BadInput(
                f"{self.head[:10]} builds on none of the commits that are known to be good; name"
                " one to compare with (--base REV), or begin anew (--accept HEAD --reason …)"
            )
        return earlier[0] if earlier else None

    def _new(self, base: str | None) -> list[str]:
        """The commits to measure after the base, oldest first, HEAD last."""
        if self.given_base or base is None:
            return [self.head]
        absent = [
            commit
            for commit in self.repository.between(base, self.head)
            if commit != self.head and self._missing(commit, failures=False)
        ]
        return spread([*absent, self.head], self.options.commits)

    def _missing(self, commit: str, failures: bool = True) -> set[str]:
        return results.missing(self.results, self.machine, commit, failures)

    def _measure(self, commit: str, found: Findings) -> None:
        """Run what has no result yet, module by module, so that a kill loses little."""
        absent = self._missing(commit)
        for regex in self._parts(absent):
            before = results.files(self.results, self.machine, commit)
            had = {name for name, value in self._values(commit).items() if _is_number(value)}
            self.asv.measure(commit, regex)
            now = self._values(commit)
            lost = {name for name in had if not _is_number(now.get(name))}
            if lost:
                # A benchmark with new parameters runs whole.
                results.restore(before)
                names = ", ".join(sorted(lost))
                found.notes.append(
                    f"{commit[:10]}: failed when run again, old values kept: {names}"
                )
            self._push(f"{commit[:10]}: {regex}")

    def _parts(self, absent: set[str]) -> list[str]:
        """Regular expressions for the benchmarks to run, each with all its parameters: asv notes
        parameters that a run leaves out as skipped.
        """
        chosen = {name for name in absent if self._is_chosen(name)}
        if self.options.bench:
            benchmarks = sorted({name.partition("(")[0] for name in chosen})
            return [f"^{re.escape(name)}(\\(|$)" for name in benchmarks]
        return [f"^{module}\\." for module in sorted({name.partition(".")[0] for name in chosen})]

    def _is_chosen(self, name: str) -> bool:
        regexes = self.options.bench or [""]
        return any(re.search(regex, name) for regex in regexes)

    def _measure_again(self, commits: Sequence[str], names: Iterable[str], rounds: int) -> set[str]:
        """Measure values in turn, in a folder of their own, and take over what succeeded.

        Returns:
            The names of the values that were measured again for all commits; others stay.
        """
        scratch = self.folder / "again" / "results"
        shutil.rmtree(scratch, ignore_errors=True)
        asv = self._asv(Configuration.load(self.repository.root, scratch), "again.conf.json")
        asv.measure_in_turn(commits, sorted(names), rounds)
        measured = [results.read(scratch, self.machine, commit) for commit in commits]
        done = {name for name in names if all(_is_number(m.get(name)) for m in measured)}
        for commit in commits:
            results.adopt(self.results, scratch, self.machine, commit, done)
        return done

    def _measure_again_if_the_machine_changed(
        self, base: str, before: Machine, now: Machine, found: Findings
    ) -> None:
        changed = now.differs_from(before)
        if not changed or base == self.head:
            return
        moved = {
            name
            for name, value in self._values(base).items()
            if value.kind in _NOISY or name.startswith("gpu.")
            if _is_number(value)
        }
        done = self._measure_again([base, self.head], moved, 1) if moved else set()
        found.notes.append(
            f"the machine changed ({'; '.join(changed)}): {len(done)} of {len(moved)} values that"
            f" depend on it were measured anew for {base[:10]} too"
        )

    def _judge(self, found: Findings, base: str, accepted: bool) -> None:
        """Compare with the base, after measuring again what may be noise."""
        found.base, found.base_hash = self.repository.title(base), base
        changes = self._compare(base, self.head)
        failed = [change.name for change in changes if change.verdict is Verdict.FAILED]
        if failed:
            # Time-outs and the like pass.
            self._measure(self.head, found)
            changes = self._compare(base, self.head)
        suspected = {c.name for c in changes if _is_suspicion(c)}
        if suspected:
            done = self._measure_again([base, self.head], suspected, self.options.rounds)
            changes = self._compare(base, self.head)
            found.refuted = sorted(done - {change.name for change in worse(changes)})
            if suspected - done:
                names = ", ".join(sorted(suspected - done))
                found.notes.append(f"could not be measured again: {names}")
        found.changes = changes
        found.worse = [
            change
            for change in worse(changes)
            if not (accepted and change.verdict is Verdict.STILL_FAILED)
        ]
        self._note_what_was_not_compared(found, base)
        verdicts = {change.name: change.verdict for change in found.worse}
        after = self.repository.between(base, self.head)
        found.distance = len(after)
        for commit in after:
            if commit == self.head or not self._missing(commit, failures=False):
                for change in self._compare(base, commit):
                    if verdicts.get(change.name) is change.verdict:
                        found.first_bad.setdefault(change.name, commit[:10])

    def _note_what_was_not_compared(self, found: Findings, base: str) -> None:
        removed = results.removed(self.results, self.machine, base)
        if removed:
            found.notes.append(f"benchmarks that are there no more: {', '.join(sorted(removed))}")
        for verdict in (Verdict.INCOMPARABLE, Verdict.STILL_FAILED):
            names = [c.name for c in found.changes if c.verdict is verdict]
            if names:
                found.notes.append(f"{verdict}: {', '.join(names)}")

    def _judge_steps(self, found: Findings, good: Sequence[Night]) -> None:
        """Compare values without noise with the oldest good ones since the last acceptance.

        Otherwise a series of steps below the threshold would pass every night.
        """
        new = self._values(self.head)
        oldest: dict[str, Value] = {}
        for night in since_acceptance(good)[-_LOOK_BACK:]:
            for name, value in self._values(night.commit).items():
                now = new.get(name)
                comparable = now is not None and value.version == now.version
                if value.kind not in _NOISY and comparable and _is_number(value):
                    found.since.setdefault(name, night.commit[:10])
                    oldest.setdefault(name, value)
        seen = {change.name for change in found.worse}
        found.crept = [
            change
            for change in worse(self._compare_values(oldest, {name: new[name] for name in oldest}))
            if change.verdict is Verdict.REGRESSION and change.name not in seen
        ]

    def _values(self, commit: str) -> dict[str, Value]:
        values = results.read(self.results, self.machine, commit)
        return {name: value for name, value in values.items() if self._is_chosen(name)}

    def _compare(self, base: str, new: str) -> list[Change]:
        return self._compare_values(self._values(base), self._values(new))

    def _compare_values(self, base: dict[str, Value], new: dict[str, Value]) -> list[Change]:
        return compare(base, new, self.configuration.thresholds)

    def _keep_verdict(self, found: Findings, base: str | None, facts: Machine) -> None:
        own = self.journal.find(self.head)
        if own and own.verdict == "accepted" and not found.red:
            return
        said = [change.describe() for change in (*found.worse, *found.crept)]
        self._write(self.head, "bad" if found.red else "good", base, facts, said)

    def _write(
        self,
        commit: str,
        verdict: Literal["good", "bad", "accepted"],
        base: str | None,
        facts: Machine | None,
        said: list[str],
    ) -> None:
        when = self.when.isoformat(timespec="seconds")
        profile = self.options.profile
        self.journal.add(Night(commit, verdict, profile, when, base, facts, said))
        self._push(f"{commit[:10]}: {verdict}")

    def _push(self, message: str) -> None:
        """Keep the results on the branch; without a network the night goes on."""
        if self.branch:
            try:
                self.branch.save(message, push=self.options.push)
                self._not_pushed = None
            except BadInput as error:
                self._not_pushed = str(error)

    def _accept_command(self) -> str:
        options = self.options
        words = ["--profile", options.profile, "--machine", self.machine]
        if options.branch:
            words += ["--branch", options.branch, *(["--push"] if options.push else [])]
        elif options.results:
            words += ["--results", str(options.results)]
        return f"python -m bench.nightly --accept {self.head[:10]} --reason '…' {shlex.join(words)}"

    def _append_to_summary(self, text: str) -> None:
        target = self.options.summary or os.environ.get("GITHUB_STEP_SUMMARY")
        if target:
            with Path(target).open("a") as file:
                file.write(text)


def _is_suspicion(change: Change) -> bool:
    """Whether noise of the machine may have caused a change."""
    return change.verdict is Verdict.REGRESSION and change.kind in _NOISY


def _is_number(value: Value | None) -> bool:
    """Whether something was measured, and neither failed nor was skipped."""
    return value is not None and value.value is not None and value.value == value.value
