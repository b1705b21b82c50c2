"""Formulas of the learning rate and of the moving average."""

import math

import pytest
import torch
from torch import nn

from tests.trainers.loop.toy_tasks import with_
from trainers.loop.ema import Ema
from trainers.loop.schedule import learning_rate


def test_the_rate_rises_in_a_line_and_stays():
    params = with_(learning_rate=1.0, warmup_steps=4, max_steps=100)
    assert [learning_rate(step, params) for step in (0, 1, 3, 4, 99)] == [0.25, 0.5, 1, 1, 1]


def test_the_cosine_goes_from_the_rate_to_its_share():
    params = with_(
        learning_rate=2.0,
        warmup_steps=10,
        max_steps=110,
        schedule="cosine",
        final_learning_rate_share=0.1,
    )
    assert learning_rate(10, params) == 2.0
    assert learning_rate(60, params) == pytest.approx(1.1)
    assert learning_rate(35, params) == pytest.approx(0.2 + 1.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert learning_rate(110, params) == pytest.approx(0.2)


def test_the_average_follows_its_formula_and_leaves_the_weights_alone():
    net = nn.Linear(1, 1, bias=False)
    values = [1.0, 4.0, -2.0, 8.0]
    net.weight.data.fill_(values[0])
    ema, expected = Ema(net, net.parameters(), decay=0.3), values[0]
    for number, value in enumerate(values[1:], 1):
        net.weight.data.fill_(value)
        ema.update(number)
        decay = min(0.3, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * value
    with ema.applied():
        assert net.weight.item() == pytest.approx(expected)
    assert net.weight.item() == 8.0


def test_frozen_weights_have_no_average():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False))
    average = Ema(net, net[0].parameters(), 0.9).state()
    assert list(average) == ["0.weight", "0.bias"]
    assert torch.equal(average["0.weight"], net[0].weight)
