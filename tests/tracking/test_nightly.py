"""The nightly job on a small repository.

Most nights have an asv that starts no process, and are slow tests with asv's real commands.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import command_server
import pytest
from toy_repository import ToyRepository, tracking_environment

from bench.tracking.results import read

MACHINE = "here"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToyRepository:
    """One repository for all tests, so that asv makes its environment once."""
    return ToyRepository(tmp_path_factory.mktemp("toy") / "repository")


QUICK = "import sys, quick_asv; sys.exit(quick_asv.main())"


class Nights:
    """Nightlies that keep their results in a folder of the test's own.

    Args:
        toy: What they measure.
        folder: Where the results are, and all else that they leave.
        quick: Whether they measure with `quick_asv`.
    """

    def __init__(self, toy: ToyRepository, folder: Path, quick: bool = False) -> None:
        self.toy = toy
        self.quick = quick
        self.results = folder / "results"
        self.summary = folder / "summary.md"
        self.home = folder / "home"
        self.home.mkdir()

    def command(self, *arguments: str) -> list[str]:
        where = [] if "--branch" in arguments else ["--results", str(self.results)]
        fixed = ["--machine", MACHINE, "--rounds", "1", *where]
        nightly = ["-c", QUICK] if self.quick else ["-m", "bench.nightly"]
        return [sys.executable, *nightly, *fixed, *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = tracking_environment(self.home)
        environment["GITHUB_STEP_SUMMARY"] = str(self.summary)
        if self.quick:
            environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        start = command_server.Popen if self.quick else subprocess.Popen
        return start(
            self.command(*arguments),
            cwd=self.toy.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    def run_command(self, summary: str, start: str) -> str:
        """What the command prints that the summary tells the reader to run."""
        (line,) = {line.strip() for line in summary.splitlines() if start in line}
        environment = tracking_environment(self.home)
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.toy.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def verdicts(self) -> list[str]:
        path = self.results / f"nights-{MACHINE}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["verdict"] for line in lines]

    def result_files(self) -> list[Path]:
        return [p for p in (self.results / MACHINE).glob("*.json") if p.name != "machine.json"]


@pytest.fixture(params=["quick", pytest.param("asv", marks=pytest.mark.slow)])
def night(toy: ToyRepository, tmp_path: Path, request: pytest.FixtureRequest) -> Nights:
    return Nights(toy, tmp_path, quick=request.param == "quick")


@pytest.fixture
def real_night(toy: ToyRepository, tmp_path: Path) -> Nights:
    """With asv itself, always."""
    return Nights(toy, tmp_path)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def running(mark: str) -> list[str]:
    """Command lines of the processes that name `mark`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if mark in line:
            found.append(line)
    return found


def test_a_night_of_asv_itself_is_red_and_says_how_to_go_on(
    toy: ToyRepository, real_night: Nights
) -> None:
    night = real_night
    toy.commit("before", error=1.0)
    assert night()[0] == 0
    worse = toy.commit("after", error=1.2)
    code, out, _ = night()
    assert code == 1
    assert "regression: errors.Errors.track_error('a'): 1 → 1.2 (+20 %" in out
    text = night.summary.read_text()
    found = night.run_command(text, "asv --config .asv/nightly.conf.json find")
    assert f"Greatest regression found: {worse[:8]}" in found
    assert "accepted: " in night.run_command(text, "python -m bench.nightly --accept")
    assert night.verdicts() == ["good", "bad", "accepted"]
    assert list((toy.root / ".asv/html/graphs").rglob("errors.Errors.track_error.json"))


