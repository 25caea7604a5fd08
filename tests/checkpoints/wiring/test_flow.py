"""Factors of axes: what is found to be the same, split, cut and taken apart, and what of it can't be."""

import pytest

from symbreak.checkpoints.wiring._factors import NotUnderstood, Value, Var, expand, find, length, out, read
from symbreak.checkpoints.wiring._flow import LARGEST_CUT, PARTED, Flow
from symbreak.checkpoints.wiring._terms import format_axes

TOGETHER = "parts of an axis are taken both together and apart"
SEEN = "they are seen outside"


@pytest.fixture
def flow():
    return Flow("it")


def lengths(axes):
    return [length(axis) for axis in axes]


def headed(flow, *sizes, name="whole"):
    """Give an axis of heads and their units, as two."""
    total = 1
    for size in sizes:
        total *= size
    return flow.reshape(Value((flow.space(total, name),)), sizes).axes


def grouped(flow):
    """Give 4 heads, of which each pair shares one of 2 groups of 3 units."""
    groups, units = headed(flow, 2, 3, name="group")
    copies = flow.var(2)
    copies.copies = True
    return flow.reshape(Value((groups, (copies,), units)), [4, 3]).axes


@pytest.mark.parametrize("swapped", [False, True])
def test_factors_of_length_one_between_others_are_passed_over(flow, swapped):
    (a,), (b,), one = flow.space(8, "a"), flow.space(8, "b"), flow.var(1)
    sides = ((one, a), (b,))
    flow.unify(*(sides[::-1] if swapped else sides))
    assert find(a) is find(b)
    with pytest.raises(NotUnderstood, match="axes of lengths 8 and 4 meet"):
        flow.unify((a,), (flow.var(4),))


def test_a_factor_that_is_split_on_the_way_is_split_wherever_it_is(flow):
    (twice,), (two,), (three,), (whole,) = (flow.space(size, f"{size}") for size in (6, 2, 3, 6))
    flow.unify((twice, twice), (two, three, whole))
    assert expand((twice,)) == expand((two, three)) == expand((whole,))


def test_what_is_taken_apart_does_not_meet_what_is_whole(flow):
    heads, units = headed(flow, 2, 4)
    value = Value((heads, units))
    first, second = (flow.member(value, 0, index).axes[0] for index in (0, 1))
    assert lengths([first, second]) == [4, 4]
    assert find(first[0]) is not find(second[0])
    assert flow.member(value, 0, -1).axes == (second,)
    for axis in (heads, units):
        with pytest.raises(NotUnderstood, match=TOGETHER):
            flow.unify(axis, flow.space(length(axis), "other"))
    flow.tell_apart([Value((units,))], "for a reason")
    assert [each.apart for each in (*first, *second)] == ["for a reason"] * 2


def test_members_are_not_taken_of_what_is_cut_or_grouped_or_of_several_spaces(flow):
    heads, units = headed(flow, 2, 4)
    flow.pieces(units, [1, 3])
    with pytest.raises(NotUnderstood, match=TOGETHER):
        flow.member(Value((heads, units)), 0, 0)
    heads, units = grouped(flow)
    with pytest.raises(NotUnderstood, match=PARTED):
        flow.member(Value((heads, units)), 0, 0)
    with pytest.raises(NotUnderstood, match="one index of an axis over several spaces is taken"):
        flow.member(Value((headed(flow, 2, 4)[0] + flow.space(3, "other"), units)), 0, 0)


def test_heads_that_share_groups_are_neither_cut_nor_split_nor_joined_to_pieces(flow):
    heads, _ = grouped(flow)
    assert find(heads[0]).groups.size == 2
    with pytest.raises(NotUnderstood, match=PARTED):
        flow.pieces(heads, [1, 3])
    with pytest.raises(NotUnderstood, match=PARTED):
        flow.split(heads[0], 2)
    cut = flow.space(4, "cut")
    flow.pieces(cut, [1, 3])
    with pytest.raises(NotUnderstood, match=PARTED):
        flow.unify(heads, cut)


def test_groups_that_no_array_has_leave_their_heads_apart(flow):
    heads, units = grouped(flow)
    flow.say("q", [read(flow.space(5, "x")), out(heads), out(units)])
    spaces = flow.wiring().spaces
    assert {name: each.apart for name, each in spaces.items() if each.apart} == {
        "group.heads.repeated": "what they share isn't known"
    }


def test_units_that_are_seen_outside_are_told_apart_where_they_are_split(flow):
    for note in (flow.show, lambda axis: setattr(axis[0], "input", True)):
        axis = flow.space(8, "x")
        note(axis)
        heads, units = flow.reshape(Value((axis,)), [2, 4]).axes
        assert {heads[0].apart, units[0].apart} == {SEEN}
    assert {each[0].apart for each in headed(flow, 2, 4)} == {""}


def test_what_is_given_out_of_pieces_is_each_piece(flow):
    a, b = flow.space(3, "a"), flow.space(5, "b")
    flow.show(flow.joined([a, b]))
    assert find(a[0]).output
    assert find(b[0]).output
    assert not a[0].apart


def test_a_piece_is_cut_again_where_another_cut_ends(flow):
    a, b = flow.space(8, "a"), flow.space(3, "b")
    whole = flow.joined([a, b])
    flow.pieces(a, [4, 4])
    found = flow.pieces(whole, [2, 9])
    assert lengths(found) == [2, 9]
    assert lengths(find(a[0]).pieces) == [2, 2, 4]
    assert lengths(whole[0].pieces) == [2, 2, 4, 3]


