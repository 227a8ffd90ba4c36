"""PA-HMDB51: privacy attributes annotated frame by frame on videos of HMDB51 (Wang19 section 5).

An annotation folder holds `PrivacyAttributes/<action>.json`, or the JSON files themselves. A file
maps video names to objects with, for each attribute, a list of ranges `[start, end, value]`:
frames are counted from 0, both ends belong to the range, and the value is a whole number or, where
several people are seen, a list of them. `review` is true or false, `note` may be missing.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

from unseen.data.decode import Progress
from unseen.data.hmdb51 import ACTIONS, read_hmdb51
from unseen.data.official import Report, expect
from unseen.data.pa_hmdb51_labels import (
    ATTRIBUTES,
    VALUES,
    Attribute,
    LabelRange,
    VideoAnnotation,
)
from unseen.data.video import probe, read_frames
from unseen.errors import DataError, VideoError
from unseen.registry import nearest

NAME = "pa-hmdb51"
PUBLISHED_VIDEOS = 515
"""Videos in the published annotations (the text of Wang19 says 580 and 592)."""

ANNOTATION_FOLDER = "PrivacyAttributes"
TEST_LIST_FOLDER = "privacy_split_test_set"

_LAST_FRAME = 99_999  # an hour: a larger number is a slip, and would only fill the memory
_OFFICIAL_NAME = re.compile(
    rf"_({'|'.join(ACTIONS)})_[a-z]_(?:cm|nm)_np\d_(?:fr|ba|le|ri)_(?:bad|med|goo)_\d+\.avi$"
)


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        faults: what must be mended before use, one line each.
        notices: what is odd and has a defined meaning, one line each.
    """

    faults: tuple[str, ...]
    notices: tuple[str, ...]


def read_annotations(folder: Path) -> tuple[VideoAnnotation, ...]:
    """The annotations of a folder, by action and in the order of each file.

    Raises:
        DataError: with every fault of the folder, see `check_annotations`.
    """
    videos, findings = _read(folder)
    if findings.faults:
        count = len(findings.faults)
        raise DataError(
            f"the annotations in '{folder}' have {count} fault{'s' if count > 1 else ''}:",
            findings.faults,
        )
    return videos


def check_annotations(folder: Path) -> Findings:
    """Every fault and oddity of an annotation folder.

    Faults are files that cannot be read, actions that HMDB51 does not have, videos listed twice or
    under another action than their name says, missing or unknown attributes, unknown values, and
    ranges that are not ranges. Notices are overlapping ranges with differing values, frames that
    an attribute leaves unlabelled, and fewer videos than were published.
    """
    return _read(folder)[1]


def check_folder(
    folder: Path,
    hmdb51: Path | None = None,
    *,
    decode: bool = False,
    progress: Progress | None = None,
) -> Report:
    """`check_annotations` in the form of `official.check`, and the published test list if it is
    in the same folder.

    Args:
        folder: of the annotations.
        hmdb51: the folder of HMDB51, to be told which annotated videos are missing, too short for
            their labels, or of another action there; None: annotations alone.
        decode: read those videos to their ends, instead of what they say of their length.
        progress: called with (videos read, videos in all).

    Raises:
        DataError: there is no such folder, or `hmdb51` holds no lists of HMDB51.
    """
    expect(NAME, folder, {})
    videos, findings = _read(folder)
    differ, unreadable = [], []
    if (folder / TEST_LIST_FOLDER).is_dir():
        try:
            differ = list(_list_notices(videos, read_test_list(folder)))
        except DataError as error:
            unreadable.append(str(error))
    counts = {
        "videos": (len(videos), PUBLISHED_VIDEOS),
        "classes": (len({video.action for video in videos}), len(ACTIONS)),
    }
    missing, broken, mistakes, trained = [], [], [], []
    if hmdb51 is not None:
        names = {video.name: video.action for video in videos}
        inventory = read_hmdb51(hmdb51, annotated=names)
        mistakes = list(inventory.faults)
        paths = {item.path.rpartition("/")[2]: item.path for item in inventory.items}
        there = [video for video in videos if paths.get(video.name) in inventory.files]
        lost = sorted({paths[name] for name in names if name in paths} - inventory.files)
        missing = [f"'{path}' is annotated and not there" for path in lost]
        for done, video in enumerate(there, start=1):
            if fault := too_short(hmdb51 / paths[video.name], video, decode=decode):
                broken.append(fault)
            if progress is not None:
                progress(done, len(there))
        official = read_hmdb51(hmdb51)
        in_train = {
            item.path.rpartition("/")[2] for item in official.items if item.split == "train"
        }
        if kept := sorted(in_train & set(names)):
            trained = [
                f"split 1 of HMDB51 trains on {len(kept)} annotated videos; a run with --test-on "
                f"{NAME} trains on none"
            ]
    return Report(
        name=NAME,
        root=folder,
        counts=counts,
        differences=tuple(
            f"{key}: {found}, officially {official}"
            for key, (found, official) in counts.items()
            if found != official
        ),
        missing=tuple(missing),
        broken=tuple(broken),
        unlisted=(),
        mistakes=(*findings.faults, *unreadable, *mistakes),
        overlaps=(),
        notices=(*findings.notices, *differ, *trained),
        unread=hmdb51 is not None and not decode,
    )


