"""A trainer with Debugger's arguments: the request of a job, managed and self-hosted."""

import json
from types import SimpleNamespace

import pytest
from sagemaker.core import shapes
from sagemaker.core.debugger import (
    CollectionConfig,
    DebuggerHookConfig,
    ProfilerConfig,
    ProfilerRule,
    Rule,
    rule_configs,
)
from sagemaker.core.training.configs import SourceCode
from sagemaker.train import ModelTrainer

from course import debugger
from course.workspace import ROOT
from debugger import hookconfig  # of entry_points

JOB = "dog-breeds-1"


@pytest.fixture
def made(monkeypatch):
    """Make a trainer, without a service to ask; its job is called `JOB`."""

    def request(self, *args, **kwargs):
        return {
            "training_job_name": JOB,
            "hyper_parameters": dict(self.hyperparameters),
            "environment": dict(self.environment),
            "requirements": self.source_code.requirements,
        }

    monkeypatch.setattr(ModelTrainer, "_create_training_job_args", request)

    def make(how="managed", mode="local", spot=False, **arguments):
        workspace = SimpleNamespace(
            debugger=how,
            mode=mode,
            spot=spot,
            region="us-east-1",
            uri=lambda *parts: "/".join(["s3:/", *parts]),
        )
        given = {
            "debugger_hook_config": DebuggerHookConfig(
                s3_output_path="s3://b/debug",
                collection_configs=[CollectionConfig("losses", {"train.save_interval": 3})],
            ),
            "rules": [
                Rule.sagemaker(
                    rule_configs.loss_not_decreasing(),
                    rule_parameters=debugger.parameters("LossNotDecreasing"),
                    actions=rule_configs.ActionList(rule_configs.StopTraining()),
                ),
                ProfilerRule.sagemaker(rule_configs.ProfilerReport()),
            ],
            "profiler_config": ProfilerConfig(system_monitor_interval_millis=200),
        }
        return debugger.DebuggedTrainer.model_construct(
            workspace=workspace,
            training_image="image",
            hyperparameters={"lr": 1},
            environment={"TZ": "UTC"},
            source_code=SourceCode(
                source_dir=str(ROOT / "entry_points"),
                entry_script="train.py",
                requirements="requirements.txt",
            ),
            **given | arguments,
        )

    monkeypatch.setattr(ModelTrainer, "model_post_init", lambda self, context: None)
    return make


@pytest.mark.parametrize("how", ["managed", "self"])
def test_the_job_installs_what_the_hook_needs_and_the_trainer_stays_as_it_was(made, how):
    trainer = made(how)
    request = trainer._create_training_job_args()
    assert request["requirements"] == "requirements-debugger.txt"
    assert request["environment"] == {"TZ": "UTC", "PIP_NO_DEPS": "1"}
    assert trainer.source_code.requirements == "requirements.txt"
    assert (trainer.environment, trainer.hyperparameters) == ({"TZ": "UTC"}, {"lr": 1})


def test_a_managed_job_has_all_in_its_request(made):
    request = made()._create_training_job_args()
    assert request["hyper_parameters"] == {"lr": 1}
    hook = request["debug_hook_config"]
    (collection,) = hook.collection_configurations
    assert hook.s3_output_path == "s3://b/debug"
    assert collection.collection_parameters == {"train.save_interval": "3"}
    (rule,) = request["debug_rule_configurations"]
    assert rule.rule_configuration_name == "LossNotDecreasing"
    assert rule.rule_parameters["smoothing"] == "5"
    assert f'\\"{JOB}\\"' in rule.rule_parameters["action_json"]  # this job, and no other
    (report,) = request["profiler_rule_configurations"]
    assert report.rule_parameters == {"rule_to_invoke": "ProfilerReport"}
    assert request["profiler_config"].profiling_interval_in_milliseconds == 200
    assert "us-east-1" in rule.rule_evaluator_image and "checkpoint_config" not in request


def test_rules_are_asked_about_each_job_anew(made):
    trainer = made()
    trainer._create_training_job_args()
    assert "action_json" not in trainer.rules[0].rule_parameters
    assert "action_json" not in trainer.requests(Rule)[0]["RuleParameters"]


def test_aws_own_rules_get_no_parameter_that_they_do_not_know(made):
    (rule,) = made(mode="aws")._create_training_job_args()["debug_rule_configurations"]
    assert "smoothing" not in rule.rule_parameters and "num_steps" in rule.rule_parameters


def test_a_self_hosted_job_has_the_same_as_hyperparameters_and_a_folder_of_its_own(made):
    request = made("self")._create_training_job_args()
    assert not {"debug_hook_config", "profiler_config"} & request.keys()
    options = request["hyper_parameters"]
    assert options["system-metrics"] == 200
    assert hookconfig.parse(options["debug-config"]) == {
        "CollectionConfigurations": [
            {"CollectionName": "losses", "CollectionParameters": {"train.save_interval": "3"}}
        ]
    }
    assert request["checkpoint_config"].s3_uri == f"s3://b/debug/{JOB}"


def test_on_spot_instances_a_managed_jobs_checkpoints_lie_apart_from_its_tensors(made):
    request = made(spot=True)._create_training_job_args()
    assert request["checkpoint_config"].s3_uri == f"s3://checkpoints/{JOB}"
    own = shapes.CheckpointConfig(s3_uri="s3://b/own")
    assert (
        "checkpoint_config"
        not in made(spot=True, checkpoint_config=own)._create_training_job_args()
    )  # the trainer's own request has it
    assert (
        made("self", spot=True)._create_training_job_args()["checkpoint_config"].s3_uri
        == f"s3://b/debug/{JOB}"
    )


def test_the_longest_configuration_of_the_course_is_a_hyperparameter(made):
    steps = ",".join(map(str, range(100, 1000, 200)))
    names = ["losses", "gradients", "weights", "activations"]
    sampled = debugger.activations("efficientnet_lite0")
    config = DebuggerHookConfig(
        collection_configs=[
            CollectionConfig(name, {"train.save_steps": steps, "include_regex": sampled})
            for name in names
        ]
    )
    trainer = made("self", debugger_hook_config=config)
    request = trainer._create_training_job_args()
    assert len(request["hyper_parameters"]["debug-config"]) < 2500
    assert request["checkpoint_config"].s3_uri == f"s3://debug/{JOB}"  # the workspace's own
    assert json.loads(request["hyper_parameters"]["debug-config"])


def test_a_job_without_debugger_has_nothing_of_it(made):
    nothing = {"debugger_hook_config": None, "rules": [], "profiler_config": None}
    request = made(**nothing)._create_training_job_args()
    members = {"training_job_name", "hyper_parameters", "environment", "requirements"}
    assert request.keys() == members
