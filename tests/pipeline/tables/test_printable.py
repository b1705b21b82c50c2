from pipeline.tables.printable import visible, visible_lines


def test_what_does_not_print_is_spelled_out_and_the_rest_stays() -> None:
    assert visible("clip 1 \u00e9\u6f22.mp4") == "clip 1 \u00e9\u6f22.mp4"
    assert visible("a\nb\x1b[31m\u202ec") == "a\\nb\\x1b[31m\\u202ec"


def test_a_long_text_is_shortened_and_says_so() -> None:
    assert visible("abcdef", most=3) == "abc \u2026"
    assert visible("abc", most=3) == "abc"


def test_line_breaks_stay_where_they_are_wanted() -> None:
    assert visible_lines("one\ntwo\t") == "one\ntwo\\t"
    assert visible_lines("ab\ncd", most=4) == "ab\nc \u2026"