def too_short(path: Path, video: VideoAnnotation, *, decode: bool) -> str | None:
    """What is wrong with an annotated video; None where it reaches as far as its labels.

    Args:
        path: of the video.
        video: its annotation.
        decode: count its frames, also where the file says that there are enough.
    """
    try:
        frames = None if decode else probe(path).frames
        if decode or (frames is not None and frames < video.frames):  # what files say may be less
            frames = sum(1 for _ in read_frames(path))
    except VideoError as error:
        return str(error)
    if frames is not None and frames < video.frames:
        return f"'{path}' has {frames} frames, and {video.frames} are annotated"
    return None


def read_test_list(folder: Path) -> tuple[str, ...]:
    """The video names of the published test list, each once, sorted.

    Args:
        folder: holds `privacy_split_test_set/<action>.txt`, or the text files themselves.
    """
    lists = _files(folder, TEST_LIST_FOLDER, ".txt")
    if not lists:
        raise DataError(f"there is no test list in '{folder}': expected {TEST_LIST_FOLDER}/*.txt")
    names: set[str] = set()
    for path in lists:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read the test list '{path}': {error}") from None
        names |= {line.strip() for line in lines if line.strip()}
    return tuple(sorted(names))


def _list_notices(videos: Sequence[VideoAnnotation], listed: Iterable[str]) -> Iterator[str]:
    """How the published test list differs from the annotations, which decide (Wang19 5.5.1)."""
    annotated = {_stem(video.name): video for video in videos}
    named = {_stem(name): name for name in listed}
    missing = [video.name for stem, video in annotated.items() if stem not in named]
    foreign = [name for stem, name in named.items() if stem not in annotated]
    if missing:
        yield (
            f"the test list misses {len(missing)} of {len(annotated)} annotated videos, which are "
            f"test all the same: {', '.join(missing)}"
        )
    if foreign:
        yield f"the test list names {len(foreign)} without annotations: {', '.join(foreign)}"


def _stem(name: str) -> str:
    return PurePosixPath(name).name.removesuffix(".avi")


def _files(folder: Path, inner: str, suffix: str) -> list[Path]:
    """The files of that suffix in `folder/inner`, or in `folder`, but for hidden ones."""
    within = folder / inner
    found = (within if within.is_dir() else folder).glob(f"*{suffix}")
    return sorted(path for path in found if not path.name.startswith("."))


def _read(folder: Path) -> tuple[tuple[VideoAnnotation, ...], Findings]:
    files = _files(folder, ANNOTATION_FOLDER, ".json")
    if not files:
        fault = (
            f"there are no annotations in '{folder}': expected {ANNOTATION_FOLDER}/<action>.json, "
            "a file for each action"
        )
        return (), Findings((fault,), ())
    faults: list[str] = []
    videos: list[VideoAnnotation] = []
    where: defaultdict[str, list[str]] = defaultdict(list)
    for path in files:
        action = path.stem
        if action not in ACTIONS:
            faults.append(
                f"{path.name}: HMDB51 has no action '{action}'{nearest(action, ACTIONS)}; name the "
                "file after the action"
            )
        for name, entry in _read_file(path, faults).items():
            where[name].append(path.name)
            video = _parse_video(path.name, name, action, entry, faults)
            if video is not None:
                videos.append(video)
    for name, holders in where.items():
        if len(holders) > 1:
            faults.append(f"'{name}' is in {' and '.join(holders)}: keep it in one of them")
    if not where and not faults:
        faults.append(f"the {len(files)} files in '{folder}' name no video: every one is empty")
    notices = [notice for video in videos for notice in _video_notices(video)]
    absent = [action for action in ACTIONS if not any(each.action == action for each in videos)]
    if not faults and (len(videos) != PUBLISHED_VIDEOS or absent):
        notices.append(
            f"{len(videos)} videos of {len(ACTIONS) - len(absent)} actions; published were "
            f"{PUBLISHED_VIDEOS} of {len(ACTIONS)}"
            + (f"; no videos of: {', '.join(absent)}" if absent else "")
        )
    return tuple(videos), Findings(tuple(faults), tuple(notices))


