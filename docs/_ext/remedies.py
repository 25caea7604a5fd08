"""What to do about messages of errors that state a fact and no more: modules, a pattern of `kind: text`, and the sentence.

The first line that fits holds. Modules are a pattern of what follows `symbreak.`.
"""

UNKNOWN_WIRING = "Say in a wiring file how the tensor is connected; until then the space counts as told apart, and ties are missed, never invented (SB302)."
NOT_READ = "Nothing need be done if the tensor is no weight; else save it as plain numbers in the file itself, with the library that wrote it."
AGAIN = "Save the file again with the library that wrote it; if it came from elsewhere, fetch it again and compare its checksum."
OTHER_PATH = "Correct the path, or its permissions; the system's own words say which."

# fmt: off
REMEDIES: list[tuple[str, str, str]] = [
    (r"checkpoints\.wiring", r"^NotUnderstood", UNKNOWN_WIRING),
    (r"checkpoints\.wiring\._chain", r"^_Broken", "Say in a wiring file how the layers follow; names and shapes alone don't show it (SB302)."),
    (r"checkpoints\.wiring\._sizes", r"multiply to more", "Correct the `units` that the wiring says of the spaces of this tensor."),
    (r"checkpoints\.wiring\._sizes", r"^Unsolved: (?:its shape|axis)", "Make the axes that the wiring states those of the tensor, and the `units` of their spaces fit its shape."),
    (r"checkpoints\.wiring\._file", r"norms are", "Leave out `norm`, or correct the kind."),
    (r"checkpoints\.wiring", r"nearest|no tensor is called so", "Correct the name: the message gives the nearest tensors, where any are near."),
    (r"checkpoints\.wiring", r"runs$", "Correct the name of the space, or remove its line."),
    (r"checkpoints\.wiring\._file", r"placeholder", "Use in a space's name only placeholders that the tensor's pattern has."),
    (r"checkpoints\.wiring\._file", r"circle", "Remove one of the `groups` that the message lists."),
    (r"checkpoints\.wiring", r"more than two|can't be cut again|under 'by'|needs a reason|needs `axes`|exactly one", "Write the line as the page on wiring files shows."),
    (r"checkpoints\._hdf5", r"^Unread", NOT_READ),
    (r"checkpoints\._callables", r"^Unread", NOT_READ),
    (r"checkpoints\._hdf5", r"holds more|more than|claim|deep", "A sound file stays below this limit, which keeps a hostile one from taking memory or time. Split the file, or save the weights as safetensors."),
    (r"checkpoints\._hdf5", r"", AGAIN),
    (r"checkpoints\._(json|npy|npz|reader)", r"^(_Fault|Unsupported|BadCheckpoint)", AGAIN),
    (r"checkpoints\._write", r"Unicode", "Give a name or note that is valid text."),
    (r"checkpoints\._write", r"metadata maps", "Give notes as strings, by names that are strings."),
    (r"cli\.", r"cannot read", OTHER_PATH),
    (r"cli\.", r"cannot (?:use|write)", "Name a folder that exists and may be written to; the system's own words say what is wrong."),
    (r"cli\.", r"not all of it can be read", "Mend what the message lists (`symbreak check` says how), or take another file: weights are never written in part."),
    (r"cli\._settings", r"tool\.symbreak|glob", "Write the key of [tool.symbreak] as the page on checks in CI shows."),
    (r"cli\.", r"should end in", "Name the output with one of the endings."),
    (r"cli\.repair", r"is for --merge", "Leave the option out, or ask for --merge."),
    (r"cli\.repair", r"whole model", "Give the whole model's file; a single weight is drawn again by `sb.reinit`."),
    (r"cli\._rules_file", r"nested|twice", "Correct the rules' file at the place that is named."),
    (r"repair\._(merge|replace)", r"^CannotRepair", "Merge only the spaces that the message names, or `untie` or `reinit` instead."),
    (r"repair\._tensors", r"^CannotRepair", "Leave the space out (`spaces=`, `--space`), or `untie` or `reinit` instead: those keep the shapes."),
    (r"_restarts", r"^_(Wrong|Refused)", "Name another checkpoint file, or delete this one: it is of other settings, or no checkpoint of restarts."),
    (r"axes", r"splits|groups", "Make `groups` and `splits` divide the shape, or initialise the parts one by one."),
    (r"engine", r"^NotImplementedError", "Train it all the same; to judge it, write its `LayerGraph` by hand, or wire the network without sharing there."),
    (r"engine\._classes", r"can't be swapped", "Name classes of units that are tied, or none: `stability` finds them."),
    (r"engine\._full_batch", r"StopIteration", "Return from the callback to go on, or raise an exception of your own to stop."),
    (r"engine\._history", r"^Halted", "Correct what the message ends with; `error.history` has the losses so far."),
    (r"engine\._history", r"^Diverged|diverged", "Lower the learning rate, or clip the gradients; `error.history` has the losses so far."),
    (r"engine\._exact", r"^ZeroDivisionError", "Choose learning rates and weights whose denominators the prime doesn't divide."),
    (r"engine\._checks|initializers\._(activations|registry)|recipes\._base", r"^UnknownName", "Take the nearest name, which the message gives, or one of those it lists."),
    (r"initializers\._registry|recipes\._base", r"can't be made (?:from|with)", "Give the parameters that the class takes; the end of the message says which was wrong."),
    (r"initializers\._base", r"complex", "Take a real dtype, or `Orthogonal` and `DeltaOrthogonal`, which make unitary weights."),
    (r"_lsuv", r"", "Make `forward` give one output, or a list of them, for the name of each weight of a layer."),
    (r"_monitor|_probe", r"before, and", "Watch each model with a record of its own: sizes don't change within one."),
    (r"checkpoints\.wiring\._build", r"evenly", "Correct the number of heads or of key and value heads, in the wiring or the model's `config.json`."),
    (r"checkpoints\.wiring\._(file|terms)", r"known are|only one axis|followed by", "Write the line as the page on wiring files shows."),
    (r"cli\.repair", r"is a folder", "Give the file, or the index of the sharded model, by its own path."),
    (r"diagnosis\._near|graph|initializers\._masked", r"has shape", "Give an array of the shape that the message calls for."),
    (r"engine\._(checks|network|convolution)", r"", "Give arrays of the sizes that the layers call for: rows of one length, at least one of them, and integers where indices are read."),
    (r"engine\._transverse", r"noise", "Leave the noise out to ask of the network itself, or name no such units as tied."),
    (r"findings", r"no code begins", "Take one of the nearest codes, or look at `symbreak list`."),
    (r"initializers\._critical", r"no weights are critical", "Take another activation or a smaller `bias_std`, as the end of the message says."),
    (r"streams\._window", r"^IndexError", "Index within the shape, with no more indices than it has axes."),
    (r"testing", r"empty|layouts are pairs", "Give it something to compare: shapes and layouts, or arrays that aren't empty."),
    (r"recipes", r"^RuleError", "Give the parameter a role (`roles=`) or a rule of your own, or take another recipe."),
    (r"rules|_model|_same", r"^RuleError", "Correct the rule that is named, or put a rule of your own before it."),
    (r"rules", r"holds names itself", "Flatten nested dicts into names joined with dots."),
    (r"published", r"^AssertionError", "Take other seeds: this figure needs a minimum that none of them gave."),
    (r"diagnosis\._search", r"", "Report it, with the weights: this can't happen."),
    (r"torch|jax|keras", r"^_?(?:Cannot|Trace)", "Give an example of the model's input (`example=`), or a wiring file; until then the names are gone by (SB302)."),
    (r"torch|jax|keras", r"^(?:ValueError|TypeError|RuntimeError)", "Give what the message says is allowed; what came stands in it."),
    (r"testing", r"^AssertionError", "Correct the function that is tested: the message has what was found beside what was claimed."),
]
# fmt: on
