"""What an engine answers, as an executor's errors.

The engine's own sentence is kept: it is what `docker` would have shown.
"""

from typing import Final

import requests
import urllib3
from docker.errors import APIError, DockerException, NotFound

from workers.agent.executors.errors import ExecutorError, GoneError, TemporaryError

ENGINE_ERRORS: Final = (DockerException, urllib3.exceptions.HTTPError, OSError)
"""All that the SDK raises; those of requests are OSErrors."""

_CONFLICT: Final = 409
_UNAVAILABLE: Final = 503


class ConflictError(ExecutorError):
    """The name is taken, or the container is in a state in which that cannot be done."""


def translated(error: Exception) -> ExecutorError:
    """The same as an executor's error."""
    if not isinstance(error, APIError):
        return TemporaryError(reason(error))
    sentence = str(error.explanation or error)
    if isinstance(error, NotFound):
        return GoneError(sentence)
    if error.status_code == _CONFLICT:
        return ConflictError(sentence)
    if error.status_code == _UNAVAILABLE:
        return TemporaryError(sentence)
    return ExecutorError(sentence)


def reason(error: BaseException) -> str:
    """Why an engine could not be asked, in few words: the SDK wraps it three times."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    found: BaseException | None = error
    sentence = str(error)
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            sentence = found.strerror
        found = found.__cause__ or found.__context__
    return sentence or type(error).__name__
