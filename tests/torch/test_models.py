"""Models that people use are understood by what they do; the program `models.py` has many more, and their numbers."""

import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import transformers  # noqa: E402

import symbreak.torch as sbt  # noqa: E402
from symbreak.torch._wire import understood, wired_with  # noqa: E402
from tests.checkpoints.wiring._planted import plantable  # noqa: E402
from tests.torch._renumbered import Renumbered  # noqa: E402
from tests.torch.models import EXAMPLES, IDS, spread  # noqa: E402
from tests.torch.whole_models import TRANSFORMERS, build  # noqa: E402

NAMES = ("gpt2", "mixtral", "t5", "vit")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_understood_rightly_and_is_silent_until_a_tie_is_planted(name):
    torch.manual_seed(0)
    model = build(transformers, *TRANSFORMERS[name])
    kwargs = EXAMPLES.get(f"transformers {name}", {"input_ids": IDS})
    kwargs = kwargs | ({"use_cache": False} if hasattr(model.config, "use_cache") else {})
    found = wired_with(model, (), kwargs)
    assert not found.by_names
    assert understood(found.wired, found.arrays) > 0.9
    assert sbt.diagnose(model, kwargs=kwargs).ok
    run = Renumbered(model.eval(), (), kwargs, precise=name != "mixtral")
    worst, space = run.worst(spread(run.closed()))
    assert worst < 1e-5, space  # some compute in single precision within
    spaces = [each for each in plantable(run.graph) if not each.startswith("positions")]
    run.plant(spaces[len(spaces) // 2])
    codes = {each.code for each in sbt.diagnose(model, kwargs=kwargs).findings}
    assert codes & {"SB201", "SB205"}


def test_without_an_example_a_model_of_transformers_is_run_on_its_dummy_inputs():
    model = build(transformers, *TRANSFORMERS["bert"])
    assert sbt.wire(model).rule == "the model as it runs, in training mode, on its own dummy inputs"


def test_an_adapter_of_peft_is_named_while_both_of_its_factors_are_zero():
    peft = pytest.importorskip("peft")
    model = build(transformers, *TRANSFORMERS["gpt2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's, of names in transformers
        adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True))
    healthy = sbt.diagnose(adapted, kwargs={"input_ids": IDS, "use_cache": False})
    assert "SB203" not in [each.code for each in healthy.findings]
    with torch.no_grad():
        for key, each in adapted.named_parameters():
            if "lora_A" in key:
                each.zero_()
    report = sbt.diagnose(adapted, kwargs={"input_ids": IDS, "use_cache": False})
    assert "SB203" in [each.code for each in report.findings]
    assert report.evidence.startswith("the model as it runs, in training mode")
