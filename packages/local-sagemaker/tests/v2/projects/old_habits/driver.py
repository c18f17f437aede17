import sagemaker
from sagemaker.debugger import CollectionConfig, DebuggerHookConfig, Rule, rule_configs
from sagemaker.pytorch import PyTorch
from smdebug.trials import create_trial

role = sagemaker.get_execution_role()
estimator = PyTorch(
    role=role,
    instance_count=1,
    instance_type="ml.m4.xlarge",
    entry_point="train.py",
    framework_version="1.8.1",
    py_version="py36",
    rules=[
        Rule.sagemaker(
            rule_configs.loss_not_decreasing(),
            collections_to_save=[CollectionConfig(name="losses", parameters={"save_interval": "5"})],
        )
    ],
    debugger_hook_config=DebuggerHookConfig(hook_parameters={"save_interval": "10"}),
)
estimator.fit()
trial = create_trial(estimator.latest_job_debugger_artifacts_path())
names = trial.tensor_names(collection="losses")
print("losses", names)
print("steps", trial.tensor(names[0]).steps())
for rule in estimator.latest_training_job.rule_job_summary():
    print("rule", rule["RuleConfigurationName"], rule["RuleEvaluationStatus"])
