"""The probe: what a batch shows of a model of torch's, beside the certificate, which two agree; and nothing is left."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import symbreak.torch as sbt  # noqa: E402


def network(tied=True):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))
    if tied:
        with torch.no_grad():
            model[0].weight[4], model[0].bias[4] = model[0].weight[1], model[0].bias[1]
            model[2].weight[:, 4] = model[2].weight[:, 1]
    return model


def pictures():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU(),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(4, 2))  # fmt: skip
    with torch.no_grad():
        model[0].weight[5], model[0].bias[5] = model[0].weight[2], model[0].bias[2]
        model[3].weight[:, 5] = model[3].weight[:, 2]
    return model


BATCH = torch.linspace(-1, 1, 24).reshape(8, 3), torch.linspace(0, 1, 16).reshape(8, 2)
PICTURES = torch.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8).sin(), torch.tensor([0, 1])
mse, cross_entropy = nn.functional.mse_loss, nn.functional.cross_entropy


@pytest.mark.parametrize("tied", [True, False])
def test_batch_and_certificate_agree(tied):
    probe = sbt.probe(network(tied), BATCH, mse)
    assert [space.name for space in probe.spaces] == ["0", "1", "2"]
    assert [space.verdict for space in probe.spaces] == ["agrees"] * 3
    assert [space.groups for space in probe.spaces] == ([((1, 4),)] * 2 + [()] if tied else [()] * 3)
    assert probe.ok == (not tied)


def test_the_loss_and_the_gradients_are_those_of_the_model():
    model = network()
    probe = sbt.probe(model, BATCH, mse)
    loss = mse(model(BATCH[0]), BATCH[1])
    assert probe.loss == pytest.approx(loss.item(), rel=1e-6)
    loss.backward()
    assert torch.equal(model[0].weight.grad[1], model[0].weight.grad[4])  # what the probe says of the next update
    assert not torch.equal(model[0].weight.grad[1], model[0].weight.grad[2])


def test_units_of_convolutions_lie_along_the_channels():
    probe = sbt.probe(pictures(), PICTURES, cross_entropy)
    found = {space.name: space for space in probe.spaces}
    assert {name: space.units for name, space in found.items()} == {
        "0": 6, "1": 6, "2": 6, "3": 4, "4": 4, "5": 4, "6": 4, "7": 4, "8": 2,
    }  # fmt: skip
    assert found["0"].samples == 2 * 6 * 6
    for name in "012":
        assert (found[name].groups, found[name].verdict) == (((2, 5),), "agrees")


def test_sequences_are_samples_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 8), nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True))
    with torch.no_grad():
        model[1].linear1.weight[3], model[1].linear1.bias[3] = model[1].linear1.weight[7], model[1].linear1.bias[7]
        model[1].linear2.weight[:, 3] = model[1].linear2.weight[:, 7]
    probe = sbt.probe(model, torch.arange(8).reshape(2, 4), lambda out: out.square().mean())
    found = {space.name: space for space in probe.spaces}
    assert found["1.linear1"].groups == ((3, 7),)
    assert found["1.linear1"].samples == 8
    assert found["1.linear1"].verdict == "agrees"


def test_units_that_only_this_batch_ties_are_more():
    model = network()
    with torch.no_grad():
        model[0].weight[4, 2] += 1.0
    x = BATCH[0].clone()
    x[:, 2] = 0
    probe = sbt.probe(model, (x, BATCH[1]), mse)
    assert (probe.spaces[0].groups, probe.spaces[0].verdict) == (((1, 4),), "more")


def test_dropout_parts_what_the_certificate_ties():
    model = nn.Sequential(network()[0], nn.Dropout(0.5), network()[2])
    with torch.random.fork_rng():
        torch.manual_seed(1)
        probe = sbt.probe(model.train(), BATCH, mse)
    assert probe.spaces[0].verdict == "fewer"
    assert sbt.probe(model.eval(), BATCH, mse).spaces[0].verdict == "agrees"


def test_what_checkpoints_run_again_counts_once():
    class Checkpointed(nn.Module):
        def __init__(self, again):
            super().__init__()
            self.body, self.head, self.again = network(), nn.Linear(2, 2), again
            nn.init.eye_(self.head.weight)
            nn.init.zeros_(self.head.bias)

        def forward(self, x):
            return self.head(checkpoint(self.body, x, use_reentrant=False) if self.again else self.body(x))

    once, again = (sbt.probe(Checkpointed(each), BATCH, mse) for each in (False, True))
    assert again.to_dict() == once.to_dict()
    assert again.spaces[0].groups == ((1, 4),)


def test_dead_units_and_units_without_a_gradient_are_listed():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias.fill_(5.0)
        model[0].bias[2] = -100.0
    found = {space.name: space for space in sbt.probe(model, BATCH, mse).spaces}
    assert found["1"].dead == (2,)
    assert 2 in found["0"].still
    assert found["0"].dead == ()


def test_a_model_is_left_exactly_as_it_was():
    model = pictures().train()
    model[1].eval()
    x = PICTURES[0].clone().requires_grad_()
    cross_entropy(model(x), PICTURES[1]).backward()
    values = {key: each.clone() for key, each in model.state_dict().items()}
    gradients = [each.grad.clone() for each in model.parameters()]
    identities = [id(each) for each in (*model.parameters(), *model.buffers())]
    modes, state = [each.training for each in model.modules()], torch.get_rng_state()
    model[1].train()
    modes[2] = True
    sbt.probe(model, (x, PICTURES[1]), cross_entropy)
    assert all(torch.equal(each, values[key]) for key, each in model.state_dict().items())
    assert all(torch.equal(each.grad, kept) for each, kept in zip(model.parameters(), gradients, strict=True))
    assert [id(each) for each in (*model.parameters(), *model.buffers())] == identities
    assert [each.training for each in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(each._forward_hooks or each._backward_hooks for each in model.modules())


def test_a_model_that_fails_is_left_as_it_was_too():
    model = network()
    with pytest.raises(RuntimeError):
        sbt.probe(model, (torch.zeros(4, 5), BATCH[1]), mse)
    assert not any(each._forward_hooks for each in model.modules())


def test_batches_may_be_arguments_by_name_and_losses_the_models_own():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x, labels=None):
            out = self.net(x)
            return {"loss": mse(out, labels), "out": out}

    probe = sbt.probe(Own(), {"x": BATCH[0], "labels": BATCH[1]})
    assert [space.groups for space in probe.spaces][:2] == [((1, 4),)] * 2
    assert probe.spaces[0].verdict == "agrees"


def test_a_report_may_be_given_or_left_out():
    model = network()
    report = sbt.diagnose(model, BATCH[0])
    assert sbt.probe(model, BATCH, mse, certificate=report).certificate is report
    without = sbt.probe(model, BATCH, mse, certificate=False)
    assert without.certificate is None
    assert {space.verdict for space in without.spaces} == {"unknown"}


def test_modules_that_give_no_one_tensor_are_left_out():
    class Two(nn.Module):
        def forward(self, x):
            return x, x * 2

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.two = network(), Two()

        def forward(self, x):
            first, second = self.two(self.net(x))
            return first + second

    probe = sbt.probe(Both(), BATCH, mse)
    assert probe.left_out == {"two": "it gives 2 tensors of floats"}


@pytest.mark.parametrize(
    ("batch", "loss", "error", "complaint"),
    [
        (BATCH[0], None, TypeError, "the model gives no `loss` for this batch: give one"),
        (
            BATCH,
            lambda out, target: out,
            TypeError,
            r"`loss` gives one number, in a tensor; got a tensor of shape \(8, 2",
        ),
        (BATCH, lambda out, target: 1.0, TypeError, "`loss` gives one number, in a tensor; got float"),
        (BATCH, lambda out, target: target.sum(), ValueError, "the loss depends on no parameter"),
        (3, mse, TypeError, r"with `loss`, `batch` is a pair \(inputs, targets\).* got a int"),
    ],
)
def test_what_makes_no_sense_is_refused(batch, loss, error, complaint):
    with pytest.raises(error, match=complaint):
        sbt.probe(network(), batch, loss)


def test_a_loss_without_any_module_is_refused():
    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x @ self.weight

    with pytest.raises(ValueError, match="no module gives a tensor that the loss could depend on"):
        sbt.probe(Alone(), BATCH[0], torch.sum)


def test_what_the_loss_does_not_read_is_left_out():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.bent = network(), nn.ReLU()
            self.unread = nn.Linear(BATCH[0].shape[-1], 3)

        def forward(self, x):
            self.unread(self.bent(x))
            return self.net(x)

    probe = sbt.probe(Beside(), BATCH, mse)
    assert probe.left_out == dict.fromkeys(("bent", "unread"), "no gradient came to it")
    assert "net" in {space.name for space in probe.spaces}


def test_units_of_a_block_lie_where_those_of_its_last_layer_do():
    class Block(nn.Module):
        def __init__(self, last):
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 4, 1), last

        def forward(self, x):
            h = self.conv(x)
            return h * 2 if self.last is None else self.last(h.movedim(1, -1))

    for last, units in ((None, 4), (nn.Linear(4, 6), 6)):
        model = nn.Sequential(Block(last), nn.Flatten(), nn.LazyLinear(1))
        model(torch.ones(2, 3, 5, 5))
        spaces = {space.name: space for space in sbt.probe(model, torch.ones(2, 3, 5, 5), torch.sum).spaces}
        assert (spaces["0"].units, spaces["0"].samples) == (units, 50)


def test_a_model_whose_arrays_no_rule_can_name_is_probed_without_a_certificate():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_parameter("a{0}", nn.Parameter(torch.ones(4, 3)))

        def forward(self, x):
            return x @ self._parameters["a{0}"].t()

    (space,) = sbt.probe(nn.Sequential(Named()), torch.eye(3), torch.sum).spaces
    assert (space.units, space.distinct, space.verdict) == (4, 1, "unknown")


def test_the_table_shows_both():
    text = str(sbt.probe(network(), BATCH, mse))
    assert text.splitlines()[0].split() == [
        "space",
        "units",
        "distinct",
        "near",
        "dead",
        "still",
        "certified",
        "verdict",
    ]
    assert np.all([len(line) <= 80 for line in text.splitlines()])
