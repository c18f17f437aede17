"""What a test asks of a figure, and what it gives to one."""

import io

import matplotlib
from matplotlib.figure import Figure


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def texts(figure: Figure) -> list[str]:
    """All words of a figure."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def prediction(*probabilities: float, first: str = "016.Beagle") -> list[dict]:
    """An endpoint's answer, the most likely breed first."""
    names = [first, "Poodle", "Komondor", "Greyhound", "Boxer", "Pug"]
    return [
        {"breed": name, "probability": p} for name, p in zip(names, probabilities, strict=False)
    ]
