"""Opening and decoding video containers such that every fault raises `VideoError`.

Reading never ends early in silence: damaged packets, frames that do not decode and files shorter
than they declare raise. What cannot be seen: damage that decodes without a fault, and containers
that declare no length (MPEG-TS, live recordings) cut exactly between two frames.
"""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from unseen.errors import VideoError

# Only containers in which lost frames are noticed (in flv and asf they are not). FFmpeg would also
# open text files (as a terminal recording), pictures and play lists.
_CONTAINERS = "mov,matroska,avi,mpegts,mpeg"
_REFUSED = {b"FLV": "FLV", b"\x30\x26\xb2\x75": "ASF or WMV", b"OggS": "Ogg"}


@contextmanager
def faults(doing: str, path: Path) -> Iterator[None]:
    """Turn the errors of FFmpeg and of the file system into one line."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        # FFmpeg's own message repeats the path and the function's name.
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"cannot {doing} {path}: {reason}") from error


def _broken(path: Path, frame: int, what: str) -> VideoError:
    return VideoError(
        f"{path} is damaged or cut off at frame {frame}: {what}; get an undamaged copy, or cut the "
        "video before that frame"
    )


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first moving-picture stream."""
    if not path.is_file():
        raise VideoError(f"no video file {path}: check the path")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty: get an undamaged copy")
    try:
        # `file:` keeps a colon in a name from being read as a protocol.
        container = av.open(f"file:{path}", options={"format_whitelist": _CONTAINERS})
    except (av.FFmpegError, OSError) as error:
        with faults("read", path), path.open("rb") as file:
            head = file.read(4)
        for start, name in _REFUSED.items():
            if head.startswith(start):
                raise VideoError(
                    f"{path} is {name}, in which lost frames would not be noticed: put it into "
                    "another container, for example with "
                    f"ffmpeg -i {path.name} -c copy {path.stem}.mkv"
                ) from error
        raise VideoError(
            f"{path} cannot be read as a video (or its index is cut off): use an undamaged file in "
            "mp4, mov, mkv, webm, avi, mpg or ts"
        ) from error
    with container:
        moving = moving_pictures(container)
        if not moving:
            raise VideoError(f"{path} holds no video stream: choose a video file")
        if moving[0].codec_context is None:
            raise VideoError(f"{path} is in a codec that cannot be decoded: re-encode it as H.264")
        yield container, moving[0]


def moving_pictures(container: Any) -> list[Any]:
    """The video streams of a container that are no cover picture."""
    return [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]


def _matroska_end(path: Path) -> int:
    """Where the last element of a Matroska file says that it ends, in bytes.

    Read here because FFmpeg reports a file that is shorter in its log only. RFC 8794, sections
    4-6: an element is its identity, its length and its content, and a length of ones is open.
    """
    end = path.stat().st_size
    position = 0
    with path.open("rb") as file:
        while position < end:
            file.seek(position)
            head = file.read(12)
            named = 9 - head[0].bit_length()
            counted = 9 - head[named].bit_length() if named < len(head) else 0
            if named > 4 or counted > 8:
                return position  # no element but something appended
            start = named + counted
            length = int.from_bytes(head[named:start], "big") & ((1 << 7 * counted) - 1)
            if not counted or start > len(head):
                return end + 1  # cut off within the head
            # The content of an open element, a segment or a cluster, is elements.
            position += start + (0 if length == (1 << 7 * counted) - 1 else length)
    return position


def refuse_short(path: Path, container: Any, stream: Any) -> None:
    """Raise where the index points, or the file says it reaches, beyond the file's end."""
    end = 0
    if "matroska" in container.format.name:
        end = _matroska_end(path)
    elif container.format.name == "mpegts":
        # Whole packets in one of the sizes in use: plain, with time codes, with parity.
        whole = any(container.size % size == 0 for size in (188, 192, 204))
        end = container.size if whole else container.size + 1
    else:
        end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    if end > container.size:
        raise VideoError(
            f"{path} is cut off: it should have {end} bytes or more and has {container.size}; "
            "get an undamaged copy"
        )


def decoded(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    """All frames of a stream in the order of presentation, with their times; raise on damage."""
    refuse_short(path, container, stream)
    kind = container.format.name
    stream.codec_context.options = {"err_detect": "explode"}
    declared = stream.frames if kind == "avi" else len(stream.index_entries)
    # AVI has no times of presentation: a frame takes the earliest slot that is still free.
    slots: list[int] | None = [] if kind == "avi" else None
    frames = packets = 0
    reached = interval = 0.0
    last: int | None = None
    try:
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                start = float(packet.pts * packet.time_base)
                interval = max(interval, start - reached)
                reached = max(reached, start + float((packet.duration or 0) * packet.time_base))
            if packet.stream_index != stream.index:
                continue
            if packet.size:
                packets += 1
                if packet.is_corrupt:
                    raise _broken(path, frames, "its data is incomplete")
                if slots is not None and packet.dts is not None:
                    heapq.heappush(slots, packet.dts)
            for frame in packet.decode():
                if slots:
                    frame.pts = heapq.heappop(slots)
                if frame.is_corrupt:
                    raise _broken(path, frames, "it decodes with faults")
                if frame.pts is None or (last is not None and frame.pts <= last):
                    raise VideoError(
                        f"{path} has no proper time at frame {frames}: write it anew, "
                        "e.g. with 'ffmpeg -i IN OUT.mp4'"
                    )
                last = frame.pts
                yield frame
                frames += 1
    except (av.FFmpegError, OSError) as error:
        raise _broken(path, frames, "it cannot be decoded") from error
    if not frames:
        raise VideoError(f"{path} holds no frame that can be decoded: get an undamaged copy")
    if kind in ("avi", "mov,mp4,m4a,3gp,3g2,mj2") and packets < declared:
        raise _broken(path, frames, f"{declared} frames are declared")
    # The last frame's own duration may be unknown, hence the longest interval as a margin.
    length = (container.duration or 0) / av.time_base
    if kind == "matroska,webm" and reached + 2 * interval + 0.1 < length:
        raise _broken(path, frames, f"{length:.2f} s are declared")
