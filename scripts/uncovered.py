"""Print which share of the lines the last `make coverage` ran, and the files of which it ran less than 80 %."""

from pathlib import Path

from coverage import Coverage

LEAST_PERCENT = 80.0


def main() -> None:
    """Read `.coverage` of the working directory, and print."""
    counts = count_lines()
    shares = {path: 100 * ran / lines for path, (ran, lines) in counts.items() if lines}
    for path, percent in sorted(shares.items(), key=lambda share: share[1]):
        if percent < LEAST_PERCENT:
            print(f"{percent:5.1f} %  {path}")
    ran, lines = map(sum, zip(*counts.values(), strict=True))
    print(f"{100 * ran / lines:5.1f} %  of {lines} lines in {len(counts)} files")


def count_lines() -> dict[Path, tuple[int, int]]:
    """Return by file how many of its lines ran, and how many it has."""
    measured = Coverage()
    measured.load()
    counts = {}
    for name in measured.get_data().measured_files():
        _, lines, _, missing, _ = measured.analysis2(name)
        counts[Path(name).relative_to(Path.cwd())] = (len(lines) - len(missing), len(lines))
    return counts


if __name__ == "__main__":
    main()
