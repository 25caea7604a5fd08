"""The directive `cli-reference`: every command and option, from the parsers themselves."""

import argparse
import inspect
import re
import textwrap

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.nodes import nested_parse_with_titles


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("cli-reference", CliReference)
    return {"parallel_read_safe": True}


class CliReference(Directive):
    """Write a section a command: usage, description, arguments and options."""

    def run(self) -> list[nodes.Node]:
        from symbreak.cli import build_parser

        node = nodes.section()
        node.document = self.state.document
        text = "\n\n".join(section(name, parser) for name, parser in subparsers(build_parser()))
        lines = StringList(text.splitlines(), source="symbreak.cli")
        nested_parse_with_titles(self.state, lines, node)
        return node.children


def subparsers(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    """Give the commands of a parser, in order."""
    (action,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return list(action.choices.items())


def section(name: str, parser: argparse.ArgumentParser) -> str:
    """Write one command in reStructuredText."""
    title = f"symbreak {name}"
    usage = textwrap.indent(fitted(parser).format_usage().removeprefix("usage: ").rstrip(), "   ")
    head = f"{title}\n{'-' * len(title)}\n\n.. code-block:: text\n\n{usage}"
    rows = [row(action) for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    return "\n\n".join([head, literal_options(inspect.cleandoc(parser.description or "")), *rows])


def literal_options(text: str) -> str:
    """Mark the options in a text, and the patterns of file names, as code."""
    return re.sub(r"(?<!\S)(?:--[a-z][a-z-]*|'[^' ]*\*[^' ]*')", r"``\g<0>``", text)


def fitted(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Fix the width of the usage, which otherwise follows the terminal of whoever builds."""
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=80)
    return parser


def row(action: argparse.Action) -> str:
    """Write one argument as an entry of a definition list."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    value = action.metavar or choices
    spelled = [f"``{option}``" if action.nargs == 0 else f"``{option} {value}``" for option in action.option_strings]
    text = literal_options(action.help or "") % {**vars(action), "prog": ""}
    return f"{', '.join(spelled) or f'``{value}``'}\n   {text}"
