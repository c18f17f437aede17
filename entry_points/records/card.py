"""The model card: what whoever is handed the model should know before using it.

After M. Mitchell et al., Model Cards for Model Reporting (2019), as far as a run can tell.
"""

import statistics
from collections.abc import Iterable
from typing import Any

from photos import breed

SHOWN = 5  # so many of the best breeds, of the worst ones, and of the damaged photos


def model_card(scores: dict[str, Any], about: dict[str, Any]) -> str:
    """The card as Markdown, from what `scores.scored` gives and what `write_results` is told."""
    parts = [
        f"# Model card: {about['architecture']} for {scores['classes']} breeds",
        "Given a photo of a dog, this network names the breeds that it takes for likeliest. "
        "It comes from a course: it is there to learn from, and has been examined for no other "
        "use.",
        *("## Data", _data(about)),
        *("## Network", _network(about)),
        *("## Training", _training(about)),
        *("## Results", _results(scores)),
        *("## Breeds", _breeds(scores)),
        *("## Most confused", _confused(scores)),
        *("## Limits", _limits(scores)),
    ]
    return "\n\n".join(parts) + "\n"


def _data(about: dict[str, Any]) -> str:
    channels = _table(["channel", "photos"], about["photos"].items())
    damaged = about["damaged"]
    if not damaged:
        return f"{channels}\n\nNo photo was damaged."
    names = ", ".join(f"`{name}`" for name in damaged[:SHOWN])
    more = f" and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
    return f"{channels}\n\nLeft out, because they are damaged: {names}{more}."


def _network(about: dict[str, Any]) -> str:
    size = about["image_size"]
    return (
        f"{about['architecture']}, for photos of {size} x {size} pixels: the middle of a photo. "
        f"It started from these weights: {about['weights']}."
    )


def _training(about: dict[str, Any]) -> str:
    values = ((name, _value(value)) for name, value in sorted(about["hyperparameters"].items()))
    metrics = ((name, _value(value)) for name, value in about["metrics"].items())
    return (
        f"{_table(['hyperparameter', 'value'], values)}\n\n"
        f"The last epoch:\n\n{_table(['metric', 'value'], metrics)}"
    )


def _results(scores: dict[str, Any]) -> str:
    k = min(5, scores["classes"])
    rows = [("the likeliest breed is right", *_numbers(scores["top1"]))]
    if k > 1:
        rows.append((f"the right one is among the {k} likeliest", *_numbers(scores[f"top{k}"])))
    table = _table(["on the test photos", "photos", "share", "95 % interval"], rows)
    unanswered = scores["unanswered"]
    lost = (
        f"\n\n**{unanswered} of {scores['photos']} photos got no answer**: the network's output "
        "for them is no number. They count as wrong."
    )
    return (
        f"{table}\n\nGuessing finds {scores['chance']:.1%}. The intervals are Wilson's: of such "
        "intervals 95 in 100 contain the share that endless photos of the same kind would give."
        f"{lost if unanswered else ''}"
    )


def _breeds(scores: dict[str, Any]) -> str:
    tested = [each for each in scores["breeds"] if each["photos"]]
    order = sorted(tested, key=lambda each: (each["accuracy"], -each["photos"], each["breed"]))
    if len(order) <= 2 * SHOWN:
        return "From the worst to the best:\n\n" + _breed_table(order)
    worst, best = _breed_table(order[:SHOWN]), _breed_table(order[: -SHOWN - 1 : -1])
    return f"The worst:\n\n{worst}\n\nThe best:\n\n{best}"


def _breed_table(breeds: list[dict[str, Any]]) -> str:
    header = ["breed", "photos right", "share", "95 % interval"]
    return _table(header, [(breed(each["breed"]), *_numbers(each)) for each in breeds])


def _confused(scores: dict[str, Any]) -> str:
    if not scores["confused"]:
        return "No test photo was taken for another breed."
    rows = [
        (
            breed(pair["true"]),
            breed(pair["predicted"]),
            pair["photos"],
            f"{pair['share']:.0%}",
            ", ".join(f"`{file}`" for file in pair["examples"]),
        )
        for pair in scores["confused"]
    ]
    header = ["breed", "taken for", "photos", "share of the breed's", "for example"]
    return f"{_table(header, rows)}\n\n![The confusion matrix](confusion.png)"


def _limits(scores: dict[str, Any]) -> str:
    photos = statistics.median(each["photos"] for each in scores["breeds"])
    top1 = scores["top1"]
    limits = [
        f'It cannot say "none of these". Whatever the photo shows, a cat or another breed, it '
        f"answers with one of its {scores['classes']} breeds, and may be sure of it.",
        "Its probabilities come from a softmax; nobody has checked how often it is right when it "
        "says 90 %.",
        f"A breed has {photos:g} test photos (the median): one photo more or less moves its share "
        f"by {1 / max(photos, 1):.0%}. Two breeds whose intervals overlap by much may be as good.",
        "The test photos come from the same collection as those of training. With other cameras, "
        "other light or puppies it may do worse.",
    ]
    if top1["low"] <= scores["chance"]:
        limits.insert(0, "**This test does not show that it is better than guessing.**")
    return "\n".join(f"- {limit}" for limit in limits)


def _numbers(share: dict[str, Any]) -> tuple[str, str, str]:
    return (
        f"{share['right']} of {share['photos']}",
        f"{share['accuracy']:.1%}",
        f"{share['low']:.1%} to {share['high']:.1%}",
    )


def _value(value: Any) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(header: list[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = ([str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
