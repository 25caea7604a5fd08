"""The vocabulary of the diagnostic: what can be found, how grave it is, and what to do about it.

One table says all of it. `symbreak explain`, `symbreak list` and one page of the documentation for each code are made
from the same rows, so that a new code is one new row.
"""

import enum
from dataclasses import dataclass
from typing import final

__all__ = ["CODES", "Code", "Finding", "Level", "nearest_codes", "select_codes"]


@final
class Level(enum.IntEnum):
    """How grave a finding is; a later level is graver.

    Examples
    --------
    >>> Level.NOTE < Level.WARNING < Level.ERROR
    True
    >>> str(Level.WARNING)
    'warning'
    """

    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


@final
@dataclass(frozen=True)
class Code:
    """One kind of finding: a code, how grave it is, and what is known about it.

    Parameters
    ----------
    code
        Two letters and three digits. The first digit is the family: 1 for one weight, 2 for networks,
        3 for files, 4 for several files.
    level
        How grave a finding of this kind is.
    sentence
        What was found, in a few words.
    why
        What it means for training.
    causes
        What usually brings it about.
    fix
        What to do about it.
    """

    code: str
    level: Level
    sentence: str
    why: str
    causes: tuple[str, ...]
    fix: str


@final
@dataclass(frozen=True)
class Finding:
    """One thing that was found, and where.

    Parameters
    ----------
    code
        A code of the table `CODES`, such as ``"SB102"``.
    level
        How grave it is.
    where
        The file, the array and the axis, as far as there are any.
    groups
        The units meant, class by class, numbered from 0 along the axis of `where`. Empty where a whole array or a whole
        file is meant.
    message
        What was found, with the numbers of the units.
    fix
        What to do about it.

    Examples
    --------
    >>> finding = Finding.of("SB102", "fc1.weight", "2 units are equal: 3, 17", groups=((3, 17),))
    >>> finding.level, finding.groups
    (<Level.WARNING: 2>, ((3, 17),))
    """

    code: str
    level: Level
    where: str
    groups: tuple[tuple[int, ...], ...]
    message: str
    fix: str

    @classmethod
    def of(
        cls, code: str, where: str, message: str, groups: tuple[tuple[int, ...], ...] = (), fix: str | None = None
    ) -> "Finding":
        """Make a finding with the level, and unless told otherwise the remedy, that the table gives for its code."""
        row = CODES[code]
        return cls(code, row.level, where, groups, message, row.fix if fix is None else fix)


