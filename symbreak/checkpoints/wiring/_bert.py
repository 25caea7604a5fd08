"""BERT, RoBERTa, ELECTRA and DistilBERT: encoders whose norms come after the sum, and what stands on them."""

from symbreak.checkpoints.wiring._blocks import attention, close, count_heads, first
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm

ANCHOR = r"(?P<p>.*\.)?encoder\.layer\.[0-9]+\.attention\.output\.LayerNorm\.(?:weight|gamma)"
DISTIL_ANCHOR = r"(?P<p>.*\.)?transformer\.layer\.[0-9]+\.attention\.out_lin\.weight"


def bert(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``encoder.layer.{n}.attention.self`` and its neighbours."""
    wiring = Wiring("BERT")
    block = p + "encoder.layer.{n}"
    tokens, stream = _embeddings(wiring, p, names)
    at = f"{block}.attention"
    _attention(
        wiring,
        at,
        stream,
        names,
        config,
        (f"{at}.self.query", f"{at}.self.key", f"{at}.self.value", f"{at}.output.dense"),
    )
    norm(wiring, f"{at}.output.LayerNorm", stream, "layer")
    hidden = wiring.space(f"{block}.hidden", activation=config.activation)
    linear(wiring, f"{block}.intermediate.dense", f"out {hidden}", f"in {stream}")
    linear(wiring, f"{block}.output.dense", f"out {stream}", f"in {hidden}")
    norm(wiring, f"{block}.output.LayerNorm", stream, "layer")
    _heads(wiring, p, names, config, tokens, stream)
    return wiring


def distilbert(p: str, names: Names, config: Config) -> Wiring:
    """Wire ``transformer.layer.{n}.attention.q_lin`` and its neighbours."""
    wiring = Wiring("DistilBERT")
    block = p + "transformer.layer.{n}"
    tokens, stream = _embeddings(wiring, p, names)
    at = f"{block}.attention"
    _attention(wiring, at, stream, names, config, (f"{at}.q_lin", f"{at}.k_lin", f"{at}.v_lin", f"{at}.out_lin"))
    for each in ("sa_layer_norm", "output_layer_norm"):
        norm(wiring, f"{block}.{each}", stream, "layer")
    hidden = wiring.space(f"{block}.hidden", activation=config.activation)
    linear(wiring, f"{block}.ffn.lin1", f"out {hidden}", f"in {stream}")
    linear(wiring, f"{block}.ffn.lin2", f"out {stream}", f"in {hidden}")
    root = p.removesuffix("distilbert.")
    if names.has(f"{root}vocab_transform.weight"):
        last = wiring.space(f"{root}vocab_transform", activation=config.activation)
        linear(wiring, f"{root}vocab_transform", f"out {last}", f"in {stream}")
        norm(wiring, f"{root}vocab_layer_norm", last, "layer")
        _decoder(wiring, names, (f"{root}vocab_projector",), last, tokens, f"{p}embeddings.word_embeddings.weight")
        return wiring
    if names.has(f"{root}pre_classifier.weight"):
        last = wiring.space(f"{root}pre_classifier", activation="relu")
        linear(wiring, f"{root}pre_classifier", f"out {last}", f"in {stream}")
        close(wiring, names, config, last, (f"{root}classifier",))
        return wiring
    close(wiring, names, config, stream, (f"{root}classifier", f"{root}qa_outputs"))
    return wiring


def _embeddings(wiring: Wiring, p: str, names: Names) -> tuple[str, str]:
    """Wire the tables, and the layer between them and the stream where they are of another width."""
    tokens, stream = f"{p}tokens", f"{p}stream"
    first_ = f"{p}embedded" if names.has(f"{p}embeddings_project.weight") else stream
    wiring.tensor(f"{p}embeddings.word_embeddings.weight", [f"in {tokens}", f"out {first_}"])
    wiring.tensor(f"{p}embeddings.position_embeddings.weight", [f"in {p}positions", f"out {first_}"])
    wiring.tensor(f"{p}embeddings.token_type_embeddings.weight", [f"in {p}types", f"out {first_}"])
    norm(wiring, f"{p}embeddings.LayerNorm", first_, "layer")
    linear(wiring, f"{p}embeddings_project", f"out {stream}", f"in {first_}")
    wiring.ignore(f"{p}embeddings.position_ids", "positions")
    wiring.ignore(f"{p}embeddings.token_type_ids", "types of tokens")
    return tokens, stream


def _attention(
    wiring: Wiring, at: str, stream: str, names: Names, config: Config, modules: tuple[str, str, str, str]
) -> None:
    shape = first(names, f"{modules[0]}.weight")
    attention(wiring, at, modules, count_heads(config, shape[0] if shape else None), stream, stream)


def _heads(wiring: Wiring, p: str, names: Names, config: Config, tokens: str, stream: str) -> None:
    """Wire the pooler, the layers that guess masked words, and classifiers."""
    root = p.rpartition(".")[0].rpartition(".")[0]
    root = f"{root}." if root else ""
    table = f"{p}embeddings.word_embeddings.weight"
    open_ = True
    pooled = ""
    if names.has(f"{p}pooler.dense.weight"):
        pooled = wiring.space(f"{p}pooler", activation="tanh")
        linear(wiring, f"{p}pooler.dense", f"out {pooled}", f"in {stream}")
    for dense, normed, decoders in (
        ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", ("cls.predictions.decoder",)),
        ("lm_head.dense", "lm_head.layer_norm", ("lm_head.decoder",)),
        ("generator_predictions.dense", "generator_predictions.LayerNorm", ("generator_lm_head",)),
    ):
        if not names.has(f"{root}{dense}.weight"):
            continue
        open_ = False
        last = wiring.space(f"{root}{dense}", activation=config.activation)
        linear(wiring, f"{root}{dense}", f"out {last}", f"in {stream}")
        norm(wiring, f"{root}{normed}", last, "layer")
        _decoder(wiring, names, tuple(root + each for each in decoders), last, tokens, table)
        for bias in ("cls.predictions.bias", "lm_head.bias"):
            wiring.tensor(f"{root}{bias}", [f"out {tokens}"], "bias")
    if names.has(f"{root}cls.seq_relationship.weight"):
        close(wiring, names, config, pooled or stream, (f"{root}cls.seq_relationship",))
        pooled = ""
    if names.has(f"{root}classifier.dense.weight"):  # of RoBERTa and ELECTRA
        last = wiring.space(f"{root}classifier.dense", activation="unknown")
        linear(wiring, f"{root}classifier.dense", f"out {last}", f"in {stream}")
        close(wiring, names, config, last, (f"{root}classifier.out_proj",))
    elif names.has(f"{root}classifier.weight") or names.has(f"{root}qa_outputs.weight"):
        heads = (f"{root}classifier", f"{root}qa_outputs")
        # without a pooler in the file, it is the stream that is read
        close(wiring, names, config, pooled or stream, heads)
    elif open_:
        wiring.space(stream, output=True)
        if pooled:
            wiring.space(pooled, output=True)
    elif pooled:
        wiring.space(pooled, output=True)


def _decoder(wiring: Wiring, names: Names, modules: tuple[str, ...], source: str, tokens: str, table: str) -> None:
    """Wire the layer that gives logits: one of its own, or the embedding again."""
    found = next((module for module in modules if names.has(f"{module}.weight")), None)
    if found is None:
        wiring.tensor(table, [f"out {tokens}", f"in {source}"])
    else:
        wiring.tensor(f"{found}.weight", [f"out {tokens}", f"in {source}"])
    for module in modules:
        wiring.tensor(f"{module}.bias", [f"out {tokens}"], "bias")
    wiring.space(tokens, output=True)