def test_two_axes_that_are_cut_are_cut_where_either_is(flow):
    a, b = flow.space(6, "a"), flow.space(6, "b")
    flow.pieces(a, [2, 4])
    flow.pieces(b, [4, 2])
    flow.unify(a, b)
    assert lengths(find(a[0]).pieces) == [2, 2, 2]


def test_an_axis_is_not_cut_within_heads_nor_where_it_is_split_nor_too_often(flow):
    heads, units = headed(flow, 2, 4)
    whole = flow.joined([heads + units, flow.space(8, "b")])
    with pytest.raises(NotUnderstood, match="an axis of heads is cut within them"):
        flow.pieces(whole, [3, 13])
    (whole,) = flow.space(8, "a")
    flow.split(whole, 2)
    with pytest.raises(NotUnderstood, match="an axis is both cut and split"):
        flow.cut(whole, [2, 8])
    with pytest.raises(NotUnderstood, match=f"an axis is cut into {LARGEST_CUT + 1}"):
        flow.pieces(flow.space(LARGEST_CUT + 1, "a"), [1] * (LARGEST_CUT + 1))


def test_what_lies_behind_a_piece_of_no_known_length_is_not_cut(flow):
    def joined():
        return flow.joined([(Var(None, units=True),), flow.space(3, "a")])

    with pytest.raises(NotUnderstood, match="the length of a piece isn't known"):
        flow.pieces(joined(), [1, 2])
    with pytest.raises(NotUnderstood, match="the length of a piece isn't known"):
        flow.unify(joined(), joined())


def test_a_batch_stands_for_its_own_length_alone(flow):
    batch, units = flow.var(None), flow.space(8, "a")
    assert flow.reshape(Value(((batch,), units)), [batch, 2, 4]).axes[0] == (batch,)
    with pytest.raises(NotUnderstood, match="a length that isn't known is used where it doesn't belong"):
        flow.reshape(Value((units, (batch,))), [batch, 8])


def test_a_name_that_would_be_read_as_a_pattern_is_not_said_at_all(flow):
    for name in ("plain", "a{n}", "a*"):
        flow.ignore(f"{name} one", "lengths")
        flow.doubt(f"{name} other", "not understood")
    wiring = flow.wiring()
    assert list(wiring.ignored) == ["plain one"]
    assert dict(wiring.unknown) == {"plain other": "not understood"}


# What is said of an array in the end.


def said(flow, *parts, kind="weight"):
    """Give the axes of one array as a wiring file has them, or why they aren't known."""
    flow.say("w", parts, kind)
    wiring = flow.wiring()
    return wiring.unknown["w"].rpartition(": ")[2] if wiring.unknown else format_axes(wiring.statements[0].axes)


def test_pieces_of_a_piece_are_pieces_of_the_whole(flow):
    a = flow.space(8, "a")
    whole = flow.joined([a, flow.space(3, "b")])
    flow.pieces(a, [2, 6])
    assert said(flow, read(whole), out(flow.space(5, "c"))) == [
        {"0.0": "in a.0", "0.1": "in a.1", "1": "in b"},
        "out c",
    ]


def test_what_the_indices_of_a_piece_have_are_pieces_of_the_whole(flow):
    heads, units = headed(flow, 2, 4, name="a")
    whole = flow.joined([heads + units, flow.space(3, "b")])
    flow.member(Value((heads, units)), 0, 0)
    assert said(flow, read(whole), out(flow.space(5, "c"))) == [
        {"0.0": "in a.0", "0.1": "in a.1", "1": "in b"},
        "out c",
    ]


def _two_cut(flow):
    return [part(flow.joined([flow.space(2, "a"), flow.space(3, "b")])) for part in (read, out)]


def _units_of_members(flow):
    heads, units = headed(flow, 2, 4)
    flow.member(Value((heads, units)), 0, 0)
    return [read(flow.space(3, "x")), out(units)]


def _members_of_others(flow):
    heads, units = headed(flow, 2, 4)
    flow.member(Value((heads, units)), 0, 0)
    return [read(flow.space(3, "x")), out(heads + flow.space(4, "other"))]


def _cut_again(flow):
    heads, units = headed(flow, 2, 4)
    flow.pieces(units, [1, 3])
    return [read(flow.joined([heads + units, flow.space(3, "b")])), out(flow.space(5, "c"))]


def _open_positions(flow):
    piece = (flow.var(None), *flow.space(4, "a"))
    return [read(flow.joined([piece, flow.space(3, "b")])), out(flow.space(5, "c"))]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (_two_cut, "two of its axes are cut into pieces"),
        (lambda flow: [read(flow.space(3, "x"))], "it doesn't write to units that are known"),
        (_units_of_members, TOGETHER),
        (_members_of_others, TOGETHER),
        (_cut_again, "a piece of an axis is cut again"),
        (_open_positions, "the number of its positions isn't known"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_an_array_whose_axes_can_not_be_said_is_not_known_and_its_units_are_told_apart(flow, parts, reason):
    parts = parts(flow)
    assert said(flow, *parts) == reason
    assert all(var.apart == reason for part in parts for _, axis in part.terms for var in expand(axis))
