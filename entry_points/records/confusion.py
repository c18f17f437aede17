"""The picture of a confusion matrix, drawn with Pillow alone: containers have no matplotlib."""

import unicodedata
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Okabe and Ito's colours (2008), which colour-blind readers tell apart.
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)
INK, QUIET, EMPTY = (51, 51, 51), (138, 138, 138), (245, 245, 245)
FAINTEST = 0.25  # how much colour the smallest share above 0 has: it must be seen
NAMED = 60  # so many classes at most have their names at the edges, others numbers
EDGE, GAP = 20, 8  # pixels around the picture, and between its parts
SCALE = (100, 12)  # pixels of a scale of colours
NAME_PIXELS = 200  # longer names are cut
LIST_PIXELS = 310


def draw(
    counts: np.ndarray, photos: np.ndarray, names: list[str], title: str, confused: list[dict]
) -> Image.Image:
    """Draw how many photos of each class were taken for which.

    `counts` is (classes, classes) int with a row for each true class; `photos` (classes,) says how
    many each has, which may be more than its row's sum. With more than `NAMED` classes the edges
    bear numbers instead of the `names`, counted from 1, and the `confused` pairs (dictionaries with
    `row`, `column` and `photos`) are ringed and listed beside the matrix.
    """
    names, cell = [written(name, i) for i, name in enumerate(names)], cell_size(len(names))
    shares = counts / np.maximum(photos, 1)[:, None]
    matrix = _matrix(shares, cell)
    if len(names) <= NAMED:
        if cell >= 24:
            _write_counts(matrix, counts, shares, cell)
        body = _between(matrix, _names(names, cell))
    else:
        _ring(matrix, confused, cell)
        listed = _list(confused, names, photos, matrix.height)
        body = _joined(_between(matrix, _numbers(len(names), cell)), listed)
    return _under_head(body, title)


