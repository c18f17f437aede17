import sagemaker
from sagemaker.pytorch import PyTorch
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner, IntegerParameter

sess = sagemaker.Session()
role = sagemaker.get_execution_role()

estimator = PyTorch(
    entry_point="mnist.py",
    role=role,
    py_version="py3",
    framework_version="1.8.0",
    instance_count=1,
    instance_type="ml.c5.2xlarge",
    hyperparameters={"epochs": 3},
)
tuner = HyperparameterTuner(
    estimator,
    "average test loss",
    {"lr": ContinuousParameter(0.001, 0.1, scaling_type="Logarithmic"),
     "units": IntegerParameter(2, 8)},
    [{"Name": "average test loss", "Regex": "Test set: Average loss: ([0-9\\.]+)"}],
    max_jobs=3,
    max_parallel_jobs=2,
    objective_type="Minimize",
)
tuner.fit()
table = tuner.analytics().dataframe()
print(table[["lr", "units", "FinalObjectiveValue", "TrainingJobStatus"]])
print("reported", int(table["FinalObjectiveValue"].notna().sum()))
print("lowest", table["FinalObjectiveValue"].min())
print("best", tuner.best_training_job() in set(table["TrainingJobName"]))
