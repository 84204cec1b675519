"""`python_tests`: tests hold for the Python code of an answer.

The code runs in a confined process of its own, the tests in another, which asks it (`aaa/sandbox/`): it
cannot see a test, exit in its place, or change what `assert` means. The score is the share of tests that
hold. Left out: packages beside the standard library, `async`, and what the code prints.
"""

import ast
import re
import sys

from pydantic import Field, field_validator

from aaa.sandbox.running import run_tests
from aaa.sandbox.tests_side import count
from aaa.types import Check, Value

LONGEST_CODE = 200_000
"""Characters."""
_BLOCK = re.compile(
    r"^ {0,3}```[ \t]*(\w*)[^\n]*\n(.*?)(?:^ {0,3}```|\Z)", re.MULTILINE | re.DOTALL
)


class Options(Value):
    tests: str = Field(max_length=LONGEST_CODE)
    """Python: `assert` statements or functions called `test…`, using the names that the answer defines."""
    cpu_s: int = Field(5, ge=1, le=60)
    """CPU time that the code may use, in seconds; by the clock it is twice that, and 5 s."""
    memory_mib: int = Field(512, ge=128, le=8192)
    """Address space that the code may use, in MiB."""

    @field_validator("tests")
    @classmethod
    def _has_tests(cls, tests: str) -> str:
        try:
            tree = ast.parse(tests)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"not Python: {error}") from error
        if count(tree) == 0:
            raise ValueError("holds no `assert` and no function called `test…`")
        if borrowed := borrowed_modules(tree):
            raise ValueError(f"uses {', '.join(borrowed)} without importing it")
        return tests


def check(answer: str, options: Options) -> Check:
    code = code_in(answer)
    if code is None:
        return Check(score=0, why="there is no Python code in it")
    done = run_tests(code, options.tests, cpu_s=options.cpu_s, memory_mib=options.memory_mib)
    why = f"{done.held} of {done.of} tests hold"
    if done.held == done.of:
        return Check(score=1, why=why)
    return Check(score=done.held / done.of, why=f"{why}; {done.why}")


def borrowed_modules(tree: ast.Module) -> list[str]:
    """Modules that the tests use but do not import: the code could give them anything by that name."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        if isinstance(node, ast.arg):
            bound.add(node.arg)
    asked = {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return sorted(asked & sys.stdlib_module_names - bound)


def code_in(answer: str) -> str | None:
    """The answer's Python: fenced blocks of it, one after the other; else the whole, if that is Python."""
    blocks = _BLOCK.findall(answer)
    python = [code for language, code in blocks if language.lower() in ("python", "py", "python3")]
    plain = [code for language, code in blocks if not language]
    for codes in (python, plain, [] if blocks else [answer]):
        good = [code for code in codes if _is_python(code)]
        if good:
            return "\n".join(good)
    return None


def _is_python(code: str) -> bool:
    if not code.strip() or len(code) > LONGEST_CODE:
        return False
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
