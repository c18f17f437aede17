import os
import time

import boto3
import numpy as np
import sagemaker
from PIL import Image
from sagemaker.debugger import (
    CollectionConfig,
    DebuggerHookConfig,
    FrameworkProfile,
    ProfilerConfig,
    ProfilerRule,
    Rule,
    rule_configs,
)
from sagemaker.predictor import Predictor
from sagemaker.pytorch import PyTorch, PyTorchModel
from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner
from smdebug.core.modes import ModeKeys
from smdebug.trials import create_trial

session = sagemaker.Session()
bucket = session.default_bucket()
region = session.boto_region_name
role = sagemaker.get_execution_role()
print("role", role, "bucket", bucket, "region", region)

# Three kinds of pictures: reddish, greenish, blueish noise
rng = np.random.default_rng(0)
for split, count in [("train", 16), ("test", 6)]:
    for kind, name in enumerate(["red", "green", "blue"]):
        os.makedirs(f"data/{split}/{name}", exist_ok=True)
        for number in range(count):
            pixels = rng.integers(0, 100, (40, 40, 3), dtype=np.uint8)
            pixels[:, :, kind] += 120
            Image.fromarray(pixels).save(f"data/{split}/{name}/{number}.jpg")

inputs = session.upload_data(path="data", bucket=bucket, key_prefix="colours")
print("input spec (in this case, just an S3 path): {}".format(inputs))

# Hyperparameter tuning
hyperparameter_ranges = {
    "lr": ContinuousParameter(0.001, 0.1),
    "batch-size": CategoricalParameter([8, 16]),
}
objective_metric_name = "average test loss"
metric_definitions = [
    {"Name": "average test loss", "Regex": "Testing Loss: ([0-9\\.]+)"},
]
estimator = PyTorch(
    entry_point="hpo.py",
    source_dir="code",
    base_job_name="colours-hpo",
    role=role,
    framework_version="1.4.0",
    instance_count=1,
    instance_type="ml.m5.xlarge",
    py_version="py3",
)
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name,
    hyperparameter_ranges,
    metric_definitions,
    max_jobs=2,
    max_parallel_jobs=2,
    objective_type="Minimize",
)
tuner.fit({"training": inputs}, wait=True)

best_estimator = tuner.best_estimator()
print("best job", tuner.best_training_job())
found = best_estimator.hyperparameters()
print("best hyperparameters", found)
hyperparameters = {
    "batch-size": int(found["batch-size"].replace('"', "")),
    "lr": float(found["lr"]),
}

# Training with Debugger and Profiler
rules = [
    Rule.sagemaker(rule_configs.vanishing_gradient()),
    Rule.sagemaker(rule_configs.overfit()),
    Rule.sagemaker(rule_configs.overtraining()),
    Rule.sagemaker(rule_configs.poor_weight_initialization()),
    ProfilerRule.sagemaker(rule_configs.LowGPUUtilization()),
    ProfilerRule.sagemaker(rule_configs.ProfilerReport()),
]
profiler_config = ProfilerConfig(
    system_monitor_interval_millis=500, framework_profile_params=FrameworkProfile(num_steps=5)
)
debugger_config = DebuggerHookConfig(
    hook_parameters={"train.save_interval": "2", "eval.save_interval": "1"},
    collection_configs=[CollectionConfig(name="losses"), CollectionConfig(name="gradients")],
)
estimator = PyTorch(
    entry_point="train_model.py",
    source_dir="code",
    base_job_name="colours-train",
    role=role,
    framework_version="1.8",
    instance_count=1,
    instance_type="ml.m5.xlarge",
    py_version="py36",
    hyperparameters=hyperparameters,
    profiler_config=profiler_config,
    debugger_hook_config=debugger_config,
    rules=rules,
)
estimator.fit({"training": inputs}, wait=True)

job_name = estimator.latest_training_job.name
print(f"Training jobname: {job_name}")
while any(
    summary["RuleEvaluationStatus"] == "InProgress"
    for summary in estimator.latest_training_job.rule_job_summary()
):
    time.sleep(5)
for summary in estimator.latest_training_job.rule_job_summary():
    print("rule", summary["RuleConfigurationName"], summary["RuleEvaluationStatus"])

client = estimator.sagemaker_session.sagemaker_client
description = client.describe_training_job(TrainingJobName=job_name)
print("status", description["TrainingJobStatus"])

trial = create_trial(estimator.latest_job_debugger_artifacts_path())
print("tensors", len(trial.tensor_names()))
print("train steps", len(trial.tensor("CrossEntropyLoss_output_0").steps(mode=ModeKeys.TRAIN)))
print("eval steps", len(trial.tensor("CrossEntropyLoss_output_0").steps(mode=ModeKeys.EVAL)))

# Deployment
class ImagePredictor(Predictor):
    def __init__(self, endpoint_name, sagemaker_session):
        super().__init__(
            endpoint_name,
            sagemaker_session=sagemaker_session,
            serializer=sagemaker.serializers.IdentitySerializer("image/jpeg"),
            deserializer=sagemaker.deserializers.JSONDeserializer(),
        )

pytorch_model = PyTorchModel(
    model_data=estimator.model_data,
    role=role,
    entry_point="inference.py",
    source_dir="code",
    py_version="py36",
    framework_version="1.8",
    predictor_cls=ImagePredictor,
)
predictor = pytorch_model.deploy(initial_instance_count=1, instance_type="ml.m5.large")
with open("data/test/green/0.jpg", "rb") as file:
    payload = file.read()
response = predictor.predict(payload, initial_args={"ContentType": "image/jpeg"})
print("scores", len(response[0]), "best", int(np.argmax(response, 1)[0]))

predictor.delete_model()
predictor.delete_endpoint()
left = boto3.client("sagemaker").list_endpoints(StatusEquals="InService")["Endpoints"]
print("endpoints left", left)
