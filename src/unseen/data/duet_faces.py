"""`duet-faces`: generated people seen from the waist up, with faces large enough to verify.

What Ren18 needs beside `duet`: identities by the hundred, several pictures of each with landmarks;
and frames in which one person does something at the face (drinks, phones, takes a photo, brushes
teeth) or elsewhere (waves, carries), with face and action boxes. Who somebody is (skin, hair, the
shape of the face and all in it) is drawn once from the identity; pose, expression, light, room and
clothing change with every picture.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from unseen.data.clips import SPLITS, SplitName
from unseen.data.duet_scene import (
    MARGIN,
    SUPERSAMPLE,
    Canvas,
    Colour,
    Drawn,
    Point,
    draw_room,
)

FACE_ACTIONS = ("drink", "phone", "photo", "brush", "wave", "carry")
_IDENTITY, _PICTURE, _FRAME = 91, 92, 93


@dataclass(frozen=True)
class Person:
    """Who somebody is; lengths are factors, colours RGB."""

    skin: Colour
    hair: Colour
    eyes: Colour
    style: int
    wide: float
    jaw: float
    eye_gap: float
    eye_size: float
    eye_height: float
    brow: float
    brow_tilt: float
    nose: float
    nose_length: float
    mouth: float
    lips: float
    glasses: bool
    beard: bool

    @classmethod
    def draw(cls, identity: int) -> "Person":
        """The person of that number, the same on any machine."""
        rng = np.random.Generator(np.random.PCG64([_IDENTITY, identity]))
        tone, hair = rng.random(), rng.random()
        warm = rng.uniform(-12, 12)
        return cls(
            skin=(int(95 + 150 * tone + warm), int(60 + 145 * tone), int(40 + 140 * tone - warm)),
            hair=(int(20 + 190 * hair), int(15 + 150 * hair**1.3), int(12 + 100 * hair**1.8)),
            eyes=((70, 45, 25), (60, 110, 60), (70, 110, 170), (30, 24, 20))[int(rng.integers(4))],
            style=int(rng.integers(5)),
            wide=rng.uniform(0.66, 0.86),
            jaw=rng.uniform(0.60, 0.95),
            eye_gap=rng.uniform(0.40, 0.60),
            eye_size=rng.uniform(0.075, 0.125),
            eye_height=rng.uniform(-0.20, -0.04),
            brow=rng.uniform(0.02, 0.06),
            brow_tilt=rng.uniform(-0.06, 0.06),
            nose=rng.uniform(0.07, 0.15),
            nose_length=rng.uniform(0.16, 0.34),
            mouth=rng.uniform(0.26, 0.46),
            lips=rng.uniform(0.03, 0.075),
            glasses=bool(rng.random() < 0.2),
            beard=bool(rng.random() < 0.25),
        )


@dataclass(frozen=True)
class FacePicture:
    """A picture of one person.

    Attributes:
        image: `uint8 (size, size, 3)`, RGB.
        face: (x0, y0, x1, y1) in pixels, forehead to chin.
        landmarks: `(5, 2)` eyes, nose tip, mouth corners in pixels, pixel centres at whole numbers.
        body: (x0, y0, x1, y1) in pixels: all of the person that is in the picture.
    """

    image: npt.NDArray[np.uint8]
    face: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    body: npt.NDArray[np.float32]


def face_picture(identity: int, take: int, *, size: int = 96) -> FacePicture:
    """Picture `take` of a person: the face fills half of it, in any light and some poses."""
    rng = np.random.Generator(np.random.PCG64([_PICTURE, identity, take]))
    return _picture(Person.draw(identity), rng, size, None, 0.27 + 0.04 * rng.random())


def action_frame(split: SplitName, index: int, *, size: int = 128) -> FacePicture:
    """Frame `index` of a split: somebody does `FACE_ACTIONS[index % 6]`.

    No two splits share a frame or a person, and none of these people is in `face_picture`'s first
    million.
    """
    number = SPLITS.index(split)
    rng = np.random.Generator(np.random.PCG64([_FRAME, number, index]))
    first = 1_000_000 * (number + 1)
    who = Person.draw(int(rng.integers(first, first + 1_000_000)))
    action = FACE_ACTIONS[index % len(FACE_ACTIONS)]
    return _picture(who, rng, size, action, 0.13 + 0.05 * rng.random())


def _picture(
    who: Person, rng: np.random.Generator, size: int, action: str | None, tall: float
) -> FacePicture:
    image = draw_room(rng, size)
    canvas = Canvas(image, size, white=False)
    x = 0.5 + rng.uniform(-0.04, 0.04) * (1 if action is None else 4)
    y = (0.5 if action is None else 0.32) + rng.uniform(-0.03, 0.03)
    shirt = _any_colour(rng)
    seen = Drawn()
    _draw_torso(canvas, who, x, y, tall, shirt, seen)
    yaw, smile = rng.uniform(-0.45, 0.45), rng.uniform(-0.05, 0.08)
    landmarks = _draw_face(canvas, who, x, y, tall, yaw, smile, seen)
    if action is not None:
        _draw_action(canvas, who, action, x, y, tall, shirt, rng, seen)
    unit = size * SUPERSAMPLE
    low = round(MARGIN * unit)
    crop = image[low : low + unit, low : low + unit]
    small = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    side = np.linspace(-1, 1, size, dtype=np.float32) * rng.uniform(-0.25, 0.25)
    small *= rng.uniform(0.7, 1.15) * (1 + side[None, :, None]) * rng.uniform(0.93, 1.07, 3)
    small += rng.normal(0, 3, small.shape)
    wide = tall * who.wide
    face = np.array([x - wide, y - 0.8 * tall, x + wide, y + tall]) * size
    body = np.clip([*seen.low, *seen.high], 0, 1) * size
    return FacePicture(
        np.clip(np.rint(small), 0, 255).astype(np.uint8),
        face.astype(np.float32),
        (np.array(landmarks) * size - 0.5).astype(np.float32),
        body.astype(np.float32),
    )


def _oval(
    x: float,
    y: float,
    a: float,
    b: float,
    jaw: float,
    start: float = 0.0,
    stop: float = 2 * math.pi,
) -> list[Point]:
    """Points of an ellipse that narrows downwards, from one angle to another (0 is right)."""
    found = []
    for t in np.linspace(start, stop, 40):
        down = math.sin(t)
        narrow = 1 - (1 - jaw) * max(0.0, down) ** 2
        found.append((x + a * narrow * math.cos(t), y + b * down))
    return found


def _any_colour(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(v) for v in rng.integers(20, 240, 3))
    return red, green, blue


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(v * factor)) for v in colour)
    return red, green, blue


def _draw_torso(
    canvas: Canvas, who: Person, x: float, y: float, tall: float, shirt: Colour, seen: Drawn
) -> None:
    if who.style == 2:  # long hair falls behind the neck
        canvas.polygon(
            _oval(x, y + 0.35 * tall, 1.12 * tall * who.wide, 1.35 * tall, 0.95), who.hair, seen
        )
    neck = 0.42 * tall
    canvas.limb((x, y + 0.6 * tall), (x, y + 1.4 * tall), neck, neck, _shade(who.skin, 0.85), seen)
    shoulders = y + 1.35 * tall
    canvas.polygon(
        [
            (x - 0.6 * tall, shoulders), (x + 0.6 * tall, shoulders),
            (x + 1.9 * tall, shoulders + 0.45 * tall), (x + 2.0 * tall, 1 + MARGIN),
            (x - 2.0 * tall, 1 + MARGIN), (x - 1.9 * tall, shoulders + 0.45 * tall),
        ],
        shirt, seen,
    )  # fmt: skip


def _draw_face(
    canvas: Canvas, who: Person, x: float, y: float, tall: float, yaw: float, smile: float,
    seen: Drawn,
) -> list[Point]:  # fmt: skip
    wide = tall * who.wide
    if who.style in (1, 2, 3):  # hair around the head
        puff = {1: 1.12, 2: 1.15, 3: 1.4}[who.style]
        canvas.polygon(_oval(x, y - 0.15 * tall, puff * wide, puff * tall, 1.0), who.hair, seen)
    for sign in (-1, 1):
        canvas.disc(x + sign * wide, y, 0.16 * tall, _shade(who.skin, 0.88), seen)
    canvas.polygon(_oval(x, y, wide, tall, who.jaw), who.skin, seen)
    if who.beard:
        canvas.polygon(_oval(x, y, wide, tall, who.jaw, 0.25, math.pi - 0.25), who.hair)
    if who.style != 0:  # all but the bald have hair on the forehead
        start = 1.25 if who.style == 4 else 1.17
        top = _oval(x, y, 1.03 * wide, 1.05 * tall, 1.0, start * math.pi, (3 - start) * math.pi)
        canvas.polygon(top, who.hair, seen)

    def at(across: float, down: float) -> Point:
        angle = math.asin(max(-1.0, min(1.0, across))) + yaw
        return x + wide * math.sin(angle) * 0.95, y + tall * down

    dark = (26, 20, 20)
    eyes = [at(sign * who.eye_gap, who.eye_height) for sign in (-1, 1)]
    for sign, (ex, ey) in zip((-1, 1), eyes, strict=True):
        size = who.eye_size * tall
        if who.glasses:
            canvas.disc(ex, ey, 2.3 * size, dark)
            canvas.disc(ex, ey, 1.9 * size, _shade(who.skin, 1.05))
        canvas.disc(ex, ey, 1.25 * size, (240, 238, 234))
        canvas.disc(ex, ey, 0.85 * size, who.eyes)
        canvas.disc(ex, ey, 0.4 * size, dark)
        lift = who.eye_height - 0.2
        inner = at(sign * (who.eye_gap - 0.2), lift + who.brow_tilt)
        outer = at(sign * (who.eye_gap + 0.22), lift - who.brow_tilt)
        thick = who.brow * tall
        canvas.limb(inner, outer, thick, 0.7 * thick, _shade(who.hair, 0.7), seen)
    tip = at(0.0, who.eye_height + 0.1 + who.nose_length)
    bridge = at(0.0, who.eye_height + 0.05)
    nose = who.nose * tall
    canvas.limb(bridge, tip, 0.45 * nose, nose, _shade(who.skin, 0.86), seen)
    low = who.eye_height + 0.22 + who.nose_length + 0.14
    corners = [at(sign * who.mouth * 0.8, low - smile) for sign in (-1, 1)]
    middle = at(0.0, low + 0.4 * abs(smile))
    lips, colour = who.lips * tall, (150, 62, 62)
    for corner in corners:
        canvas.limb(middle, corner, lips, 0.6 * lips, colour, seen)
    return [*eyes, tip, *corners]


def _draw_action(
    canvas: Canvas, who: Person, action: str, x: float, y: float, tall: float, shirt: Colour,
    rng: np.random.Generator, seen: Drawn,
) -> None:  # fmt: skip
    side = 1 if rng.random() < 0.5 else -1
    colour = _any_colour(rng)

    def arm(sign: int, hand: Point) -> None:
        shoulder = (x + sign * 1.7 * tall, y + 1.9 * tall)
        elbow = (
            (shoulder[0] + hand[0]) / 2 + sign * 0.7 * tall,
            (shoulder[1] + hand[1]) / 2 + 0.5 * tall,
        )
        canvas.limb(shoulder, elbow, 0.36 * tall, 0.3 * tall, _shade(shirt, 0.9), seen)
        canvas.limb(elbow, hand, 0.28 * tall, 0.2 * tall, _shade(shirt, 0.8), seen)
        canvas.disc(*hand, 0.27 * tall, who.skin, seen)

    def slab(cx: float, cy: float, w: float, h: float) -> None:
        corners = [(-w, -h), (w, -h), (w, h), (-w, h)]
        canvas.polygon([(cx + i * tall, cy + j * tall) for i, j in corners], colour, seen)

    mouth = y + 0.5 * tall
    if action == "drink":
        arm(side, (x + side * 0.5 * tall, mouth + 0.2 * tall))
        slab(x + side * 0.2 * tall, mouth, 0.22, 0.3)
    elif action == "phone":
        arm(side, (x + side * 0.95 * tall, y + 0.3 * tall))
        slab(x + side * 0.9 * tall, y + 0.1 * tall, 0.13, 0.45)
    elif action == "photo":
        for sign in (-1, 1):
            arm(sign, (x + sign * 0.65 * tall, y))
        slab(x, y - 0.1 * tall, 0.5, 0.32)
        canvas.disc(x, y - 0.1 * tall, 0.2 * tall, (20, 20, 24))
    elif action == "brush":
        arm(side, (x + side * 0.8 * tall, mouth + 0.3 * tall))
        canvas.limb(
            (x + side * 0.8 * tall, mouth + 0.2 * tall), (x, mouth), 0.06 * tall, 0.06 * tall,
            colour, seen,
        )  # fmt: skip
    elif action == "wave":
        arm(side, (x + side * 2.0 * tall, y - 0.2 * tall))
    else:
        for sign in (-1, 1):
            arm(sign, (x + sign * 0.8 * tall, y + 2.9 * tall))
        slab(x, y + 2.8 * tall, 0.8, 0.55)
