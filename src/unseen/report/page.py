"""The HTML report: one file that needs no other and no network."""

import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from unseen.evaluation.results import never_learned, worst_privacy
from unseen.files import refuse_unwritable, write_text
from unseen.report.canvas import Picture, metric_word, percent
from unseen.report.entries import Entry, common_codec, read_entries
from unseen.report.family import Drawn, drawn_family, family_figure, family_of
from unseen.report.family_table import beside_restarting, claim_rows, table_rows
from unseen.report.figures import (
    attacker_bars,
    family_colours,
    leak_by_n,
    learning_curves,
    training_curves,
)
from unseen.report.media import Example, data_uri, examples, loop
from unseen.report.tasks import totals
from unseen.report.tradeoff import tradeoff

DASH = "–"
EXAMPLES = 3
ATTACKS = {
    "reconstruct": "reconstruction",
    "retrieve": "retrieval",
    "curriculum": "curriculum",
}


def write_report(
    results: Sequence[Path], out: Path, title: str = "What the filter hides, and what it keeps"
) -> None:
    """Write one self-contained HTML page about anonymizers that were measured on the same data.

    Every figure on the page stands in a result file, or in the contract of a further target model
    in the run's folder, or is a sum of such ones; what a file lacks is shown as a dash. The
    same results give the same bytes. Several runs of one family give the family's page: its
    figure, with the published points, and the papers' claims.

    Args:
        results: result files, run directories (then their `result.json`), or folders of sweeps.
        out: the page, written whole or not at all.
        title: its headline.

    Raises:
        DataError: lists every result that is missing or broken, or the results are of different
            data.
    """
    refuse_unwritable(out)
    entries = read_entries(results)
    if family := family_of(entries):
        write_text(out, _family_page(drawn_family(entries, family), entries, title))
        return
    codec = common_codec(entries)
    colours = family_colours(entries)
    learned = [entry for entry in entries if entry.learned]
    page = _environment().get_template("report.html.jinja")
    text = page.render(
        title=title,
        entries=entries,
        learned=learned,
        codec=codec,
        measured_codec=any(entry.result["codec"] for entry in entries),
        data=entries[0].result["data"],
        target=entries[0].part("target", False),
        privacy=entries[0].part("privacy", False),
        summary=_summary(entries, codec),
        tradeoff=tradeoff(entries, codec),
        leak_by_n=leak_by_n(entries, codec),
        bars={entry.label: attacker_bars(entry, colours) for entry in learned},
        learning={entry.label: learning_curves(entry, colours) for entry in learned},
        training={
            entry.label: drawn for entry in learned if (drawn := training_curves(entry)) is not None
        },
        examples={
            entry.label: _examples(entry, EXAMPLES if entry is learned[0] else 1)
            for entry in learned
            if entry.previews
        },
        gallery=[
            (entry, loop(entry.previews.after[0], entry.result["data"]["fps"], entry.label))
            for entry in entries
            if not entry.learned and not entry.raw and entry.previews
        ],
        attacks=[
            (entry, ATTACKS[name], attack, entry.attacks(True).get(name))
            for entry in entries
            for name, attack in entry.attacks(False).items()
        ],
        raw_shown=any(entry.previews and entry.previews.before is not None for entry in learned),
        raw_target=next((e.part("target", False) for e in entries if e.raw), None),
        totals={
            entry.label: totals(
                entry.result["cost"]["anonymizer"],
                [
                    entry.result["cost"]["target"],
                    *(each.cost.model_dump() for each in entry.targets),
                ],
            )
            for entry in learned
            if entry.targets and entry.result["cost"]
        },
        capped=[(entry.label, names) for entry in entries if (names := _capped(entry))],
        blind=_never_learned(entries),
        notes=[(entry.label, entry.notes) for entry in entries if entry.notes],
    )
    write_text(out, text)


