"""Face recognisers by name.

Whoever wants to know who a face is can train on faces, raw or anonymized ones, or use a network
that was trained elsewhere. Both are a `Recogniser`; a new one is a subclass and a line in
`RECOGNISERS`, with an option where it needs one (`sphereface:RUN`).
"""

from collections.abc import Callable

from unseen.models.recogniser import Recogniser
from unseen.registry import Registry, Spec

RECOGNISERS: Registry[Callable[[Spec], Recogniser]] = Registry("face recogniser")


def _fisher(spec: Spec) -> Recogniser:
    from unseen.models.recogniser_fisher import Fisher

    spec.no_option()
    return Fisher()


def _dlib(spec: Spec) -> Recogniser:
    from unseen.models.recogniser_dlib import Dlib

    spec.no_option()
    return Dlib()


def _sphereface(spec: Spec) -> Recogniser:
    from unseen.models.recogniser_sphereface import by_name

    return by_name(spec)


RECOGNISERS.add("fisher", _fisher)
RECOGNISERS.add("dlib", _dlib)
RECOGNISERS.add("sphereface-20", _sphereface)
RECOGNISERS.add("sphereface-small", _sphereface)
RECOGNISERS.add("sphereface", _sphereface)


def load_recogniser(name: str, device: str = "cpu") -> Recogniser:
    """A recogniser by its specification, on a device.

    Raises:
        UnknownNameError: no such recogniser.
        ConfigError: an option that it does not have, or packages that are not installed.
    """
    spec = Spec.parse(name)
    recogniser = RECOGNISERS[spec.name](spec)
    recogniser.device = device
    return recogniser
