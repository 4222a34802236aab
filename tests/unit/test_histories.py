"""What is called linearizable is what some order of all operations explains, and nothing else."""

import itertools
import random

import pytest

from pyk8s.verify.faults.histories import NEVER, Operation, violations


def put(value, began, ended, client="a", key="x"):
    return Operation(client, key, True, value, began, ended)


def get(value, began, ended, client="b", key="x"):
    return Operation(client, key, False, value, began, ended)


def explained(history):
    """Try every order that respects what came before what: slow, and obviously right."""
    sure = [one for one in history if one.ended != NEVER]
    unknown = [one for one in history if one.ended == NEVER]
    for count in range(len(unknown) + 1):
        for happened in itertools.combinations(unknown, count):
            if any(_fits(order) for order in itertools.permutations([*sure, *happened])):
                return True
    return False


def _fits(order):
    if any(later.ended < earlier.began for earlier, later in itertools.combinations(order, 2)):
        return False
    held = ""
    for one in order:
        if one.writes:
            held = one.value
        elif one.value != held:
            return False
    return True


@pytest.mark.parametrize(
    "history",
    [
        [],
        [get("", 0, 1)],
        [put("1", 0, 1), get("1", 2, 3)],
        [put("1", 0, 5), get("", 1, 2), get("1", 3, 4)],
        [put("1", 0, 1), put("2", 2, NEVER), get("1", 3, 4), get("2", 5, 6)],
        [put("1", 0, 1), put("2", 2, NEVER), get("1", 9, 10)],
    ],
)
def test_what_one_order_explains_is_accepted(history):
    assert violations(history) == []


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([put("1", 0, 1), get("", 2, 3)], "while it held nothing from -inf"),
        ([put("1", 0, 1), put("2", 2, 3), get("1", 4, 5)], "x held 2 from 2.000 to 3.000 while it held 1"),
        ([put("1", 0, 1), put("2", 0, 9), get("2", 2, 3), get("1", 4, 5)], "while it held 1 from 1.000 to 4.000"),
        ([get("7", 0, 1)], "b read x=7 [0.000, 1.000]: nobody ever wrote that"),
        ([get("1", 0, 1), put("1", 2, 3)], "it was written only later"),
        ([put("1", 0, NEVER), get("1", 1, 2), get("", 3, 4)], "while it held nothing"),
    ],
)
def test_a_stale_a_torn_and_an_invented_read_are_named(history, said):
    found = violations(history)
    assert any(said in one for one in found), found


def test_registers_are_looked_at_one_by_one():
    history = [put("1", 0, 1, key="x"), put("2", 0, 1, key="y"), get("1", 2, 3, key="x"), get("2", 2, 3, key="y")]
    assert violations(history) == []


def test_the_verdict_is_that_of_trying_every_order():
    chance = random.Random(20260101)
    verdicts = []
    for _ in range(1500):
        history = _some_history(chance)
        verdict = violations(history) == []
        assert verdict == explained(history), [str(one) for one in history]
        verdicts.append(verdict)
    assert 300 < sum(verdicts) < 1200


def _some_history(chance):
    values = ["1", "2", "3"][: chance.randint(1, 3)]
    moments = chance.sample(range(100), 14)
    history = []
    for value in values:
        began, ended = sorted((moments.pop(), moments.pop()))
        history.append(put(value, began, NEVER if chance.random() < 0.25 else ended))
    for number in range(chance.randint(1, 3)):
        began, ended = sorted((moments.pop(), moments.pop()))
        history.append(get(chance.choice(["", *values]), began, ended, client=f"r{number}"))
    return history
