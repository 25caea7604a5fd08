"""The few exceptions that a caller catches by name; a wrong argument is a plain ValueError or TypeError."""


class SymbreakError(Exception):
    """Base of the exceptions that are symbreak's own."""


class BadCheckpoint(SymbreakError, ValueError):  # noqa: N818 - says what the file is
    """A file, or a tensor in it, that can't be read: malformed, truncated, malicious, or of a kind that is refused.

    Attributes
    ----------
    problem, fix
        What came, and what to do, where the message is made of the two; else None.
    """

    def __init__(self, message: str, problem: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.problem = problem
        self.fix = fix


class MissingExtra(SymbreakError, ImportError):  # noqa: N818 - says what is the matter
    """A package that only some of symbreak needs is not installed; the message names the extra that brings it.

    Attributes
    ----------
    problem, fix
        What is missing, and the command that brings it.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.problem = f"{purpose} needs {package}, which is not installed"
        self.fix = f"pip install 'symbreak[{extra}]'"
        super().__init__(f"{self.problem}: {self.fix}")


class UnknownName(SymbreakError, ValueError):  # noqa: N818 - says what is the matter
    """A name that is not known: of an initializer, an activation, a loss, a product or a recipe.

    The message has the nearest ones.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.get("glorot")
    Traceback (most recent call last):
        ...
    symbreak.errors.UnknownName: no initializer is called 'glorot'; did you mean 'glorot_normal' or 'glorot_uniform'?
    """


class RuleError(SymbreakError, ValueError):
    """Rules and parameters that don't meet: a rule that hits nothing, or a parameter that no rule hits."""


class CannotRepair(SymbreakError, ValueError):  # noqa: N818 - says what is the matter
    """A network whose units can't be merged, untied or drawn again as was asked; the message says why.

    Attributes
    ----------
    problem
        The reasons alone, where the message goes on to say what can be done; else the message.
    spaces
        Names of the spaces that can be merged.
    """

    def __init__(self, message: str, problem: str | None = None, spaces: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problem = problem or message
        self.spaces = spaces
