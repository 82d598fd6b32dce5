"""Words that readers stumble over, and pages that begin with a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from specc.cli.explain import command_topics
from specc.cli.main import commands
from specc.frontend.explain import words
from specc.frontend.explain.topics import all_topics, page_summary, pages
from specc.frontend.words.messages import WARNINGS

ROOT = Path(__file__).parents[1]
BANNED = re.compile(
    r"(?i)\b(behind|stands?(?! for| out)|likeliest|(?<!there )is no(?! longer| better)|mended"
    r"|near cache|brought in|brings in|that there is not|truth values?|whole numbers?|goes on"
    r"|go on)\b"
)
TEXTS = {
    **{
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    },
    **{
        f"explain {topic.name}, {topic.kind}": topic.page()
        for topic in all_topics()
        if topic.kind not in words.groups()
    },
    **{
        f"explain {topic.name}, {topic.kind}": topic.page()
        for topic in command_topics(click.Context(commands))
    },
    **{f"doc of {name}": words.doc_of(name) for group in words.groups().values() for name in group},
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_users_read_has_none_of_the_words_to_avoid(name):
    prose = re.sub(r"```.*?```|`[^`]*`", "", TEXTS[name], flags=re.DOTALL)
    found = BANNED.search(prose)
    assert found is None, f"{name}: say it otherwise: {prose[max(0, found.start() - 40) :][:100]}"


@pytest.mark.parametrize("name", pages())
def test_a_page_begins_with_a_sentence(name):
    summary = page_summary(name)
    assert summary[0].isupper() or summary[0] == "`"
    assert summary.endswith(".")


@pytest.mark.parametrize("name", WARNINGS)
def test_the_page_of_a_warning_says_how_to_silence_it(name):
    if name != "unknown-allow":
        assert f"To silence this warning, add `# allow: {name}`." in " ".join(pages()[name].split())
