from pipeline.faces.continuity import _Change, _stands_out

CALM = [_Change(0.01, 0.02)] * 5


def test_a_short_insert_of_another_face_is_cut_at_both_ends() -> None:
    """Its two jumps lie within the frames to which each is compared."""
    there, back = _Change(0.36, 0.5), _Change(0.25, 0.42)
    assert _stands_out(there, [*CALM, back])
    assert _stands_out(back, [there, *CALM])


def test_two_jerks_of_a_head_are_no_insert() -> None:
    """The place changes twice, the face stays the same."""
    assert not _stands_out(_Change(0.15, 0.17), [*CALM, _Change(0.24, 0.18)])
