"""How many examples Hypothesis tries: all of them, or a small sample that is the same each time (`make test-fast`)."""

import os
from typing import Any

from hypothesis import settings

SHARE = float(os.environ.get("EXAMPLES_SHARE", "1"))
FEWEST = 3


def trial(examples: int = 100, **options: Any) -> settings:
    """Return the settings of a test that tries so many examples, however long they take."""
    count = max(FEWEST, round(examples * SHARE))
    return settings(max_examples=count, deadline=None, derandomize=SHARE < 1, **options)
