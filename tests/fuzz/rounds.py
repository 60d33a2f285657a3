"""Rounds over the targets, and a journal of what they find."""

import time
import traceback

import hypothesis
import keras
from hypothesis import HealthCheck, Phase, given, settings

from tests.backend import BACKEND

EXAMPLES = 1000  # of a target in one round
SECONDS = 120  # for a target in one round; a failure may take longer to bring to its smallest


class TimeUp(BaseException):
    """Ends a search: no `Exception`, which hypothesis would take for a failure."""


class Journal:
    """A file to which every failure is appended at once, each smallest example only once."""

    def __init__(self, path):
        self.path = path
        self.failures = 0
        self.known = set()

    def add(self, target, seed, examples, error):
        """Writes down what `check` raised; returns whether it was new."""
        smallest = "\n".join(notes(error)) or repr(error)
        if (target, smallest) in self.known:
            return False
        self.known.add((target, smallest))
        self.failures += 1
        text = (
            f"=== {BACKEND}, {target}, {time.strftime('%Y-%m-%d %H:%M:%S')} ===\n"
            f"KERAS_BACKEND={BACKEND} python -m tests.fuzz {examples} --target {target} "
            f"--seed {seed}\n\n{''.join(traceback.format_exception(error))}\n\n"
        )
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text)
        return True


def notes(error):
    """The smallest examples, as hypothesis notes them on an exception or on those in a group."""
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return [*getattr(error, "__notes__", ()), *(note for part in parts for note in notes(part))]


def search(name, target, journal, totals, *, seed, examples, until):
    """Checks examples of a target, and counts them; returns whether a new failure was found."""
    first = None

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=target.cases())
    def check(case):
        nonlocal first
        # But a failure is brought to its smallest, however long it takes.
        if first is None and time.monotonic() > until:
            raise TimeUp
        totals[name] += 1
        try:
            target.check(case)
        except Exception as error:
            first = first or (case, error)
            raise

    try:
        check()
    except TimeUp:
        return False
    except KeyboardInterrupt:
        if first is not None:
            case, error = first
            error.add_note(f"Interrupted before a smaller example was found than {case!r}")
            journal.add(name, seed, examples, error)
        raise
    except Exception as error:
        return journal.add(name, seed, examples, error)
    return False


def play(targets, journal, *, seed, examples=None, minutes=10.0):
    """One round of so many examples of each target, or rounds until the time is up.

    Ends early, with the same summary, at a KeyboardInterrupt.
    """
    totals = dict.fromkeys(targets, 0)
    end = time.monotonic() + 60 * minutes
    share = min(SECONDS, 60 * minutes / len(targets))
    number = 0
    try:
        while number == 0 or (examples is None and time.monotonic() < end):
            number += 1
            for name, target in targets.items():
                started = time.monotonic()
                if examples is None and started > end:
                    break
                if examples is None:
                    limits = {"examples": EXAMPLES, "until": min(started + share, end)}
                else:
                    limits = {"examples": examples, "until": float("inf")}
                print(f"{BACKEND}, round {number}, {name}, seed {seed}:", end=" ", flush=True)
                before = totals[name]
                new = search(name, target, journal, totals, seed=seed, **limits)
                done = totals[name] - before
                found = f"A FAILURE, see {journal.path}" if new else "nothing new"
                print(f"{done} examples, {time.monotonic() - started:.0f} s, {found}", flush=True)
                seed += 1
            free()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    counts = ", ".join(f"{name} {count}" for name, count in totals.items())
    where = f", in {journal.path}" if journal.failures else ""
    print(f"{BACKEND}: {number} rounds ({counts}); {journal.failures} failures{where}", flush=True)


def free():
    """Frees what was compiled: gigabytes, over a night."""
    keras.utils.clear_session()
    if BACKEND == "jax":
        import jax

        jax.clear_caches()
