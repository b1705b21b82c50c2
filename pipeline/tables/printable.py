"""Text from outside, such as file names, made safe to print and to put on a page."""


def visible(text: str, most: int = 2000) -> str:
    """Return `text` with every unprintable character spelled out, at most `most` long.

    A file name may hold newlines, escape codes or characters that turn the writing direction.
    """
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
    return shown if len(shown) <= most else shown[:most] + " …"


def visible_lines(text: str, most: int = 2000) -> str:
    """Return the same, but keep line breaks: for messages and tracebacks."""
    shown = "\n".join(visible(line, most) for line in text.split("\n"))
    return shown if len(shown) <= most else shown[:most] + " …"
