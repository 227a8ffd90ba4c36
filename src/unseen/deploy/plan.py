"""Which files are anonymized, and where to: all faults of the inputs, before any work."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unseen.data.pictures import PICTURES
from unseen.data.video import WRITABLE, probe
from unseen.errors import ConfigError, DataError, VideoError
from unseen.files import has_long_name, refuse_unwritable

# What a folder is searched for; those that cannot be read are reported, not skipped.
VIDEOS = (
    *WRITABLE,
    *(".m4v", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp"),
    *(".wmv", ".flv", ".ogv"),
)
# Pictures that are not read: they are reported as well.
_OTHER_PICTURES = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng", ".cr2", ".nef", ".arw")
_WANTED = (*VIDEOS, *PICTURES, *_OTHER_PICTURES)
_MARK = ".anonymized"


@dataclass(frozen=True)
class Job:
    """One file to anonymize, and where to; `faces` is where its faces are written, if anywhere."""

    source: Path
    output: Path
    faces: Path | None = None

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture, and not a video."""
        return is_picture(self.source)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its suffix."""
    return path.suffix.lower() in PICTURES


def _below(folder: Path, faults: list[str]) -> list[Path]:
    """What is in a folder and below, but for what is hidden; links to folders are not entered.

    Folders that cannot be searched go to `faults`.
    """

    def unreadable(error: OSError) -> None:
        faults.append(f"{error.filename} cannot be searched: {error.strerror}")

    found: list[Path] = []
    for at, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(at) / name for name in (*folders, *files) if not name.startswith(".")]
    return sorted(found)


def _is_output(path: Path, folder: Path, out: Path | None) -> bool:
    """Whether a file in a folder is taken for an output: by its name, or as it lies in `out`."""
    if path.stem.endswith(_MARK):
        return True
    top, outputs = folder.resolve(), out and out.resolve()
    nested = outputs is not None and outputs != top and outputs.is_relative_to(top)
    return nested and outputs is not None and path.resolve().is_relative_to(outputs)


def _files(folder: Path, out: Path | None, faults: list[str]) -> Iterator[Path]:
    """What can be anonymized in a folder and below, except hidden files and own outputs."""
    for path in _below(folder, faults):
        wanted = path.suffix.lower() in _WANTED and path.is_file()
        if wanted and not _is_output(path, folder, out):
            yield path


def passed_over(
    inputs: Sequence[Path], out: Path | None = None, written: Sequence[Path] = ()
) -> str | None:
    """What lies in the folders named and is not anonymized, in words; None: nothing.

    Files of other kinds, links to folders, which are not entered, what is no file whatever its
    name (a link to nothing, a pipe), and what lies in `out`, within such a folder, and was not
    `written` there. Hidden files and `NAME.anonymized.*` are told of nowhere.
    """
    kinds: Counter[str] = Counter()
    links: list[str] = []
    no_files: list[str] = []
    unwritten: list[str] = []
    outputs = {path.resolve() for path in written}
    for folder in (path for path in inputs if path.is_dir()):
        for path in _below(folder, []):
            if path.is_symlink() and path.is_dir():
                links.append(str(path))
            elif path.is_dir():
                continue
            elif not path.is_file():
                no_files.append(str(path))
            elif path.suffix.lower() not in _WANTED:
                kinds[path.suffix.lower() or "no suffix"] += 1
            elif (
                not path.stem.endswith(_MARK)
                and _is_output(path, folder, out)
                and path.resolve() not in outputs
            ):
                unwritten.append(str(path))
    told = [f"links to folders: {', '.join(links)}"] if links else []
    told += [f"no files: {', '.join(no_files)}"] if no_files else []
    if unwritten:
        told.append(
            f"{len(unwritten)} files taken for outputs, as they lie in {out}, that this run did "
            f"not write: {unwritten[0]}{', ...' if len(unwritten) > 1 else ''}"
        )
    if kinds:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        told.insert(0, f"files of other kinds: {listed}")
    return "; ".join(told) or None


def _named(inside: Path, mark: str = "") -> Path:
    """The output's name: as the source's; suffixes that cannot be written become `.mp4`."""
    suffix = inside.suffix if inside.suffix.lower() in (*WRITABLE, *PICTURES) else ".mp4"
    return inside.with_name(f"{inside.stem}{mark}{suffix}")


def _names_file(out: Path | None) -> bool:
    """Whether `out` is meant as a file rather than as a folder."""
    named = out is not None and out.suffix.lower() in (*VIDEOS, *PICTURES)
    return named and out is not None and not out.is_dir()


def plan(inputs: Sequence[Path], out: Path | None, faces_json: Path | None = None) -> list[Job]:
    """Which outputs the inputs give; see `anonymize_paths`.

    Raises:
        DataError: with every fault: missing inputs, files that are no videos, or damaged ones as
            far as their headers and their first frame tell, folders without any or that cannot be
            searched, outputs that cannot be written, two inputs for one output or for one file of
            faces, an output or a file of faces that is an input, a file of faces that is an output.
        ConfigError: `out` cannot hold the outputs.
    """
    faults: list[str] = []
    jobs: dict[Path, Job] = {}
    single = len(inputs) == 1 and not inputs[0].is_dir()
    as_file = single and _names_file(out)
    unusable = None if out is None else _unusable(out, inputs[0] if as_file else None)
    for path in inputs:
        if path.is_dir():
            before = len(faults)
            found = [(file, file.relative_to(path)) for file in _files(path, out, faults)]
            if not found and len(faults) == before:
                faults.append(f"{path}: no videos or pictures in this folder")
        elif not path.exists():
            faults.append(f"{path}: no such file or folder")
            continue
        else:
            found = [(path, Path(path.name))]
        for file, inside in found:
            if out is None:
                output = _named(file, _MARK)
            else:
                output = out if as_file else out / _named(inside)
            json = faces_json
            if json is not None and not single:
                json = json / inside.with_name(f"{output.name}.json")
            # A file that is named twice is done once; a link to it has a name of its own.
            jobs.setdefault(file.parent.resolve() / file.name, Job(file, output, json))
    for job in jobs.values():
        if job.source.suffix.lower() in _OTHER_PICTURES:
            faults.append(f"{job.source}: pictures of this kind are not read: make it jpg or png")
        elif not job.is_picture:
            try:
                probe(job.source)  # its headers, and its first frame
            except VideoError as error:
                faults.append(str(error))
    if unusable is None:
        faults += [*_output_faults(jobs), *_faces_faults(jobs)]
    elif not faults:
        raise ConfigError(unusable)
    else:
        faults.insert(0, unusable)
    if faults:
        raise DataError("nothing was anonymized, the inputs have faults:", faults)
    return list(jobs.values())


def _unusable(out: Path, source: Path | None) -> str | None:
    """Why `out` cannot be the output of one file, or the folder of all outputs (None), if so."""
    if source is None:
        if _names_file(out) or out.is_file():
            return f"{out} is not a folder, but the outputs need one: name a folder"
    elif is_picture(source) != is_picture(out):
        return f"{out} is of another kind than {source}: change its suffix"
    elif out.suffix.lower() not in (*WRITABLE, *PICTURES):
        return f"cannot write {out}: the name must end in {', '.join(WRITABLE)}"
    return None


def _output_faults(jobs: dict[Path, Job]) -> list[str]:
    """Outputs that cannot be written, or are not of one input alone."""
    faults = []
    every = [path for job in jobs.values() for path in (job.output, job.faces) if path]
    # One for each folder: where one output cannot be written, mostly none can be; each long name.
    folders = {path.parent: path for path in every if not has_long_name(path)}
    for path in [*folders.values(), *filter(has_long_name, every)]:
        try:
            refuse_unwritable(path)
        except ConfigError as error:
            faults.append(str(error))
    inputs = {job.source.resolve() for job in jobs.values()}
    sources = defaultdict(list)
    for job in jobs.values():
        sources[job.output.resolve()].append(job)
    for output, several in sources.items():
        names = ", ".join(str(job.source) for job in several)
        if len(several) > 1:
            faults.append(f"{names}: all would be written to {several[0].output}")
        if output in inputs:
            faults.append(f"{names}: would replace the input {several[0].output}")
    return faults


def _faces_faults(jobs: dict[Path, Job]) -> list[str]:
    """Files of faces that would replace a video, a picture or one another."""
    faults = []
    outputs = {job.output.resolve() for job in jobs.values()}
    inputs = {job.source.resolve() for job in jobs.values()}
    sources = defaultdict(list)
    for job in jobs.values():
        if job.faces is not None:
            sources[job.faces.resolve()].append(job)
    for faces, several in sources.items():
        names, path = ", ".join(str(job.source) for job in several), several[0].faces
        if len(several) > 1:
            faults.append(
                f"{names}: the faces of all would be written to {path}; anonymize them one by one, "
                "or the folder that holds them all"
            )
        if faces in inputs:
            faults.append(f"{names}: the faces would replace the input {path}")
        elif faces in outputs:
            faults.append(f"{names}: the faces would replace the output {path}")
    return faults
