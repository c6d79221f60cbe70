"""Application logs: to the terminal, and to a rotated file in the data directory."""

import logging
import logging.handlers

from app.settings import Settings

FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
FILE_BYTES = 5 * 1024 * 1024
FILES_KEPT = 5
HANDLER_NAME = "duplistatus-file"


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
    folder = settings.data_dir / "logs"
    folder.mkdir(exist_ok=True, mode=0o700)
    handler = logging.handlers.RotatingFileHandler(
        folder / "application.log", maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True
    )
    handler.set_name(HANDLER_NAME)
    handler.setFormatter(logging.Formatter(FORMAT))
    root.addHandler(handler)
