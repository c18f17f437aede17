"""`entry_points/debugger/hook.py`: when tensors are asked for, and what a job saves of them."""

import json
import sys

import numpy as np
import pytest
import torch
from torch.nn import CrossEntropyLoss, functional

from debugger.hook import Debugger, _make_hook, _prepare
from options import ConfigError
from tests.support.forking import fork, train_alone
from tests.support.narrow import SHARE
from tests.support.tiny_photos import write_channels

CRITERION = CrossEntropyLoss()


def collection(name, **parameters):
    """A collection as the API takes it; `train_save_interval` stands for `train.save_interval`."""
    modes = ("train_", "eval_", "predict_")
    named = {
        next((key.replace("_", ".", 1) for mode in modes if key.startswith(mode)), key): value
        for key, value in parameters.items()
    }
    return {"CollectionName": name, "CollectionParameters": named}


COLLECTIONS = [
    collection("losses", save_interval="1", eval_save_interval="2"),
    collection("weights", train_save_interval="3"),
    collection("gradients", save_interval="2"),
    collection("biases", save_steps="1", save_interval="1000"),
    collection("relus", include_regex="layer4.*relu_(in|out)put", train_save_interval="2"),
]


def train_and_tell(arguments, log, variables):
    """In a fork: train, and say whether that has imported smdebug."""
    assert "smdebug" not in sys.modules
    train_alone(arguments, log, variables)
    print("smdebug imported:", "smdebug" in sys.modules)


def train(root, config, *options, **variables):
    """Run train.py in a process of its own; return its output."""
    (root / "config.json").write_text(json.dumps(config))
    words = ["--model", "resnet18", "--weights", "random", "--image-size", "32"]
    words += ["--batch-size", "4", "--epochs", "1", *options, "--model-dir", root / "model"]
    words += ["--train-dir", root / "train", "--valid-dir", root / "valid"]
    variables = {"SMDEBUG_CONFIG_FILE_PATH": str(root / "config.json"), **variables}
    process = fork(train_and_tell, list(map(str, words)), root / "log", variables)
    process.join(60)
    output = (root / "log").read_text()
    assert process.exitcode == 0, output
    return output


def test_without_a_configuration_smdebug_is_not_imported(tmp_path):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    output = train(tmp_path, {"LocalPath": str(tmp_path / "tensors")})
    assert "smdebug imported: False" in output
    assert not (tmp_path / "tensors").exists()


def saved(trial, mode, *, name=None, regex=None):
    """The steps of a mode at which a tensor, or what a regex finds first, was saved."""
    tensor = name or trial.tensor_names(regex=regex)[0]
    return trial.tensor(tensor).steps(mode=mode)


@pytest.fixture(scope="module")
def debugged(tmp_path_factory):
    """A job in bf16 of 4 steps of training, 2 of evaluation and 2 of the test: folder and trial."""
    root = write_channels(tmp_path_factory.mktemp("debugged"))
    config = {"LocalPath": str(root / "tensors"), "CollectionConfigurations": COLLECTIONS}
    output = train(root, config, "--precision", "bf16", "--test-dir", str(root / "test"))
    assert "test_accuracy=" in output
    assert "smdebug imported: True" in output
    assert output.count("epoch=") == 1

    from smdebug.trials import create_trial

    return root, create_trial(str(root / "tensors"))


def test_each_collection_is_saved_at_its_own_steps_of_each_mode(debugged):
    from smdebug.core.modes import ModeKeys as modes

    trial = debugged[1]
    loss = "CrossEntropyLoss_output_0"
    assert saved(trial, modes.TRAIN, name=loss) == [0, 1, 2, 3]
    assert saved(trial, modes.EVAL, name=loss) == [0]
    assert all(trial.tensor(loss).value(s, mode=modes.TRAIN) > 0 for s in range(4))
    # The test's steps must look neither like training nor like one more evaluation.
    assert saved(trial, modes.PREDICT, name=loss) == [0, 1]
    assert saved(trial, modes.TRAIN, name="ResNet_fc.weight") == [0, 3]
    assert saved(trial, modes.TRAIN, name="gradient/ResNet_fc.weight") == [0, 2]
    assert saved(trial, modes.EVAL, name="gradient/ResNet_fc.weight") == []
    assert saved(trial, modes.TRAIN, name="ResNet_fc.bias") == [0, 1]
    assert saved(trial, modes.TRAIN, regex="layer4.1.relu_input") == [0, 2]


