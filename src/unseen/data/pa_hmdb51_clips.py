"""PA-HMDB51 as a test: its videos for the target, its frames for what leaks (Wang19 5.5).

The target task is tested on the annotated videos of HMDB51 (`hmdb51.read_hmdb51`). The private
attributes come from VISPR-5, whose images train and validate budget models and attackers; these
are tested frame by frame on the annotated videos, by the binary protocol: an attribute is there
where any of its values is not 0 (5.5.1). A frame that an attribute leaves without a label counts
for the other attributes only.

Differs from the paper: Wang19 does not say which frames were tested; here it is as many of each
video as a clip has, spread evenly over its labelled ones, each shown as an image of VISPR is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unseen.data.clips import SPLITS, ClipDataset, Split, hash_splits
from unseen.data.decode import (
    ClipBoxes,
    ClipFaults,
    ClipRange,
    Decoding,
    decode_clips,
    sample_frames,
)
from unseen.data.hmdb51 import film_of
from unseen.data.image_clips import Stills, as_clip, drifting, held, repeated, seed_of
from unseen.data.pa_hmdb51_labels import ATTRIBUTES, VideoAnnotation, binary_frames
from unseen.errors import DataError


def with_test_frames(
    data: ClipDataset,
    annotations: Sequence[VideoAnnotation],
    videos: Mapping[str, Path],
    how: Decoding,
    *,
    stills: Stills = "repeat",
) -> ClipDataset:
    """A data set of images with frames of PA-HMDB51 as its test split.

    Args:
        data: has two or more of the five attributes as private attribute; its test split is not
            used.
        annotations: of PA-HMDB51, see `unseen.data.pa_hmdb51.read_annotations`.
        videos: where each annotated video is, by its name.
        how: size and frames of the clips, boxes to find, and a cache; of a video are taken at most
            as many frames as a clip has.
        stills: what becomes of an image, as in `image_clips.as_clip`.

    Returns:
        The data set; test labels are 0, 1 or NaN, `float32 (frames, attributes)`.

    Raises:
        DataError: other attributes, or videos that cannot be read as far as they are annotated.
    """
    wanted = data.private.classes
    if not data.private.multi_label or not set(wanted) <= set(ATTRIBUTES):
        raise DataError(
            f"PA-HMDB51 annotates {', '.join(ATTRIBUTES)}; name two or more of them as private "
            f"attributes, not {data.private.name} (--private-data vispr:5 has all of them)"
        )
    columns = [ATTRIBUTES.index(name) for name in wanted]
    ranges: list[ClipRange] = []
    labels: list[np.ndarray] = []
    films: list[str] = []
    for video in annotations:
        known = binary_frames(video)[:, columns]
        numbers = np.flatnonzero(~np.isnan(known).all(1))
        for at in np.unique(sample_frames(0, len(numbers), how.frames)) if len(numbers) else ():
            number = int(numbers[at])
            ranges.append(ClipRange(videos[video.name], number, number + 1))
            labels.append(known[number])
            films.append(film_of(video.name, video.action))
    if not ranges:
        raise DataError("PA-HMDB51's annotations label no frame of these attributes")
    try:
        decoded = decode_clips(ranges, replace(how, frames=1))
    except ClipFaults as found:
        listed = [fault.message for fault in found.faults]
        raise DataError("PA-HMDB51 cannot be tested on: videos are at fault", listed) from None
    clips = repeated(decoded.clips, how.frames)
    if stills == "pan":
        clips = np.stack([as_clip(clip[0], how.frames) for clip in decoded.clips])
    seeds = [seed_of(clip[0]) for clip in decoded.clips] if decoded.boxes else []
    boxes: dict[str, ClipBoxes] = {
        kind: drifting(kind, its, seeds, how.size, how.frames)
        if stills == "pan"
        else held(its, how.frames)
        for kind, its in decoded.boxes.items()
    }
    count = len(clips)
    none = np.zeros((count, 0), np.float32)
    test = Split(clips, none, np.stack(labels), boxes, np.unique(films, return_inverse=True)[1])
    parts = {name: test if name == "test" else data.split(name) for name in SPLITS}
    return replace(data, test=test, name=f"{data.name}, pa-hmdb51", hash=hash_splits(parts))
