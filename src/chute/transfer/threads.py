"""Work that may wait, done in threads for one event loop, and told of in the loop's own thread.

Theory of operation. Work is submitted in a *lane*: that of a disk, for reading from it; of a kind of work, for
everything else. No lane gets more than its share of the threads, so that a disk that never answers leaves room for the
others; what is beyond the share waits its turn, and can be cancelled until then. Threads are started when there is work
for them, and are daemons: a disk that never answers must not keep the process from ending.

Everything but `_work` and `_perform` happens in the thread of the loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar


class Job(Protocol):
    """One piece of work; told apart by identity.

    Attributes:
        lane: what it shares the threads with.
    """

    lane: Hashable

    def blocking_work(self) -> object:
        """Do it, in a thread."""

    def on_done(self, outcome: object) -> None:
        """Hear, in the thread of the loop, what the work returned, or the exception that it raised."""


AnyJob = TypeVar("AnyJob", bound=Job)


class Threads(Generic[AnyJob]):
    """Threads that work for one event loop."""

    def __init__(
        self, notify: Callable[[], object], *, threads_max: int, threads_per_lane_max: int
    ) -> None:
        """Begin without a thread.

        Args:
            notify: called in a thread when something is done; must have `deliver` called in the loop's thread. Its
                RuntimeError, for a loop that is closed, is ignored.
            threads_max: threads at once.
            threads_per_lane_max: of them, working in one lane at once.
        """
        self._notify = notify
        self._threads_max = threads_max
        self._threads_per_lane_max = threads_per_lane_max
        self._jobs: SimpleQueue[AnyJob | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[AnyJob, object]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, dict[AnyJob, None]] = {}

    def submit(self, job: AnyJob) -> None:
        """Have `job` done in a thread; it hears of the outcome from `deliver`."""
        if self._running.get(job.lane, 0) < self._threads_per_lane_max:
            self._begin(job)
        else:
            self._waiting.setdefault(job.lane, {})[job] = None

    def cancel(self, job: AnyJob) -> bool:
        """Forget a job that has not begun, and return True; one that has is carried through, and told of."""
        waiting = self._waiting.get(job.lane, {})
        if job not in waiting:
            return False
        del waiting[job]
        return True

    def deliver(self) -> None:
        """Tell of everything that was done; in the loop's thread."""
        while not self._done.empty():
            job, outcome = self._done.get()
            self._running[job.lane] -= 1
            waiting = self._waiting.get(job.lane)
            if waiting:
                self._begin(_take_first(waiting))
            elif not self._running[job.lane]:
                del self._running[job.lane]
                self._waiting.pop(job.lane, None)
            job.on_done(outcome)

    def close(self, *, patience_s: float = 0.0) -> list[AnyJob]:
        """Send the threads home, and return the jobs that never began; nobody hears of what is still being done.

        Args:
            patience_s: how long to wait for work that has begun, at each thread.
        """
        never_begun = [job for waiting in self._waiting.values() for job in waiting]
        self._waiting.clear()
        for _ in self._threads:
            self._jobs.put(None)
        if patience_s > 0:
            for thread in self._threads:
                thread.join(patience_s)
        return never_begun

    def _begin(self, job: AnyJob) -> None:
        self._running[job.lane] = self._running.get(job.lane, 0) + 1
        if len(self._threads) < min(self._threads_max, sum(self._running.values())):
            thread = threading.Thread(target=self._work, name="chute-work", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # No further thread is allowed (a limit on processes, as containers have).
                if not self._threads:
                    self._perform(job)
                    return
            else:
                self._threads.append(thread)
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not self._perform(job):
                return

    def _perform(self, job: AnyJob) -> bool:
        """Do `job`, and return whether there is still a loop to tell of it."""
        outcome: object
        try:
            outcome = job.blocking_work()
        except Exception as error:  # noqa: BLE001 - the wall: whatever it was, somebody waits to hear of it
            outcome = error
        self._done.put((job, outcome))
        try:
            self._notify()
        except RuntimeError:
            return False
        return True


def _take_first(jobs: dict[AnyJob, None]) -> AnyJob:
    job = next(iter(jobs))
    del jobs[job]
    return job
