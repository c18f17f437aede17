"""`entry_points/inference.py`: through the toolkit's own Transformer wherever it matters."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_inference.transformer import Transformer
from tiny_photos import draw, encode

import inference
import networks

# Not in alphabetical order: the order of the labels is the card's, not the names'.
CLASSES = ["003.Poodle", "001.Affenpinscher", "002.Afghan_hound", "6.Pug", "5.Boxer", "4.Beagle"]
PHOTO = draw((200, 60, 60))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    model = networks.build("resnet18", len(CLASSES))
    with torch.no_grad():
        model.fc.bias.copy_(torch.arange(6) * 3.0)
    card = {
        "architecture": "resnet18",
        "head_layers": 1,
        "hidden_units": 8,
        "class_names": CLASSES,
        "image_size": 32,
    }
    networks.save_model(model, card, folder)
    return folder


@pytest.fixture(scope="module")
def model(model_dir):
    return inference.model_fn(str(model_dir))


class Context:
    """What a model server hands to the toolkit, and what the toolkit answers through it."""

    def __init__(self, model_dir, headers):
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor = [self]
        self.headers = headers
        self.status, self.content_type = 200, None

    def get_request_properties(self):
        return self.headers

    def set_response_status(self, code, phrase):
        self.status, self.phrase = code, phrase

    def set_response_content_type(self, _, content_type):
        self.content_type = content_type


@pytest.fixture(scope="module")
def invoke(model_dir):
    """Return a function that asks the toolkit, as an endpoint does: status, type and body."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_PROGRAM", "inference.py")
        transformer = Transformer(DefaultInferenceHandler())

        def ask(body, content_type="application/x-image", accept=None):
            headers = {"Content-Type": content_type}
            if accept is not None:
                headers["Accept"] = accept
            context = Context(model_dir, headers)
            [answer] = transformer.transform([{"body": body}], context)
            return context.status, context.content_type, answer

        yield ask


def test_the_answer_is_the_five_likeliest_breeds_in_order(invoke):
    status, content_type, body = invoke(encode(PHOTO))
    assert (status, content_type) == (200, "application/json")
    predictions = json.loads(body)["predictions"]
    assert [p["class_name"] for p in predictions] == CLASSES[:0:-1]
    assert predictions[-1]["breed"] == "Affenpinscher"
    assert predictions[-2]["breed"] == "Afghan hound"
    chances = [p["probability"] for p in predictions]
    assert chances == sorted(chances, reverse=True)
    assert 0.9 < sum(chances) <= 1.00001


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_bytes_are_trusted_and_not_the_label(invoke, image_format):
    body = encode(PHOTO, image_format)
    wanted = "application/json;logits=true"
    assert invoke(body, "image/jpeg", wanted) == invoke(body, f"image/{image_format}", wanted)
    assert invoke(body, "image/jpeg", wanted)[0] == 200


def test_png_labelled_jpeg_gives_the_logits_of_the_png(invoke, model):
    expected = inference.predict_fn(inference.input_fn(encode(PHOTO, "PNG"), "image/png"), model)
    _, _, body = invoke(encode(PHOTO, "PNG"), "image/jpeg", "application/json;logits=true")
    assert json.loads(body)["logits"] == expected.logits.tolist()


def test_json_with_base64_is_the_same_photo(invoke):
    photo = encode(PHOTO)
    body = json.dumps({"image": base64.b64encode(photo).decode()}).encode()
    assert invoke(body, "application/json") == invoke(photo)
    # Some clients label JSON as they label everything else.
    assert invoke(body, "application/x-image") == invoke(photo)


