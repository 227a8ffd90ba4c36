"""Your own videos as a data set: a CSV manifest, one clip a row.

Columns: `path` (relative to the manifest's folder, or absolute); optional `split`, `start` and
`end` (frames, `[start, end)`), `x0,y0,x1,y1` (a crop box in pixels of the upright video, x1 and
y1 not included); every other column may be a label. `docs/your-own-videos.md` explains them.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unseen.data.clips import SPLITS, ClipDataset, Split, SplitName
from unseen.data.codec import frame_rate
from unseen.data.decode import ClipFaults, DecodedClips, Decoding, Progress, decode_clips
from unseen.data.image_clips import Stills, decode_images
from unseen.data.manifest_splits import SplitBy, checked_splits, chosen_columns, labelled
from unseen.data.manifest_table import (
    RESERVED,
    Row,
    RowFaults,
    header_faults,
    label_columns,
    parse_row,
    read_table,
)
from unseen.data.pictures import PICTURES
from unseen.data.video import write_video
from unseen.errors import DataError, nothing_loaded
from unseen.files import written_whole

_PICTURES = set(PICTURES) - {".gif"}  # which is most often a video
_STILLS_RATE = 25.0  # frames per second of clips that are made of pictures, as of VISPR's


def load_manifest(
    path: Path,
    how: Decoding,
    *,
    target: str | None,
    private: Sequence[str] | None,
    seed: int,
    split_by: SplitBy | None = None,
    stills: Stills = "repeat",
    ready: Callable[[], object] = lambda: None,
) -> ClipDataset:
    """Read, check and decode a manifest.

    Each row becomes one clip: frames spread evenly over its range (`sample_frames`), cropped to
    its box and made square (`letterbox`). Where all rows name pictures, each becomes a clip as
    `stills` says.

    Args:
        path: the CSV file, UTF-8.
        how: size and frames of the clips, boxes to find, and a cache.
        target: the label column of the target task, one-of-k; None: no target labels are wanted.
        private: one column: one-of-k, whatever its values. Several columns: a multi-label
            attribute, each column 0 or 1. `all`: all label columns but the target; None: no
            private labels are wanted.
        seed: of the split that is drawn when the manifest has none.
        split_by: target and private columns by which it is drawn; None: those above.
        stills: of pictures: `repeat`, clips of one repeated frame; `pan`, see `as_clip`.
        ready: called when all but the clips has been looked at, and is as it must be.

    Raises:
        DataError: naming every fault of the manifest, of its videos and of its labels.
    """
    faults = RowFaults()
    header, table = read_table(path, faults)
    labels = label_columns(header)
    private = chosen_columns(target, private, labels)
    header_faults(header, target, private, faults)
    if not table:
        faults.add("the manifest has no rows")
    if not table or "path" not in header:
        raise _error(path, faults)
    rows = [parse_row(line, values, path.parent, faults) for line, values in table]
    _picture_faults(rows, faults)
    splits = checked_splits(rows, (target, private), labels, seed, split_by, faults)

    order = sorted(range(len(rows)), key=lambda i: (*SPLITS, None).index(splits[i]))
    rows = [rows[i] for i in order]
    if not faults:
        ready()
    decoded = _decode(rows, how, stills, faults)
    if decoded is None:
        raise _error(path, faults)

    data = labelled(path.name, rows, splits, decoded, target, private)
    return replace(data, found=tuple(finder.source for finder in how.find))


def export_videos(
    folder: Path,
    splits: Mapping[SplitName, Split],
    columns: Mapping[SplitName, Mapping[str, Sequence[str]]],
    fps: float,
    codec: str = "lossless",
    progress: Progress | None = None,
) -> Path:
    """Write clips as video files with the manifest that reads them back.

    Args:
        folder: receives `manifest.csv` and `<split>/<number>.mp4`.
        splits: the clips; their labels are not read.
        columns: per split the label columns, each with one text a clip.
        fps: frames per second of the files.
        codec: `lossless` or `h264:crf=N`, see `unseen.data.video.write_video`.
        progress: called with (clips written, clips in all).

    Returns:
        The manifest. It is written last: a folder that has one is complete.

    Raises:
        DataError: the folder has a manifest already, or the columns do not fit the clips.
    """
    manifest = folder / "manifest.csv"
    names = list(columns[next(iter(splits))])
    faults = [
        f"split '{split}', column '{name}': {len(values)} labels for {len(splits[split])} clips"
        for split in splits
        for name, values in columns[split].items()
        if len(values) != len(splits[split])
    ]
    faults += [
        f"split '{split}' has the columns {list(columns[split])}, not {names}"
        for split in splits
        if list(columns[split]) != names
    ]
    faults += [
        f"'{n}' cannot be a label column: it has its own meaning" for n in names if n in RESERVED
    ]
    if manifest.exists():
        faults.append(f"'{manifest}' exists: delete it or choose another folder")
    if faults:
        raise DataError(f"cannot export to '{folder}'", faults)
    total = sum(len(part) for part in splits.values())
    rate = frame_rate(fps)
    lines: list[list[str]] = [["path", "split", *names]]
    for split, part in splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for i, clip in enumerate(part.clips):
            video = f"{split}/{i:05d}.mp4"
            write_video(folder / video, clip, rate, codec)
            lines.append([video, split, *(columns[split][name][i] for name in names)])
            if progress is not None:
                progress(len(lines) - 1, total)
    with (
        written_whole(manifest) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(lines)
    return manifest


def _picture_faults(rows: Sequence[Row], faults: RowFaults) -> None:
    """Pictures beside videos, and ranges of pictures."""
    named = [row for row in rows if _is_picture(row)]
    if 0 < len(named) < len(rows):
        faults.add(
            "pictures, while other rows name videos: give them a manifest of their own",
            *(row.line for row in named),
        )
    ranged = [row.line for row in named if row.values.get("start") or row.values.get("end")]
    if ranged:
        faults.add("a picture has one frame: leave 'start' and 'end' blank", *ranged)


def _is_picture(row: Row) -> bool:
    # By the name in the manifest, not by that of a file that it may be a link to.
    return Path(row.values["path"]).suffix.lower() in _PICTURES


def _decode(
    rows: Sequence[Row], how: Decoding, stills: Stills, faults: RowFaults
) -> DecodedClips | None:
    """The clips of all rows; None if any row or file is at fault, after reading every file."""
    broken = any(row.broken for row in rows)
    how = replace(
        how, find=() if broken or faults else how.find, cache=None if broken else how.cache
    )
    decoded = None
    for picture in (False, True):
        readable = [row for row in rows if row.clip is not None and _is_picture(row) == picture]
        ranges = [row.clip for row in readable if row.clip is not None]
        if not ranges:
            continue
        try:
            if picture:
                files = [[clip.path] for clip in ranges]
                decoded = decode_images(files, ranges, how, stills=stills, fps=_STILLS_RATE)
            else:
                decoded = decode_clips(ranges, how)
        except ClipFaults as found:
            for fault in found.faults:
                faults.add(fault.message, *(readable[i].line for i in fault.clips))
    return None if broken or faults else decoded


def _error(path: Path, faults: RowFaults) -> DataError:
    return nothing_loaded(f"the manifest '{path}'", faults)
