"""The status of a server from those of its jobs."""

import pytest

from app.reports.outcomes import roll_up


@pytest.mark.parametrize(
    ("statuses", "any_overdue", "status"),
    [
        (["Success", "Error", "Warning"], False, "Error"),
        (["Success", "Fatal"], True, "Error"),
        (["Success", "Warning"], False, "Warning"),
        (["Success", "Success"], True, "Warning"),
        (["Success", "Success"], False, "Success"),
        (["Success", "Unknown"], False, "Unknown"),
        ([], False, "Unknown"),
    ],
)
def test_the_worst_job_counts_and_an_overdue_one_as_a_warning(statuses, any_overdue, status):
    assert roll_up(statuses, any_overdue=any_overdue) == status
