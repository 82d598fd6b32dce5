"""The settings of a `train` block for data splits: `stratify`, `group`, `time`, `folds`.

column_name(frame, name, tree)       # "patient": a name, or a string
divided(frame, known, spans)        # the fields of a `Recipe`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specc.diagnostics import Label
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.syntax import ast
from specc.recipe import DataCall, Port, Split
from specc.source import Span

RULES = ("stratify", "group", "time")
"""Settings that name the column of a split; only one of them is allowed."""
COLUMNS = (*RULES, "balance")
"""Settings that take the name of a column."""


def column_name(frame: BodyFrame, name: ast.Name, tree: ast.Expression) -> str | None:
    """Return the column name in a setting; report any other value."""
    if isinstance(tree, ast.Path) and len(tree.names) == 1:
        return tree.text
    if isinstance(tree, ast.String) and tree.value.strip():
        return tree.value
    frame.error(
        "bad-setting",
        f"the value of `{name.text}` must be the name of a column",
        tree.span,
        help=f'such as `{name.text} = label`, or `{name.text} = "Patient ID"`',
    )
    return None


def divided(
    frame: BodyFrame,
    known: dict[str, Any],
    spans: Mapping[str, Span],
    ports: Sequence[Port],
) -> dict[str, Any]:
    """Return the fields of the recipe with its split rule. Report conflicting settings."""
    found = {name: value for name, value in known.items() if name not in RULES}
    given = [name for name in RULES if known.get(name) is not None]
    if len(given) > 1:
        frame.error(
            "duplicate-name",
            f"a split can use only one of `{given[0]}` and `{given[1]}`",
            spans[given[1]],
            labels=[Label(spans[given[0]], "first defined here")],
        )
    elif given:
        found["split"] = Split(given[0], known[given[0]], spans[given[0]])
    shares = [name for name in ("validate", "test") if isinstance(known.get(name), float)]
    _check_shares(frame, known, spans, shares)
    _check_folds(frame, known, spans, given)
    has_parts = shares or known.get("folds")
    has_own = any(isinstance(known.get(name), DataCall) for name in ("validate", "test"))
    if given and not has_parts and not (has_own and given[0] in ("group", "time")):
        frame.error(
            "misplaced",
            f"`{given[0]}` needs a split",
            spans[given[0]],
            help="add `validate split = 0.8`, `test split = 0.9` or `folds = 5`",
        )
    _check_balance(frame, known, spans, ports)
    return found


def _check_shares(
    frame: BodyFrame, known: Mapping[str, Any], spans: Mapping[str, Span], shares: Sequence[str]
) -> None:
    if len(shares) == 2 and known["validate"] + known["test"] >= 1:
        frame.error(
            "bad-setting",
            "the validation and the test part leave no training data",
            spans["test"],
            labels=[Label(spans["validate"], "the validation part")],
            help="each is a share of all examples: `validate split = 0.8` and `test split = 0.9`"
            " train on 70%",
        )
    data = known.get("data")
    is_text = isinstance(data, DataCall) and data.word == "text"
    for name in ("test", "folds", *RULES):
        is_share = name in shares if name == "test" else known.get(name) is not None
        if is_text and is_share and name in spans:
            frame.error(
                "misplaced",
                "a text can only be split at its end",
                spans[name],
                help="`validate split = 0.9` validates on the last 10%",
            )


def _check_folds(
    frame: BodyFrame, known: Mapping[str, Any], spans: Mapping[str, Span], given: Sequence[str]
) -> None:
    folds, fold = known.get("folds"), known.get("fold")
    if folds is None:
        if fold is not None:
            frame.error(
                "misplaced", "`fold` needs the setting `folds`", spans["fold"],
                help="add `folds = 5`",
            )  # fmt: skip
        return
    if known.get("validate") is not None:
        frame.error(
            "misplaced",
            "`folds` already provides the validation data: each run validates on one fold",
            spans["validate"],
            labels=[Label(spans["folds"], "the folds")],
            help="remove `validate`",
        )
    if "time" in given:
        frame.error(
            "misplaced",
            "`time` is not possible with `folds`",
            spans["time"],
            labels=[Label(spans["folds"], "the folds")],
            help="use `validate split = 0.8` with `time`",
        )
    if fold is not None and fold > folds:
        frame.error("bad-setting", f"`fold` must be at most {folds}, not {fold}", spans["fold"])


def _check_balance(
    frame: BodyFrame, known: Mapping[str, Any], spans: Mapping[str, Span], ports: Sequence[Port]
) -> None:
    name = known.get("balance")
    if name is None:
        if "balance_by" in known:
            message = "`balance_by` needs the setting `balance`"
            help_ = "name the target: `balance = label`"
            frame.error("misplaced", message, spans["balance_by"], help=help_)
        return
    port = next((each for each in ports if each.name == name), None)
    if port is not None and port.kind in ("class", "bool") and not port.shape:
        return
    listed = ", ".join(
        f"`{each.name}`" for each in ports if each.kind in ("class", "bool") and not each.shape
    )
    frame.error(
        "bad-setting",
        f"`balance` must name an input or target of classes, not `{name}`",
        spans["balance"],
        help=f"there is {listed}" if listed else "this model has none",
    )
