"""`specc explain NAME`: what a word or the name of a mistake means."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
def explain(name: str | None) -> None:
    """Explain NAME: a word (formula, settings, shapes, an example) or a mistake (why, and how to mend it).

    Without NAME, list all that can be explained.
    """
    from specc.frontend.explain.explain import contents, explanation, nearest

    if name is None:
        click.echo(contents(), nl=False)
        return
    text = explanation(name)
    if text is None:
        near = nearest(name)
        help_ = f"did you mean `{near}`?" if near else "`specc explain` lists what there is"
        raise click.UsageError(f"nothing is known of `{name}`; {help_}")
    click.echo(text, nl=False)
