"""Write the initial weights of a model to a file, by rules or by a recipe.

Names and shapes come from a file of saved weights, whose values are not looked at, or from a list of shapes. With
--plan the plan is shown, and nothing is written. The file appears whole or not at all; it is made piece by piece, so
that a model may be larger than memory. Exit code: 0 if the file was written, 2 if something could not be read, planned
or written.

A file of rules is TOML or JSON. Its table "rules" has globs and what each parameter gets: the name of an initializer,
its configuration, or a table with "initializer" and "axes", "dtype" or both; the first that matches wins. "roles" has
globs and roles, which a rule names as "@role". "recipe" is the name of a recipe, or a table with its name and its
options, and "axes" has globs and the layouts that it is told. Rules of the file come before those of the recipe.
"""

import argparse
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from symbreak._visible import counted
from symbreak.cli._output import cannot_write, file_name
from symbreak.cli._target import Refused, check_suffix, refuse_same, run_refusing, seed
from symbreak.errors import BadCheckpoint, MissingExtra
from symbreak.reports import visible

if TYPE_CHECKING:
    from symbreak.rules import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the shapes, the rules, a seed, and where the file goes."""
    shapes = parser.add_mutually_exclusive_group(required=True)
    shapes.add_argument(
        "--like",
        metavar="FILE",
        type=file_name,
        help="saved weights that have the names, shapes and dtypes; integers are copied",
    )
    shapes.add_argument(
        "--shapes",
        metavar="F",
        type=file_name,
        help='a TOML or JSON file: {"name": [64, 32]}, or {"shape": [64, 32], "dtype": "..."}',
    )
    parser.add_argument("--rules", metavar="F", type=file_name, help="a TOML or JSON file of rules, roles and a recipe")
    parser.add_argument("--recipe", metavar="NAME", help="a recipe for the whole model, such as gpt2")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="of the random numbers (default: 0)")
    parser.add_argument("-o", "--output", metavar="OUT", type=file_name, help="the file to write: .safetensors or .npz")
    parser.add_argument("--dtype", metavar="D", help="of what no rule names one for (default: FILE's, or float32)")
    parser.add_argument("--workers", metavar="N", type=_workers, help="threads; they change the time, never the bits")
    parser.add_argument("--plan", action="store_true", help="show what each parameter would get, and write nothing")


def run(arguments: argparse.Namespace) -> int:
    """Write one file."""
    return run_refusing(lambda: _init(arguments))


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of 1 or more is needed; got {visible(text)}")
    return int(text)


def _check_call(arguments: argparse.Namespace) -> None:
    if arguments.rules is None and arguments.recipe is None:
        raise Refused("say what each parameter gets: --rules F, --recipe NAME, or both")
    if arguments.output is None:
        if not arguments.plan:
            raise Refused("say where the weights go: -o OUT; or --plan to look only")
        return
    check_suffix(arguments.output)
    refuse_same(arguments.output, (arguments.like, arguments.shapes, arguments.rules))


def _init(arguments: argparse.Namespace) -> list[str]:
    """Read, plan and write; give the lines that say what was done."""
    from symbreak.cli._rules_file import RulesFile, read_rules, read_shapes, read_table
    from symbreak.dtypes import as_float_dtype

    _check_call(arguments)
    try:
        dtype = None if arguments.dtype is None else as_float_dtype(arguments.dtype)
        rules = RulesFile() if arguments.rules is None else read_rules(read_table(arguments.rules), arguments.rules)
        if arguments.recipe is not None:
            rules = rules.with_recipe(arguments.recipe)
        if arguments.shapes is not None:
            shapes = read_shapes(read_table(arguments.shapes), arguments.shapes)
            return _write(arguments, rules.plan(shapes), dtype, {})
        from symbreak.checkpoints import open_checkpoint

        with open_checkpoint(arguments.like) as ckpt:
            if arguments.output is not None:
                refuse_same(arguments.output, (file for file, *_ in ckpt.state))
            if ckpt.skipped:
                some = ", ".join(f"{visible(item.name)}: {item.reason}" for item in ckpt.skipped[:8])
                raise Refused(f"{visible(ckpt.path)}: not all of it can be read: {some}")
            return _write(arguments, rules.plan(_like(ckpt)), dtype, ckpt.metadata)
    except MissingExtra as error:
        raise Refused(str(error)) from None
    except (BadCheckpoint, ValueError, TypeError) as error:  # rules that don't meet the parameters, for one
        raise Refused(str(error)) from None
    except OSError as error:
        where = visible(error.filename or arguments.like or arguments.shapes)
        raise Refused(f"cannot read {where}: {error.strerror or error}") from None


def _like(ckpt: Any) -> dict[str, Any]:
    """Give the shapes and dtypes of a checkpoint, and the values of what no initializer makes."""
    from symbreak.dtypes import EXTENSION_FLOATS, NUMPY_FLOATS

    floats = NUMPY_FLOATS + EXTENSION_FLOATS
    return {name: info if info.dtype.name in floats else ckpt[name] for name, info in ckpt.tensors.items()}


def _write(arguments: argparse.Namespace, plan: "Plan", dtype: Any, metadata: Mapping[str, str]) -> list[str]:
    from symbreak.checkpoints._write import save_safetensors_piecewise
    from symbreak.checkpoints._write_npz import save_npz_piecewise

    if arguments.plan:
        print(plan)  # first: it shows what is wrong with it
    made = {each.name: each for each in plan.pieces(arguments.seed, dtype=dtype, workers=arguments.workers)}
    if arguments.plan:
        return []
    path = arguments.output
    try:
        if path.endswith(".npz"):
            save_npz_piecewise(path, made)
        else:
            save_safetensors_piecewise(path, made, metadata or None)
    except OSError as error:
        raise Refused(cannot_write(path, error)) from None
    count = sum(math.prod(each.shape) for each in made.values())
    kept = f", of which {len(plan.kept)} copied" if plan.kept else ""
    what = f"{counted(len(made), 'parameter')}{kept}, {counted(count, 'value')}"
    return [f"{what}, seed {arguments.seed}; written to {visible(path)}"]
