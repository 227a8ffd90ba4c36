"""What a network costs, against counts by hand."""

import pytest
import torch
from torch import nn

from unseen.evaluation.cost import network_cost


def test_counts_are_for_each_frame() -> None:
    net = nn.Conv3d(3, 5, 3, padding=1)
    cost = network_cost(net, torch.zeros(1, 3, 6, 8, 10))
    assert cost["parameters"] == 5 * 3 * 27 + 5
    assert cost["macs_per_frame"] == 5 * 3 * 27 * 8 * 10
    assert 0 < cost["milliseconds_per_frame"] < 1000


def test_time_is_the_median_of_the_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([t for i in range(12) for t in (10.0 * i, 10.0 * i + (9.0 if i < 3 else 0.5))])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    cost = network_cost(nn.Conv3d(3, 1, 1), torch.zeros(1, 3, 4, 2, 2))
    assert cost["milliseconds_per_frame"] == pytest.approx(500 / 4)
