"""How `duet` draws: seven actors, their bodies from joints to pixels, and rooms.

Everything is drawn with OpenCV's integer rasteriser at `SUPERSAMPLE` times the size, with points
rounded to 1/16 of such a pixel, and averaged down: the same numbers give the same pixels on any
machine. Units: 1.0 is the frame's height; x grows to the right, y downwards.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

SUPERSAMPLE = 3
MARGIN = 0.2  # of the frame, drawn around it for the camera to move in
_SHIFT = 4

Image = npt.NDArray[np.uint8]
Point = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Actor:
    """Who someone is: build, skin, hair, face and clothing, the same in all of their clips.

    Lengths are factors of the average build, colours are RGB.
    """

    height: float
    girth: float
    shoulders: float
    legs: float
    head: float
    skin: Colour
    hair: Colour
    style: str
    shirt: Colour
    pattern: str
    accent: Colour
    trousers: Colour
    skirt: bool = False
    bare_arms: bool = False
    glasses: bool = False
    beard: bool = False

    @property
    def long_hair(self) -> bool:
        """Whether hair falls below the chin."""
        return self.style in ("long", "tail")


ACTORS: tuple[Actor, ...] = (
    Actor(1.10, 0.86, 0.95, 1.06, 0.96, (236, 196, 166), (60, 40, 26), "short",
          (52, 92, 178), "plain", (52, 92, 178), (58, 60, 70), glasses=True),
    Actor(0.90, 1.00, 0.92, 0.96, 1.02, (246, 214, 190), (214, 172, 84), "long",
          (206, 56, 72), "plain", (206, 56, 72), (62, 62, 122), skirt=True),
    Actor(1.03, 1.36, 1.16, 0.94, 1.04, (128, 84, 56), (20, 16, 16), "bald",
          (228, 226, 214), "stripes", (40, 90, 70), (94, 78, 60), beard=True),
    Actor(0.97, 0.88, 0.90, 1.04, 0.98, (96, 62, 44), (24, 18, 16), "afro",
          (238, 188, 52), "plain", (238, 188, 52), (44, 92, 96), bare_arms=True),
    Actor(1.00, 1.12, 1.08, 1.00, 1.00, (218, 170, 132), (120, 60, 30), "cap",
          (62, 140, 82), "vest", (26, 46, 40), (120, 118, 116), bare_arms=True),
    Actor(0.85, 1.20, 1.00, 0.92, 1.06, (250, 220, 200), (176, 176, 182), "bun",
          (150, 100, 172), "stripes", (226, 206, 236), (78, 46, 60), skirt=True, glasses=True),
    Actor(1.07, 1.04, 1.12, 1.02, 0.94, (188, 134, 96), (34, 24, 22), "tail",
          (34, 36, 44), "vest", (196, 90, 40), (176, 164, 140)),
)  # fmt: skip


@dataclass
class Pose:
    """Where a body is in one frame. Hands and feet are targets, reached as far as limbs allow.

    Attributes:
        x: of the hip.
        facing: +1 looks to the right, -1 to the left.
        lean: of the torso in radians, forward positive.
        crouch: how far the hip sinks, as a fraction of the leg.
        hands: near and far hand, relative to the near shoulder: (forward, down), in arm lengths.
        feet: near and far foot relative to the point below the hip: (forward, up), in leg lengths.
        look: azimuth of the face in radians: 0 towards the camera, pi/2 straight ahead.
        holding: colour of an object in the near hand, if any.
    """

    x: float
    facing: int
    lean: float = 0.0
    crouch: float = 0.02
    hands: tuple[Point, Point] = ((0.1, 0.95), (-0.05, 0.95))
    feet: tuple[Point, Point] = ((0.08, 0.0), (-0.08, 0.0))
    look: float = math.pi / 2
    holding: Colour | None = None


@dataclass
class Drawn:
    """What drawing a body tells: its extent, its head and its face (frame units)."""

    low: list[float] = field(default_factory=lambda: [9.0, 9.0])
    high: list[float] = field(default_factory=lambda: [-9.0, -9.0])
    landmarks: list[Point] = field(default_factory=list)
    face_visible: bool = False
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    face_x: float = 0.0


class Canvas:
    """A supersampled picture with a margin around the frame."""

    def __init__(self, image: Image, size: int, white: bool) -> None:
        self.image = image
        self.unit = size * SUPERSAMPLE
        self.white = white

    def _fixed(self, value: float) -> int:
        return round((value + MARGIN) * self.unit * (1 << _SHIFT))

    def _colour(self, colour: Colour) -> Colour:
        return (255, 255, 255) if self.white else colour

    def polygon(self, points: list[Point], colour: Colour, seen: Drawn | None = None) -> None:
        """Fill a convex polygon."""
        fixed = np.array([[self._fixed(x), self._fixed(y)] for x, y in points], np.int32)
        cv2.fillConvexPoly(self.image, fixed, self._colour(colour), cv2.LINE_8, _SHIFT)
        if seen is not None:
            for x, y in points:
                _extend(seen, x, y, 0.0)

    def disc(self, x: float, y: float, r: float, colour: Colour, seen: Drawn | None = None) -> None:
        """Fill a circle."""
        radius = round(r * self.unit * (1 << _SHIFT))
        cv2.circle(
            self.image, (self._fixed(x), self._fixed(y)), radius, self._colour(colour),
            -1, cv2.LINE_8, _SHIFT,
        )  # fmt: skip
        if seen is not None:
            _extend(seen, x, y, r)

    def limb(self, a: Point, b: Point, ra: float, rb: float, colour: Colour, seen: Drawn) -> None:
        """A tapered limb with round ends from `a` to `b`."""
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = math.hypot(dx, dy) or 1e-6
        nx, ny = -dy / length, dx / length
        corners = [
            (a[0] + nx * ra, a[1] + ny * ra),
            (b[0] + nx * rb, b[1] + ny * rb),
            (b[0] - nx * rb, b[1] - ny * rb),
            (a[0] - nx * ra, a[1] - ny * ra),
        ]
        self.polygon(corners, colour)
        self.disc(*a, ra, colour, seen)
        self.disc(*b, rb, colour, seen)


def _extend(seen: Drawn, x: float, y: float, r: float) -> None:
    seen.low[0] = min(seen.low[0], x - r)
    seen.low[1] = min(seen.low[1], y - r)
    seen.high[0] = max(seen.high[0], x + r)
    seen.high[1] = max(seen.high[1], y + r)


def _bend(
    root: Point, target: Point, upper: float, lower: float, sign: float
) -> tuple[Point, Point]:
    """Two-bone reach: where elbow and hand (knee and foot) are, `sign` chooses the bend."""
    dx, dy = target[0] - root[0], target[1] - root[1]
    distance = max(1e-6, math.hypot(dx, dy))
    reach = min(distance, 0.999 * (upper + lower))
    reach = max(reach, abs(upper - lower) + 1e-6)
    along = (upper * upper - lower * lower + reach * reach) / (2 * reach)
    across = sign * math.sqrt(max(0.0, upper * upper - along * along))
    ux, uy = dx / distance, dy / distance
    joint = (root[0] + ux * along - uy * across, root[1] + uy * along + ux * across)
    return joint, (root[0] + ux * reach, root[1] + uy * reach)


def _dim(colour: Colour, factor: float) -> Colour:
    return (int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor))


ARM = 0.44  # of body height: shoulder to fist
LEG = 0.49  # of body height: hip to sole
SHOULDER = 0.30  # of body height: hip to shoulder


def draw_body(canvas: Canvas, actor: Actor, pose: Pose, ground: float, body: float) -> Drawn:
    """Draw one actor.

    Args:
        canvas: what to draw on.
        actor: who.
        pose: how; see `Pose`.
        ground: y of the floor under the feet.
        body: height of the average actor in frame units.
    """
    seen = Drawn()
    tall = body * actor.height
    leg = tall * LEG * actor.legs
    arm = tall * ARM
    thick = tall * 0.040 * actor.girth
    f = pose.facing
    hip = (pose.x, ground - leg * (1.0 - pose.crouch))
    trunk = tall * SHOULDER
    sin, cos = math.sin(pose.lean) * f, math.cos(pose.lean)
    neck = (hip[0] + trunk * sin, hip[1] - trunk * cos)
    wide = tall * 0.072 * actor.shoulders * (0.6 + 0.4 * actor.girth)
    sleeve = actor.skin if actor.bare_arms else actor.shirt

    def leg_of(index: int, shade: float) -> None:
        forward, up = pose.feet[index]
        target = (hip[0] + f * forward * leg, ground - up * leg)
        knee, foot = _bend(hip, target, leg * 0.5, leg * 0.5, -f)
        colour = _dim(actor.trousers, shade)
        shin = _dim(actor.skin, shade) if actor.skirt else colour
        canvas.limb(hip, knee, thick * 1.35, thick * 1.05, colour, seen)
        canvas.limb(knee, foot, thick * 0.95, thick * 0.75, shin, seen)
        toe = (foot[0] + f * tall * 0.05, foot[1])
        canvas.limb(foot, toe, thick * 0.6, thick * 0.5, _dim((40, 34, 34), shade), seen)

    def arm_of(index: int, shade: float) -> None:
        forward, down = pose.hands[index]
        shoulder = (neck[0], neck[1] + tall * 0.02)
        target = (shoulder[0] + f * forward * arm, shoulder[1] + down * arm)
        elbow, hand = _bend(shoulder, target, arm * 0.48, arm * 0.52, f)
        upper = _dim(actor.shirt if actor.pattern != "vest" else sleeve, shade)
        canvas.limb(shoulder, elbow, thick * 0.95, thick * 0.8, upper, seen)
        canvas.limb(elbow, hand, thick * 0.78, thick * 0.62, _dim(sleeve, shade), seen)
        canvas.disc(*hand, thick * 0.8, _dim(actor.skin, shade), seen)
        if index == 0 and pose.holding is not None:
            s = body * 0.045
            corners = [(-s, -s), (s, -s), (s, s), (-s, s)]
            canvas.polygon([(hand[0] + f * s + x, hand[1] + y) for x, y in corners], pose.holding)

    arm_of(1, 0.78)
    leg_of(1, 0.80)
    leg_of(0, 1.0)
    belly = wide * (0.75 + 0.35 * actor.girth)
    px, py = cos, sin  # across the trunk
    waist = (hip[0] + 0.35 * trunk * sin, hip[1] - 0.35 * trunk * cos)
    low = (hip[0], hip[1] + tall * 0.02)

    def band(a: Point, b: Point, wa: float, wb: float, colour: Colour) -> None:
        canvas.polygon(
            [(a[0] - px * wa, a[1] - py * wa), (a[0] + px * wa, a[1] + py * wa),
             (b[0] + px * wb, b[1] + py * wb), (b[0] - px * wb, b[1] - py * wb)],
            colour, seen,
        )  # fmt: skip

    band(neck, waist, wide, belly, actor.shirt)
    band(waist, low, belly, wide * 1.05, actor.shirt)
    if actor.pattern == "stripes":
        for k in (0.15, 0.42, 0.69):
            a = (neck[0] + (waist[0] - neck[0]) * k, neck[1] + (waist[1] - neck[1]) * k)
            b = (a[0] - 0.09 * trunk * sin, a[1] + 0.09 * trunk * cos)
            band(a, b, wide * 0.98, wide * 0.98, actor.accent)
    elif actor.pattern == "vest":
        band(neck, low, wide * 0.5, wide * 0.6, actor.accent)
    if actor.skirt:
        hem = (hip[0], hip[1] + leg * 0.42)
        canvas.polygon(
            [(low[0] - wide, low[1] - thick), (low[0] + wide, low[1] - thick),
             (hem[0] + wide * 1.7, hem[1]), (hem[0] - wide * 1.7, hem[1])],
            actor.trousers, seen,
        )  # fmt: skip
    _draw_head(canvas, actor, pose, neck, tall, seen)
    arm_of(0, 1.0)
    return seen


def _draw_head(
    canvas: Canvas, actor: Actor, pose: Pose, neck: Point, tall: float, seen: Drawn
) -> None:
    f = pose.facing
    r = tall * 0.078 * actor.head
    lean = pose.lean * f
    centre = (neck[0] + 1.25 * r * math.sin(lean) + f * 0.15 * r, neck[1] - 1.25 * r)
    x, y = centre
    azimuth = pose.look * f
    away = math.cos(azimuth) < -0.3
    if actor.style == "long":
        canvas.limb((x - f * 0.45 * r, y), (x - f * 0.6 * r, y + 2.3 * r), r, 0.75 * r,
                    actor.hair, seen)  # fmt: skip
    elif actor.style == "tail":
        canvas.limb((x - f * 0.9 * r, y - 0.3 * r), (x - f * 1.5 * r, y + 1.9 * r), 0.45 * r,
                    0.3 * r, actor.hair, seen)  # fmt: skip
    elif actor.style == "afro":
        canvas.disc(x - f * 0.1 * r, y - 0.35 * r, 1.5 * r, actor.hair, seen)
    elif actor.style == "bun":
        canvas.disc(x - f * 0.8 * r, y - 1.0 * r, 0.55 * r, actor.hair, seen)
    canvas.limb((x, y + 0.6 * r), neck, 0.45 * r, 0.5 * r, _dim(actor.skin, 0.9), seen)
    canvas.disc(x, y, r, actor.skin, seen)
    if actor.style in ("short", "long", "tail", "bun"):
        back = math.sin(azimuth)
        canvas.disc(x - back * 0.35 * r, y - 0.38 * r, 0.88 * r, actor.hair, seen)
        if not away:
            canvas.disc(x + back * 0.25 * r, y + 0.18 * r, 0.78 * r, actor.skin, seen)
    elif actor.style == "cap":
        canvas.disc(x, y - 0.4 * r, 0.95 * r, actor.accent, seen)
        brim = math.sin(azimuth)
        canvas.limb((x, y - 0.35 * r), (x + brim * 1.5 * r, y - 0.3 * r), 0.22 * r, 0.16 * r,
                    actor.accent, seen)  # fmt: skip
        if not away:
            canvas.disc(x + brim * 0.2 * r, y + 0.25 * r, 0.76 * r, actor.skin, seen)
    if away:
        canvas.disc(x, y, 0.9 * r, actor.hair if actor.style != "bald" else actor.skin, seen)

    def on_face(offset: float, down: float) -> tuple[Point, bool]:
        angle = azimuth + offset
        return (x + 0.92 * r * math.sin(angle), y + down * r), math.cos(angle) > -0.05

    eyes = [on_face(-0.55, -0.12), on_face(0.55, -0.12)]
    nose = on_face(0.0, 0.15)
    mouth = [on_face(-0.35, 0.5), on_face(0.35, 0.5)]
    if not away:
        if actor.beard:
            jaw, _ = on_face(0.0, 0.55)
            canvas.disc(jaw[0] * 0.5 + x * 0.5, jaw[1], 0.5 * r, actor.hair)
        canvas.disc(*nose[0], 0.2 * r, _dim(actor.skin, 0.86), seen)
        for (ex, ey), shown in eyes:
            if shown:
                if actor.glasses:
                    canvas.disc(ex, ey, 0.3 * r, (30, 30, 36))
                canvas.disc(ex, ey, 0.16 * r, (250, 250, 250) if actor.glasses else (24, 20, 20))
        (m0, s0), (m1, s1) = mouth
        if s0 or s1:
            canvas.limb(m0, m1, 0.07 * r, 0.07 * r, (150, 60, 60), seen)
    seen.landmarks = [eyes[0][0], eyes[1][0], nose[0], mouth[0][0], mouth[1][0]]
    seen.face_visible = not away
    seen.face_x = 0.3 * r * math.sin(azimuth)
    seen.head = (x, y, r)


def draw_room(rng: np.random.Generator, size: int) -> Image:
    """A wall, a floor and some furniture, unrelated to who is in it; with the margin."""
    side = round((1 + 2 * MARGIN) * size * SUPERSAMPLE)
    image = np.empty((side, side, 3), np.uint8)
    canvas = Canvas(image, size, white=False)
    wall = random_colour(rng, 90, 225)
    image[:] = wall
    skirting = 0.70 + 0.12 * rng.random()
    floor = random_colour(rng, 50, 170)
    rectangle(canvas, -MARGIN, skirting, 1 + MARGIN, 1 + MARGIN, floor)
    for _ in range(int(rng.integers(2, 6))):
        w, h = 0.08 + 0.3 * rng.random(), 0.08 + 0.3 * rng.random()
        x, y = -MARGIN + (1 + 2 * MARGIN) * rng.random(), -0.1 + 0.5 * rng.random()
        frame = random_colour(rng, 30, 240)
        rectangle(canvas, x, y, x + w, y + h, frame)
        rectangle(
            canvas, x + 0.02, y + 0.02, x + w - 0.02, y + h - 0.02, random_colour(rng, 30, 240)
        )
    for _ in range(int(rng.integers(0, 4))):
        w, h = 0.1 + 0.25 * rng.random(), 0.1 + 0.4 * rng.random()
        x = -MARGIN + (1 + 2 * MARGIN) * rng.random()
        rectangle(
            canvas, x, skirting + 0.06 - h, x + w, skirting + 0.06, random_colour(rng, 30, 220)
        )
    return image


def rectangle(canvas: Canvas, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
    """Fill an upright rectangle."""
    canvas.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)


def random_colour(rng: np.random.Generator, low: int, high: int) -> Colour:
    """A colour of that brightness, tinted."""
    base = low + (high - low) * rng.random()
    tint = [float(np.clip(base + 60 * (rng.random() - 0.5), 10, 245)) for _ in range(3)]
    return (int(tint[0]), int(tint[1]), int(tint[2]))
