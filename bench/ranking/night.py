"""A night: rankings are worked on round by round, and kept after each."""

from __future__ import annotations

import datetime
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from bench.execution.find_or_run import find_or_run, without_result
from bench.execution.options import ExecutionOptions
from bench.ranking.ranking import SHARES, Ranking
from bench.ranking.session import Round, Session
from bench.spec.spec import Spec
from bench.store.record import Record
from bench.store.store import Store
from bench.studies.estimate import duration
from bench.task import SELECTION
from bench.text.errors import BadInput
from bench.text.formatting import counted
from bench.training.policy import Stopped


def describe(session: Session) -> list[str]:
    """What a session is going to do, in lines for people."""
    planned, night = session.planned, session.night
    cases = ", ".join(
        problem if len({m for _, m in night.cases}) == 1 else f"{problem} with {model}"
        for problem, model in night.cases
    )
    arms = ", ".join(one.label for one in planned.arms)
    lengths = ""
    if night.length_seeds:
        shares = ", ".join(f"{share:g}" for share in SHARES if share != 1.0)
        lengths = f", and on {counted(night.length_seeds, 'seed')} also trained for {shares} times"
        lengths += " the steps"
    trials = len({trial.spec.hash for trial in session.tuned.first()})
    return [
        f"ranking {session.key}: {counted(len(planned.arms), 'arm')} ({arms})",
        f"on {counted(len(night.cases), 'case')} of {planned.runs.suite.name} under the budget"
        f" {night.budget!r}: {cases}",
        f"{counted(trials, 'trial')} to tune the arms, and further ones where the best rate is at"
        " the edge; then every arm is scored on"
        f" {counted(night.seeds, 'seed')}{lengths}: about {duration(night.seconds)} with"
        f" {planned.jobs} at a time",
        *session.notes,
    ]


def clock(seconds: float) -> str:
    """The time of day in so many seconds, and the date if it is another day's."""
    now = datetime.datetime.now().astimezone()
    then = now + datetime.timedelta(seconds=seconds)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


def go_on(
    sessions: Sequence[Session],
    device: str,
    where: ExecutionOptions,
    until: float | None,
    progress: bool = True,
    embedded: bool = False,
) -> tuple[list[Ranking], Stopped | None]:
    """Work on rankings until all has been run, the time is over, or someone stops it.

    A round of the first is followed by the same of the second, so that each has an answer when the
    time is over; what is planned comes before what only fills the time. After the first round the
    rest is planned again by what the runs took. After every round all is kept, and it is said when
    all will end. A ranking whose next runs do not fit into the time, or that cannot go on, leaves
    the others their time.

    Args:
        sessions: The rankings.
        device: Resolved name of the device.
        where: Where runs are carried out and kept.
        until: When the time is over, by `time.time`; ``None``: never.
        progress: Show progress.
        embedded: See `bench.training.policy.RunPolicy`.

    Returns:
        The rankings as they are in the store, and what stopped the night, if anything did. One
        that cannot go on is not among them: `Session.refused` says why.

    Raises:
        BadInput: No ranking can go on, a ranking that is in the store cannot be read, or an option
            of the suite cannot be followed at the end.
        CannotWrite: The store takes no more data; what was written stands.
    """
    Store(where.store).prepare()
    for session in sessions:
        session.save()
    open_ = list(sessions)
    stopped: Stopped | None = None
    for session, round_ in _rounds(open_, until):
        session.save()
        later_s = _say(open_, session, round_)
        call = functools.partial(
            find_or_run,
            session.planned.runs.suite,
            device=device,
            progress=progress,
            embedded=embedded,
            until=until,
            expected_s=session.expected_s(round_.specs),
            later_s=later_s,
        )
        how: Stopped | None = None
        try:
            with session.working():
                how = _run(session, round_, where, call)
            session.save()
        except BadInput as error:
            if len(sessions) == 1:
                raise
            session.refused = str(error)
            print(f"bench: {session.planned.runs.suite.name}: {error}", file=sys.stderr, flush=True)
        stopped = how or stopped
        if how == "time" or session.refused is not None:
            open_.remove(session)
        over = how == "time" and until is not None and time.time() >= until
        if how == "signal" or over:
            break
    ended = [session for session in sessions if session.refused is None]
    if not ended:
        raise BadInput("; ".join(str(session.refused) for session in sessions))
    rankings = [session.save(ended=True) for session in ended]
    if stopped != "signal":  # a cluster leaves no time
        for session in ended:
            session.finish()
    return rankings, stopped


