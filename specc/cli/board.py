"""`specc board [RUNS]`: a page that follows runs while they train."""

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
    """Show the runs in a folder on a page that follows them.

    The page is at an address of this machine alone, with a secret in it. It lists the runs in RUNS
    (the folder `runs`), draws the curves of those that you choose while they train, and shows what
    differs between two. It changes nothing.
    """
    from specc.board.server import HOST, Server

    try:
        server = Server(runs, port)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {HOST}:{port}: {error.strerror}") from None
    click.echo(f"{server.address}  (Ctrl-C ends the board)")
    if opens:
        click.launch(server.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("ended", err=True)
    finally:
        server.stopping.set()
        server.server_close()
