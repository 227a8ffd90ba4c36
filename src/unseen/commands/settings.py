"""What commands have in common: options for data, and settings from all that was given."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from unseen.config import DataConfig, RunConfig

# Makes a command of its name and a sentence about it.
Verb: TypeAlias = Callable[[str, str], argparse.ArgumentParser]

DATA_OPTIONS = (
    "data", "root", "target", "private", "private_data", "private_root", "test_on", "test_on_root",
)  # fmt: skip


def add_data_options(
    command: argparse.ArgumentParser, *, target: bool = False, preset: bool = True
) -> None:
    """Add what names the data of a command."""
    if preset:
        command.add_argument("--preset", help="a named configuration; `unseen presets` lists them")
    command.add_argument(
        "--data", help="duet, a published data set (`unseen data list`), or a CSV manifest"
    )
    command.add_argument("--root", metavar="DIR", help="the folder of a published data set")
    command.add_argument("--target", metavar="COLUMN", required=target, help="label column to keep")
    command.add_argument(
        "--private", metavar="COLUMN[,COLUMN]", help="label column(s) to hide, or all"
    )
    command.add_argument(
        "--private-data", metavar="DATA",
        help="the data set that has them, if it is another; without --private: all of its",
    )  # fmt: skip
    command.add_argument("--private-root", metavar="DIR", help="the folder of that one")
    command.add_argument(
        "--test-on", metavar="DATA", help="pa-hmdb51: test on its videos, train on none of them"
    )
    command.add_argument("--test-on-root", metavar="DIR", help="the folder of its annotations")


def add_overrides(command: argparse.ArgumentParser) -> None:
    """Add `key=value`, which may stand anywhere."""
    command.add_argument(
        "overrides", nargs="*", metavar="key=value",
        help="settings to change, as game.gamma=5 (docs/configuration.md lists them)",
    )  # fmt: skip


def config_of(args: argparse.Namespace, base: "RunConfig | None" = None) -> "RunConfig":
    """Preset, options and overrides as one configuration, over `base` or else the preset `duet`."""
    from unseen.config import load_config

    preset = getattr(args, "preset", None)
    if base is None and not preset:
        base = load_config("duet")
    return load_config(preset, overrides_of(args), base=base)


def refuse_unused_folders(args: argparse.Namespace, data: "DataConfig") -> None:
    """Refuse a folder that was named and would not be read: other data would be learned from.

    Raises:
        ConfigError: naming it, and what names its data set.
    """
    from unseen.data.load import DATASETS
    from unseen.errors import ConfigError

    alone = data.name in DATASETS or Path(data.name).suffix.lower() == ".csv"
    unused = {
        ("--root", args.root, "--data"): alone,
        ("--private-root", args.private_root, "--private-data"): data.private_name is None,
        ("--test-on-root", args.test_on_root, "--test-on"): data.test_on is None,
    }
    wrong = [
        f"{option} {folder} is not read: name its data set by {name} NAME, or leave it out"
        for (option, folder, name), idle in unused.items()
        if idle and folder is not None
    ]
    if wrong:
        raise ConfigError("; ".join(wrong))


def overrides_of(args: argparse.Namespace) -> list[str]:
    """Settings in the order in which they were given, then the options for data."""
    overrides = list(args.overrides)
    renamed = {"data": "name", "private_data": "private_name"}
    for option in DATA_OPTIONS:
        value = getattr(args, option, None)
        if value is not None:
            # A folder or a column may have a number for a name.
            text = value if option == "private" else json.dumps(value)
            overrides.append(f"data.{renamed.get(option, option)}={text}")
    return overrides


def evaluation_config_of(args: argparse.Namespace) -> "RunConfig":
    """The configuration to measure `args.anonymizer` by: that of its run, if it is one."""
    from unseen.training.folder import refuse_seen, run_config, with_its_split

    for option in ("attackers", "suite", "attacks", "codec"):
        value = getattr(args, option, None)
        if value is not None:
            if (option, value) == ("codec", "none"):
                value = "null"
            elif option in ("suite", "codec"):  # names; the others are numbers or lists as well
                value = json.dumps(value)
            args.overrides.append(f"evaluation.{option}={value}")
    if Path(args.anonymizer).is_dir():
        run = run_config(Path(args.anonymizer))
        config = config_of(args, run)
        refuse_seen(run, config.data)
        return config.model_copy(update={"data": with_its_split(run, config.data)})
    return config_of(args)