_TABLE = (
    Code(
        "SB101",
        Level.ERROR,
        "constant weight: all units equal",
        "Every unit of the layer computes the same value, gets the same error signal and makes the same update. As "
        "long as nothing else tells the units apart, the layer works like one unit, however wide it is and for however "
        "long it is trained.",
        (
            "the weight was filled with zeros, ones or another constant",
            "the model was saved before it was initialized or loaded",
            "one row was copied to all the others",
        ),
        "draw the weight from a random initializer, such as HeNormal() or GlorotUniform()",
    ),
    Code(
        "SB102",
        Level.WARNING,
        "units with equal incoming weights",
        "Units that read the same values with the same weights differ only by their biases. If their biases and their "
        "outgoing weights are equal too, they get the same update at every step and never separate; if only their "
        "outgoing weights differ, the next step separates them.",
        (
            "rows were copied to widen a layer, and no noise was added",
            "shards or groups of rows were drawn from one seed",
            "two units were set by hand to the same values",
            "the weight has so few values or so few bits that equal rows come up by chance",
        ),
        "draw the equal units again from a random initializer, or add a little noise to all of a group but one",
    ),
    Code(
        "SB103",
        Level.WARNING,
        "units with nearly equal incoming weights",
        "Units that read nearly the same compute nearly the same. Training separates them only as fast as their "
        "small difference grows, and until then they are worth one unit. They are looked for when a tolerance is "
        "given; within it no pair is missed and none is false.",
        (
            "rows were copied to widen a layer, with too little noise",
            "training under noise or weight decay drew units together",
            "tied units were saved in another precision, or rounded apart",
        ),
        "draw all of a class but one again from a random initializer, or merge them if the network is to be smaller",
    ),
    Code(
        "SB104",
        Level.NOTE,
        "units equal up to a positive factor (redundant behind ReLU)",
        "Behind a ReLU a unit with its weights and bias doubled gives twice the output, so units that differ by "
        "a factor can be merged into one without a change of the function. Other activations tell them apart. They are "
        "looked for when a tolerance is given.",
        (
            "rows were copied and scaled",
            "training drew units together whose lengths differed from the start",
        ),
        "merge them behind a ReLU, or draw all but one again; ignore the note for other activations",
    ),
    Code(
        "SB105",
        Level.NOTE,
        "units equal up to sign (redundant behind odd activations)",
        "Behind an odd activation such as tanh a unit with its weights and bias negated gives the negated output, so "
        "such units can be merged into one without a change of the function. Other activations tell them apart. They "
        "are looked for when a tolerance is given.",
        (
            "a start that pairs each unit with its negative on purpose, as looks-linear starts do",
            "training drew units together whose signs differed from the start",
        ),
        "merge them behind an odd activation, or draw all but one again; ignore the note for other activations",
    ),
    Code(
        "SB106",
        Level.WARNING,
        "units whose incoming weights are all zero",
        "Such a unit gives the same value for every input. Several of them with equal biases are tied as well. Behind "
        "a ReLU with a bias of zero or below, nothing that they do reaches the loss, and they never learn.",
        (
            "the weight was only partly initialized or loaded",
            "rows were pruned, or padded to a round number",
            "an embedding has rows for tokens that never occur",
        ),
        "draw these units from a random initializer, or remove them if they are padding",
    ),
    Code(
        "SB107",
        Level.NOTE,
        "units that nothing reads: outgoing weights all zero",
        "What such a unit computes reaches nothing, so that its incoming weights have no gradient until its outgoing "
        "ones have moved. Other units of its space are read, so it is not the zero start of a whole residual branch.",
        (
            "columns of the next weight were pruned, or padded to a round number",
            "new units were added with outgoing weights zero, so that the function stays the same",
        ),
        "nothing, if it is meant; remove the units, or draw their outgoing weights from a random initializer",
    ),
    Code(
        "SB108",
        Level.ERROR,
        "values that are not finite",
        "One value that is infinite or not a number spreads to everything that is computed from it, usually to the "
        "loss and, one step later, to every weight.",
        (
            "training diverged: too high a learning rate, or an overflow in half precision",
            "a division by zero or the logarithm of zero on the way to the loss",
            "memory that was never written was saved",
        ),
        "go back to a checkpoint from before the values appeared, or draw the units again",
    ),
    Code(
        "SB109",
        Level.WARNING,
        "scale far from what the fans call for",
        "A layer multiplies a signal by about the standard deviation of its weights times the square root of its "
        "inputs. Far below one, signals and gradients vanish with depth; far above, they explode. Networks with norms "
        "are not judged: a norm undoes the scale of the weight before it.",
        (
            "one standard deviation for all layers, whatever their widths",
            "weights that were meant to be divided by the square root of their inputs were not",
            "a rate or a gain was multiplied in twice",
        ),
        "draw the weights with a scale that follows the fans, such as HeNormal() or GlorotUniform()",
    ),
    Code(
        "SB201",
        Level.ERROR,
        "tied units: the same update at every step",
        "Units of one class read the same from every class of the layers below, are read alike by every class above, "
        "and have equal parameters of their own. So they have equal activations and equal gradients on every batch, "
        "and every step leaves them so: the space works like one with as many units as it has classes. Exchange "
        "classes and orbits stay under every optimizer that treats all units alike; equitable ones leave where "
        "something acts on the weights entry by entry, as decay in Adam's gradient does.",
        (
            "a layer, its bias and the layer that reads it were filled with constants",
            "units were copied to widen a layer, and no noise was added",
            "heads, experts or members were started alike",
        ),
        "untie the units, draw them again, or merge them if the network is to be smaller: see `symbreak repair`",
    ),
    Code(
        "SB202",
        Level.NOTE,
        "redundant units: equal now, the next step separates them",
        "These units give equal outputs for every input, but the layers above read them with different weights. So "
        "they get different gradients, and the next step separates them. Until then they are worth one unit.",
        (
            "a layer was filled with a constant, and the one above drawn at random",
            "units were copied to widen a layer, and their outgoing weights shared out unequally",
            "a weight starts at zero on purpose, such as the output of a residual branch, or with equal kernels for "
            "the places of one pixel (ICNR)",
        ),
        "nothing, if training follows; merge them if the network is used as it is",
    ),
    Code(
        "SB203",
        Level.ERROR,
        "blocked: the gradient is exactly zero at every step",
        "Where all weights into a unit and all weights out of it are zero, each of them has a gradient in proportion "
        "to the other, and neither ever moves. The same holds for a unit behind a ReLU whose incoming weights are zero "
        "and whose bias is not positive, for a unit that is squared and has no weights and no bias, and for queries "
        "and keys that are both zero. A batch or RMS norm leaves such a unit where it is; a layer norm moves it, "
        "unless its whole space is so. Whatever the norm, a unit whose scale, shift and outgoing weights are zero "
        "gives zero for good.",
        (
            "both factors of a low-rank pair, such as LoRA's A and B, were filled with zeros",
            "a new unit was added with zeros on both sides",
            "a layer and the one that reads it were both filled with zeros",
            "the scale of a norm and the weights that read it were both filled with zeros",
        ),
        "draw one of the two sides from a random initializer; the other one may stay zero",
    ),
    Code(
        "SB204",
        Level.WARNING,
        "identical layers or blocks",
        "Every array of one block equals that of another. In a chain the blocks still get different gradients, but "
        "they start as one: what is gained by drawing each anew is lost, and the first steps are spent on moving "
        "them apart. If they share one array in memory, they are one layer, applied several times.",
        (
            "a layer was built once and copied, as torch.nn.TransformerEncoder does with its argument",
            "a list was multiplied, as in [Layer()] * 6, so that all entries are one object",
            "every layer was started from one seed, or one initializer object that holds a seed",
        ),
        "build each layer anew, or draw its weights again from a key of its own, such as Key(seed)['layers.3']",
    ),
    Code(
        "SB205",
        Level.WARNING,
        "identical attention heads",
        "Heads with equal queries, keys and values attend to the same places and read the same there. If what reads "
        "them is equal too, they get the same update at every step and never separate.",
        (
            "one head was drawn and repeated",
            "each device drew its heads from the same seed",
            "keys and values of a few heads were copied out to many, so that grouped queries could be dropped",
        ),
        "draw all heads from one stream, as one weight",
    ),
    Code(
        "SB206",
        Level.WARNING,
        "identical experts, members or stacked copies",
        "Members of an ensemble that start equal and see the same data stay equal: they are one member. Twin critics "
        "that are equal give the estimate of one. Copied experts differ only as the router sends them other inputs.",
        (
            "each member was started from the same seed",
            "each device drew its experts from the same seed, or loaded the same ones",
            "a dense layer was copied to all experts (upcycling), without noise",
        ),
        "remove the copies; start each member of an ensemble from a seed of its own, such as sb.Key(seed)['member 1']",
    ),
    Code(
        "SB207",
        Level.WARNING,
        "a weight that repeats itself block by block",
        "The weight consists of one block, several times. Units at the same place in each block read with equal "
        "weights, so a layer of many shards is only as wide as one of them.",
        (
            "each device drew its shard of the weight from the same seed",
            "a layer was widened by repeating it",
        ),
        "draw the weight as a whole and cut it, or give each shard its region: init.region(shape, index, rng)",
    ),
    Code(
        "SB208",
        Level.WARNING,
        "two weights drawn from one random stream",
        "The weights hold the same random numbers, up to a factor, though no two units need be equal. What should be "
        "independent is correlated: two critics, two layers, an actor and its critic.",
        (
            "one seeded initializer object was used for several weights, as Keras allows",
            "the generator was seeded anew before each weight, or before layers of other sizes",
            "one key was used twice where it should have been split",
        ),
        "draw each weight from a stream of its own, such as Key(seed)['fc1.weight']",
    ),
    Code(
        "SB301",
        Level.ERROR,
        "file or tensor that cannot be read",
        "Nothing is known about what was not read, so the verdict does not cover it. No part of a file is ever "
        "executed to read it.",
        (
            "the path is wrong, or the file may not be read",
            "the file is cut off, damaged, or not of the kind that its name says",
            "the file is of a kind that is refused because reading it could run code",
            "the folder holds no checkpoint, or the file no array",
            "something beside the weights is of a kind that could be anything, such as Python objects",
        ),
        "check the path, fetch the file again, or save the weights as safetensors, npz or npy",
    ),
    Code(
        "SB302",
        Level.NOTE,
        "weights judged one by one only, not as a network",
        "How tensors are connected is known from the names that libraries give them, from a model's configuration, or "
        "from a wiring file. What is not known is not guessed: the units of every space that such a tensor may touch "
        "count as told apart, so that no tie is claimed that it could break, and some may be missed. Of a network that "
        "holds a value that is not finite nothing is known: it spreads to all that is computed from it.",
        (
            "the names are those of no family of models that is known",
            "the number of heads is in no config.json beside the file",
            "the file holds other things beside the model",
            "training diverged, and the weights hold infinities or NaN (SB108)",
        ),
        "say how they are connected in a wiring file, --wiring F, or give the model's config.json with --config F",
    ),
    Code(
        "SB303",
        Level.NOTE,
        "what holds no weights: text, or a file without arrays",
        "Names of classes, dates and notes are saved beside weights, and no unit is missed where they are passed over. "
        "Whatever else is not read might be a weight, and is an error (SB301).",
        (
            "names or notes were saved with the weights",
            "a file was saved before anything was put into it",
        ),
        "nothing, if that is what was meant to be saved",
    ),
    Code(
        "SB401",
        Level.WARNING,
        "two files hold the same weights",
        "Members of an ensemble, or starts from several seeds, are worth as many as are different. Files whose random "
        "weights are equal in every value are copies, whatever their names say. They are looked for when files are "
        "compared.",
        (
            "the seed was ignored, or the same one was given to every member",
            "a generator was made anew, from one fixed seed, for each member",
            "the first checkpoint was saved several times, or one file was copied",
        ),
        "remove the copies; start each member of an ensemble from a seed of its own, such as sb.Key(seed)['member 1']",
    ),
)

