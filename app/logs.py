"""Application logs: to the terminal, and to a rotated file in the data directory."""

import logging
import logging.handlers

from app.settings import Settings

FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
FILE_BYTES = 5 * 1024 * 1024
FILES_KEPT = 5
HANDLER_NAME = "duplistatus-file"
TRACE_INTERVAL_S = 60
FAULTS_KNOWN = 200


class TraceLimit(logging.Filter):
    """Cuts a traceback that was written less than a minute ago, so that one fault does not push out all other lines."""

    def __init__(self) -> None:
        super().__init__()
        self._written_at: dict[tuple[object, ...], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, repeated ones with their first line alone."""
        if record.exc_info and record.exc_info[1] is not None:
            fault = _place_of(record.exc_info[1])
            if record.created - self._written_at.get(fault, float("-inf")) < TRACE_INTERVAL_S:
                record.msg = f"{record.getMessage()}: {fault[0]}, with a traceback as above"
                record.args, record.exc_info, record.exc_text = (), None, None
            else:
                self._remember(fault, record.created)
        return True

    def _remember(self, fault: tuple[object, ...], at: float) -> None:
        if len(self._written_at) >= FAULTS_KNOWN:
            self._written_at.clear()
        self._written_at[fault] = at


def _place_of(error: BaseException) -> tuple[object, ...]:
    """What is wrong and where: the kind of an error, and the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else ()
    return (type(error).__name__, *place)


def configure(settings: Settings) -> None:
    """Set level and handlers once for the process; a second application only changes the file."""
    root = logging.getLogger()
    root.setLevel(settings.log_level)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Says at every short wave of requests that some wait; how long they wait is what counts, and the metrics tell.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    for handler in [handler for handler in root.handlers if handler.get_name() == HANDLER_NAME]:
        root.removeHandler(handler)
        handler.close()
    if not root.handlers:
        logging.basicConfig(format=FORMAT, level=settings.log_level)
        root.handlers[0].addFilter(TraceLimit())
    folder = settings.data_dir / "logs"
    folder.mkdir(exist_ok=True, mode=0o700)
    handler = logging.handlers.RotatingFileHandler(
        folder / "application.log", maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True
    )
    handler.set_name(HANDLER_NAME)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(TraceLimit())
    root.addHandler(handler)
