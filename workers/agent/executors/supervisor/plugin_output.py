"""What a task prints, into files that supervisor's own logger rotates.

They are opened at the first output: most of a thousand tasks say nothing for long, and would each
hold two descriptors for it. Runs inside supervisord.
"""

import time
from typing import Any

from supervisor.dispatchers import POutputDispatcher
from supervisor.loggers import Handler, RotatingFileHandler

from workers.agent.executors.supervisor import line_times


class TaskOutput(POutputDispatcher):  # type: ignore[misc]
    """One stream of a task."""

    def _init_normallog(self) -> None:
        config = self.process.config
        path = getattr(config, f"{self.channel}_logfile")
        if path:
            settings = config.settings
            self.normallog = config.options.getLogger()
            self.normallog.addHandler(LazyFile(path, settings.log_bytes, settings.log_backups))


class LazyFile(Handler):  # type: ignore[misc]
    """A rotating log file that comes to be when something is written."""

    def __init__(self, path: str, most_bytes: int, backups: int) -> None:
        super().__init__()
        self._path, self._most_bytes, self._backups = path, most_bytes, backups
        self._file: TimedFile | None = None

    def emit(self, record: Any) -> None:
        if self._file is None:
            try:
                self._file = TimedFile(self._path, "ab", self._most_bytes, self._backups)
            except OSError:
                self.handleError()  # a full disk: the task goes on, its output does not
                return
            self._file.setFormat(self.fmt)
        self._file.emit(record)

    def flush(self) -> None:
        if self._file:
            self._file.flush()

    def close(self) -> None:
        if self._file:
            self._file.close()

    def reopen(self) -> None:
        if self._file:
            self._file.reopen()

    def remove(self) -> None:
        if self._file:
            self._file.remove()


class TimedFile(RotatingFileHandler):  # type: ignore[misc]
    """A rotating log file, with marks beside it that tell when what was printed."""

    def __init__(self, path: str, *arguments: Any) -> None:
        super().__init__(path, *arguments)
        self._marks = line_times.Marks(path)

    def emit(self, record: Any) -> None:
        self._marks.note(self.stream.tell(), time.time())
        super().emit(record)

    def removeAndRename(self, sfn: str, dfn: str) -> None:  # noqa: N802 - supervisor's name
        super().removeAndRename(sfn, dfn)
        line_times.move(sfn, dfn)

    def doRollover(self) -> None:  # noqa: N802 - supervisor's name
        before = self.stream
        super().doRollover()
        if self.stream is not before:
            self._marks.restart()

    def remove(self) -> None:
        super().remove()
        self._marks.restart()

    def close(self) -> None:
        super().close()
        self._marks.close()
