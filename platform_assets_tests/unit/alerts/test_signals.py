from datetime import UTC, datetime

import pytest

from platform_assets.alerts.signals import Kind, Severity, Signal, Standing, fingerprint

AT = datetime(2025, 1, 2, tzinfo=UTC)


def test_signals_of_one_problem_have_one_fingerprint():
    begins = Signal(Kind.FRESHNESS, "cleaned/orders", AT, detail="nothing since Monday")
    ends = Signal(Kind.FRESHNESS, "cleaned/orders", AT, Standing.OVER, severity=Severity.INFO)
    assert begins.fingerprint == ends.fingerprint == fingerprint(Kind.FRESHNESS, "cleaned/orders")


@pytest.mark.parametrize(
    "other",
    [
        fingerprint(Kind.FINDING, "cleaned/orders", "volume", "2025-01-01"),
        fingerprint(Kind.CHECK_FAILED, "cleaned/customers", "volume", "2025-01-01"),
        fingerprint(Kind.CHECK_FAILED, "cleaned/orders", "mean", "2025-01-01"),
        fingerprint(Kind.CHECK_FAILED, "cleaned/orders", "volume", "2025-01-02"),
        fingerprint(Kind.CHECK_FAILED, "cleaned/orders", "volume2025-01-01"),
    ],
)
def test_another_problem_has_another_fingerprint(other):
    assert other != fingerprint(Kind.CHECK_FAILED, "cleaned/orders", "volume", "2025-01-01")


def test_severities_are_ranked():
    assert sorted(Severity, key=lambda each: each.rank) == ["info", "warn", "error"]
