"""`specc completion SHELL`: the script by which a shell completes commands, options and runs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

HINTS = {
    "bash": 'add to ~/.bashrc:  eval "$(specc completion bash)"',
    "zsh": 'add to ~/.zshrc:  eval "$(specc completion zsh)"',
    "fish": "write to ~/.config/fish/completions/specc.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(HINTS)))
def completion(shell: str) -> None:
    """Print the script by which a shell completes commands.

    The first line of the script says where it goes.
    """
    from specc.cli.main import commands

    found = get_completion_class(shell)
    assert found is not None, "click knows these shells"
    script = found(commands, {}, "specc", "_SPECC_COMPLETE")
    # click asks the installed bash for its version; the script is the same for all that can do it
    click.echo(f"# {HINTS[shell]}\n" + script.source_template % script.source_vars())
