"""Every state of the parser has a description of the expected tokens."""

from __future__ import annotations

from collections import Counter, deque

from specc.diagnostics import Report
from specc.frontend.syntax.expectations import examples, expectations, stopped
from specc.frontend.syntax.grammar import CONTEXTUAL, tables
from specc.frontend.syntax.lex import lex
from specc.frontend.syntax.parse import parse
from specc.source import Source


def states_that_may_stop() -> set[int]:
    """The states in which some text that is right so far goes on with a token that does not fit.

    After a token is taken, any other may follow, but a word such as `start` is only one before a
    name. After a rule, only what may follow that rule
    somewhere: a state that is reached by rules alone stops only if the rule ends before more tokens
    than fit there.
    """
    actions, gotos, rules = tables().actions, tables().gotos, tables().rules
    before: list[set[int]] = [set() for _ in actions]
    behind_token = {tables().start}
    readable, waiting = {tables().start}, deque([tables().start])
    while waiting:  # the states that are reached without BROKEN, which is in no text
        state = waiting.popleft()
        steps = [(k, to) for k, to in actions[state].items() if k != "BROKEN" and to >= 0]
        behind_token.update(to for kind, to in steps if kind not in CONTEXTUAL)
        steps += [(k, to) for k, to in gotos[state].items() if not k.startswith("broken")]
        for _, to in steps:
            before[to].add(state)
            if to not in readable:
                readable.add(to)
                waiting.append(to)
    kinds = {kind for row in actions for kind in row} - {"BROKEN"}
    follows = {state: set(kinds) if state in behind_token else set() for state in readable}
    pairs = deque((state, kind) for state in behind_token for kind in kinds)
    while pairs:
        state, kind = pairs.popleft()
        action = actions[state].get(kind)
        if action is None or action >= 0:
            continue
        rule, beneath = rules[~action], {state}
        for _ in range(rule.parts):
            beneath = set().union(*(before[each] for each in beneath))
        for each in beneath:
            to = gotos[each].get(rule.name)
            if to in readable and to != tables().end and kind not in follows[to]:
                follows[to].add(kind)
                pairs.append((to, kind))
    return {state for state in readable if follows[state] - set(actions[state])}


def test_every_state_that_may_stop_has_an_expectation_and_no_other():
    wanted, found = states_that_may_stop(), set(expectations())
    missing = {state: sorted(tables().actions[state]) for state in wanted - found}
    assert not missing, (
        "grammars/dl.messages has no text that leads to these states, where these tokens fit"
    )
    assert found == wanted


def test_each_example_leads_to_a_state_of_its_own_at_its_end():
    states = Counter()
    for text, _ in examples():
        state, number = stopped(text)
        last = len(lex(Source("x.dl", text), Report()).tokens) - 1  # the end of the text
        assert state is not None and number >= last - 1, f"{text!r} stops before its last word"
        states[state] += 1
    assert set(states.values()) == {1}


def test_each_example_gets_a_message():
    for text, _ in examples():
        found = parse(Source("x.dl", text))[1]
        assert found and all(each.name == "syntax" for each in found), text


def test_the_words_of_expectations_go_with_expected_and_after():
    for _, expectation in examples():
        plain = expectation.what.replace("{ends}", "").replace("{all}", "")
        assert "{" not in plain.replace("`{`", "") and not plain.endswith("."), expectation
        assert ", or" not in plain, f"{expectation.what!r} is not read as one list"
