"""Published weights: what fits is loaded, what does not is refused, pickles only on request."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unseen.cli import main
from unseen.errors import ConfigError, UnknownNameError, UnseenError, WeightsError
from unseen.models import FrameAverage, canonical, create_model
from unseen.models.external import VideoNetwork, published_network
from unseen.models.weights import convert_weights, load_body
from unseen.stored_weights import save_weights


def _net(classes: int = 5, names: tuple[str, str, str] = ("a", "norm", "last")) -> nn.Sequential:
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, classes))
    net = nn.Sequential()
    for name, layer in zip(names, layers, strict=True):
        net.add_module(name, layer)
    return net


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "five.safetensors"
    save_file(_net(5).state_dict(), path)
    return path


@pytest.mark.parametrize("classes", [2, 5])
def test_all_but_the_last_layer_is_loaded(classes: int, stored: Path) -> None:
    torch.manual_seed(2)
    net = _net(classes)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    load_body(net, stored)
    file = load_file(stored)
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key] if key.startswith("last.") else file[key])
    assert not torch.equal(net.state_dict()["a.weight"], before["a.weight"])


def test_a_network_may_have_two_classifiers(tmp_path: Path) -> None:
    name, path = "timm:deit_tiny_distilled_patch16_224", tmp_path / "five.safetensors"
    kept = create_model(name, 5, size=48, frames=1)
    assert isinstance(kept, FrameAverage)
    save_weights(kept.net, path)
    model = create_model(f"{name}@{path}", 13, size=48, frames=1)
    assert isinstance(model, FrameAverage)
    theirs = kept.net.state_dict()
    for key, value in model.net.state_dict().items():
        assert key.startswith("head") != torch.equal(value, theirs[key])


def _without(tensors: dict[str, Tensor]) -> None:
    del tensors["norm.running_mean"]


def _surplus(tensors: dict[str, Tensor]) -> None:
    tensors["extra.weight"] = torch.zeros(1)


def _wider(tensors: dict[str, Tensor]) -> None:
    tensors["a.weight"] = torch.zeros(8, 3, 3, 3)


def _whole_numbers(tensors: dict[str, Tensor]) -> None:
    tensors["a.weight"] = tensors["a.weight"].long()


def _complex(tensors: dict[str, Tensor]) -> None:
    tensors["a.weight"] = tensors["a.weight"].to(torch.complex64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without, "lacks norm.running_mean"),
        (_surplus, "has extra.weight, which the network has not"),
        (_wider, "a.weight is 8x3x3x3, not 4x3x3x3"),
        (_whole_numbers, "a.weight holds int64 numbers"),
        (_complex, "a.weight holds complex64 numbers"),
    ],
)
def test_weights_of_another_network_are_refused(
    change: Callable[[dict[str, Tensor]], None], message: str, stored: Path
) -> None:
    tensors = load_file(stored)
    change(tensors)
    save_file(tensors, stored)
    net = _net()
    before = net.state_dict()["a.weight"].clone()
    with pytest.raises(WeightsError, match="are of another network") as caught:
        load_body(net, stored)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert torch.equal(net.state_dict()["a.weight"], before)


def test_counters_of_batches_may_be_missing(stored: Path) -> None:
    tensors = load_file(stored)
    del tensors["norm.num_batches_tracked"]
    save_file(tensors, stored)
    load_body(_net(), stored)


def test_a_damaged_file(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        load_body(_net(), stored)


# ------------------------------------------------------------ as attackers


@pytest.mark.parametrize(
    ("spec", "form"),
    [("timm:resnet10t", FrameAverage), ("torchvision:mobilenet_v3_small", FrameAverage)],
)
def test_an_attacker_starts_from_a_file(spec: str, form: type, tmp_path: Path) -> None:
    torch.manual_seed(3)
    source = create_model(spec, 4, size=64, frames=2)
    assert isinstance(source, FrameAverage)
    path = tmp_path / "w.safetensors"
    save_file({k: v.contiguous() for k, v in source.net.state_dict().items()}, path)
    model = create_model(f"{spec}@{path}", 3, size=64, frames=2)
    assert isinstance(model, form)
    assert model.spec == f"{spec}@{path}"
    same = [
        key
        for (key, one), other in zip(
            source.net.state_dict().items(), model.state_dict().values(), strict=True
        )
        if one.shape == other.shape and torch.equal(one, other)
    ]
    assert len(same) == len(source.state_dict()) - 2
    assert model(torch.rand(1, 3, 2, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("timm:resnet10t@gone.safetensors", "weights gone.safetensors: no such file"),
        ("timm:resnet10t@w.pth", "is a pickle, which can run code"),
        ("torchvision:resnet18@w.bin", "is a pickle, which can run code"),
        ("torchvision:resnet18@pretrained", "torchvision publishes pickles.*https://.*resnet18"),
        ("torchvision:resnet18@best", "write 'torchvision:NAME'"),
        ("torchvision:resnet_18", r"unknown torchvision model 'resnet_18' \(did you mean 'resnet"),
        ("torchvision:googlenet", "unknown torchvision model"),
        ("torchvision:s3d", "unknown torchvision model"),
        ("torchvision:ssd300_vgg16", "is a detector of torchvision's, for data.person_detector"),
    ],
)
def test_what_cannot_be_had_is_said_before_any_work(spec: str, message: str) -> None:
    with pytest.raises(UnseenError, match=message) as caught:
        canonical(spec)
    assert "\n" not in str(caught.value)


def test_video_networks_keep_their_contract() -> None:
    with torch.device("meta"):
        for name in ("r3d_18", "swin3d_t"):
            model = create_model(f"torchvision:{name}", 3, size=48, frames=4)
            assert isinstance(model, VideoNetwork)
            assert model.sees == "clip"
            assert model(torch.rand(2, 3, 4, 48, 48)).shape == (2, 3)
    model = create_model("torchvision:mc3_18", 3, size=48, frames=4)
    assert isinstance(model, VideoNetwork)
    torch.testing.assert_close(model.mean.flatten(), torch.tensor([0.43216, 0.394666, 0.37645]))
    torch.testing.assert_close(model.std.flatten(), torch.tensor([0.22803, 0.22145, 0.216989]))


def test_images_are_resized_for_networks_that_cannot_take_them() -> None:
    with torch.device("meta"):
        for name, size, resize in (
            ("vit_b_16", 48, 224), ("alexnet", 48, 224), ("alexnet", 64, None),
            ("resnet18", 16, None),
        ):  # fmt: skip
            model = create_model(f"torchvision:{name}", 3, size=size, frames=2)
            assert isinstance(model, FrameAverage)
            assert model.resize == resize
            assert model(torch.rand(1, 3, 2, size, size)).shape == (1, 3)


# ------------------------------------------------------------ pickles


def test_a_pickle_becomes_safetensors(tmp_path: Path) -> None:
    torch.manual_seed(4)
    pth, out = tmp_path / "w.pth", tmp_path / "deep" / "w.safetensors"
    tensors = _net(7).state_dict()
    torch.save({"state_dict": tensors}, pth)
    assert convert_weights(pth, out, _net(7), unsafe_pickle=True) == len(tensors) - 1
    for key, value in load_file(out).items():
        assert torch.equal(value, tensors[key])
    # In the words of another package, and of another number of classes.
    torch.save(_net(9, ("stem", "bn", "fc")).state_dict(), pth)
    convert_weights(pth, out, _net(7), unsafe_pickle=True)
    assert set(load_file(out)) == {k for k in tensors if not k.endswith("num_batches_tracked")}
    load_body(_net(3), out)


class _Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def _changed(first: Tensor) -> dict[str, Tensor]:
    return {**_net().state_dict(), "a.weight": first}


def test_pickles_that_are_refused(tmp_path: Path) -> None:
    pth, out = tmp_path / "w.pth", tmp_path / "w.safetensors"
    torch.save(_net().state_dict(), pth)
    with pytest.raises(ConfigError, match="say so with --unsafe-pickle"):
        convert_weights(pth, out, _net(), unsafe_pickle=False)
    with pytest.raises(ConfigError, match=r"must end in \.safetensors"):
        convert_weights(pth, tmp_path / "w.bin", _net(), unsafe_pickle=True)
    wider = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 5))
    cases: list[tuple[Any, str]] = [
        (wider.state_dict(), "is of another network: no tensor fits a.weight"),
        ({"a": torch.zeros(1)}, "is of another network: "),
        ({"a": 3}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
        ({1: torch.zeros(1)}, "holds no state dict"),
        ({}, "holds no tensors"),
        ({"state_dict": {"a.num_batches_tracked": torch.zeros(1)}}, "holds no tensors"),
        (_changed(torch.zeros(8, 3, 3, 3)), "no tensor fits a.weight"),
        (_changed(torch.zeros(4, 3, 3, 3, dtype=torch.complex64)), "no tensor fits a.weight"),
        (_changed(torch.zeros(4, 3, 3, 3, dtype=torch.int64)), "no tensor fits a.weight"),
        (_changed(torch.zeros(4, 3, 3, 3).to_sparse()), "a.weight is sparse; only dense ones"),
        (_changed(torch.zeros(4, 3, 3, 3, device="meta")), "a.weight is without values"),
        ({"a": _Harmful(tmp_path / "harm")}, r"holds \w+\.mkdir, and only tensors are read"),
        (_net(), "holds torch.nn.modules.container.Sequential, and only tensors are read: save"),
    ]
    for content, message in cases:
        torch.save(content, pth)
        with pytest.raises(WeightsError, match=message) as caught:
            convert_weights(pth, out, _net(), unsafe_pickle=True)
        assert "\n" not in str(caught.value)
    torch.save(_net().state_dict(), pth)
    whole = pth.read_bytes()
    texts = (b"", b"<!DOCTYPE html>", b"PK", b"{}", b"t.", b"h\x05.", b"j\x00", b"\x80", whole[:-9])
    for content in texts:
        pth.write_bytes(content)
        with pytest.raises(WeightsError, match=r"is no whole file that .* wrote; download"):
            convert_weights(pth, out, _net(), unsafe_pickle=True)
    with pytest.raises(WeightsError, match="no such file"):
        convert_weights(tmp_path / "gone.pth", out, _net(), unsafe_pickle=True)
    with pytest.raises(WeightsError, match=r"gone\.safetensors: no such file$"):
        convert_weights(tmp_path / "gone.safetensors", out, _net(), unsafe_pickle=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pth"]


def test_a_torchscript_program_is_no_state_dict(tmp_path: Path) -> None:
    pt = tmp_path / "w.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated
        torch.jit.script(_net()).save(str(pt))  # type: ignore[no-untyped-call]
    with pytest.raises(WeightsError, match="is a TorchScript program; a state dict is needed"):
        convert_weights(pt, tmp_path / "w.safetensors", _net(), unsafe_pickle=True)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("ssdlite320_mobilenet_v3_large", "find bodies with data.person_detector=torchvision:"),
        ("mobilenet_v3_small", "start with torchvision:"),
    ],
)
def test_what_converted_weights_are_for(
    name: str, use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = published_network(f"torchvision:{name}").to_empty(device="cpu")
    torch.save(net.state_dict(), tmp_path / "w.pth")
    out = tmp_path / "w.safetensors"
    words = (str(tmp_path / "w.pth"), "-o", str(out), "--model", f"torchvision:{name}")
    assert main(["convert-weights", *words, "--unsafe-pickle"]) == 0
    assert f"tensors; {use}{name}@{out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("fasterrcnn_resnet50_fpn_v3", "fasterrcnn_resnet50_fpn_v2"),
        ("resnet19", "resnet1"),
        ("ssd300", "ssd300_vgg16"),
    ],
)
def test_a_mistyped_name_is_looked_for_among_classifiers_and_detectors(
    name: str, meant: str
) -> None:
    with pytest.raises(UnknownNameError, match=rf"did you mean '{meant}\d*'\?"):
        published_network(f"torchvision:{name}")


@pytest.mark.parametrize("spec", ["mobilenet:0.5@w.safetensors", "timm:resnet18@pretrained"])
def test_weights_are_made_for_a_network_without_weights(spec: str) -> None:
    with pytest.raises(ConfigError, match=f"write '{spec.partition('@')[0]}'"):
        published_network(spec)


# ------------------------------------------------------------ any model of the registry


def test_every_model_starts_from_a_file(tmp_path: Path) -> None:
    for name in ("c3d-small:4", "mobilenet:0.25", "vit-small", "r3d-small", "resnet-v1-10", "crnn"):
        path = tmp_path / f"{name.replace(':', '-')}.safetensors"
        torch.manual_seed(1)
        trained = create_model(name, 7, size=32, frames=4)
        save_weights(trained, path)
        torch.manual_seed(2)
        fresh = create_model(name, 3, size=32, frames=4).state_dict()
        torch.manual_seed(2)
        model = create_model(f"{name}@{path}", 3, size=32, frames=4)
        assert model.spec == canonical(f"{name}@{path}") == f"{canonical(name)}@{path}"
        loaded = model.state_dict()
        last = {key for key, value in trained.state_dict().items() if value.shape[:1] == (7,)}
        assert 1 <= len(last) <= 2
        for key, value in trained.state_dict().items():
            assert torch.equal(loaded[key], fresh[key] if key in last else value), key


def test_c3d_starts_from_published_weights(tmp_path: Path, capsys: Any) -> None:
    # In the words of its ports: conv1 to conv5b, fc6 to fc8, for the 487 sports of Sports-1M.
    net = published_network("c3d").to_empty(device="cpu")
    convolutions = ("conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")
    layers = [f"{layer}.{kind}" for layer in (*convolutions, "fc6", "fc7", "fc8")
              for kind in ("weight", "bias")]  # fmt: skip
    stored = {
        key: torch.full_like(value, 0.001 * at)
        for at, (key, value) in enumerate(zip(layers, net.state_dict().values(), strict=True))
    }
    stored["fc8.weight"], stored["fc8.bias"] = torch.zeros(487, 4096), torch.zeros(487)
    torch.save(stored, tmp_path / "c3d.pth")
    out = tmp_path / "c3d.safetensors"
    words = (str(tmp_path / "c3d.pth"), "-o", str(out), "--model", "c3d", "--scale", "127.5")
    stored["conv1.weight"] += 0.01
    torch.save(stored, tmp_path / "c3d.pth")
    assert main(["convert-weights", *words, "--unsafe-pickle"]) == 0
    assert f"22 tensors; start with c3d@{out}" in capsys.readouterr().out
    model = create_model(f"c3d@{out}", 11, size=112, frames=16)
    loaded = list(model.state_dict().values())
    torch.testing.assert_close(loaded[0], torch.full_like(loaded[0], 1.275))
    for mine, theirs in zip(loaded[1:-2], list(stored.values())[1:-2], strict=True):
        assert torch.equal(mine, theirs)
    assert loaded[-2].shape == (11, 4096)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cnn@", "write 'cnn' or 'cnn@FILE.safetensors'"),
        ("cnn@pretrained", "write 'cnn' or 'cnn@FILE.safetensors'"),
        ("cnn@w.pth", "is a pickle"),
        ("cnn@gone.safetensors", "gone.safetensors: no such file"),
        ("cnm@gone.safetensors", r"unknown model 'cnm' \(did you mean 'cnn'"),
    ],
)
def test_weights_of_a_registered_model_that_are_refused(spec: str, message: str) -> None:
    with pytest.raises(UnseenError, match=message):
        create_model(spec, 2, size=32, frames=2)


def test_all_that_is_wrong_with_a_conversion_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (str(tmp_path / "none.pth"), "-o", str(tmp_path / "w.bin"), "--model", "timm:resne18")
    assert main(["convert-weights", *words]) == 2
    error = capsys.readouterr().err
    for fault in ("did you mean 'resnet18'", "no such file", "must end in", "--unsafe"):
        assert fault in error
    assert not list(tmp_path.iterdir())
