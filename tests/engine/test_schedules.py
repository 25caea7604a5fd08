"""Every schedule gives the rates of its formula, and a run takes the rate of each step."""

import math
from dataclasses import replace

import numpy as np
import pytest

from symbreak import engine
from tests.engine._networks import random_data, random_network
from tests.engine._optimizers import OPTIMIZERS

SCHEDULES = {
    "a warm-up": (engine.LinearWarmup(0.5, steps=4), [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]),
    "a warm-up of one step": (engine.LinearWarmup(0.5, steps=1), [0.5, 0.5]),
    "a warm-up to a schedule": (engine.LinearWarmup(engine.StepDecay(1, 2, 0.5), steps=2), [0.5, 1, 1, 1, 0.5, 0.5]),
    "a warm-up to a function": (engine.LinearWarmup(lambda step: 3.0 - step, steps=3), [1, 2, 3, 3, 2, 1, 0]),
    "a cosine": (engine.CosineDecay(2, steps=6), [2, 1 + math.sqrt(3) / 2, 1.5, 1, 0.5, 1 - math.sqrt(3) / 2, 0, 0]),
    "a cosine to a rate": (engine.CosineDecay(2, steps=2, last=1), [2, 1.5, 1, 1]),
    "steps": (engine.StepDecay(1, every=3), [1, 1, 1, 0.1, 0.1, 0.1, 0.01]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_gives_the_rates_of_its_formula(name):
    schedule, rates = SCHEDULES[name]
    assert [schedule(step) for step in range(len(rates))] == pytest.approx(rates, rel=1e-14, abs=1e-15)


def test_they_are_those_of_torch():
    torch = pytest.importorskip("torch")
    schedulers = torch.optim.lr_scheduler
    pairs = [
        (engine.CosineDecay(0.3, 7, 0.05), lambda o: schedulers.CosineAnnealingLR(o, T_max=7, eta_min=0.05), 8),
        (engine.StepDecay(0.3, every=3, factor=0.5), lambda o: schedulers.StepLR(o, step_size=3, gamma=0.5), 12),
        (engine.LinearWarmup(0.3, steps=5), lambda o: schedulers.LinearLR(o, start_factor=1 / 5, total_iters=4), 9),
    ]  # fmt: skip
    for schedule, make, steps in pairs:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
        scheduler = make(optimizer)
        for step in range(steps):
            assert schedule(step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12)
            optimizer.step()
            scheduler.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_takes_the_rate_of_each_step(name):
    schedule = engine.LinearWarmup(engine.CosineDecay(0.1, steps=4), steps=2)  # the last rates are 0
    optimizer = replace(OPTIMIZERS[name], learning_rate=schedule)
    net, other = (random_network([3, 5, 2], seed=1) for _ in range(2))
    x, y = random_data(7, 3, 2, "mse", seed=1)
    states = {key: optimizer.start(array) for key, array in other.parameters.items()}
    for step in range(6):
        found = engine.gradients(other, x, y)
        now = replace(OPTIMIZERS[name], learning_rate=schedule(step))
        for key, array in other.parameters.items():
            states[key] = now.step(array, found[key], states[key])
    history = engine.train(net, x, y, optimizer=optimizer, steps=6)
    for key, array in net.parameters.items():
        np.testing.assert_array_equal(array, other.parameters[key])
    assert history.optimizer == optimizer
    assert f"learning_rate={schedule!r}" in repr(history)


def test_a_rate_of_zero_changes_nothing():
    optimizer = engine.SGD(engine.CosineDecay(0.1, steps=2))
    weight = np.ones(2)
    assert optimizer.at(2).learning_rate == 0
    optimizer.at(2).step(weight, np.ones(2), None)
    np.testing.assert_array_equal(weight, 1)


def test_the_other_optimizer_of_muon_follows_its_own_schedule():
    optimizer = engine.Muon(0.1, others=engine.SGD(engine.StepDecay(1.0, every=1, factor=0.5)))
    bias = np.zeros(1)
    optimizer.at(2).step(bias, np.ones(1), None)
    np.testing.assert_array_equal(bias, [-0.25])
    assert optimizer.at(2).learning_rate == 0.1
    assert engine.Muon(engine.StepDecay(1.0, every=1, factor=0.5)).at(1).learning_rate == 0.5


def test_without_a_schedule_an_optimizer_is_that_of_every_step():
    for optimizer in OPTIMIZERS.values():
        assert optimizer.at(7) == optimizer


def test_a_step_needs_a_number():
    optimizer = engine.SGD(engine.StepDecay(0.1, every=2))
    with pytest.raises(TypeError, match=r"rate of SGD\(learning_rate=StepDecay.* is a schedule: call `at\(step\)`"):
        optimizer.step(np.zeros(1), np.zeros(1), None)


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, None, "0.1"])
def test_a_schedule_that_gives_no_rate_is_refused(rate):
    net = random_network([2, 1])
    x, y = random_data(4, 2, 1, "mse")
    with pytest.raises(ValueError, match=r"that <function .*> gives step 0 must be a number, 0 or more; got"):
        engine.train(net, x, y, optimizer=engine.SGD(lambda step: rate), steps=1)


BAD = {
    "a warm-up to nothing": (engine.LinearWarmup, (0, 5), "a learning rate must be a positive number; got 0"),
    "a warm-up of no steps": (engine.LinearWarmup, (1, 0), "the number of steps of a warm-up must be .* got 0"),
    "a cosine from below": (
        engine.CosineDecay,
        (-1, 5),
        "the rate of a cosine decay must be a positive number; got -1",
    ),
    "a cosine of half a step": (engine.CosineDecay, (1, 0.5), "the number of steps of a cosine decay .* got 0.5"),
    "a cosine to below": (
        engine.CosineDecay,
        (1, 5, -1),
        "the last rate of a cosine decay must be .* 0 or more; got -1",
    ),
    "no rate": (engine.StepDecay, (None, 5), "the rate of a step decay must be a positive number; got None"),
    "no steps": (engine.StepDecay, (1, 0), "the number of steps between two decays must be .* got 0"),
    "a factor of zero": (engine.StepDecay, (1, 2, 0), "the factor of a step decay must be a positive number; got 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_schedules_that_make_no_sense_are_refused(case):
    kind, arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        kind(*arguments)
