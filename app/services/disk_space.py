"""How much room the disks have that we write to."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Below this a disk counts as full, in the answers of `/api/health` and for the doctor.
LEAST_FREE_BYTES = 200 * 1024 * 1024
# On a small volume this share of it counts instead.
LEAST_FREE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The free space of the disk that holds a folder, for users other than root."""

    folder: Path
    free_bytes: int
    total_bytes: int

    @property
    def is_short(self) -> bool:
        """Whether writing may soon fail."""
        return self.free_bytes < min(LEAST_FREE_BYTES, self.total_bytes * LEAST_FREE_SHARE)


def measure(folder: Path) -> DiskSpace:
    """Return the free space of the disk that holds a folder. Raises OSError."""
    usage = shutil.disk_usage(folder)
    return DiskSpace(folder, usage.free, usage.total)


def measure_all(data_dir: Path) -> Iterator[DiskSpace]:
    """Return the free space of the data directory, and of the folder of temporary files, which takes large uploads."""
    for folder in (data_dir, Path(tempfile.gettempdir())):
        try:
            yield measure(folder)
        except OSError:  # said elsewhere: a folder that is not there cannot be written either
            continue
