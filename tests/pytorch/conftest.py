"""Tests of `spkernels.torch`; each module is skipped where PyTorch is not installed."""

import pytest


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Let measurements be as short as possible, as no test depends on what they find."""
    from spkernels.torch import _measure, _profile  # there is no test without PyTorch

    for name in ("_SECONDS", "_PATIENCE", "_TURN_SECONDS"):
        monkeypatch.setattr(_measure, name, 0.0)
    monkeypatch.setattr(_profile, "_SECONDS", 0.0)
    for name in ("_MIN_TURNS", "_MIN_SERIAL_TURNS"):
        monkeypatch.setattr(_measure, name, 1)