def test_red_until_repaired_or_accepted(toy: ToyRepository, night: Nights) -> None:
    toy.commit("first", error=1.0)
    code, out, _ = night()
    assert (code, out.splitlines()[0][:17]) == (0, "First measurement")

    worse = toy.commit("worse", error=1.2)
    code, out, _ = night()
    assert code == 1
    assert "regression: errors.Errors.track_error('a'): 1 → 1.2 (+20 %" in out
    assert "regression: errors.Errors.track_error('b'): 2 → 2.4 (+20 %" in out
    text = night.summary.read_text()
    assert "# Red: 2 benchmarks worse" in text

    # A bad commit is no measure of the next one.
    toy.commit("a comment", error=1.2)
    code, out, _ = night()
    assert code == 1
    assert f"first seen in {worse[:10]}" in out

    assert "accepted: " in night.run_command(text, "python -m bench.nightly --accept")
    assert night("--accept", "HEAD", "--reason", "a harder problem")[0] == 0
    code, out, _ = night()
    assert (code, out.split(":")[0]) == (0, "Green")
    toy.commit("another comment", error=1.2)
    code, out, _ = night()
    assert (code, out.split(":")[0]) == (0, "Green")

    toy.commit("better", error=1.0)
    code, _, _ = night()
    assert code == 0
    assert "## Better" in night.summary.read_text()
    assert night.verdicts() == ["good", "bad", "bad", "accepted", "accepted", "good", "good"]


def test_a_failing_benchmark_is_red_and_says_why(toy: ToyRepository, night: Nights) -> None:
    toy.commit("diverges", fails=True)
    code, out, _ = night()
    assert code == 1
    assert "failed: errors.Errors.track_error('a')" in out
    assert "RuntimeError: training diverged at step 7" in out
    toy.commit("still diverges", fails=True)
    assert night()[0] == 1


def test_a_slower_call_is_red_and_a_slow_moment_is_not(
    toy: ToyRepository, night: Nights, tmp_path: Path
) -> None:
    toy.commit("quick", code="return 0.01")
    assert night()[0] == 0
    # The first process that asks is slow, as when the machine had other work.
    once = tmp_path / "first-process"
    code = (
        "import os, pathlib; first = pathlib.Path(" + repr(str(once)) + "); "
        "first.exists() or first.write_text(str(os.getpid())); "
        "return 0.05 if first.read_text() == str(os.getpid()) else 0.01"
    )
    toy.commit("a slow moment", code=code)
    exit_code, out, err = night()
    assert (exit_code, out.split(":")[0]) == (0, "Green")
    assert once.exists() and "in turn" in err
    summary = night.summary.read_text()
    assert "not confirmed when measured again in turn: `times.Times.time_call`" in summary

    toy.commit("slow", code="return 0.03")
    exit_code, out, err = night()
    assert exit_code == 1
    assert "regression: times.Times.time_call: 10" in out and "in turn" in err


def test_what_cannot_be_measured_again_is_no_reason_to_be_green(
    toy: ToyRepository, night: Nights, tmp_path: Path
) -> None:
    """The base fails from the second process on, as when its build loses the network."""
    used = tmp_path / "used"
    code = (
        "import os, pathlib; p = pathlib.Path(" + repr(str(used)) + "); "
        "p.exists() or p.write_text(str(os.getpid())); "
        "assert p.read_text() == str(os.getpid()), 'gone'; return 0.01"
    )
    base = toy.commit("works once", code=code)
    assert night()[0] == 0
    toy.commit("slow", code="return 0.05")
    exit_code, out, _ = night()
    assert exit_code == 1 and "regression: times.Times.time_call: 10" in out
    assert "could not be measured again: times.Times.time_call" in night.summary.read_text()
    kept = read(night.results, MACHINE, base)["times.Times.time_call"].value
    assert kept == pytest.approx(0.01, rel=0.5)


def test_small_steps_add_up(toy: ToyRepository, night: Nights) -> None:
    for step, expected in enumerate([0, 0, 1]):
        toy.commit(f"step {step}", error=1 + 0.008 * step)
        code, out, _ = night()
        assert code == expected, out
    assert "1 → 1.016 (+1.6 %, threshold 1 %), in small steps since" in out


