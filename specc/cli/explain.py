"""`specc explain NAME`: a page about a layer, a function, an error or a warning."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
def explain(name: str | None) -> None:
    """Explain a layer, function, error or warning.

    For a layer or function, the page shows its formula, settings, shapes and an example; for an
    error or warning, its reason and a fix. Without NAME, list all pages.
    """
    from specc.frontend.explain.explain import contents, explanation, nearest

    if name is None:
        click.echo(contents(), nl=False)
        return
    text = explanation(name)
    if text is None:
        near = nearest(name)
        help_ = f"did you mean `{near}`?" if near else "`specc explain` lists all pages"
        raise click.UsageError(f"there is no page about `{name}`; {help_}")
    click.echo(text, nl=False)
