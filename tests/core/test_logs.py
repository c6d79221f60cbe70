"""The log file, written by several processes."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core import logs

ROOT = Path(__file__).resolve().parents[2]
LINES, FILE_BYTES, FILES_KEPT = 3000, 20_000, 40
WRITER = """
import logging, sys
from pathlib import Path
from app.core import logs
from app.config import Settings

logs.FILE_BYTES, logs.FILES_KEPT = int(sys.argv[3]), int(sys.argv[4])
logs.configure(Settings(data_dir=Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.read(1)
for number in range(int(sys.argv[5])):
    logging.getLogger("writer").info("%s %d", sys.argv[2], number)
"""

WARNING = """
import logging, sys
from pathlib import Path
from app.core import logs
from app.config import Settings

logs.configure(Settings(data_dir=Path(sys.argv[1])))
logging.getLogger("x").warning("y")
"""


@pytest.fixture
def handler(tmp_path):
    handler = logs.SharedRotatingFileHandler(tmp_path / "application.log", FILE_BYTES, FILES_KEPT)
    yield handler
    handler.close()


def record(text, *arguments):
    return logging.LogRecord("test", logging.INFO, __file__, 1, text, arguments, None)


@pytest.mark.slow
def test_concurrent_writers_beyond_the_size_limit_lose_no_line(tmp_path):
    (tmp_path / "logs").mkdir()
    numbers = [str(number) for number in (FILE_BYTES, FILES_KEPT, LINES)]
    commands = [[sys.executable, "-c", WRITER, tmp_path, f"writer-{name}", *numbers] for name in "abc"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    writers = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for command in commands]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 3
    for writer in writers:
        writer.stdin.write("g")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    files = sorted((tmp_path / "logs").glob("application.log*"))
    assert len(files) > 3
    assert all(file.stat().st_size <= FILE_BYTES for file in files)
    lines = [line.partition("writer: ")[2] for file in files for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(f"writer-{name} {number}" for name in "abc" for number in range(LINES))


def test_other_users_cannot_read_log_files(handler, tmp_path):
    (tmp_path / "application.log").touch(mode=0o644)  # of an older version
    for number in range(1800):
        handler.emit(record("%s", f"{number} " * 20))
    files = list(tmp_path.glob("application.log*"))
    assert len(files) > 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_log_continues_in_a_new_file_after_the_old_one_was_moved(handler, tmp_path):
    handler.emit(record("first"))
    (tmp_path / "application.log").rename(tmp_path / "elsewhere")
    handler.emit(record("second"))
    assert (tmp_path / "elsewhere").read_text() == "first\n"
    assert (tmp_path / "application.log").read_text() == "second\n"


def test_a_value_that_logs_while_it_is_formatted_does_not_block(handler, tmp_path):
    class LoggingValue:
        def __str__(self):
            handler.handle(record("inner"))
            return "outer"

    handler.handle(record("%s", LoggingValue()))
    assert {"inner", "outer"} == set((tmp_path / "application.log").read_text().split())


def test_text_that_is_no_unicode_is_written_nevertheless(handler, tmp_path):
    handler.emit(record("name \udce4"))
    assert (tmp_path / "application.log").read_text() == "name \\udce4\n"


def test_errors_of_the_log_file_are_not_raised(handler, tmp_path, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    (tmp_path / ".application.log.lock").mkdir()
    handler.emit(record("nothing"))


@pytest.mark.parametrize(("level", "mark"), [("DEBUG", 7), ("INFO", 6), ("WARNING", 4), ("ERROR", 3), ("CRITICAL", 2)])
def test_the_journal_gets_a_level_for_each_line_and_no_time(level, mark):
    formatter = logs.JournalFormatter(logs.JOURNAL_FORMAT)
    record = logging.LogRecord("app.x", getattr(logging, level), __file__, 1, "one\ntwo", (), None)
    assert formatter.format(record) == f"<{mark}>app.x: one\n<{mark}>two"


@pytest.mark.parametrize("is_journal", [True, False])
def test_only_the_format_of_the_journal_is_written_to_it(tmp_path, is_journal):
    (tmp_path / "logs").mkdir()
    with (tmp_path / "stderr").open("w+") as stream:
        status = os.fstat(stream.fileno())
        named = f"{status.st_dev}:{status.st_ino if is_journal else status.st_ino + 1}"
        environment = {**os.environ, "JOURNAL_STREAM": named}
        subprocess.run([sys.executable, "-c", WARNING, tmp_path], cwd=ROOT, env=environment, stderr=stream, check=True)
        stream.seek(0)
        written = stream.read()
    assert (written == "<4>x: y\n") is is_journal
    assert written.endswith("x: y\n")
    assert (tmp_path / "logs" / "application.log").read_text().endswith("[WARNING] x: y\n")


def test_a_child_forked_during_a_write_can_log(handler, tmp_path):
    handler._has_turn = os.getpid() + 1
    handler.emit(record("line"))
    assert (handler._has_turn, (tmp_path / "application.log").read_text()) == (None, "line\n")
