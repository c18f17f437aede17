import json
import os
import tarfile

import numpy as np
import sagemaker
from sagemaker.pytorch import PyTorch
from sagemaker.s3 import S3Downloader, S3Uploader

sess = sagemaker.Session()
bucket = sess.default_bucket()
role = sagemaker.get_execution_role()

os.makedirs("numbers", exist_ok=True)
np.save("numbers/x.npy", np.arange(12, dtype="float32"))
S3Uploader.upload("numbers", f"s3://{bucket}/numbers")

estimator = PyTorch(
    entry_point="train.py",
    role=role,
    framework_version="1.12.0",
    py_version="py38",
    instance_count=1,
    instance_type="ml.m5.large",
    hyperparameters={"factor": 3, "name": "triple"},
    output_path=f"s3://{bucket}/results",
)
estimator.fit({"training": f"s3://{bucket}/numbers"})

S3Downloader.download(estimator.model_data, "downloaded")
with tarfile.open("downloaded/model.tar.gz") as archive:
    archive.extractall("downloaded")
print("model", json.load(open("downloaded/model.json")))
S3Downloader.download(estimator.model_data.replace("model.tar.gz", "output.tar.gz"), "downloaded")
with tarfile.open("downloaded/output.tar.gz") as archive:
    print("output", archive.getnames())
