"""What MkDocs calls while it builds the site."""

from __future__ import annotations

import re
import sys
from html import unescape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parents[1]))

from making import lexer, reference
from specc import driver
from specc.drawing.diagram import diagram
from specc.drawing.svg import drawing

ROOT = Path(__file__).parents[2]
DRAWING = re.compile(r"\]\((?:\.\./)*drawings/(\w+)\.svg\)")
"""A picture of models/NAME.dl: `![...](../drawings/NAME.svg)`."""
MATH = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the reference to the menu, and the language to those that have colours."""
    lexer.register()
    for entry in config.nav or []:
        if isinstance(entry, dict) and "Reference" in entry:
            entry["Reference"] = reference.navigation()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference, and a drawing of each model that a page shows."""
    for path, text in reference.pages().items():
        files.append(File.generated(config, path, content=text))
    shown = {
        name
        for page in files.documentation_pages()
        if page.abs_src_path
        for name in DRAWING.findall(Path(page.abs_src_path).read_text(encoding="utf-8"))
    }
    for name in sorted(shown):
        program = driver.load(ROOT / "models" / f"{name}.dl")
        svg = drawing(diagram(program))
        files.append(File.generated(config, f"drawings/{name}.svg", content=svg))
    return files


def on_page_content(html: str, **_: object) -> str:
    """Put MathML in the place of formulas in TeX.

    latex2mathml knows `align*`, and prints the `&` of `aligned`, which is TeX within `$$`.
    """
    from latex2mathml.converter import convert

    def shown(match: re.Match[str]) -> str:
        display = "inline" if match[1] == "span" else "block"
        text = unescape(match[2]).replace("{aligned}", "{align*}")
        return convert(text, display=display)

    return MATH.sub(shown, html)
