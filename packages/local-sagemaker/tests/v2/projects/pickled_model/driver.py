import io

import numpy as np
import sagemaker
from PIL import Image
from sagemaker.deserializers import JSONDeserializer
from sagemaker.pytorch import PyTorch, PyTorchModel
from sagemaker.serializers import IdentitySerializer, JSONSerializer

role = sagemaker.get_execution_role()
estimator = PyTorch(
    entry_point="train.py",
    role=role,
    framework_version="1.8.1",
    py_version="py36",
    instance_count=1,
    instance_type="ml.m5.xlarge",
)
estimator.fit(wait=True)

model = PyTorchModel(
    model_data=estimator.model_data,
    role=role,
    entry_point="inference.py",
    framework_version="1.4.0",
    py_version="py3",
)
predictor = model.deploy(
    initial_instance_count=1,
    instance_type="ml.t2.medium",
    serializer=IdentitySerializer("image/jpeg"),
    deserializer=JSONDeserializer(),
)
buffer = io.BytesIO()
Image.fromarray(np.full((20, 30, 3), 200, dtype=np.uint8)).save(buffer, "JPEG")
print("jpeg", predictor.predict(buffer.getvalue()))

predictor.serializer = JSONSerializer()
print("json", predictor.predict({"url": "black"}))
predictor.delete_endpoint()
