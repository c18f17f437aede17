import json
import os

import numpy as np
import torch

prefix = "/opt/ml/"
with open(prefix + "input/config/hyperparameters.json") as f:
    hyperparameters = json.load(f)
with open("/opt/ml/input/config/resourceconfig.json") as f:
    resources = json.load(f)
with open("/opt/ml/input/config/inputdataconfig.json") as f:
    print("channels", list(json.load(f)))
print("code", sorted(os.listdir("/opt/ml/code")))

x = torch.from_numpy(np.load("/opt/ml/input/data/training/x.npy"))
factor = int(json.loads(hyperparameters["factor"]))
result = {"name": json.loads(hyperparameters["name"]), "sum": (x * factor).sum().item()}
result["host"] = resources["current_host"]

os.makedirs("/opt/ml/model", exist_ok=True)
with open("/opt/ml/model/model.json", "w") as f:
    json.dump(result, f)
os.makedirs("/opt/ml/output/data", exist_ok=True)
with open("/opt/ml/output/data/history.csv", "w") as f:
    f.write("epoch,loss\n0,1.0\n")
