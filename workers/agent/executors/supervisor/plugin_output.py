"""What a task prints, into files that supervisor's own logger rotates.

They are opened at the first output: most of a thousand tasks say nothing for long, and would each
hold two descriptors for it. Runs inside supervisord.
"""

from typing import Any

from supervisor.dispatchers import POutputDispatcher
from supervisor.loggers import Handler, RotatingFileHandler


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
        self._file: RotatingFileHandler | None = None

    def emit(self, record: Any) -> None:
        if self._file is None:
            try:
                self._file = RotatingFileHandler(self._path, "a", self._most_bytes, self._backups)
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
