"""The next delay of a retry: exponential, jittered, with a ceiling."""

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Backoff:
    """Delays in seconds: `first`, then `factor` times more each, up to `ceiling`.

    Each is drawn between half of that and all of it, so that many retries do not fall together.
    """

    first: float
    ceiling: float
    random: Random
    factor: float = 2.0
    failures: int = field(default=0, init=False)

    def next(self) -> float:
        """The delay after one more failure."""
        # The exponent is bounded: 2.0**2000 overflows, and the ceiling is long reached by then.
        whole = min(self.ceiling, self.first * self.factor ** min(self.failures, 64))
        self.failures += 1
        return whole * self.random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """The thing works again: the next delay is a first one."""
        self.failures = 0
