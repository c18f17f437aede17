import json
import tarfile

import sagemaker
from sagemaker.pytorch import PyTorch
from sagemaker.s3 import S3Downloader

role = sagemaker.get_execution_role()
estimator = PyTorch(
    entry_point="mnist.py",
    role=role,
    py_version="py38",
    framework_version="1.12",
    instance_count=2,
    instance_type="ml.c5.2xlarge",
    hyperparameters={"epochs": 2, "backend": "gloo"},
)
estimator.fit()
S3Downloader.download(estimator.model_data, "downloaded")
with tarfile.open("downloaded/model.tar.gz") as archive:
    print("result", json.load(archive.extractfile("result.json")))
