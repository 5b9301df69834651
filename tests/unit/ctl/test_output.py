"""Times in words."""

import pytest

from swarmd.ctl.output import span

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (MINUTE, "about a minute"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "about an hour"),
        (5 * HOUR, "5 hours"),
        (47 * HOUR, "47 hours"),
        (3 * DAY, "3 days"),
        (20 * DAY, "2 weeks"),
        (70 * DAY, "2 months"),
        (800 * DAY, "2 years"),
    ],
)
def test_a_time_is_worded_as_docker_words_it(seconds: float, words: str) -> None:
    assert words == span(seconds)
