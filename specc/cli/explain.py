"""`specc explain NAME`: prints a page about anything in the language, an error, or a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from specc.frontend.explain.topics import Topic


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", required=False)
@click.pass_context
def explain(context: click.Context, name: str | None) -> None:
    """Explain a layer, function, setting, error or command.

    NAME is anything that a model file can say: a statement, a setting of `train`, a data source, a
    type, an operator, a layer, function or optimizer and its settings; or an error, a warning, a
    command or its option. Without NAME, list all of them.
    """
    from specc.frontend.explain.explain import contents, explanation, nearest

    further = command_topics(context)
    if name is None:
        click.echo(contents(further), nl=False)
        return
    text = explanation(name, further)
    if text is None:
        near = nearest(name, further)
        help_ = f"did you mean `{near}`?" if near else "`specc explain` lists all pages"
        raise click.UsageError(f"there is no page about `{name}`; {help_}")
    click.echo(text, nl=False)


def command_topics(context: click.Context | None = None) -> list[Topic]:
    """Return a topic for each command, and one for each option."""
    from specc.frontend.explain.topics import Topic

    root = context.find_root() if context is not None else None
    group = root.command if root is not None else None
    if not isinstance(group, click.Group):
        return []
    assert root is not None
    found, options = [], dict[str, list[tuple[str, str]]]()
    for name in group.list_commands(root):
        command = group.get_command(root, name)
        if command is None:
            continue
        within = click.Context(command, info_name=name, parent=root)
        text = f"specc {name}\n\ncommand\n\n{command.get_help(within)}\n"
        found.append(Topic(name, "command", command.get_short_help_str(100), _said(text)))
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in parameter.opts:
                    options.setdefault(option, []).append((name, parameter.help or ""))
    for option, rows in options.items():
        lines = [f"  specc {name}: {help_}" for name, help_ in rows]
        text = "\n".join([option, "", "option", "", *lines]) + "\n"
        found.append(Topic(option, "option", rows[0][1], _said(text)))
    return found


def _said(text: str) -> Callable[[], str]:
    return lambda: text