def _read_file(path: Path, faults: list[str]) -> dict[str, Any]:
    """The videos of a file; what is wrong with the file as a whole goes to `faults`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                faults.append(f"{path.name}: '{key}' is given twice in one object: keep one")
            found[key] = value
        return found

    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=unique)
    except OSError as error:
        faults.append(f"{path.name}: cannot be read: {error.strerror}")
        return {}
    except (ValueError, RecursionError) as error:
        faults.append(f"{path.name}: is not JSON: {error}")
        return {}
    if not isinstance(content, dict):
        faults.append(f"{path.name}: must be an object that maps video names to their attributes")
        return {}
    return content


def _parse_video(
    file: str, name: str, action: str, entry: Any, faults: list[str]
) -> VideoAnnotation | None:
    """The labels of a video; None, and its faults, where they cannot be used."""
    here = f"{file}: '{name}'"
    before = len(faults)
    if PurePosixPath(name).name != name or not name.endswith(".avi"):
        faults.append(f"{here}: is not the file name of a video; write it as in 'name.avi'")
    elif (official := _OFFICIAL_NAME.search(name)) and official[1] != action:
        faults.append(f"{here}: its name says '{official[1]}': move it to {official[1]}.json")
    if not isinstance(entry, dict):
        faults.append(f"{here}: must be an object that maps attributes to ranges")
        return None
    keys = (*ATTRIBUTES, "review", "note")
    for key in entry:
        if key not in keys:
            faults.append(
                f"{here}: unknown attribute '{key}'{nearest(key, keys)}; there are: "
                f"{', '.join(keys)}"
            )
    ranges = {}
    for attribute in ATTRIBUTES:
        listed = entry.get(attribute)
        if isinstance(listed, list):
            parsed = [_parse_range(here, attribute, each, faults) for each in listed]
            ranges[attribute] = tuple(each for each in parsed if each is not None)
        elif attribute in entry:
            faults.append(f"{here}: {attribute} must be a list of [start, end, value]")
        else:
            faults.append(f"{here}: {attribute} is missing; an empty list says 'not labelled'")
    review, note = entry.get("review"), entry.get("note")
    if not isinstance(review, bool):
        faults.append(f"{here}: review must be there and be true or false")
    if not (note is None or isinstance(note, str)):
        faults.append(f"{here}: note must be a text")
    if len(faults) > before:
        return None
    return VideoAnnotation(name, action, ranges)


def _parse_range(
    here: str, attribute: Attribute, given: Any, faults: list[str]
) -> LabelRange | None:
    what = f"{here}: {attribute} {json.dumps(given)}"
    if not (isinstance(given, list) and len(given) == 3):
        faults.append(f"{what}: must be [start, end, value]")
        return None
    start, end, value = given
    values = value if isinstance(value, list) else [value]
    before = len(faults)
    # The exact type: true is an int to Python, and 1.0 is equal to 1.
    if not (type(start) is int and type(end) is int):
        faults.append(f"{what}: start and end must be whole numbers")
    elif start < 0:
        faults.append(f"{what}: frames are counted from 0")
    elif end < start:
        faults.append(f"{what}: ends before it starts")
    elif end > _LAST_FRAME:
        faults.append(f"{what}: no video has {end} frames")
    if not values:
        faults.append(f"{what}: has no value; leave the range out where there is no label")
    known = range(len(VALUES[attribute]))
    unknown = [each for each in values if not (type(each) is int and each in known)]
    if unknown:
        choices = ", ".join(f"{at} {name}" for at, name in enumerate(VALUES[attribute]))
        faults.append(
            f"{what}: unknown value {', '.join(map(json.dumps, unknown))}; there are: {choices}"
        )
    return LabelRange(start, end, frozenset(values)) if len(faults) == before else None


def _video_notices(video: VideoAnnotation) -> list[str]:
    here = f"{video.action}.json: '{video.name}'"
    gaps: defaultdict[str, list[str]] = defaultdict(list)
    notices = []
    for attribute, ranges in video.ranges.items():
        first_free = 0
        for start, end in [*sorted((each.start, each.end) for each in ranges), (video.frames,) * 2]:
            if start > first_free:
                gaps[_frames(first_free, start - 1)].append(attribute)
            first_free = max(first_free, end + 1)
        for one, other in combinations(ranges, 2):
            start, end = max(one.start, other.start), min(one.end, other.end)
            if start <= end and one.values != other.values:
                both = sorted(one.values | other.values)
                notices.append(
                    f"{here}: {attribute} of {_frames(start, end)} is labelled twice and "
                    f"differently; it has all the values: {', '.join(map(str, both))}"
                )
    for frames, attributes in gaps.items():
        notices.append(f"{here}: {frames} unlabelled in {', '.join(attributes)}")
    return notices


def _frames(start: int, end: int) -> str:
    return f"frame {start}" if start == end else f"frames {start} to {end}"
