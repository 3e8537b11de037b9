"""What a docstring says about one parameter is found in every style that our components, mmengine's and torch's have."""

import pytest

from linearsr.core.inspection.docstrings import describe, first_line
from linearsr.core.inspection.options import option

OURS = """Denoiser of `depth` blocks; the attention is a part of its own.

    width, head_width:  D and the width of a head, which divides it
    lr_stem:            None for a plain Sana, which
                        sees no LR picture
    zero_init:          the last layer starts at 0
    rule:               "greater" or "less"
    Takes the place of another hook.
    max_skips:  in all, over resumes too. max_in_a_row: without a step between them. Then
    the run ends. interval: iterations.
    dim, heads and stride are supplied by the model.
    """
NAMES = (
    "width",
    "head_width",
    "lr_stem",
    "zero_init",
    "rule",
    "max_skips",
    "max_in_a_row",
    "interval",
    "dim",
    "heads",
    "stride",
)

GOOGLE = """Adam.

    Args:
        params (iterable): what is optimised
        lr (float, Tensor, optional): learning rate (default: 1e-3).
            A tensor is not supported everywhere.
        fn (Callable[[int], int] or None): called as fn: each time
        *rest: more

    Example:
        >>> lr: this is no description
    """


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("width", "D and the width of a head, which divides it"),
        ("head_width", "D and the width of a head, which divides it"),
        ("lr_stem", "None for a plain Sana, which sees no LR picture"),
        ("zero_init", "the last layer starts at 0"),
        ("rule", '"greater" or "less"'),
        ("max_skips", "in all, over resumes too."),
        ("max_in_a_row", "without a step between them."),
        ("interval", "iterations."),
        ("depth", "Denoiser of `depth` blocks; the attention is a part of its own."),
        ("stride", None),  # a plain word in prose may mean anything
        ("absent", None),
    ],
)
def test_our_style_one_line_for_each_key_several_on_a_line_and_prose(key: str, text: str | None) -> None:
    assert describe(OURS, key, NAMES) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("lr", "learning rate (default: 1e-3). A tensor is not supported everywhere."),
        ("fn", "called as fn: each time"),
        ("params", "what is optimised"),
        ("Adam", "Adam."),
    ],
)
def test_google_style_with_types_in_brackets(key: str, text: str) -> None:
    assert describe(GOOGLE, key, ("params", "lr", "fn")) == text


def test_numpy_style_and_bullets() -> None:
    assert (
        describe("Summary.\n\nrank : int\n    of the bottleneck\nbias : bool\n    whether", "rank") == "int of the bottleneck"
    )
    assert (
        describe("Fields:\n\n- ``norm_mult`` (float): for norms,\n  only.\n- ``other``: x", "norm_mult") == "for norms, only."
    )


def test_a_key_with_an_underscore_is_found_in_prose_and_a_part_of_a_name_is_not() -> None:
    assert describe("Uses batch_size pictures. More.", "batch_size") == "Uses batch_size pictures."
    assert describe("Uses my_batch_size pictures.", "batch_size") is None
    assert describe("Uses a.batch_size.", "batch_size") is None


def test_an_entry_without_a_text_leaves_the_word_to_what_comes_later() -> None:
    assert describe("rank:\n\nMore on `rank`.", "rank") == "More on `rank`."
    assert describe("rank:\n\nrank: of the bottleneck", "rank") == "of the bottleneck"


def test_no_docstring_describes_nothing() -> None:
    assert describe(None, "x") is None
    assert describe("", "x") is None


def test_the_first_line_is_the_first_paragraph_without_its_stop() -> None:
    def one() -> None:
        """Two
        lines.

        More.
        """

    assert first_line(one) == "Two lines"
    assert first_line(lambda: None) == ""


class Base:
    """rank: of the base, whatever sits on it."""

    def __init__(self, rank: int = 8, *, where: str = "here"):
        """where: it is."""


class Child(Base):
    """More of it.

    own: of the child
    """

    def __init__(self, own: "int | None", call: object = len, **kwargs: int):
        super().__init__(**kwargs)


def test_an_option_is_found_along_the_bases_where_a_class_passes_keys_on() -> None:
    own, rank, where, call = (option(Child, name) for name in ("own", "rank", "where", "call"))
    assert (own.annotation, own.default, own.text) == ("int | None", "none: must be set", "of the child")  # type: ignore[union-attr]
    assert (rank.annotation, rank.default, rank.text) == ("int", "8", "of the base, whatever sits on it.")  # type: ignore[union-attr]
    assert where.text == "it is."  # type: ignore[union-attr]
    assert call.default == "len"  # type: ignore[union-attr]  (an address would say nothing)
    assert option(Child, "nothing") is None
    assert option(Child, "kwargs") is None
