"""Compares how our codec and libraries pack the logs of runs: size and time.

    .venv/bin/python bench/log_codec.py

zstd is compared if the package `zstandard` is installed, which the program does not need. Its dictionary, like that
of "zlib 9, sample", is made from one half of the logs of each kind, and the other half is packed.
"""

import json
import sys
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import process_time

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.backups.run_logs import PHRASES_1, pack_log, pack_log_quickly, unpack_log
from app.demo import fleet, invent_log, invent_runs

try:
    import zstandard
except ImportError:
    zstandard = None

Log = tuple[Sequence[str], Sequence[str], Sequence[str]]
Packer = Callable[[Log], bytes]
REPORTS = Path(__file__).resolve().parent.parent / "tests" / "data" / "duplicati" / "reports"
WINDOW_BYTES = 32 * 1024
DICTIONARY_BYTES = 64 * 1024


def main() -> None:
    """Print one table for each kind of log."""
    kinds = {"recorded from Duplicati": recorded(), "invented, short": invented(0), "invented, 19 KB": invented(19_000)}
    known = [log for logs in kinds.values() for log in logs[::2]]
    packers = made_packers(known)
    for kind, logs in kinds.items():
        asked = logs[1::2]
        plain = sum(len(document(log)) for log in asked) / len(asked)
        print(f"\n{kind}: {len(asked)} logs, {plain:,.0f} bytes each")
        print(f"{'':<34}{'bytes':>8}{'of ours':>9}{'pack ms':>9}{'unpack ms':>11}")
        ours = 0.0
        for name, (pack, unpack) in packers.items():
            pack_ms, packed = timed(pack, asked)
            unpack_ms, _texts = timed(unpack, packed)
            size = sum(map(len, packed)) / len(packed)
            ours = ours or size
            print(f"{name:<34}{size:>8,.0f}{size / ours:>9.2f}{pack_ms:>9.3f}{unpack_ms:>11.3f}")


def recorded() -> list[Log]:
    """Return the logs of the recorded JSON reports."""
    logs = []
    for path in sorted(REPORTS.glob("*.json.json")):
        report = json.loads(json.loads(path.read_text())["body"])
        data = report["Data"]
        logs.append(
            tuple(list(texts or ()) for texts in (report["LogLines"], data.get("Warnings"), data.get("Errors")))
        )
    return logs


def invented(least_bytes: int) -> list[Log]:
    """Return the logs of invented runs."""
    rng = Random(7)
    until = datetime(2026, 11, 20, tzinfo=UTC)
    jobs = [job for server in fleet(20, 60, timedelta(days=1)) for job in server.jobs]
    runs = [run for job in jobs for run in invent_runs(job, until - timedelta(days=5), until, rng)]
    return [invent_log(run, rng, least_bytes=least_bytes) for run in runs]


def made_packers(known: list[Log]) -> dict[str, tuple[Packer, Callable]]:
    """Return functions that pack and unpack, ours first."""
    phrases = plain_phrases()
    sample = zlib_sample(known)
    packers = {
        "ours, dense": (lambda log: pack_log(*log, ()), unpack_log),
        "ours, quick": (lambda log: pack_log_quickly(*log), unpack_log),
        "zlib 9": zlib_packer(b""),
        "zlib 9, our phrases": zlib_packer(phrases),
        "zlib 9, sample": zlib_packer(sample),
    }
    if zstandard is not None:
        samples = [document(log) for log in known]
        trained = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=19)
        packers |= {f"zstd {level}, trained": zstd_packer(trained, level) for level in (3, 19)}
    return packers


def document(log: Log) -> bytes:
    """Return a log as the JSON that is packed."""
    return orjson.dumps(log)


def plain_phrases() -> bytes:
    """Return our phrases as they occur in a log, with figures in place of gaps."""
    return PHRASES_1.replace(b'"@ +01', b'"2026-11-20 02:00:07 +01').replace(b"\x7f", b"0")


def zlib_sample(known: list[Log]) -> bytes:
    """Return as many known lines of every kind as the window of deflate holds."""
    rng = Random(5)
    lines: dict[str, str] = {}
    for log in rng.sample(known, len(known)):
        for line in [line for texts in log for line in texts]:
            pattern = "".join("0" if char.isdigit() else char for char in line[:120])
            lines.setdefault(pattern, line[:300])
    return document(list(lines.values()))[-WINDOW_BYTES:]


def zlib_packer(dictionary: bytes, *, shortened: bool = False) -> tuple[Packer, Callable]:
    """Return functions for deflate with a preset dictionary."""

    def pack(log: Log) -> bytes:
        options = {"zdict": dictionary} if dictionary else {}
        compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, **options)
        return compressor.compress(document(log)) + compressor.flush()

    def unpack(packed: bytes) -> object:
        options = {"zdict": dictionary} if dictionary else {}
        return orjson.loads(zlib.decompressobj(-zlib.MAX_WBITS, **options).decompress(packed))

    return pack, unpack


def zstd_packer(dictionary: "zstandard.ZstdCompressionDict", level: int) -> tuple[Packer, Callable]:
    """Return functions for zstd with a trained dictionary."""
    compressor = zstandard.ZstdCompressor(level=level, dict_data=dictionary, write_checksum=False)
    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary)
    return lambda log: compressor.compress(document(log)), lambda packed: orjson.loads(decompressor.decompress(packed))


def timed(work: Callable, values: list) -> tuple[float, list]:
    """Return milliseconds of processor time per value, and the results."""
    begin = process_time()
    results = [work(value) for value in values]
    return (process_time() - begin) * 1000 / len(values), results


if __name__ == "__main__":
    main()
