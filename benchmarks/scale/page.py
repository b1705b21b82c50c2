"""The tables of docs/scale.md as Markdown."""

from collections.abc import Callable, Iterable, Sequence

from benchmarks.scale.costs import (
    ALONE_MS,
    CORPORA,
    DRIVER_KB,
    DRIVER_MB,
    JUDGE_CPU_S,
    PRICES,
    STAGES,
    STORED,
    Corpus,
    alone_hours,
    core_hours,
    dollars,
    driver_hours,
    gets,
    judge_gpu_hours,
    look_up_hours,
    most_clips,
    puts,
    stored_gb,
    wall_hours,
)


def pages_tables() -> str:
    """Return all tables of the page, each with its title."""
    tables = (
        ("Corpora", _corpora()),
        ("Workers and driver by stage", _stages()),
        ("Wall clock", _wall()),
        ("Storage and requests", _storage()),
        ("Tables", _rows()),
        ("Memory of the driver", _memory()),
        ("Prices", _prices()),
        ("Money", _money()),
    )
    return "\n".join(f"**{title}**\n\n{table}\n" for title, table in tables)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(value: float) -> str:
    """Return two digits that count and no more."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        digits = len(f"{abs(value):.0f}") - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


def _per_corpus(rows: Iterable[tuple[str, Callable[[Corpus], float]]]) -> list[list[str]]:
    return [[what, *(shown(value(one)) for one in CORPORA)] for what, value in rows]


NAMES = tuple(one.name for one in CORPORA)


def _corpora() -> str:
    return table(
        ("", *NAMES),
        _per_corpus((
            ("hours", lambda one: one.hours),
            ("files", lambda one: one.films),
            ("seconds of clips per second of film", lambda one: one.face_share),
            ("mean seconds of a clip", lambda one: one.clip_s),
            ("clips", lambda one: one.clips),
        )),
    )  # fmt: skip


def _stages() -> str:
    head = ("stage", "CPU-s per s", "driver, ms an item")
    more = tuple(f"{name}: {what}" for name in NAMES for what in ("core-hours", "driver h"))
    rows = [
        (
            one.stage,
            f"{one.cpu_s:g}",
            f"{one.driver_ms:g}",
            *(
                shown(value(one, corpus))
                for corpus in CORPORA
                for value in (core_hours, driver_hours)
            ),
        )
        for one in STAGES
    ]
    alone = ("select, report, packing", "-", f"{sum(ALONE_MS.values()):.3g}")
    rows.append((*alone, *(text for one in CORPORA for text in ("-", shown(alone_hours(one))))))
    sums = (
        text
        for corpus in CORPORA
        for text in (
            shown(sum(core_hours(one, corpus) for one in STAGES)),
            shown(sum(driver_hours(one, corpus) for one in STAGES) + alone_hours(corpus)),
        )
    )
    return table((*head, *more), [*rows, ("**sum**", "", "", *sums)])


def _wall() -> str:
    rows: list[tuple[str, Callable[[Corpus], float]]] = [
        ("64 cores, hours", lambda one: wall_hours(one, 64)),
        ("4,096 cores, hours", lambda one: wall_hours(one, 4096)),
        ("of it look-ups and what the driver does alone", _nobody_else),
        ("4,096 cores if the driver cost nothing, hours", _without_driver),
        ("SyncNet judge, GPU-hours (H100)", judge_gpu_hours),
        ("SyncNet judge, core-hours that decode", lambda one: one.clip_hours * JUDGE_CPU_S),
    ]
    return table(("", *NAMES), _per_corpus(rows))


def _nobody_else(corpus: Corpus) -> float:
    return look_up_hours(corpus) + alone_hours(corpus)


def _without_driver(corpus: Corpus) -> float:
    return sum(core_hours(one, corpus) for one in STAGES) / 4096


def _storage() -> str:
    rows: list[tuple[str, Callable[[Corpus], float]]] = [
        ("sources, TB", lambda one: stored_gb(one)["sources"] / 1e3),
        ("item cache, TB", lambda one: stored_gb(one)["item cache"] / 1e3),
        ("shards, TB", lambda one: stored_gb(one)["shards"] / 1e3),
        ("objects written, millions", lambda one: puts(one) / 1e6),
        ("objects read, millions", lambda one: gets(one) / 1e6),
    ]
    return table(("", *NAMES), _per_corpus(rows))


def _rows() -> str:
    head = (
        "table",
        "bytes a clip",
        "1 M clips, MB",
        "10 M clips, GB",
        *(f"{n}, GB" for n in NAMES),
    )
    rows = [
        (
            name,
            f"{size:g}",
            shown(size),
            shown(size / 100),
            *(shown(one.clips * size / 1e9) for one in CORPORA),
        )
        for name, size in STORED.rows.items()
    ]
    return table(head, rows)


def _memory() -> str:
    head = (
        "step",
        "KB a clip",
        "1 M clips, GB",
        "10 M clips, GB",
        "clips in 16 GB, M",
        "in 128 GB, M",
    )
    rows = [
        (
            step,
            f"{kb:g}",
            shown(DRIVER_MB[step] / 1e3 + kb),
            shown(DRIVER_MB[step] / 1e3 + kb * 10),
            shown(most_clips(16)[step] / 1e6),
            shown(most_clips(128)[step] / 1e6),
        )
        for step, kb in DRIVER_KB.items()
    ]
    return table(head, rows)


def _prices() -> str:
    rows = [
        (one.what, f"{one.dollars:g}", one.unit, one.source, one.verified)
        for one in PRICES.values()
    ]
    return table(("what", "$", "per", "public page", "seen"), rows)


def _money() -> str:
    kinds = dollars(CORPORA[0])
    rows = [[f"{kind}, $", *(shown(dollars(one)[kind]) for one in CORPORA)] for kind in kinds]
    return table(("", *NAMES), rows)
