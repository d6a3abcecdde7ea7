"""Tests of `spkernels.torch`, which are skipped where PyTorch is not installed."""

import pytest

pytest.importorskip("torch", reason="torch is not installed.")