def _family_page(drawn: Drawn, entries: Sequence[Entry], title: str) -> str:
    source = (drawn.like or drawn.family).published
    return (
        _environment()
        .get_template("family.html.jinja")
        .render(
            title=title,
            drawn=drawn,
            entries=entries,
            data=entries[0].result["data"],
            figure=family_figure(drawn),
            source=source.source if source else None,
            beside=f" on {drawn.like.name}" if drawn.like else "",
            rows=table_rows(drawn),
            claims=claim_rows(drawn.measured),
            also=beside_restarting(drawn.family),
            capped=[(entry.label, names) for entry in entries if (names := _capped(entry))],
            blind=_never_learned(entries),
            notes=[(entry.label, entry.notes) for entry in entries if entry.notes],
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("unseen", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "interval": _interval,
        "count": _count,
        "amount": _amount,
        "fixed": lambda value, digits: DASH if value is None else f"{value:,.{digits}f}",
        "seconds": _seconds,
        "size": _size,
        "metric": metric_word,
        "picture": _picture,
        "pretty": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        "commit": _commit,
        "or_dash": lambda value: DASH if value in (None, "") else value,
    }
    return environment


def _commit(name: str | None) -> str | None:
    """A commit in short, still saying where its code had been changed."""
    if name is None:
        return None
    number, dash, changed = name.partition("-")
    return f"{number[:12]}{dash}{changed}"


def _picture(drawn: Picture) -> Markup:
    """The SVG of a figure, the narrow one on narrow screens."""
    wide, narrow = (data_uri("image/svg+xml", svg.encode()) for svg in (drawn.wide, drawn.narrow))
    return Markup(
        '<picture><source media="(max-width: 640px)" srcset="{}">'
        '<img class="figure" src="{}" alt="{}"></picture>'
    ).format(narrow, wide, drawn.alt)


def _examples(entry: Entry, count: int) -> list[Example]:
    codec = entry.result["codec"]
    assert entry.previews is not None
    name = codec["name"] if codec else None
    return examples(entry.previews, entry.result["data"]["fps"], name, count)


def _capped(entry: Entry) -> list[str]:
    """Models that the cap stopped before their validation accuracy had settled."""
    models = {each["name"]: each for each in entry.part("privacy", False)["attackers"]}
    for name, attack in entry.attacks(False).items():
        models[f"the {ATTACKS[name]} attack"] = attack
    models["the target model"] = entry.part("target", False)
    return [name for name, model in models.items() if model["stopped"] == "cap"]


def _never_learned(entries: Sequence[Entry]) -> list[tuple[str, list[str]]]:
    named = [(entry.label, never_learned(entry.part("privacy", False))) for entry in entries]
    return [(label, names) for label, names in named if names]


def _summary(entries: Sequence[Entry], codec: str | None) -> list[str]:
    """The result in plain words: the first learned filter, its rivals, the other learned ones."""
    measured = codec is not None
    learned = [entry for entry in entries if entry.learned]
    raw = next((entry for entry in entries if entry.raw), None)
    if not learned:
        first = "There is no learned filter among these results."
        return [first, *(_sentence("", entry, measured) for entry in entries if entry.raw)]
    main = learned[0]
    sentences = [_sentence("", main, measured, raw)]
    rivals = [entry for entry in entries if not entry.learned and not entry.raw]
    if rivals:
        leaks = {entry.label: worst_privacy(entry.result)[0]["leak"] for entry in entries}
        nearest = min(rivals, key=lambda each: abs(leaks[each.label] - leaks[main.label]))
        opening = "the handcrafted anonymizer nearest to it in leak: "
        sentences.append(_sentence(opening, nearest, measured))
    return sentences + [_sentence("", entry, measured) for entry in learned[1:]]


def _sentence(opening: str, entry: Entry, codec: bool, raw: Entry | None = None) -> str:
    target, (privacy, of_codec) = entry.part("target", codec), worst_privacy(entry.result)
    data, count = entry.result["data"], len(privacy["attackers"])
    what = data["target"]["name"].replace(",", ", ")
    whom = data["private"]["name"].replace(",", ", ")
    of_raw = raw.part("target", codec)["retrained_accuracy"] if raw else None
    beside = f" (raw: {percent(of_raw)})" if raw else ""
    if target["metric"] == "accuracy":
        kept = f"the {what} is recognised in {percent(target['retrained_accuracy'])} of clips"
    else:
        kept = (
            f"the target model reaches a cMAP of {percent(target['retrained_accuracy'])} ({what})"
        )
    best = f"the best of {count} unseen attackers" if count > 1 else "the one unseen attacker"
    if privacy["best"] in ATTACKS:
        best = f"the {ATTACKS[privacy['best']]} attack"
    leak, where = percent(privacy["leak"]), "" if of_codec == codec else " before the codec"
    found = (
        f"{best} finds the {whom} in {leak} of clips{where}"
        if privacy["metric"] == "accuracy"
        else f"{best} reaches a cMAP of {leak} on {whom}{where}"
    )
    limits = [f"chance {percent(privacy['chance'])}"]
    if raw:
        limits.append(f"raw: {percent(worst_privacy(raw.result)[0]['leak'])}")
    through = f"without an anonymizer ({entry.label})" if entry.raw else f"through {entry.label}"
    text = f"{opening}{through}, {kept}{beside}, and {found} ({', '.join(limits)})."
    return text[0].upper() + text[1:]


def _interval(pair: Sequence[float]) -> str:
    return f"{100 * pair[0]:.1f}{DASH}{100 * pair[1]:.1f}%"


def _count(value: int | None) -> str:
    return DASH if value is None else f"{value:,}"


def _amount(value: float | None) -> str:
    """A large number with its SI prefix."""
    if value is None:
        return DASH
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {prefix}"
    return f"{value:.3g}"


def _seconds(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"


def _size(value: int | Sequence[int]) -> str:
    height, width = (value, value) if isinstance(value, int) else value
    return f"{width} × {height} pixels"
