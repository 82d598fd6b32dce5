"""`specc board [RUNS]`: a web page that shows runs while they train."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument(
    "runs", metavar="[RUNS]", default="runs", type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free port",
              help="Port to listen on.")  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
def board(runs: Path, port: int, opens: bool) -> None:
    """Show the runs in a folder on a live web page.

    The page can be opened only on this machine; its address contains a secret. It lists the runs in
    RUNS (by default `runs`), draws the curves of selected runs while they train, and compares two
    runs. It does not change anything.
    """
    from specc.board.server import HOST, Server

    try:
        server = Server(runs, port)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {HOST}:{port}: {error.strerror}") from None
    click.echo(f"{server.address}  (press Ctrl-C to stop)")
    if opens:
        click.launch(server.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("ended", err=True)
    finally:
        server.stopping.set()
        server.server_close()
