"""What the author of an app writes: lines of code of examples/shop against those of examples/plainshop.

Usage: python bench/lines.py

Counts lines of Python with code on them: no tests, comments, docstrings or blank lines. Migrations count.
"""

import ast
import io
import tokenize
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def code_lines(text: str) -> int:
    """Lines with code on them."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for each in body:
            if (
                isinstance(each, ast.Expr)
                and isinstance(each.value, ast.Constant)
                and isinstance(each.value.value, str)
            ):
                told |= set(range(each.lineno, (each.end_lineno or each.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - told)


def counted(app: Path) -> tuple[int, int]:
    """Files and lines."""
    files = [each for each in app.rglob("*.py") if "tests" not in each.parts and ".holdtrue" not in each.parts]
    return len(files), sum(code_lines(each.read_text(encoding="utf-8")) for each in files)


if __name__ == "__main__":
    (_, plain), (_, shop) = (counted(EXAMPLES / name) for name in ("plainshop", "shop"))
    for name in ("plainshop", "shop"):
        print("{:<10}{:>4} files{:>6} lines".format(name, *counted(EXAMPLES / name)))
    print(f"{'ratio':<10}{shop / plain:>21.2f}")
