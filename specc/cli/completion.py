"""`specc completion SHELL`: prints a shell's completion script."""

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
    """Print the completion script of a shell.

    The script completes commands, options and runs. Its first line says how to install it.
    """
    from specc.cli.main import commands

    found = get_completion_class(shell)
    assert found is not None, "click knows these shells"
    script = found(commands, {}, "specc", "_SPECC_COMPLETE")
    # `source()` of click would check the installed bash's version; the script does not depend on it
    click.echo(f"# {HINTS[shell]}\n" + script.source_template % script.source_vars())
