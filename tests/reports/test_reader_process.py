"""Large bodies are read by a separate process, like small ones here."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from factories import report_body

from app.core.errors import InputTooLarge
from app.reports import reader_process
from app.reports.parser import NotStored, Posted, Unusable, read_posted
from app.reports.reader_process import LARGE_BYTES, ReaderProcess

LINE = "2026-11-30 02:00:01 +01 - [Information-Duplicati]: nothing special"
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def posted(body: bytes) -> Posted:
    return Posted(body, "application/json", NOW, ZoneInfo("Europe/Berlin"), keeps_other_operations=False)


LARGE = report_body(lines=[LINE] * (LARGE_BYTES // len(LINE) + 1))


@pytest.fixture
def reader():
    """A reader whose process ends with the test."""
    reader = ReaderProcess()
    yield reader
    reader.stop()


BODIES = {
    "report": LARGE,
    "other operation": report_body(data={"MainOperation": "Restore"}, lines=[LINE] * 5000),
    "no report": b"x" * 2 * LARGE_BYTES,
    "many values": b"[" + b"[]," * 500_000 + b"[]]",
}


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_process_returns_the_same_as_reading_here(reader, body):
    there, here = reader.read(posted(body)), read_posted(posted(body))
    if isinstance(here, Unusable):
        assert (there.kept, there.error.message, there.error.status) == (
            here.kept,
            here.error.message,
            here.error.status,
        )
        assert type(there.error) is type(here.error)
    else:
        assert there == here


@pytest.mark.slow
def test_one_process_reads_all_bodies(reader):
    reader.read(posted(LARGE))
    first = reader._process.pid
    reader.read(posted(LARGE))
    assert reader._process.pid == first


@pytest.mark.slow
def test_process_ignores_an_interrupt(reader):
    reader.read(posted(LARGE))
    reader._process.send_signal(signal.SIGINT)
    first = reader._process.pid
    assert reader.read(posted(LARGE)) == read_posted(posted(LARGE))
    assert reader._process.pid == first


@pytest.mark.slow
def test_idle_process_that_ended_is_replaced(reader):
    ended = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ended.wait()
    reader._process = ended
    assert reader.read(posted(LARGE)) == read_posted(posted(LARGE))


@pytest.mark.slow
def test_killed_process_is_replaced_for_the_next_body(reader):
    reader.read(posted(LARGE))
    os.kill(reader._process.pid, signal.SIGKILL)
    with pytest.raises(InputTooLarge):
        reader.read(posted(LARGE))
    assert reader.read(posted(LARGE)) == read_posted(posted(LARGE))


@pytest.mark.slow
def test_body_that_takes_too_long_is_too_large(monkeypatch):
    reader = ReaderProcess()
    monkeypatch.setattr(reader_process, "_process", reader)
    monkeypatch.setattr(reader_process, "LONGEST_S", 0.001)
    found = reader_process.read_in_process(posted(LARGE))
    assert isinstance(found, Unusable)
    assert (found.error.status, found.kept.size_bytes) == (413, 0)
    monkeypatch.undo()
    assert reader.read(posted(LARGE)) == read_posted(posted(LARGE))
    reader.stop()


def test_body_is_read_here_if_no_process_can_be_started(monkeypatch):
    monkeypatch.setattr(reader_process, "_start", lambda: (_ for _ in ()).throw(OSError("no more processes")))
    monkeypatch.setattr(reader_process, "_process", ReaderProcess())
    assert not isinstance(reader_process.read_in_process(posted(LARGE)), NotStored | Unusable)


def test_log_over_the_limit_is_cut_in_the_process():
    report = read_posted(posted(report_body(lines=[LINE] * 100_000)))
    assert len(report.messages) < 100_000
    assert "more lines omitted: the log is too long" in report.messages[-1]