CODES: dict[str, Code] = {row.code: row for row in _TABLE}


def select_codes(prefix: str) -> tuple[str, ...]:
    """Return the codes that begin with `prefix`, in either case: one code, a family, or all of them.

    Parameters
    ----------
    prefix
        ``"SB102"``, ``"SB10"``, ``"SB1"``, ``"sb"``, ...

    Raises
    ------
    ValueError
        If no code begins so; the message names the nearest ones.

    Examples
    --------
    >>> select_codes("SB10")
    ('SB101', 'SB102', 'SB103', 'SB104', 'SB105', 'SB106', 'SB107', 'SB108', 'SB109')
    """
    wanted = prefix.strip().upper()
    found = tuple(code for code in CODES if wanted and code.startswith(wanted))
    if not found:
        raise ValueError(f"no code begins with {prefix!r}; the nearest are {', '.join(nearest_codes(prefix))}")
    return found


def nearest_codes(text: str, count: int = 3) -> tuple[str, ...]:
    """Return the `count` codes that are written most like `text`, the nearest first.

    Examples
    --------
    >>> nearest_codes("SB311", count=1)
    ('SB301',)
    """
    import difflib  # for errors only

    wanted = text.strip().upper()

    def distance(code: str) -> tuple[float, int]:
        differing = sum(mine != yours for mine, yours in zip(wanted, code, strict=False))
        return -difflib.SequenceMatcher(None, wanted, code).ratio(), differing

    return tuple(sorted(CODES, key=distance)[:count])
