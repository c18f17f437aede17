import io
import logging
import os
import sys

import torch
import torchvision.transforms as transforms
from hpo import net
from PIL import Image

logger = logging.getLogger(__name__)
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.StreamHandler(sys.stdout))


def model_fn(model_dir):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = net().to(device)
    with open(os.path.join(model_dir, "model.pth"), "rb") as f:
        model.load_state_dict(torch.load(f, map_location=device))
    model.eval()
    return model


def input_fn(request_body, content_type):
    logger.info("request of type %s", content_type)
    if content_type == "image/jpeg":
        return Image.open(io.BytesIO(request_body))
    raise Exception("Requested unsupported ContentType in content_type: {}".format(content_type))


def predict_fn(input_object, model):
    transform = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])
    with torch.no_grad():
        return model(transform(input_object).unsqueeze(0))