def test_collections_hold_what_their_names_say(debugged):
    trial = debugged[1]
    weights = set(trial.tensor_names(collection="weights"))
    assert {"ResNet_conv1.weight", "ResNet_layer4.1.bn2.weight", "ResNet_fc.weight"} <= weights
    assert not any(name.startswith("gradient/") for name in weights)
    gradients = set(trial.tensor_names(collection="gradients"))
    biases = set(trial.tensor_names(collection="biases"))
    assert {f"gradient/{name}" for name in weights | biases} == gradients
    assert all("layer4" in name for name in trial.tensor_names(collection="relus"))


def test_the_saved_weights_are_the_networks(debugged):
    from safetensors.numpy import load_file
    from smdebug.core.modes import ModeKeys as modes

    root, trial = debugged
    model = load_file(root / "model/model.safetensors")
    # Nothing has learned since the test began. conv1's weights lie channels-last in memory.
    for name in ("conv1.weight", "layer4.1.bn2.weight", "fc.weight", "fc.bias"):
        found = trial.tensor(f"ResNet_{name}").value(0, mode=modes.PREDICT)
        np.testing.assert_array_equal(found, model[name])


def test_saved_inputs_are_those_before_the_relu(debugged):
    from smdebug.core.modes import ModeKeys as modes

    trial = debugged[1]
    for call in range(2):  # a block calls its one ReLU twice
        values = {
            way: trial.tensor(f"layer4.1.relu_{way}_{call}").value(2, mode=modes.TRAIN)
            for way in ("input", "output")
        }
        assert values["input"].shape == (4, 512 // SHARE, 1, 1)
        assert values["input"].min() < 0
        np.testing.assert_array_equal(np.maximum(values["input"], 0), values["output"])


def test_a_job_with_an_option_of_its_own_leaves_a_complete_trial_in_its_checkpoints(tmp_path):
    from smdebug.core.modes import ModeKeys as modes
    from smdebug.trials import create_trial

    root = write_channels(tmp_path, channels=["train", "valid"])
    (tmp_path / "checkpointconfig.json").write_text(json.dumps({"LocalPath": str(root / "c")}))
    (tmp_path / "tensorboardoutputconfig.json").write_text(
        json.dumps({"S3OutputPath": "s3://bucket/board", "LocalPath": str(root / "board")})
    )
    option = {"HookParameters": {"save_interval": "2", "train.save_interval": "3"}}
    asked_nothing = {"S3OutputPath": "", "HookParameters": None, "CollectionConfigurations": None}
    job = {"TRAINING_JOB_NAME": "dogs-1", "SM_INPUT_CONFIG_DIR": str(tmp_path)}
    job["CHECKPOINT_CONFIG_FILE_PATH"] = str(tmp_path / "checkpointconfig.json")
    output = train(root, asked_nothing, "--debug-config", json.dumps(option), **job)
    tensors = root / "c/dogs-1/debug-output"
    assert f"debugger=on tensors={tensors}\n" in output
    trial = create_trial(str(tensors))
    assert trial.tensor_names() == ["CrossEntropyLoss_output_0"]
    assert saved(trial, modes.TRAIN, name="CrossEntropyLoss_output_0") == [0, 3]
    assert saved(trial, modes.EVAL, name="CrossEntropyLoss_output_0") == [0]
    assert trial.loaded_all_steps  # only the end's mark says so
    # smdebug would keep a state of its own among the checkpoints, looking at all at each step.
    assert [file.name for file in (root / "c").iterdir()] == ["dogs-1"]
    assert len(list((root / "board").rglob("*tfevents*"))) == 1
    assert (
        "debug_config" not in json.loads((root / "model/model.json").read_text())["hyperparameters"]
    )


def test_two_configurations_are_refused(tmp_path, monkeypatch):
    file = tmp_path / "debughookconfig.json"
    file.write_text('{"HookParameters": {"save_interval": "5"}}')
    monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(file))
    option = {"HookParameters": {"save_interval": "2"}}
    with pytest.raises(ConfigError, match=r"DebugHookConfig.*--debug-config"):
        Debugger(option, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_only_the_first_process_of_torchruns_saves(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    debugger = Debugger({"HookParameters": {"save_interval": "2"}}, tmp_path / "data")
    debugger.register(None, None)
    debugger.close()
    assert not (tmp_path / "data").exists()


def test_a_folder_with_tensors_of_another_run_is_refused(tmp_path):
    (tmp_path / "tensors").mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"LocalPath": str(tmp_path / "tensors")}))
    with pytest.raises(ConfigError, match=r"tensors.*remove it"):
        _make_hook(tmp_path / "config.json")


