"""The commands. An error of the user gives a message and an exit status, never a traceback.

    main(["check", "lenet.dl"])     # exit status: 0 good, 1 an error in a file, 2 wrong usage

Commands import their modules only when they run, so that `specc check` starts quickly.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from specc import __version__
from specc.diagnostics import SpecError, closest

ERROR, USAGE, BUG, INTERRUPTED, BROKEN_PIPE = 1, 2, 70, 130, 141


# Names of commands in other tools.
SYNONYMS = {
    "fit": "train", "evaluate": "eval", "test": "eval", "infer": "predict", "lint": "check",
    "format": "fmt", "init": "new", "create": "new", "generate": "sample", "summary": "show",
    "profile": "time", "list": "runs", "ls": "runs", "help": "explain", "compile": "build",
    "search": "sweep", "tune": "sweep", "optimize": "sweep", "compare": "runs",
    "resume": "train", "dashboard": "board", "validate": "check",
}  # fmt: skip


class ReaderGone(Exception):
    """Raised if the output is no longer read (`specc show .. | head`)."""


# The module and the name of each command in it; a module is imported when its command runs.
GROUPS = {
    "Get started": {
        "new": ("new", "new"),
        "check": ("check", "check"),
        "explain": ("explain", "explain"),
        "data": ("data", "data"),
        "doctor": ("doctor", "doctor"),
    },
    "Train and use a model": {
        "train": ("train", "train"),
        "lr": ("lr", "lr"),
        "sweep": ("sweep", "sweep"),
        "eval": ("evaluate", "evaluate"),
        "predict": ("predict", "predict"),
        "sample": ("sample", "sample"),
        "runs": ("runs", "runs"),
    },
    "See what happens": {
        "show": ("show", "show"),
        "plot": ("plot", "plot"),
        "report": ("report", "report"),
        "board": ("board", "board"),
        "curves": ("curves", "curves"),
        "flow": ("flow", "flow"),
        "time": ("time", "time"),
    },
    "Files and code": {
        "fmt": ("format", "fmt"),
        "convert": ("convert", "convert"),
        "schema": ("convert", "schema"),
        "build": ("build", "build"),
        "gradcheck": ("gradcheck", "gradcheck"),
        "grade": ("grade", "grade"),
        "cache": ("cache", "cache"),
        "completion": ("completion", "completion"),
    },
}
COMMANDS = {name: place for group in GROUPS.values() for name, place in group.items()}


class Commands(click.Group):
    """The group of all commands; it raises `ReaderGone` where click would end the process."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, command = COMMANDS[name]
        return getattr(import_module(f"specc.cli.{module}"), command)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raise a usage error with a suggestion if it does not exist."""
        name = arguments[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = closest(name, COMMANDS, SYNONYMS)
            hint = f"did you mean `{near}`?" if near else "`specc --help` lists the commands"
            raise click.UsageError(f"unknown command `{name}`; {hint}", context)
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in groups, each with the complete first sentence of its help."""
        width = max(map(len, COMMANDS))
        for title, group in GROUPS.items():
            rows = []
            for name in group:
                command = self.get_command(context, name)
                assert command is not None
                rows.append((f"{name:<{width}}", command.get_short_help_str(limit=200)))
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, context: click.Context) -> object:
        try:
            result = super().invoke(context)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            raise ReaderGone from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="specc")
def commands() -> None:
    """Check, compile and train neural networks described in text files."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(
            stream, "reconfigure"
        ):  # a Windows code page may lack characters of a model file
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    status = status_of(arguments)
    gc.freeze()  # skip the final garbage collection: large graphs are freed with the process
    sys.exit(status)


def status_of(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    try:
        result = commands(arguments, prog_name="specc", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        return told(error)


def told(error: BaseException) -> int:
    """Print the error that ended a command, and return the exit status."""
    try:
        raise error
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except SpecError as error:
        from specc.cli.session import report

        report(error.diagnostics)
        return ERROR
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        click.echo(
            f"there is not enough memory{reason}; use a smaller batch or `recompute = true` in"
            " `train`",
            err=True,
        )
        return ERROR
    except (ReaderGone, BrokenPipeError):
        # avoid another error when stdout is closed; the status is the one that shells use
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception:
        import traceback

        traceback.print_exc()
        click.echo(
            f"\nthis is a bug in specc {__version__}, please report it with the lines above and the"
            " .dl file",
            err=True,
        )
        return BUG
