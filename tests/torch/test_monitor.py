"""The monitor in torch: counts as a slow loop has them, hooks that come off, and logs of TensorBoard and Trainers."""

import gc
import weakref

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import symbreak.torch as sbt  # noqa: E402


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 2), nn.Flatten(), nn.Linear(4 * 49, 5)
    )
    with torch.no_grad():
        model[0].weight[4] = model[0].weight[1]
        model[2].weight[:, 3] = model[2].weight[:, 0]
        model[4].weight[2] = 0
    return model


X = torch.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8)


def test_units_are_counted_along_the_axes_of_their_layers():
    found = sbt.Monitor(network()).look()
    counts = {name: (row.units, row.distinct, row.dead) for name, row in found.items()}
    assert counts == {"0.weight": (6, 5, 0), "2.weight": (4, 3, 0), "4.weight": (5, 5, 1)}


class Alone(nn.Module):
    """One array."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))


@pytest.mark.parametrize(
    ("module", "axis", "units"),
    [
        (lambda: nn.Conv1d(3, 4, 5), 0, 4),
        (lambda: nn.ConvTranspose1d(3, 4, 5), 1, 4),
        (lambda: nn.ConvTranspose1d(4, 6, 5, groups=2), 0, 4),
        (lambda: Alone(3, 4, 6), 1, 4),  # experts
        (lambda: Alone(1, 5, 6), 2, 6),  # positions, as a vision transformer has them
    ],
)
def test_units_of_arrays_of_three_axes_are_counted(module, axis, units):
    model = nn.Sequential(module())
    with torch.no_grad():
        model[0].weight.select(axis, 2).copy_(model[0].weight.select(axis, 1))
        model[0].weight.select(axis, 3).zero_()
    row = sbt.Monitor(model).look()["0.weight"]
    assert (row.units, row.distinct, row.dead) == (units, units - 1, 1)


def test_activations_of_the_step_that_is_looked_at_are_counted():
    model = network()
    with torch.no_grad():
        model[0].bias.fill_(0.1)
        model[0].bias[2] = -100.0
    monitor = sbt.Monitor(model, every=2)
    for _ in range(2):
        model(X)
        monitor.step()
    row = monitor.latest["1"]
    values = model[1](model[0](X)).transpose(0, 1).flatten(1)
    assert (row.units, row.distinct, row.dead) == (6, len(torch.unique(values, dim=0)), 1)


def test_units_that_start_near_are_followed_as_training_moves_them():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    with torch.no_grad():
        model[0].weight.copy_(0.5 + 1e-6 * torch.randn(6, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    x, expected = torch.randn(16, 4).double(), []

    def spread():
        rows = model[0].weight.detach()
        return float(torch.sqrt(((rows - rows.mean(0)) ** 2).sum() / (rows**2).sum()))

    with sbt.Monitor(model, every=5, optimizer=optimizer, activations=False) as monitor:
        monitor.look()
        for step in range(21):
            if step % 5 == 0:
                expected.append(spread())
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    (growth,) = monitor.growth
    assert (growth.where, growth.units, growth.places) == ("0.weight", 6, (0, 5, 10, 15, 20))
    assert growth.spread == pytest.approx(expected, rel=1e-9)
    assert monitor.to_dict()["growth"] == [growth.to_dict()]
    assert growth.sentence in " ".join(str(monitor).split())
    assert "<svg" in monitor._repr_html_()


def test_what_runs_without_gradients_is_no_training_step():
    model = network()
    monitor = sbt.Monitor(model, every=1)
    with torch.no_grad():
        model(X)
    monitor.step()
    assert "1" not in monitor.latest


def test_an_optimizer_counts_its_steps_and_what_is_tied_stays_in_the_record():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with sbt.Monitor(model, every=3, optimizer=optimizer) as monitor:
        for _ in range(7):
            optimizer.zero_grad()
            model(X).square().mean().backward()
            optimizer.step()
    assert monitor.steps == 7
    assert next(row.step for row in monitor.rows if row.name == "0.weight") == 3
    optimizer.step()
    assert monitor.steps == 7  # its hooks are off
    assert not any(each._forward_hooks for each in model.modules())


def test_a_monitor_does_not_keep_itself_alive():
    model = network()
    monitor = weakref.ref(sbt.Monitor(model))
    gc.collect()
    assert monitor() is None
    model(X)


def test_half_precision_and_compiled_names():
    model = network().bfloat16()
    assert sbt.Monitor(model).look()["0.weight"].distinct == 5


def test_tensorboard_is_written_to(tmp_path):
    board = pytest.importorskip("torch.utils.tensorboard", reason="tensorboard is not installed", exc_type=ImportError)
    with board.SummaryWriter(tmp_path) as writer:
        monitor = sbt.Monitor(network(), every=1, log=writer)
        monitor.step()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Scalars("distinct/0.weight")[0].value == 5
    assert events.Scalars("dead/4.weight")[0].step == 1


def test_a_trainer_of_transformers_logs_the_totals(tmp_path):
    transformers = pytest.importorskip("transformers")
    try:
        trainer_class, arguments = transformers.Trainer, transformers.TrainingArguments
    except (ImportError, ModuleNotFoundError):
        pytest.skip("the Trainer can't be imported here")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
            with torch.no_grad():
                self.net[0].weight[1], self.net[0].bias[1] = self.net[0].weight[0], self.net[0].bias[0]
                self.net[2].weight[:, 1] = self.net[2].weight[:, 0]

        def forward(self, x, labels):
            out = self.net(x)
            return {"loss": nn.functional.mse_loss(out, labels), "out": out}

    data = [{"x": torch.randn(3), "labels": torch.randn(1)} for _ in range(16)]
    callback = sbt.MonitorCallback(every=2)
    try:
        options = arguments(str(tmp_path), per_device_train_batch_size=4, logging_steps=2, max_steps=4, report_to=[],
                            use_cpu=True, save_strategy="no", disable_tqdm=True)  # fmt: skip
    except ImportError as error:
        pytest.skip(f"the Trainer needs more: {error}")
    trainer = trainer_class(Model(), options, train_dataset=data, callbacks=[callback])
    trainer.train()
    assert callback.monitor.steps == 4
    assert callback.monitor.latest["net.0.weight"].distinct == 3
    assert any(each.get("tied_units", 0) >= 1 for each in trainer.state.log_history)


def test_what_can_not_be_watched_is_refused():
    with pytest.raises(TypeError, match="got a list"):
        sbt.Monitor([])
    with pytest.raises(ValueError, match="`every` is a whole number of steps"):
        sbt.Monitor(network(), every=0)
