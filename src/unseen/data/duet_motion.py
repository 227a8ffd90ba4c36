"""What people do in `duet`: the eight interactions as poses over time."""

import math
from dataclasses import dataclass

import numpy as np

from unseen.data.duet_scene import Point, Pose

ACTIONS = (
    "approaching", "departing", "kicking", "pushing",
    "shaking hands", "hugging", "exchanging", "punching",
)  # fmt: skip


def _ease(value: float) -> float:
    value = min(1.0, max(0.0, value))
    return value * value * (3.0 - 2.0 * value)


def _mix(a: Point, b: Point, k: float) -> Point:
    return (a[0] + (b[0] - a[0]) * k, a[1] + (b[1] - a[1]) * k)


def _stride(phase: float, length: float) -> tuple[Point, Point]:
    """Feet of a walk cycle; `phase` in cycles."""
    a = math.sin(2 * math.pi * phase)
    lift = math.cos(2 * math.pi * phase)
    return (
        (length * a, 0.10 * max(0.0, lift)),
        (-length * a, 0.10 * max(0.0, -lift)),
    )


@dataclass(frozen=True)
class Script:
    """The random part of one clip's motion; x counts from the middle in body heights."""

    action: int
    tempo: float
    onset: float
    gap: float
    reach: float
    sway: tuple[float, float, float, float]
    fidget: tuple[float, float]
    looks: tuple[float, float]
    both_walk: bool
    step_in: float
    height: float

    @classmethod
    def draw(cls, rng: np.random.Generator, action: int) -> "Script":
        """A script of this action, everything else at random."""

        def look() -> float:
            kind = rng.random()
            if kind < 0.6:
                return math.pi / 2 - 0.35 * rng.random()
            return 0.5 * rng.random() if kind < 0.85 else 2.4 + 0.7 * rng.random()

        return cls(
            action=action,
            tempo=0.75 + 0.55 * rng.random(),
            onset=0.02 + 0.26 * rng.random(),
            gap=0.38 + 0.12 * rng.random(),
            reach=0.88 + 0.12 * rng.random(),
            sway=(rng.random(), rng.random(), rng.random(), rng.random()),
            fidget=(rng.random(), rng.random()),
            looks=(look(), look()),
            both_walk=rng.random() < 0.35,
            step_in=0.18 * rng.random(),
            height=rng.random() - 0.5,
        )


