"""The errors that the pipeline raises on purpose: all in one module, which draws their tree."""

import ast
import inspect
from pathlib import Path

from user_analytics import errors

PACKAGE = Path(errors.__file__).parent


def tree(base: type[Exception], depth: int = 0) -> list[tuple[int, str]]:
    """An error and those below it, in the order in which they are defined, each with its depth."""
    below = [line for error in base.__subclasses__() for line in tree(error, depth + 1)]
    return [(depth, base.__name__), *below]


def drawn() -> list[tuple[int, str, str]]:
    """The lines of the tree in the module's docstring: depth, name, what it is."""
    _, _, picture = (errors.__doc__ or "").rpartition("\n\n")
    lines = [(line, *line.lstrip("│├└─ ").split(maxsplit=1)) for line in picture.splitlines()]
    return [(line.index(name) // 4, name, meaning) for line, name, meaning in lines]


def test_the_module_draws_their_tree() -> None:
    assert [(depth, name) for depth, name, _ in drawn()] == tree(errors.UserAnalyticsError)


def test_the_tree_marks_those_that_another_try_does_not_change() -> None:
    marked = [name for _, name, meaning in drawn() if meaning.startswith("final")]

    assert marked == [name for _, name in tree(errors.UserAnalyticsError) if getattr(errors, name).final]


def test_every_one_is_in_the_module() -> None:
    ours = {name for _, name in tree(errors.UserAnalyticsError)}
    elsewhere = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and path != Path(inspect.getfile(errors))
        and ours & {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    ]

    assert elsewhere == []
