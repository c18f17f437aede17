"""The names by which smdebug's hook saves real networks are those that the rules look for.

torch and torchvision take ten seconds to import: only these tests do, when they run.
"""

import json
from collections import OrderedDict

from debugger_support.saved_tensors import SavedTensors
from open_debugger import evaluate


def hooked(model, folder, regex):
    """A folder with a network's tensors that match, after one step with smdebug's hook."""
    import smdebug.pytorch as smd
    import torch

    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    criterion = torch.nn.CrossEntropyLoss()
    hook = smd.Hook(out_dir=str(folder), include_regex=[regex])
    hook.register_module(model)
    hook.register_loss(criterion)
    hook.set_mode(smd.modes.TRAIN)
    criterion(model(torch.randn(2, 3, 32, 32)), torch.tensor([0, 1])).backward()
    hook.close()
    return folder


def test_the_rules_find_their_tensors_in_a_resnet(tmp_path):
    from torchvision.models.resnet import BasicBlock, ResNet

    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=3)
    place = hooked(model, tmp_path / "trial", "relu|^ResNet_input|CrossEntropyLoss")
    rules = [
        "DeadRelu",
        "PoorWeightInitialization",
        ("CheckInputImages", {"regex": "ResNet_input_0", "threshold_samples": 2}),
        (
            "ClassImbalance",
            {
                "labels_regex": "CrossEntropyLoss_input_1",
                "predictions_regex": "CrossEntropyLoss_input_0",
                "argmax": True,
                "samples": 2,
            },
        ),
    ]
    results = evaluate(place, rules)
    assert results["DeadRelu"].datapoints == 9  # each block's ReLU is called twice
    assert [result.status for result in results if result.status == "Error"] == []


def test_vggs_relus_have_numbers_and_awss_regex_finds_none(tmp_path):
    import torch
    from torchvision.models.vgg import make_layers

    layers = make_layers([4, "M", 4, "M"])
    parts = {"features": layers, "flat": torch.nn.Flatten(), "head": torch.nn.Linear(256, 3)}
    model = torch.nn.Sequential(OrderedDict(parts))
    place = hooked(model, tmp_path / "trial", r"features\.\d+_output")
    named = {"rule_to_invoke": "DeadRelu", "tensor_regex": r"features\.(1|4)_output"}
    default, named = evaluate(
        place, ["DeadRelu", {"RuleConfigurationName": "named", "RuleParameters": named}]
    )
    assert default.status == "Error" and "features.1_output_0" in default.details
    assert (named.status, named.datapoints) == ("NoIssuesFound", 2)


def test_the_tests_collections_are_those_of_smdebugs_hook_for_pytorch(tmp_path):
    from smdebug.pytorch.collection import CollectionManager

    CollectionManager().export(str(tmp_path / "hook"), "worker_0_collections.json")
    files = [folder / "collections/000000000/worker_0_collections.json" for folder in (
        tmp_path / "hook", SavedTensors(tmp_path / "ours").folder)]  # fmt: skip
    of_the_hook, ours = (json.loads(file.read_text()) for file in files)
    assert ours == of_the_hook
