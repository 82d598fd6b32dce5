"""The text of a syntax tree, one node per line, as `specc show --stage tree` prints it.

Let  3:3
  names: Name "y"  3:7
  value: Number 1  3:11
"""

from __future__ import annotations

from specc.frontend.syntax import ast


def show_tree(node: ast.Node) -> str:
    """Return every node with its location (line:column) and its fields, indented by depth."""
    lines: list[str] = []
    # a stack of (label, value, depth), as recursion would be too deep for long files
    stack: list[tuple[str, object, int]] = [("", node, 0)]
    while stack:
        label, value, depth = stack.pop()
        indent = "  " * depth + (f"{label}: " if label else "")
        if not isinstance(value, ast.Node):
            lines.append(f"{indent}{value!r}")
            continue
        leaf = isinstance(
            value, (ast.Name, ast.Number, ast.String, ast.Boolean, ast.Operator, ast.Path)
        )
        text = f" {value.span.text}" if leaf else ""
        lines.append(f"{indent}{type(value).__name__}{text}  {value.span.line}:{value.span.column}")
        if leaf:
            continue
        below: list[tuple[str, object, int]] = []
        for field in ast.fields_of(value):
            if field.name in ("span", "source"):
                continue
            content = getattr(value, field.name)
            if isinstance(content, tuple):
                below += [(field.name, each, depth + 1) for each in content]
            elif content is not None and content is not False:
                below.append((field.name, content, depth + 1))
        stack.extend(reversed(below))
    return "\n".join(lines) + "\n"