def test_several_commits_are_measured_and_the_first_bad_one_named(
    toy: ToyRepository, night: Nights
) -> None:
    toy.commit("good", error=1.0)
    assert night()[0] == 0
    commits = [toy.commit(f"commit {k}", error=1.0 if k < 3 else 1.5) for k in range(6)]
    code, out, _ = night("--commits", "3")
    assert code == 1
    measured = {path.name[:8] for path in night.result_files()}
    assert {commits[1][:8], commits[3][:8], commits[5][:8]} < measured and len(measured) == 4
    assert f"first seen in {commits[3][:10]}" in out


def test_a_killed_nightly_goes_on_and_sets_half_files_aside(
    toy: ToyRepository, real_night: Nights
) -> None:
    night = real_night
    toy.commit("slow to measure", code="return 1.5")
    process = night.start()
    # The errors are measured and kept, the times are being measured.
    wait_for(lambda: bool(night.result_files()) and bool(running("times.Times.time_call")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not running(str(toy.root / "benchmarks")), 30)
    assert night.verdicts() == []

    code, _, err = night()
    assert code == 0
    assert "^times" in err and "^errors" not in err
    assert night.verdicts() == ["good"]

    (path,) = night.result_files()
    path.write_bytes(path.read_bytes()[:-40])
    code, _, err = night()
    assert code == 0
    assert "^times" in err and "^errors" in err
    assert path.with_name(f"{path.name}.damaged").exists()
    assert "half-written results set aside" in night.summary.read_text()
    json.loads(path.read_text())


def test_an_interrupted_nightly_says_so(toy: ToyRepository, real_night: Nights) -> None:
    night = real_night
    # Measured for longer than a second nightly takes to start on a busy machine.
    toy.commit("slow again", code="return 8")
    process = night.start()
    wait_for(lambda: bool(running("times.Times.time_call")))
    second = night()
    assert second[0] == 2 and "another nightly" in second[2]
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the same command continues" in err
    wait_for(lambda: not running(str(toy.root / "benchmarks")), 30)


def test_a_history_that_was_rewritten_needs_a_person(toy: ToyRepository, night: Nights) -> None:
    toy.commit("what both histories have")
    toy.commit("before", error=1.0)
    assert night()[0] == 0
    here = toy.git("rev-parse", "HEAD")
    toy.git("reset", "-q", "--hard", "HEAD~1")
    toy.commit("rewritten", error=1.5)
    code, _, err = night()
    toy.git("reset", "-q", "--hard", here)
    assert code == 2
    assert "builds on none of the commits that are known to be good" in err
    assert "# Not measured" in night.summary.read_text()
    assert night.verdicts() == ["good"]


def test_a_case_that_is_measured_no_more_is_red_until_accepted(
    toy: ToyRepository, night: Nights
) -> None:
    toy.commit("good", error=1.0)
    assert night()[0] == 0
    path = toy.root / "benchmarks" / "errors.py"
    text = path.read_text()
    try:
        path.write_text(text.replace('["a", "b"]', '["a", "c"]'))
        toy.commit("a case has another name", error=1.0)
        # The base is measured with the new cases, and loses the old one in the first night.
        for _ in range(2):
            code, out, _ = night()
            assert code == 1
            assert "vanished: errors.Errors.track_error('b'): 2 → absent" in out
        toy.commit("a comment", error=1.0)
        assert night()[0] == 1
        assert night("--accept", "HEAD", "--reason", "a better name")[0] == 0
        assert night()[0] == 0
        toy.commit("another comment", error=1.0)
        assert night()[0] == 0
    finally:
        path.write_text(text)
    toy.commit("the case is back", error=1.0)
    code, out, _ = night()
    assert code == 1
    assert "track_error('c')" in out and "track_error('b')" not in out


def test_a_case_that_comes_back_is_no_longer_red(toy: ToyRepository, night: Nights) -> None:
    toy.commit("good", error=1.0)
    assert night()[0] == 0
    path = toy.root / "benchmarks" / "errors.py"
    text = path.read_text()
    try:
        path.write_text(text.replace('["a", "b"]', '["a"]'))
        toy.commit("a case is removed", error=1.0)
        assert night()[0] == 1
    finally:
        path.write_text(text)
    toy.commit("the case is back", error=1.0)
    assert night()[0] == 0


def test_nothing_measured_is_not_green(toy: ToyRepository, night: Nights) -> None:
    toy.commit("good", error=1.0)
    code, _, err = night("--bench", "^nosuch")
    assert code == 2
    assert "nothing was measured of" in err and "--bench '^nosuch' matches no benchmark" in err
    assert night.verdicts() == []


def test_a_selection_of_benchmarks_gives_no_verdict(toy: ToyRepository, night: Nights) -> None:
    toy.commit("good", error=1.0)
    assert night()[0] == 0
    toy.commit("worse, in what is not looked at", error=1.5)
    assert night("--bench", "^times")[0] == 0
    assert night.verdicts() == ["good"]
    assert night()[0] == 1


def test_a_given_base_is_measured_and_no_verdict_is_kept(toy: ToyRepository, night: Nights) -> None:
    base = toy.commit("base", error=2.0)
    toy.commit("head", error=2.1)
    code, out, _ = night("--base", "HEAD~1", "--bench", r"track_error\('a'\)", "--no-publish")
    assert code == 1
    assert "track_error('a'): 2 → 2.1" in out and "track_error('b')" not in out
    assert {path.name[:8] for path in night.result_files()} >= {base[:8]}
    assert night.verdicts() == []


def test_results_on_a_branch_are_shared_between_clones(
    toy: ToyRepository, night: Nights, tmp_path: Path
) -> None:
    first = toy.commit("shared", error=1.0)
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(toy.root), str(remote)], check=True)
    toy.git("remote", "add", "origin", str(remote))
    try:
        assert night("--branch", "asv-results", "--push")[0] == 0
    finally:
        toy.git("worktree", "prune")
        toy.git("remote", "remove", "origin")
    names = subprocess.run(
        ["git", "-C", str(remote), "ls-tree", "-r", "--name-only", "asv-results"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert f"results/nightly/{MACHINE}/{first[:8]}" in " ".join(names)
    assert f"results/nightly/nights-{MACHINE}.jsonl" in names

    # The next night, elsewhere.
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(remote), str(clone)], check=True)
    (clone / ".asv").mkdir()
    (toy.root / ".asv" / "env").mkdir(exist_ok=True)  # there is none without asv
    (toy.root / ".asv" / "env").rename(clone / ".asv" / "env")
    (tmp_path / "other").mkdir()
    elsewhere = ToyRepository(clone, made=False)
    other = Nights(elsewhere, tmp_path / "other", night.quick)
    elsewhere.commit("worse elsewhere", error=1.5)
    try:
        code, out, _ = other("--branch", "asv-results", "--push")
    finally:
        (clone / ".asv" / "env").rename(toy.root / ".asv" / "env")
    assert code == 1
    assert "track_error('a'): 1 → 1.5" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "nightli"], "unknown profile 'nightli'; did you mean 'nightly'? (allowed: "),
        (["--base", "nosuch"], "no commit 'nosuch'"),
        (["--bench", "(a"], "--bench '(a' is no regular expression"),
        (["--push"], "--push needs --branch NAME"),
        (["--accept", "HEAD"], "--accept REV and --reason TEXT need each other"),
        (["--commits", "0"], "--commits must be at least 1, got 0"),
        (["--nosuch"], "unknown option '--nosuch'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    toy: ToyRepository, night: Nights, arguments: list[str], said: str
) -> None:
    toy.commit("a commit")
    code, out, err = night(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"nightly: {said}") and err.count("\n") == 1
    assert not night.verdicts() and not night.summary.exists()
    assert not (night.results / MACHINE).exists()


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.nightly"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("nightly: no commit 'HEAD'")
    assert list(tmp_path.iterdir()) == []


def test_without_a_gpu_a_required_one_is_refused(toy: ToyRepository, night: Nights) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has one")
    toy.commit("needs a GPU")
    code, _, err = night("--require-gpu")
    assert code == 2 and "GPU" in err and err.count("\n") == 1