def test_all_logits_come_as_json_or_npy_in_label_order(invoke):
    _, json_type, body = invoke(encode(PHOTO), accept="application/json; logits=true")
    answer = json.loads(body)
    assert (json_type, answer["class_names"]) == ("application/json", CLASSES)
    status, npy_type, body = invoke(encode(PHOTO), accept="application/x-npy")
    array = np.load(io.BytesIO(body))
    assert (status, npy_type) == (200, "application/x-npy")
    assert (array.shape, array.dtype) == ((1, 6), np.float32)
    assert array.tolist() == answer["logits"]
    likeliest = json.loads(invoke(encode(PHOTO))[2])["predictions"][0]["class_name"]
    assert CLASSES[array.argmax()] == likeliest


@pytest.mark.parametrize("accept", ["*/*", "text/html, */*;q=0.8", "application/json;q=0.9", ""])
def test_json_is_what_a_client_without_wishes_gets(invoke, accept):
    status, content_type, body = invoke(encode(PHOTO), accept=accept)
    assert (status, content_type) == (200, "application/json")
    assert len(json.loads(body)["predictions"]) == 5


def array_file():
    file = io.BytesIO()
    np.save(file, np.zeros(4))
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "empty"),
        (b"a photo, honestly", 415, "no image"),
        (array_file(), 415, "NumPy array"),
        (b'{"picture": "abc"}', 400, "image"),
        (b'{"image": "%%%"}', 400, "base64"),
        (b'{"image": 3}', 400, "base64"),
        (b"[" * 10, 415, "no image"),
        (encode(draw((9, 9, 9), size=(400, 300)))[:2000], 400, "truncated"),
        (encode(PHOTO, "PNG")[:100], 400, "decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "no image"),
        (b"\0" * 6_291_457, 413, "6291456"),
    ],
    ids=lambda value: value[:12].decode("latin1") if isinstance(value, bytes) else None,
)
def test_a_bad_body_is_the_clients_error_and_says_why(invoke, body, status, reason):
    answered, _, message = invoke(body)
    assert answered == status, message
    assert reason in message.splitlines()[0]
    assert invoke(encode(PHOTO))[0] == 200  # and the endpoint lives on


def test_bad_json_labelled_json_is_the_clients_error(invoke):
    for body in (b"{", b'{"image": "aGFsbG8="}'):
        assert 400 <= invoke(body, "application/json")[0] < 500


def test_too_many_pixels_are_refused_before_decoding(invoke, monkeypatch):
    monkeypatch.setattr(inference, "MAX_PIXELS", 48 * 40 - 1)
    status, _, message = invoke(encode(PHOTO, "PNG"))
    assert status == 413
    assert "48 x 40 pixels" in message


def test_an_answer_nobody_can_give_is_406(invoke):
    status, _, message = invoke(encode(PHOTO), accept="text/csv")
    assert status == 406
    assert "application/x-npy" in message.splitlines()[0]


def test_the_photos_orientation_counts(invoke):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    gradient = Image.linear_gradient("L").convert("RGB")
    turned = gradient.transpose(Image.Transpose.ROTATE_180)
    _, _, upright = invoke(encode(gradient, "PNG"), accept="application/x-npy")
    assert invoke(encode(turned, "PNG", exif=exif), accept="application/x-npy")[2] == upright
    assert invoke(encode(turned, "PNG"), accept="application/x-npy")[2] != upright


def test_it_serves_without_smdebug_and_without_the_toolkit(model_dir, tmp_path):
    """In a process of its own, where importing either of them fails."""
    (tmp_path / "photo").write_bytes(encode(PHOTO))
    code = """
import sys
sys.modules["smdebug"] = sys.modules["sagemaker_inference"] = None
import inference
model = inference.model_fn(sys.argv[1])
photo = inference.input_fn(open(sys.argv[2], "rb").read(), "image/png")
print(inference.output_fn(inference.predict_fn(photo, model), "application/json"))
try:
    inference.input_fn(b"no photo", "image/png")
except inference.BadRequest as error:
    print("refused with", error.status_code, error.message)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, model_dir, tmp_path / "photo"],
        capture_output=True,
        text=True,
        cwd=Path(inference.__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    assert "4.Beagle" in done.stdout
    assert "refused with 415" in done.stdout
