"""Whom a model has learned: kept with its weights, so that nobody measures it on the same people.

People are told by their names, that of a person's folder in most data sets. Digests of them are
kept and no names: enough to find out whether someone is among them, and no list to read.
"""

import hashlib
from collections.abc import Iterable


def digest_of(person: str) -> str:
    """64 bits of the SHA-256 of a person's name, hexadecimal."""
    return hashlib.sha256(person.encode()).hexdigest()[:16]


def digests_of(people: Iterable[str]) -> frozenset[str]:
    """`digest_of` each of these people."""
    return frozenset(map(digest_of, people))


def people_as_text(digests: frozenset[str] | None) -> str | None:
    """Digests as they are stored: one line, however many there are."""
    return None if digests is None else " ".join(sorted(digests))


def people_from_text(text: str | None) -> frozenset[str] | None:
    """What `people_as_text` was given; None from older files, which do not tell."""
    return None if text is None else frozenset(text.split())
