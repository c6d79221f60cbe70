"""Texts about unusual runs."""

import pytest

from app.backups.words import anomaly_figures, anomaly_words
from app.insight.anomalies import Anomaly


@pytest.mark.parametrize(
    ("anomaly", "words", "figures"),
    [
        (Anomaly("modified", 41_230, 210), "196 times as many modified files as usual", "41,230, typically 210"),
        (Anomaly("modified", 41_230, 0), "modified files, although there usually are none", "41,230, typically 0"),
        (Anomaly("deleted", 100, 20), "5 times as many deleted files as usual", "100, typically 20"),
        (Anomaly("deleted", 100, 0), "deleted files, although there usually are none", "100, typically 0"),
    ],
)
def test_modified_and_deleted_files_are_described_in_words_and_figures(app, anomaly, words, figures):
    with app.test_request_context():
        assert (anomaly_words(anomaly), anomaly_figures(anomaly)) == (words, figures)
