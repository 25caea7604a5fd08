"""Every message of an error, read from the package's source, and what to do about it; error_list.py makes the page.

A message is what is given to an exception, wherever one is made: a string, its placeholders named after what they
hold. What only passes on another's message is left out. A remedy is, in this order: the `fix` that is given beside it;
what the message itself says to do; a line of remedies.py, for messages that state a fact and no more; what the message
says is allowed.
"""

import ast
import builtins
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from remedies import REMEDIES

HOLE = "…"  # stands for a part of a message that depends on the case
EXCEPTIONS = {name for name, each in vars(builtins).items() if isinstance(each, type) and issubclass(each, Exception)}
NOT_MESSAGES = {"StopIteration", "KeyError", "AttributeError"}  # protocols of Python: their text is a key or a name
SHOWN_BY = {"visible", "quoted", "number", "str", "repr", "Path", "sorted", "tuple", "list", "set", "int", "shown"}


@dataclass(frozen=True)
class Message:
    """One message: where it is made, as what, its text and the remedy that is given with it."""

    module: str
    line: int
    kind: str
    text: str
    fix: str | None = None


# Reading the source


def messages(root: Path) -> list[Message]:
    """Give every message of the package in a folder, in order of file and line."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(root.rglob("*.py"))}
    own = exceptions(trees.values())
    found = []
    for path, tree in trees.items():
        module = ".".join([root.name, *path.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")
        found += Reader(module, tree, own, trees).read()
    return found


def exceptions(trees: Iterable[ast.Module]) -> set[str]:
    """Give the names of the exceptions of Python and of these modules."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found, before = set(EXCEPTIONS), -1
    while before != len(found):
        before = len(found)
        found |= {each.name for each in classes if any(last(base) in found for base in each.bases)}
    return found