@pytest.fixture
def network():
    """A VGG16 without its weights; its ReLUs are modules of their own, named by number."""
    from models import build

    with torch.device("meta"):
        return build("vgg16", 2)


def hook(folder, *collections, **parameters):
    """smdebug's hook for a configuration."""
    from smdebug.pytorch import Hook

    config = {"LocalPath": str(folder / "tensors"), "HookParameters": parameters}
    (folder / "config.json").write_text(
        json.dumps({**config, "CollectionConfigurations": list(collections)})
    )
    return Hook.create_from_json_file(str(folder / "config.json"))


@pytest.mark.parametrize(
    ("collections", "parameters", "expected"),
    [
        ([], {"save_interval": "1"}, False),
        ([collection("weights"), collection("gradients"), collection("biases")], {}, False),
        ([collection("head", include_regex="classifier.6.*weight")], {}, False),
        ([collection("relu", include_regex="features.1_input")], {}, True),
        ([collection("relu", include_regex=".*output")], {}, True),
        ([collection("losses", include_regex="^VGG_output")], {}, True),
        ([collection("all", include_regex=".*")], {}, True),
        ([], {"save_all": "true"}, True),
    ],
)
def test_modules_keep_their_input_where_activations_are_saved(
    tmp_path, network, collections, parameters, expected
):
    _prepare(hook(tmp_path, *collections, **parameters), network, CRITERION)
    kept = {module.inplace for module in network.modules() if hasattr(module, "inplace")}
    assert kept == ({False} if expected else {False, True})  # Dropout is never in place here


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (collection("relu_input", save_interval="1"), "include_regex"),
        (collection("relu", include_regex="features(.*"), r"features\(\.\*"),
    ],
)
def test_a_collection_that_smdebug_could_not_use_is_named(tmp_path, network, made, reason):
    with pytest.raises(ConfigError, match=f"{made['CollectionName']}.*{reason}"):
        _prepare(hook(tmp_path, made), network, CRITERION)


def test_a_collection_that_matches_nothing_is_told(tmp_path, network, capsys):
    made = [
        collection("relu_input", include_regex=".*relu_input"),
        collection("weights"),
        collection("cross_entropy", include_regex="CrossEntropyLoss_output"),
        collection("predictions", include_regex=".*CrossEntropyLoss_input_0"),
    ]
    _prepare(hook(tmp_path, *made), network, CRITERION)
    said = capsys.readouterr().out
    assert "'relu_input'" in said
    assert not any(f"'{name}'" in said for name in ("weights", "cross_entropy", "predictions"))


def test_without_smdebug_the_job_trains_and_says_so(tmp_path, network, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "smdebug"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "smdebug", None)  # an import of it fails
    file = tmp_path / "debughookconfig.json"
    file.write_text(json.dumps({"CollectionConfigurations": [collection("losses")]}))
    monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(file))
    debugger = Debugger()
    debugger.register(network, CRITERION)
    debugger.begin("train")
    debugger.close()
    said = capsys.readouterr().out
    assert said.startswith("debugger=off: ") and "requirements-debugger.txt" in said


