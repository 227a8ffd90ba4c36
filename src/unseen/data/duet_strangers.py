"""What `duet:attributes` shows: people who are in no other clip, out of doors.

`duet` has seven actors in rooms. Here each clip has two people of its own, whose looks are drawn
anew and independently of each other, and a scene without anything of a room: what is learned of
an attribute must be the attribute, and neither who has it nor where.
"""

from typing import TypeVar

import numpy as np

from unseen.data.duet_scene import (
    MARGIN,
    SUPERSAMPLE,
    Actor,
    Canvas,
    Colour,
    Image,
    random_colour,
    rectangle,
)

T = TypeVar("T")
# Of each attribute; of two people at least one then has it in half of all clips.
_SHARE = 0.3
_SKINS: tuple[Colour, ...] = (
    (250, 220, 200), (240, 205, 178), (224, 178, 140), (196, 142, 104), (150, 102, 70),
    (112, 74, 50), (84, 56, 40),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (20, 16, 16), (58, 38, 26), (110, 66, 34), (168, 120, 66), (216, 178, 96), (178, 178, 184),
    (150, 60, 30),
)  # fmt: skip
_LONG, _OTHER = ("long", "tail"), ("short", "bald", "afro", "cap", "bun")
_PATTERNS = ("plain", "stripes", "vest")


def stranger(rng: np.random.Generator) -> Actor:
    """Someone new: every attribute, colour and measure is drawn by itself."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * rng.random()

    def one_of(choices: tuple[T, ...]) -> T:
        return choices[int(rng.integers(len(choices)))]

    return Actor(
        height=between(0.85, 1.10),
        girth=between(0.86, 1.36),
        shoulders=between(0.90, 1.16),
        legs=between(0.92, 1.06),
        head=between(0.94, 1.06),
        skin=one_of(_SKINS),
        hair=one_of(_HAIRS),
        style=one_of(_LONG) if rng.random() < _SHARE else one_of(_OTHER),
        shirt=random_colour(rng, 30, 240),
        pattern=one_of(_PATTERNS),
        accent=random_colour(rng, 30, 240),
        trousers=random_colour(rng, 40, 200),
        skirt=rng.random() < _SHARE,
        bare_arms=rng.random() < _SHARE,
        glasses=rng.random() < _SHARE,
        beard=rng.random() < 0.25,
    )


def draw_park(rng: np.random.Generator, size: int) -> Image:
    """Sky, hills, grass, a path, trees and bushes, unrelated to who is there; with the margin."""
    side = round((1 + 2 * MARGIN) * size * SUPERSAMPLE)
    image = np.empty((side, side, 3), np.uint8)
    canvas = Canvas(image, size, white=False)
    top, low = random_colour(rng, 120, 220), random_colour(rng, 160, 240)
    horizon = 0.55 + 0.2 * rng.random()
    bands = 8
    for k in range(bands):
        part = k / (bands - 1)
        blue = [round(a + (b - a) * part) for a, b in zip(top, low, strict=True)]
        start = -MARGIN + (horizon + MARGIN) * k / bands
        rectangle(canvas, -MARGIN, start, 1 + MARGIN, 1 + MARGIN, (blue[0], blue[1], blue[2]))
    for _ in range(int(rng.integers(1, 4))):
        hill = random_colour(rng, 60, 180)
        x, r = -MARGIN + (1 + 2 * MARGIN) * rng.random(), 0.2 + 0.3 * rng.random()
        canvas.disc(x, horizon + 0.7 * r, r, hill)
    for _ in range(int(rng.integers(0, 4))):
        x, y = -MARGIN + (1 + 2 * MARGIN) * rng.random(), -0.1 + 0.3 * rng.random()
        for k in range(3):
            canvas.disc(x + 0.06 * k, y, 0.05 + 0.03 * rng.random(), (236, 238, 242))
    grass = random_colour(rng, 50, 170)
    rectangle(canvas, -MARGIN, horizon, 1 + MARGIN, 1 + MARGIN, grass)
    x, wide = rng.random(), 0.1 + 0.2 * rng.random()
    path = [(x, horizon), (x + 0.02, horizon), (x + wide, 1 + MARGIN), (x - wide, 1 + MARGIN)]
    canvas.polygon(path, random_colour(rng, 90, 210))
    for _ in range(int(rng.integers(1, 5))):
        x, y = -MARGIN + (1 + 2 * MARGIN) * rng.random(), horizon + 0.12 * rng.random()
        crown, trunk = random_colour(rng, 30, 150), random_colour(rng, 40, 110)
        tall = 0.15 + 0.35 * rng.random()
        rectangle(canvas, x - 0.015, y - tall, x + 0.015, y, trunk)
        for _ in range(3):
            dx, dy = 0.1 * (rng.random() - 0.5), 0.1 * (rng.random() - 0.5)
            canvas.disc(x + dx, y - tall + dy, 0.06 + 0.06 * rng.random(), crown)
    return image