def last(node: ast.expr) -> str:
    """Give the last word of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class Reader:
    """The messages of one module."""

    def __init__(self, module: str, tree: ast.Module, own: set[str], trees: dict[Path, ast.Module]) -> None:
        self.module, self.tree, self.own = module, tree, own
        self.constants = {}
        for each in [*trees.values(), tree]:  # a fix is often a constant of a module beside it
            self.constants |= dict(assigned(each.body))
        self.functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.locals: dict[str, list[ast.expr]] = {}

    def read(self) -> list[Message]:
        found: list[Message] = []
        for node in outermost(self.tree):
            self.locals = {}
            for name, value in assigned(ast.walk(node)):
                self.locals.setdefault(name, []).append(value)
            for call in ast.walk(node):
                if isinstance(call, ast.Call):
                    found += self.of_call(call)
        return sorted(set(found), key=lambda each: (each.line, each.text))

    def of_call(self, call: ast.Call) -> Iterator[Message]:
        name, arguments = last(call.func), list(call.args)
        arguments = [arg for arg in arguments if not isinstance(arg, ast.Starred)]
        if isinstance(call.func, ast.Attribute) and name == "bad" and arguments:
            kind, fix = "BadCheckpoint", arguments[1] if len(arguments) > 1 else None
            fixes = self.texts(fix) if fix is not None else ["save it again with the library that wrote it"]
        elif name == "MissingExtra" and len(arguments) == 3:
            package, extra, purpose = (next(iter(self.texts(each)), HOLE) for each in arguments)
            problem = f"{purpose} needs {package}, which is not installed"
            yield Message(self.module, call.lineno, name, problem, f"pip install 'symbreak[{extra}]'")
            return
        elif name in self.own and name not in NOT_MESSAGES and arguments:
            kind, fixes = name, self.fixes(call)
        elif isinstance(call.func, ast.Attribute) and name == "error" and last(call.func.value).endswith("parser"):
            kind, fixes = "usage", []
        else:
            return
        for text in self.texts(arguments[0]):
            if says_something(text):
                yield Message(self.module, call.lineno, kind, text, "; or ".join(fixes) or None)

    def fixes(self, call: ast.Call) -> list[str]:
        """Give what is said as `fix=`."""
        return [text for word in call.keywords if word.arg == "fix" for text in self.texts(word.value)]

    def texts(self, node: ast.expr, depth: int = 0) -> list[str]:
        """Give the strings that an expression may be, with named placeholders."""
        if depth > 4:
            return []
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.JoinedStr):
            return [self.joined(node, depth)]
        if isinstance(node, ast.IfExp):
            return self.texts(node.body, depth + 1) + self.texts(node.orelse, depth + 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = (self.texts(side, depth + 1) or [HOLE] for side in (node.left, node.right))
            return [one + other for one in left for other in right]
        if isinstance(node, ast.Name) and node.id in self.locals:
            return [text for value in self.locals[node.id] for text in self.texts(value, depth + 1)]
        if isinstance(node, ast.Name) and node.id in self.constants:
            return self.texts(self.constants[node.id], depth + 1)
        if isinstance(node, ast.Call) and last(node.func) in self.functions:
            made = ast.walk(self.functions[last(node.func)])
            return [text for each in made if isinstance(each, ast.Return) and each.value
                    for text in self.texts(each.value, depth + 1)]  # fmt: skip
        if isinstance(node, ast.Call) and last(node.func) == "join":
            return [HOLE]
        return []

    def joined(self, node: ast.JoinedStr, depth: int) -> str:
        parts = []
        for value in node.values:
            if isinstance(value, ast.Constant):
                parts.append(str(value.value))
            elif isinstance(value, ast.FormattedValue):
                inner = value.value
                constant = isinstance(inner, ast.Name) and inner.id.isupper() and self.texts(inner, depth + 1)
                parts.append(constant[0] if constant and HOLE not in constant[0] else placeholder(inner))
        return "".join(parts)


def outermost(tree: ast.Module) -> list[ast.stmt]:
    """Give the functions and methods of a module, and what stands beside them: what shares local names."""
    found: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found += node.body
        else:
            found.append(node)
    return found


def assigned(body: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """Give the names that are set to something, and to what."""
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def placeholder(node: ast.expr) -> str:
    """Name what is put into a message: its last word in angle brackets, or an ellipsis where there is no short name."""
    while isinstance(node, ast.Call) and last(node.func) in SHOWN_BY and node.args:
        node = node.args[0]
    if isinstance(node, ast.Call) and last(node.func) == "len" and node.args:
        return "<number>"
    if isinstance(node, ast.Attribute) and node.attr in {"__name__", "name"}:
        inner = node.value
        if isinstance(inner, ast.Call) and last(inner.func) == "type":
            return "<class>" if ast.unparse(inner.args[0]) == "self" else "<type>"
        return "<name>"
    word = last(node).strip("_")
    return f"<{word.replace('_', ' ')}>" if len(word) > 1 else HOLE


def says_something(text: str) -> bool:
    """Tell a message from what only passes one on."""
    return len(re.sub(r"<[^<>]*>|[^A-Za-z]", "", text)) > 7


# What to do

# A clause of a message that says what to do begins with one of these, behind a semicolon, a colon or a bracket.
DO = (
    r"add|ask|average|call|check|choose|compute|convert|copy|correct|cut|decorate|delete|describe|did you mean|divide"
    r"|download|draw|drop|escape|export|fill|flatten|give|go|initialise|initialize|install|keep|leave|lower|make|merge"
    r"|move|name|open|pass|pip install|put|read|remove|rename|repeat|replace|round|run|save|say|scale|set|shorten"
    r"|split|start|state|store|take|train|try|turn|unpack|untie|use|view|write"
)
BEFORE = r"(?:^|[;:(]\s+)(?:please |then |else |either |for that )?"
SAYS_WHAT_TO_DO = re.compile(rf"{BEFORE}(?:{DO})\b(?! (?:is|are|of)\b).*", re.DOTALL)
# What is allowed, and what came.
CAME = r"(?:[;,:]| and)? (?:but )?(?:got|not|it gave|theirs is|they have|it is now)\b"
GOT = re.compile(rf"(?P<allowed>.{{12,}}?){CAME}", re.DOTALL)
# A sentence that says what is allowed; what came is in it, or speaks for itself.
ALLOWED = re.compile(
    r"\b(?:must|one of|takes?|needs?|expected|a multiple of|is not for|goe?s? with|gives?|below|at least|at most|reads"
    r"|from|wants|can't be|do not|does not|don't|doesn't|as many|between|up to|out of range|lie|names|holds|outside"
    r"|(?:is|are|has|have|holds?) (?:a|an|one|two|the|no|not|of|finite|positive|True|from|at least|at most|more"
    r"|several|other|as))\b"
)
ARGUMENTS = {"ValueError", "TypeError", "IndexError", "usage"}  # kinds that say that an argument is wrong


def remedy(message: Message) -> str | None:
    """Say what to do about a message; None where nothing says it."""
    if message.fix:
        return sentence(message.fix)
    if told := SAYS_WHAT_TO_DO.search(message.text):
        return sentence(told[0].lstrip(";:( "))
    for modules, pattern, text in REMEDIES:
        if re.match(rf"symbreak\.(?:{modules})", message.module) and re.search(
            pattern, f"{message.kind}: {message.text}"
        ):
            return text
    if message.kind in ARGUMENTS and (found := GOT.match(message.text)):
        return f"Give what is allowed: {re.sub(r'^[A-Za-z_]+: ', '', found['allowed'])}."
    if message.kind in ARGUMENTS and ALLOWED.search(message.text):
        return "Give what the message says is allowed; what came stands beside it."
    return None


def sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    while text.endswith(")") and text.count(")") > text.count("("):
        text = text[:-1]
    return text[:1].upper() + text[1:] + ("" if text.endswith("?") else ".")
