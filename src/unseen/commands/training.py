"""Commands that learn: filters, face modifiers, target models, sweeps of them."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unseen.commands.settings import (
    DATA_OPTIONS,
    Verb,
    add_data_options,
    add_overrides,
    config_of,
    evaluation_config_of,
    overrides_of,
    refuse_unused_folders,
)
from unseen.errors import ConfigError, Faults, UnseenError, together
from unseen.progress import speaks

if TYPE_CHECKING:
    from unseen.anonymizers.base import BoxKind
    from unseen.config import RunConfig
    from unseen.face_config import FaceRunConfig


def add_commands(verb: Verb) -> None:
    """Add `demo`, `train`, `train-target` and `sweep`."""
    demo = verb("demo", "Train, attack, compare, report and anonymize a clip, in minutes.")
    demo.add_argument("-o", "--out", type=Path, default=Path("runs/demo"), metavar="DIR")
    demo.add_argument("--preset", default="demo", help="`duet` takes longer and does better")
    add_overrides(demo)
    demo.set_defaults(run=_demo)

    train = verb("train", "Learn a filter by the game.")
    add_data_options(train)
    train.add_argument(
        "--actions-root", metavar="DIR", help="the folder of frames of actions, for face presets"
    )
    train.add_argument("-o", "--out", type=Path, required=True, metavar="RUN")
    train.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    add_overrides(train)
    train.set_defaults(run=_train)

    further = verb("train-target", "Train a further target model on a frozen anonymizer.")
    further.add_argument("anonymizer", metavar="RUN|NAME[:OPTION]")
    add_data_options(further, target=True)
    further.add_argument("--codec", metavar="CODEC", help="h264:crf=N, or none")
    further.add_argument("--raw", action="store_true", help="train one on raw video, to compare")
    further.add_argument(
        "-o", "--out", type=Path, metavar="OUT.safetensors",
        help="the weights; RUN/targets/COLUMN.safetensors if not given",
    )  # fmt: skip
    add_overrides(further)
    further.set_defaults(run=_train_target)

    sweep = verb("sweep", "Train and evaluate a family of experiments, one run after another.")
    sweep.add_argument("names", nargs="+", metavar="FAMILY|PRESET")
    add_data_options(sweep, preset=False)
    sweep.add_argument("--seeds", default="0", metavar="0,1,2", help="each run with each of them")
    sweep.add_argument("--jobs", type=int, default=1, metavar="N", help="runs side by side")
    sweep.add_argument("--dry-run", action="store_true", help="list what would be done")
    sweep.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    add_overrides(sweep)
    sweep.set_defaults(run=_sweep)


def _demo(args: argparse.Namespace) -> None:
    from unseen.demo import run_demo

    run_demo(args.out, args.overrides, args.preset)


def _train(args: argparse.Namespace) -> None:
    from unseen.data.load import find_data
    from unseen.evaluation.evaluate import refuse_attacks, refuse_evaluation
    from unseen.face_config import face_preset_names, stored_face_config
    from unseen.families.family import members
    from unseen.training.folder import refuse, run_config
    from unseen.training.run import train

    member = members().get(args.preset or "")
    if member and member.anonymizer:
        raise ConfigError(
            f"'{member.name}' is handcrafted, nothing to train: "
            f"unseen evaluate {member.anonymizer} --preset {member.name} -o result.json"
        )
    resumed = args.resume and args.preset is None and (args.out / "config.json").exists()
    faces = stored_face_config(args.out / "config.json") if resumed else None
    if faces is not None or args.preset in face_preset_names():
        _train_faces(args, faces)
        return
    if args.actions_root is not None:
        raise ConfigError(
            "--actions-root is for presets with a face modifier and action detection, such as "
            "daly-ren18"
        )
    base = run_config(args.out) if resumed else None
    try:
        config = config_of(args, base)
    except ConfigError as error:
        raise _beside(error, args, base) from None
    # `unseen evaluate RUN` is to find settings that it can use, after all that work.
    checks: list[Callable[[], Any]] = [
        partial(find_data, config.data, jobs=config.train.threads),
        partial(refuse_unused_folders, args, config.data),
        partial(refuse, config, args.out, resume=args.resume),
        partial(refuse_evaluation, config.evaluation, config.budget_models),
        partial(refuse_attacks, config.evaluation, config.data),
    ]
    load = together(ConfigError, f"{args.out} cannot be trained and measured so", checks)[0]
    trained = train(config, load(), args.out, resume=args.resume)
    if not speaks():
        return
    print(
        f"{trained.folder}: validation accuracy of f_T {100 * trained.target_accuracy:.1f}% "
        f"after {trained.seconds:.0f} s; now measure the leak: "
        f"unseen evaluate {trained.folder} -o {trained.folder}/result.json"
    )
    for note in trained.notes:
        print(f"note: {note}", file=sys.stderr)


def _beside(error: ConfigError, args: argparse.Namespace, base: "RunConfig | None") -> UnseenError:
    """An error of settings, and what is wrong with data and folder whatever the settings are."""
    from unseen.data.load import find_data
    from unseen.training.folder import refuse

    plain = argparse.Namespace(**{**vars(args), "overrides": []})
    faults = Faults()
    faults.errors.append(error)
    with faults.collected():
        config = config_of(plain, base)
        with faults.collected():
            find_data(config.data)
        with faults.collected():
            if not args.resume:  # what a run goes on with is told by its settings
                refuse(config, args.out, resume=False)
    try:
        faults.refuse(f"{args.out} cannot be trained and measured so", ConfigError)
    except UnseenError as every:
        return every
    return error


def _train_target(args: argparse.Namespace) -> None:
    from unseen.data.load import find_data
    from unseen.evaluation.evaluate import needed_boxes
    from unseen.evaluation.target import prepare_target, train_target

    config = evaluation_config_of(args)
    needed: tuple[BoxKind, ...] = ()
    with suppress(UnseenError):  # `prepare_target` tells of it
        needed = needed_boxes(args.anonymizer)
    checks: list[Callable[[], Any]] = [  # before clips are read, which takes long
        partial(
            prepare_target,
            args.anonymizer,
            config.data.target,
            args.out,
            config.evaluation,
            config.data.size,
        ),
        partial(
            find_data, config.data, jobs=config.evaluation.jobs, boxes=needed, target_alone=True
        ),
        partial(refuse_unused_folders, args, config.data),
    ]
    load = together(ConfigError, "no target model can be trained so", checks)[1]
    made = train_target(args.anonymizer, load(), args.out, config.evaluation, raw=args.raw)
    contract = made.contract
    metric = "accuracy" if contract.metric == "accuracy" else "cMAP"
    for label, view in (("pixels", "pixels"), (contract.codec, "stored")):
        scores = {"A_T": contract.anonymized} | ({"raw": contract.raw} if contract.raw else {})
        found = {name: getattr(each, view) for name, each in scores.items()}
        if found["A_T"] is not None:
            told = [
                f"{name} {100 * one.score:.1f}% [{100 * one.interval[0]:.1f}, "
                f"{100 * one.interval[1]:.1f}]"
                for name, one in found.items()
            ]
            print(f"{label}: {', '.join(told)}, chance {100 * contract.chance:.1f}% ({metric})")
    print(f"{made.weights}: f_T for {contract.column}, {contract.cost.parameters:,} parameters")
    if contract.fit.stopped == "cap":
        print(
            "note: stopped by evaluation.target_fit.cap before its validation score had settled",
            file=sys.stderr,
        )


def _sweep(args: argparse.Namespace) -> None:
    from unseen.overrides import WORKER_LIMIT
    from unseen.sweep import plan, run_sweep

    faults = Faults()
    seeds, runs = [0], []
    with faults.collected():
        try:
            seeds = [int(seed) for seed in args.seeds.split(",")]
        except ValueError:
            raise ConfigError(f"--seeds '{args.seeds}': write whole numbers, as in 0,1,2") from None
    with faults.collected():
        if not 1 <= args.jobs <= WORKER_LIMIT:
            raise ConfigError(f"--jobs {args.jobs}: from 1 to {WORKER_LIMIT}")
    with faults.collected():
        runs = plan(args.out, args.names, overrides_of(args), seeds)
    faults.refuse("the sweep cannot begin, for several reasons:", ConfigError)
    if args.dry_run:
        width = max(len(run.name) for run in runs)
        for run in runs:
            print(f"{run.name:{width}}  {run.left}")
        return
    run_sweep(args.out, runs, jobs=args.jobs)
    print(f"{args.out}: draw it with `unseen report {args.out} -o {args.out}/report.html`")


def _train_faces(args: argparse.Namespace, base: "FaceRunConfig | None") -> None:
    from unseen.face_config import load_face_config
    from unseen.training.face_data import load_face_data, refuse_face_data
    from unseen.training.face_run import refuse_faces, train_faces

    faults, config, data = Faults(), None, None
    for option in DATA_OPTIONS:
        with faults.collected():
            if option != "root" and getattr(args, option) is not None:
                option = option.replace("_", "-")
                raise ConfigError(f"--{option} has no meaning for face pictures; use --root DIR")
    named = {"data.root": args.root, "data.actions_root": args.actions_root}
    roots = [f"{key}={json.dumps(value)}" for key, value in named.items() if value is not None]
    with faults.collected():
        config = load_face_config(args.preset, [*roots, *args.overrides], base=base)
    if config is not None:
        with faults.collected():
            refuse_faces(config, args.out, resume=args.resume)
        with faults.collected():
            # Pictures take long to read: only where nothing else is wrong.
            if faults.errors:
                refuse_face_data(config.data)
            else:
                data = load_face_data(config.data)
    faults.refuse(f"{args.out} cannot be trained, for several reasons:", ConfigError)
    assert config is not None
    assert data is not None
    trained = train_faces(config, data, args.out, resume=args.resume)
    if not speaks():
        return
    print(
        f"{trained.folder}: verification by its own recogniser "
        f"{100 * trained.verification_raw:.1f}% on faces as they are, "
        f"{100 * trained.verification_modified:.1f}% on modified ones, "
        f"after {trained.seconds:.0f} s"
    )