def cell_size(classes: int) -> int:
    """The side of a cell, in pixels: a name fits beside it, as long as names are written."""
    if classes <= NAMED:
        return min(72, max(14, 640 // classes))
    return max(2, 840 // classes)


def colours(shares: np.ndarray, full: tuple[int, int, int]) -> np.ndarray:
    """Shares in 0..1 as colours up to `full`, uint8 with a last axis of 3; 0 is a light grey."""
    strength = (FAINTEST + (1 - FAINTEST) * shares)[..., None]
    mixed = (1 - strength) * 255 + strength * np.array(full)
    return np.where(shares[..., None] > 0, mixed.round(), EMPTY).astype(np.uint8)


def written(name: str, index: int) -> str:
    """The name in letters that Pillow's own font has, cut to fit; if none is left, its number."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    plain, font = plain or f"class {index + 1}", _font(14)
    if font.getlength(plain) <= NAME_PIXELS:
        return plain
    while font.getlength(f"{plain}…") > NAME_PIXELS:
        plain = plain[:-1].rstrip()
    return f"{plain}…"


def _font(pixels: int) -> Any:
    return ImageFont.load_default(pixels)


def _blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), "white")


def _matrix(shares: np.ndarray, cell: int) -> Image.Image:
    diagonal = np.eye(len(shares), dtype=bool)[..., None]
    tinted = np.where(diagonal, colours(shares, RIGHT), colours(shares, WRONG))
    pixels = tinted.repeat(cell, axis=0).repeat(cell, axis=1)
    if cell >= 4:  # white lines between the cells
        pixels[cell - 1 :: cell] = pixels[:, cell - 1 :: cell] = 255
    return Image.fromarray(pixels)


def _middle(index: int, cell: int) -> float:
    return (index + 0.5) * cell - 0.5


def _write_counts(matrix: Image.Image, counts: np.ndarray, shares: np.ndarray, cell: int) -> None:
    pen, font = ImageDraw.Draw(matrix), _font(min(18, cell // 2))
    for row, column in np.argwhere(counts).tolist():
        colour = "white" if shares[row, column] > 0.55 else INK
        place = (_middle(column, cell), _middle(row, cell))
        pen.text(place, str(counts[row, column]), colour, font, anchor="mm")


def _ring(matrix: Image.Image, confused: list[dict], cell: int) -> None:
    """A circle around each pair, and its place in the list beside it."""
    pen, font, radius = ImageDraw.Draw(matrix), _font(15), max(cell, 6)
    for place, pair in enumerate(confused, start=1):
        x, y = _middle(pair["column"], cell), _middle(pair["row"], cell)
        pen.circle((x, y), radius, outline=INK, width=1)
        outside = x + radius + 20 > matrix.width
        x, anchor = (x - radius - 3, "rm") if outside else (x + radius + 3, "lm")
        pen.text((x, y), str(place), INK, font, anchor=anchor, stroke_width=2, stroke_fill="white")


def _names(names: list[str], cell: int) -> Image.Image:
    """A strip with each row's name, which ends at its right edge."""
    font = _font(min(14, cell))
    width = GAP + max(round(font.getlength(name)) for name in names) + GAP // 2
    strip = _blank(width, len(names) * cell)
    for i, name in enumerate(names):
        place = (width - GAP // 2, _middle(i, cell))
        ImageDraw.Draw(strip).text(place, name, INK, font, anchor="rm")
    return strip


def _numbers(classes: int, cell: int) -> Image.Image:
    """A strip with the number of every tenth row, or of fewer, where ten rows are too narrow."""
    font = _font(13)
    width = 3 * GAP + round(font.getlength(str(classes)))
    strip = _blank(width, classes * cell)
    step = 10 * max(1, round(30 / (10 * cell)))
    for number in range(step, classes + 1, step):
        y, pen = _middle(number - 1, cell), ImageDraw.Draw(strip)
        pen.text((width - 2 * GAP, y), str(number), INK, font, anchor="rm")
        pen.line((width - GAP - 4, y, width - 3, y), QUIET)
    return strip


def _between(matrix: Image.Image, strip: Image.Image) -> Image.Image:
    """The matrix between the strip at its left and the same one, turned, below; axes named."""
    font, side = _font(14), matrix.width
    line = font.size + GAP
    whole = _blank(line + strip.width + side, side + strip.width + line)
    corner = line + strip.width
    whole.paste(matrix, (corner, 0))
    whole.paste(strip, (line, 0))
    whole.paste(strip.rotate(90, expand=True), (corner, side))
    axis = _blank(side, line)
    ImageDraw.Draw(axis).text((side / 2, 0), "true breed", QUIET, font, anchor="ma")
    whole.paste(axis.rotate(90, expand=True), (0, 0))
    foot = (corner + side / 2, whole.height)
    ImageDraw.Draw(whole).text(foot, "what the network said", QUIET, font, anchor="md")
    return whole


def _list(confused: list[dict], names: list[str], photos: np.ndarray, height: int) -> Image.Image:
    """The ringed pairs by name, with the numbers that they have at the edges."""
    listed, y = _blank(LIST_PIXELS, height), 0
    pen, font, small = ImageDraw.Draw(listed), _font(14), _font(12)
    for place, pair in enumerate(confused, start=1):
        row, column = pair["row"], pair["column"]
        pen.text((0, y), str(place), INK, font)
        pen.text((26, y), f"{names[row]} ({row + 1})", INK, font)
        said = f"for {names[column]} ({column + 1})"
        pen.text((26, y + 18), f"{pair['photos']} of {photos[row]} {said}", QUIET, small)
        y += 46
    return listed


def _joined(left: Image.Image, right: Image.Image) -> Image.Image:
    whole = _blank(left.width + 3 * GAP + right.width, max(left.height, right.height))
    whole.paste(left, (0, 0))
    whole.paste(right, (left.width + 3 * GAP, 0))
    return whole


def _under_head(body: Image.Image, title: str) -> Image.Image:
    """The picture: title and scales of colour above its body, white around all."""
    head = _head(title)
    width = max(head.width, body.width)
    whole = _blank(width + 2 * EDGE, head.height + body.height + 2 * EDGE)
    whole.paste(head, (EDGE, EDGE))
    whole.paste(body, (EDGE, EDGE + head.height))
    return whole


def _head(title: str) -> Image.Image:
    """The title, and below it what the two scales of colour stand for."""
    font, small = _font(18), _font(13)
    scales = _joined(_scale("share of a breed's photos: right 0%", RIGHT, small),
                     _scale("wrong 0%", WRONG, small))  # fmt: skip
    head = _blank(max(round(font.getlength(title)) + 1, scales.width), 72)
    ImageDraw.Draw(head).text((0, 0), title, INK, font)
    head.paste(scales, (0, 34))
    return head


def _scale(said: str, full: tuple[int, int, int], font: Any) -> Image.Image:
    """A strip of colours from 0 (excluded) to 100%, with words before it."""
    before, after = (round(font.getlength(words)) + GAP for words in (said, "100%"))
    scale = _blank(before + SCALE[0] + after, font.size + 4)
    pen, middle = ImageDraw.Draw(scale), scale.height / 2
    pen.text((0, middle), said, INK, font, anchor="lm")
    pen.text((scale.width, middle), "100%", INK, font, anchor="rm")
    ramp = np.tile(np.linspace(0.01, 1, SCALE[0]), (SCALE[1], 1))
    scale.paste(Image.fromarray(colours(ramp, full)), (before, (scale.height - SCALE[1]) // 2))
    return scale