@pytest.fixture
def hooked(job_config, tmp_path, monkeypatch):
    """Makes a Debugger that saves gradients in each step; the process has no hook afterwards."""
    from smdebug.core.singleton_utils import del_hook

    monkeypatch.setenv("CHECKPOINT_CONFIG_FILE_PATH", "")  # which Debugger sets

    def make(*registered):
        config = {"CollectionConfigurations": [collection("gradients", save_interval="1")]}
        debugger = Debugger(config, tmp_path)
        debugger.register(*registered)
        debugger.begin("train")
        return debugger

    yield make
    del_hook()


def test_scaled_gradients_are_saved_when_they_are_unscaled(hooked, tmp_path):
    from smdebug.core.modes import ModeKeys as modes

    from open_debugger import open_trial

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    debugger = hooked(model, CRITERION, scaler)
    expected = {}
    for step, factor in enumerate([1.0, 1e38, 1.0]):  # the second overflows when it is scaled
        photos, labels = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
        optimizer.zero_grad()
        scaler.scale(CRITERION(model(photos), labels) * factor).backward()
        scaler.unscale_(optimizer)
        debugger.save_gradients(model)
        if factor == 1.0:
            weight = model.weight.detach().requires_grad_(True)
            loss = functional.cross_entropy(functional.linear(photos, weight, model.bias), labels)
            (expected[step],) = torch.autograd.grad(loss, weight)
        scaler.step(optimizer)
        scaler.update()
    debugger.close()

    trial = open_trial(str(tmp_path / "debug-output"))
    assert trial.tensor_names(collection="gradients") == ["gradient/Linear_weight"]  # not frozen
    assert saved(trial, modes.TRAIN, name="gradient/Linear_weight") == [0, 2]
    for step, gradient in expected.items():
        found = trial.tensor("gradient/Linear_weight").value(step, mode=modes.TRAIN)
        np.testing.assert_allclose(found, gradient, rtol=1e-5, atol=1e-8)


def test_gradients_that_are_not_scaled_are_saved_once(hooked, tmp_path):
    from smdebug.core.modes import ModeKeys as modes
    from smdebug.trials import create_trial

    model = torch.nn.Linear(3, 2)
    debugger = hooked(model, CRITERION, torch.amp.GradScaler("cpu", enabled=False))
    CRITERION(model(torch.ones(4, 3)), torch.tensor([0, 1, 0, 1])).backward()
    expected = model.weight.grad.clone().numpy()
    model.weight.grad *= 2  # what comes after the backward pass must not be saved
    debugger.save_gradients(model)
    debugger.close()
    found = create_trial(str(tmp_path / "debug-output")).tensor("gradient/Linear_weight")
    np.testing.assert_array_equal(found.value(0, mode=modes.TRAIN), expected)


def test_a_job_in_fp16_saves_the_gradients_of_one_in_fp32(tmp_path):
    from smdebug.core.modes import ModeKeys as modes
    from smdebug.trials import create_trial

    trials = {}
    for precision in ("fp32", "fp16"):
        root = write_channels(tmp_path / precision, channels=["train", "valid"])
        gradients = collection("gradients", train_save_interval="1")
        config = {"LocalPath": str(root / "tensors"), "CollectionConfigurations": [gradients]}
        # The weights stay as they are, and gradients would be much smaller after clipping.
        options = ("--precision", precision, "--lr", "1e-12", "--clip-norm", "1e-4")
        assert f"precision={precision}" in train(root, config, *options)
        trials[precision] = create_trial(str(root / "tensors"))
    names = trials["fp32"].tensor_names(collection="gradients")
    assert trials["fp16"].tensor_names(collection="gradients") == names
    steps = saved(trials["fp16"], modes.TRAIN, name=names[0])
    assert steps and set(steps) <= {0, 1, 2, 3}  # in the others, the first scale is too large
    for step in steps:
        exact, found = (
            np.concatenate([t.tensor(n).value(step, mode=modes.TRAIN).ravel() for n in names])
            for t in trials.values()
        )
        assert np.linalg.norm(found - exact) <= 0.05 * np.linalg.norm(exact)