def without_result_in(session: Session) -> str:
    """How many of the runs of a session ended without a result, by status; empty if none did.

    Those that the end of the night has interrupted are not among them: they continue.
    """
    return without_result([r for r in session.found.made() if r.status != "interrupted"])


def _rounds(open_: Sequence[Session], until: float | None) -> Iterator[tuple[Session, Round]]:
    """All rounds of all sessions, the planned ones of all before any for the time that is left.

    Args:
        open_: The sessions; one that is removed has no further round.
        until: When the time is over, by `time.time`; ``None``: never.
    """
    yield from _interleaved(open_, Session.first_rounds)
    if until is not None:
        for session, seconds in _left_s(open_, until - time.time()).items():
            session.plan_again(seconds)
            session.save()
    yield from _interleaved(open_, Session.planned_rounds)
    yield from _interleaved(open_, Session.spare_rounds)


def _interleaved(
    open_: Sequence[Session], rounds_of: Callable[[Session], Iterator[Round]]
) -> Iterator[tuple[Session, Round]]:
    """The first round of each session, then the second of each, and so on."""
    waiting = [(session, rounds_of(session)) for session in open_]
    while waiting:
        for pair in list(waiting):
            session, rounds = pair
            if session not in open_ or (round_ := next(rounds, None)) is None:
                waiting.remove(pair)
            else:
                yield session, round_


def _left_s(sessions: Sequence[Session], seconds: float) -> dict[Session, float]:
    """What each session has of the time that is left: its share of the hours, less what it took.

    Where one has taken more than its share, all have that much less.
    """
    shares = {
        session: max(3600 * session.planned.hours / session.planned.suites - session.worked_s, 0.0)
        for session in sessions
    }
    whole = sum(shares.values())
    return {
        session: max(seconds, 0.0) * (share / whole if whole else 1 / len(shares))
        for session, share in shares.items()
    }


def _run(
    session: Session,
    round_: Round,
    where: ExecutionOptions,
    call: Callable[..., tuple[list[Record], Stopped | None]],
) -> Stopped | None:
    """Carry out a round; what there is of it is taken, however it ends."""
    parts: list[tuple[Sequence[Spec], ExecutionOptions]] = [(round_.specs, where)]
    if stale := session.stale(round_):
        print(
            f"bench: {counted(len(stale), 'trial')} without {SELECTION!r}, made by older code:"
            " run again",
            file=sys.stderr,
        )
        parts.insert(0, (stale, msgspec.structs.replace(where, rerun=True)))
    for specs, options in parts:
        records, stopped = call(specs=specs, options=options)
        session.found.add(records)
        if stopped is not None:
            return stopped
    session.check(round_)
    return None


def _say(sessions: Sequence[Session], session: Session, round_: Round) -> float:
    """Say what is run next, and when all will end; returns the seconds of what comes after it."""
    missing = {s.hash for s in round_.specs if not session.found.has_result(s.hash)}
    remaining_s = sum(one.remaining_s() for one in sessions)
    end = f"all ends about {clock(remaining_s)}" if round_.planned else "in the time that is left"
    print(
        f"bench: {session.planned.runs.suite.name}: {round_.title}: {len(missing)} of"
        f" {counted(len(round_.specs), 'run')} to do; {end}",
        file=sys.stderr,
        flush=True,
    )
    expected = session.expected_s(round_.specs)
    round_s = sum(expected[name] for name in missing) / session.planned.jobs
    return max(remaining_s - round_s, 0.0)
