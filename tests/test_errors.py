"""The exception meant for people."""

from hindsight.errors import UserError


def test_it_is_an_exception_with_a_sentence():
    assert str(UserError("what, where, what to do")) == "what, where, what to do"