def poses(
    script: Script, k: int, time: int, tall: tuple[float, float]
) -> tuple[tuple[Pose, Pose], bool]:
    """Poses of the acting (left) and the reacting person in frame `k`, and whether they touch."""
    s, action = script, ACTIONS[script.action]
    u = (k / (time - 1) - s.onset) * s.tempo  # 0 when the action begins, 1 when it may end
    rise, fall = _ease(u / 0.32), _ease((u - 0.52) / 0.3)
    strike = rise * (1.0 - fall)
    gap = s.gap + s.step_in * (1.0 - _ease((u + 0.35) / 0.4))
    a = Pose(x=-gap / 2, facing=1, look=s.looks[0])
    b = Pose(x=gap / 2, facing=-1, look=s.looks[1])
    for person, i in ((a, 0), (b, 1)):
        wave = math.sin(2 * math.pi * (k / 9.0 + s.sway[i]))
        person.lean = 0.05 * wave
        busy = _ease(1.6 * (s.fidget[i] - 0.45)) * (1.0 - rise)
        raised = (0.45, 0.25 + 0.2 * math.sin(2 * math.pi * (k / 7.0 + s.sway[2 + i])))
        person.hands = (
            _mix((0.10 + 0.05 * wave, 0.95), raised, busy),
            (-0.05 - 0.05 * wave, 0.95),
        )
    walk = k / 8.0 * s.tempo + s.sway[0]
    contact = False
    middle = (a.x + b.x) / 2
    # Hands are in arm lengths from the shoulder; a forward distance of d body heights is d / 0.44.
    low = 0.30 + 0.10 * s.height
    arm = 0.44 * tall[0]
    chest = (0.79 * tall[0] - 0.66 * tall[1]) / arm
    head = (0.79 * tall[0] - 0.88 * tall[1]) / arm
    if action == "approaching":
        k_walk = _ease((u + 0.3) / 1.2)
        far = 0.42 * (1.0 - k_walk)
        a.x -= far
        a.feet = _stride(walk, 0.32)
        a.hands = ((0.3 * math.sin(2 * math.pi * walk + math.pi), 0.9),
                   (0.3 * math.sin(2 * math.pi * walk), 0.9))  # fmt: skip
        a.lean += 0.06
        if s.both_walk:
            b.x += 0.7 * far
            b.feet = _stride(walk + 0.3, 0.28)
    elif action == "departing":
        k_walk = _ease((u + 0.15) / 1.2)
        turned = u > 0.0
        far = 0.48 * k_walk
        a.x -= far
        a.facing = -1 if turned else 1
        a.feet = _stride(walk, 0.32 if turned else 0.05)
        a.hands = ((0.3 * math.sin(2 * math.pi * walk + math.pi), 0.9),
                   (0.3 * math.sin(2 * math.pi * walk), 0.9))  # fmt: skip
        if s.both_walk:
            b.x += 0.7 * far
            b.facing = 1 if turned else -1
            b.feet = _stride(walk + 0.3, 0.28)
    elif action == "kicking":
        reach = min(0.95, (gap * 0.98) / 0.49) * s.reach
        a.feet = (_mix((0.08, 0.0), (reach, 0.72 + 0.25 * s.height), strike), (-0.04, 0.0))
        a.lean -= 0.38 * strike
        a.hands = (_mix(a.hands[0], (-0.3, 0.6), strike), _mix(a.hands[1], (0.35, 0.5), strike))
        hit = _ease((u - 0.2) / 0.25)
        b.lean += 0.30 * hit * (1 - 0.6 * fall)
        b.x += 0.05 * hit
        contact = strike > 0.75
    elif action == "pushing":
        forward = (gap - 0.06) / arm * s.reach
        a.hands = (_mix(a.hands[0], (forward, chest + 0.1 * s.height), strike),
                   _mix(a.hands[1], (forward * 0.97, chest + 0.1), strike))  # fmt: skip
        a.lean += 0.22 * strike
        a.feet = ((0.25 * strike, 0.0), (-0.22 * strike, 0.0))
        shove = _ease((u - 0.24) / 0.4)
        b.x += 0.17 * shove
        b.lean -= 0.26 * shove * (1 - fall)
        b.feet = ((0.08, 0.0), (-0.08 - 0.25 * shove * (1 - fall), 0.0))
        contact = strike > 0.75
    elif action in ("shaking hands", "exchanging"):
        shake = action == "shaking hands"
        shift = 0.10 * math.sin(2 * math.pi * (k / 4.2 + s.sway[1])) if shake else 0.0
        meet = gap / 2 / 0.44
        part = _ease((u - 0.62) / 0.3) * (0.0 if shake else 1.0)
        level = rise * (1.0 - part)
        target = low + 0.12
        a.hands = (_mix(a.hands[0], (meet / tall[0], target + shift * level), level), a.hands[1])
        b.hands = (_mix(b.hands[0], (meet / tall[1], target + shift * level), level), b.hands[1])
        contact = level > 0.85
        if not shake:
            if u < 0.48:
                a.holding = (245, 245, 120)
            else:
                b.holding = (245, 245, 120)
    elif action == "hugging":
        close = rise * (1.0 - 0.5 * fall)
        shut = (gap - 0.17) * close
        a.x += shut / 2
        b.x -= shut / 2
        a.feet = _stride(walk, 0.16 * (1 - rise))
        b.feet = _stride(walk + 0.4, 0.16 * (1 - rise))
        around = ((0.52, 0.10), (0.50, 0.30 + 0.1 * s.height))
        a.hands = (_mix(a.hands[0], around[0], close), _mix(a.hands[1], around[1], close))
        b.hands = (_mix(b.hands[0], around[1], close), _mix(b.hands[1], around[0], close))
        a.lean += 0.10 * close
        b.lean += 0.10 * close
        contact = close > 0.7
    elif action == "punching":
        forward = (gap - 0.04) / arm * s.reach
        a.hands = (_mix(_mix(a.hands[0], (0.3, 0.1), _ease(u / 0.12)),
                        (forward, head + 0.15 * s.height), strike),
                   _mix(a.hands[1], (0.28, -0.02), rise))  # fmt: skip
        a.lean += 0.14 * strike
        a.feet = ((0.2 * strike, 0.0), (-0.15 * strike, 0.0))
        hit = _ease((u - 0.22) / 0.2)
        b.lean -= 0.30 * hit * (1 - 0.7 * fall)
        b.x += 0.05 * hit
        contact = strike > 0.8
    shift_to_middle = middle - (a.x + b.x) / 2 if action in ("approaching", "departing") else 0.0
    a.x += 0.6 * shift_to_middle
    b.x += 0.6 * shift_to_middle
    return (a, b), contact
