"""`entry_points/inference.py`: through the toolkit's own Transformer wherever it matters."""

import ast
import base64
import io
import json
import re
import shutil
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import inference
from course.workspace import ROOT
from preprocess import Preprocessing, centre_crop, decode, normalise, resized_side, to_batch
from tests.support import forms
from tests.support.forking import fork, write_to
from tests.support.tiny_endpoint import CLASSES, IMAGE_SIZE, endpoint, write_model
from tests.support.tiny_photos import draw, encode

PHOTO = draw((200, 60, 60))
OTHER = draw((60, 60, 200), seed=1, size=(90, 60))
# Large enough that a JPEG is decoded reduced, and with an up, a down, a left and a right.
SCENE = Image.composite(
    draw((200, 60, 60), size=(200, 160)),
    draw((20, 160, 90), size=(200, 160)),
    Image.linear_gradient("L").rotate(30).resize((200, 160)),
)
EXACT, GREY, LOSSY = forms.exact(SCENE), forms.grey(SCENE), forms.lossy(SCENE)
SEVERAL = forms.several(SCENE)
LOGITS = "application/json;logits=true"


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(model_dir):
    return inference.model_fn(str(model_dir))


@pytest.fixture(scope="module")
def invoke(model_dir):
    """Ask the toolkit, as an endpoint does: status, type and body."""
    with endpoint(model_dir) as ask:
        yield ask


@pytest.fixture(scope="module")
def logits(invoke):
    """Ask for a body's logits: an array of shape (photos, classes)."""

    def ask(body):
        status, _, answer = invoke(body, accept="application/x-npy")
        assert status == 200, answer
        return np.load(io.BytesIO(answer))

    return ask


def trained_on(model, image):
    """The logits of an opened photo by the steps that evaluate it in training."""
    photo = centre_crop(decode(image, resized_side(IMAGE_SIZE)), Preprocessing(IMAGE_SIZE))
    with torch.inference_mode():
        return model.network(normalise(to_batch([photo]), Preprocessing(IMAGE_SIZE))).numpy()


def test_the_answer_is_the_five_likeliest_breeds_in_order(invoke):
    status, content_type, body = invoke(encode(PHOTO))
    assert (status, content_type) == (200, "application/json")
    answer = json.loads(body)
    assert list(answer) == ["predictions"]
    predictions = answer["predictions"]
    assert [p["class_name"] for p in predictions] == CLASSES[:0:-1]
    assert predictions[-1]["breed"] == "Affenpinscher"
    assert predictions[-2]["breed"] == "Afghan hound"
    chances = [p["probability"] for p in predictions]
    assert chances == sorted(chances, reverse=True)
    assert 0.9 < sum(chances) <= 1.00001


@pytest.mark.parametrize("form", [name for name in EXACT if "json" not in name])
def test_the_bytes_decide_and_not_the_content_type(invoke, form):
    right = invoke(EXACT[form], f"image/{form.split()[0]}", LOGITS)
    assert right[0] == 200
    for label in ("image/jpeg", "application/json", "text/csv", "application/x-npy", None):
        assert invoke(EXACT[form], label, LOGITS) == right


@pytest.mark.parametrize("form", EXACT)
def test_the_same_pixels_get_the_same_logits_in_every_form(logits, form):
    assert np.array_equal(logits(EXACT[form]), logits(EXACT["png"]))


@pytest.mark.parametrize("form", GREY)
def test_the_same_grey_pixels_get_the_same_logits_in_every_form(logits, form):
    """Those of 16 bits, too: they are scaled, where Pillow clips."""
    assert np.array_equal(logits(GREY[form]), logits(GREY["grey png"]))
    assert not np.array_equal(logits(GREY[form]), logits(EXACT["png"]))


@pytest.mark.parametrize("form", [*EXACT, *GREY, *LOSSY])
def test_a_photo_gets_the_logits_of_training(logits, model, form):
    body = (EXACT | GREY | LOSSY)[form]
    if "json" in form:
        body = base64.b64decode(json.loads(body)["image"])
    opened = Image.fromarray(np.load(io.BytesIO(body))) if "npy" in form else None
    expected = trained_on(model, opened or Image.open(io.BytesIO(body)))
    assert np.array_equal(logits((EXACT | GREY | LOSSY)[form]), expected)


@pytest.mark.parametrize("form", ["jpeg cmyk", "tiff cmyk", "jpeg exif", "webp lossy", "gif"])
def test_a_lossy_form_of_the_photo_gets_nearly_the_same_logits(logits, form):
    """An inverted or a rotated photo differs more."""
    expected = logits(EXACT["png"])
    assert np.abs(logits(LOSSY[form]) - expected).max() < 0.01
    for other in (ImageOps.invert(SCENE), SCENE.transpose(Image.Transpose.ROTATE_90)):
        assert np.abs(logits(encode(other, "PNG")) - expected).max() > 0.01


def test_json_with_base64_is_the_same_photo(invoke):
    photo = encode(PHOTO)
    body = forms.as_json(photo)
    assert invoke(body, "application/json") == invoke(photo)
    assert invoke(b" \r\n\t" + body, "application/json") == invoke(photo)
    # Some clients label JSON as they label everything else.
    assert invoke(body, "application/x-image") == invoke(photo)


@pytest.mark.parametrize("native", [True, False])
def test_it_serves_in_the_precision_that_was_validated_if_the_processor_has_it(
    model_dir, monkeypatch, tmp_path, native
):
    monkeypatch.setattr("models.has_bf16", lambda device: native)
    shutil.copytree(model_dir, tmp_path / "model")
    card = json.loads((model_dir / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps({**card, "precision": "bf16"}))
    model, plain = (inference.model_fn(str(at)) for at in (tmp_path / "model", model_dir))
    assert (model.precision, plain.precision) == ("bf16" if native else "fp32", "fp32")
    photo = inference.to_batch([SCENE.resize((IMAGE_SIZE, IMAGE_SIZE))])
    with torch.no_grad():
        assert torch.equal(model(photo), plain(photo)) is not native
        assert model(photo).dtype == torch.float32


BASE64 = {
    "with line breaks": lambda raw: base64.encodebytes(raw).decode(),
    "with CRLF": lambda raw: base64.encodebytes(raw).decode().replace("\n", "\r\n"),
    "with a newline at its end": lambda raw: base64.b64encode(raw).decode() + "\n",
    "in the alphabet for addresses": lambda raw: base64.urlsafe_b64encode(raw).decode(),
    "without padding": lambda raw: base64.b64encode(raw).decode().rstrip("="),
}


@pytest.mark.parametrize("form", BASE64)
def test_base64_may_be_written_as_clients_write_it(invoke, form):
    """Of lengths that need padding, and with bytes that the two alphabets write differently."""
    for photo in (encode(PHOTO) + bytes(n) + b"\xff\xfe\xfb\xef" for n in range(3)):
        text = BASE64[form](photo)
        assert invoke(json.dumps({"image": text}).encode(), "application/json") == invoke(photo)


def test_json_may_begin_with_a_byte_order_mark(invoke):
    photo = encode(PHOTO)
    body = b"\xef\xbb\xbf" + forms.as_json(photo)
    assert invoke(body, "application/json") == invoke(photo)


@pytest.mark.parametrize("form", SEVERAL)
def test_several_photos_are_answered_in_their_order(invoke, logits, form):
    upside_down = SCENE.transpose(Image.Transpose.ROTATE_180)
    alone = [logits(EXACT["png"])[0], logits(encode(upside_down, "PNG"))[0]]
    np.testing.assert_allclose(logits(SEVERAL[form]), alone, atol=1e-5)
    assert not np.allclose(*alone, atol=1e-3)
    status, _, body = invoke(SEVERAL[form])
    assert (status, list(json.loads(body))) == (200, ["results"])
    results = json.loads(body)["results"]
    assert [list(result) for result in results] == [["predictions"]] * 2
    first = json.loads(invoke(EXACT["png"])[2])["predictions"]
    assert [p["class_name"] for p in results[0]["predictions"]] == [p["class_name"] for p in first]
    answer = json.loads(invoke(SEVERAL[form], accept=LOGITS)[2])
    assert answer["logits"] == logits(SEVERAL[form]).tolist()


def test_a_list_of_one_photo_is_answered_by_a_list(invoke):
    body = forms.as_json([encode(PHOTO)])
    assert json.loads(invoke(body)[2])["results"] == [json.loads(invoke(encode(PHOTO))[2])]
    array = forms.npy(np.asarray(PHOTO)[None])
    assert len(json.loads(invoke(array)[2])["results"]) == 1


def test_photos_go_through_the_network_some_at_a_time(model):
    seen = []
    watch = model.network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    images = np.random.default_rng(0).integers(0, 256, (19, 40, 40, 3), np.uint8)
    try:
        together = inference.predict_fn(inference.input_fn(forms.npy(images)), model).logits
    finally:
        watch.remove()
    assert seen == [8, 8, 3]
    for row, image in zip(together, images, strict=True):
        alone = inference.predict_fn(inference.input_fn(forms.npy(image)), model).logits
        np.testing.assert_allclose(row, alone[0], atol=1e-5)


def test_only_one_photos_pixels_are_held_at_a_time(model, monkeypatch):
    """Those decoded before are given back: opened photos are kept, decoded ones are not."""
    data = inference.input_fn(forms.as_json([encode(PHOTO), encode(OTHER, "PNG"), encode(PHOTO)]))
    held = []

    def decode_and_count(image, side):
        decoded = decode(image, side)
        held.append(sum(is_decoded(photo) for photo in data.images))
        return decoded

    monkeypatch.setattr(inference, "decode", decode_and_count)
    inference.predict_fn(data, model)
    assert held == [1, 1, 1]


def is_decoded(image):
    return type(image._im).__name__ == "ImagingCore"  # None before, an error once it is closed


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
def test_json_is_the_default(invoke, accept):
    status, content_type, body = invoke(encode(PHOTO), accept=accept)
    assert (status, content_type) == (200, "application/json")
    assert len(json.loads(body)["predictions"]) == 5


@pytest.mark.parametrize("top", [1, 2, 6, 7, 999999])
def test_as_many_breeds_as_asked_for_or_all(invoke, top):
    for accept in (f"application/json;top={top}", f"application/json; TOP = {top}; q=1"):
        status, _, body = invoke(encode(PHOTO), accept=accept)
        assert status == 200, body
        predictions = json.loads(body)["predictions"]
        assert [p["class_name"] for p in predictions] == CLASSES[::-1][:top]
    results = json.loads(invoke(SEVERAL["several npy"], accept=f"*/*;top={top}")[2])["results"]
    assert [len(result["predictions"]) for result in results] == [min(top, len(CLASSES))] * 2


@pytest.mark.parametrize("top", ["0", "00", "-1", "1.5", "ten", "", "٣", "9" * 5000, f"{1:05000}"])
def test_a_wrong_number_of_breeds_is_406_and_says_the_range(invoke, top):
    status, _, message = invoke(encode(PHOTO), accept=f"application/json;top={top}")
    assert status == 406
    assert "from 1 to 999999" in message.splitlines()[0]


@pytest.mark.parametrize("options", ["logits=yes", "logits", "logits=true;top=2"])
def test_logits_are_true_or_false(invoke, options):
    status, _, message = invoke(encode(PHOTO), accept=f"application/json;{options}")
    assert status == 406
    assert "true, without top, or false" in message.splitlines()[0]
    assert b"predictions" in invoke(encode(PHOTO), accept="application/json;logits=false")[2]


def test_an_unknown_type_of_answer_is_406(invoke):
    status, _, message = invoke(encode(PHOTO), accept="text/csv")
    assert status == 406
    assert "application/x-npy" in message.splitlines()[0]


def npy_header(header, pixels=b""):
    """A NumPy file whose header is this text."""
    text = header.encode("latin1").ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + pixels


def shaped(shape, dtype="|u1"):
    return npy_header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}")


def named(**values):
    return json.dumps(values).encode()


PNG = base64.b64encode(encode(PHOTO, "PNG")).decode()
BAD_BODIES = {
    "nothing": (b"", 400, "empty"),
    "text": (b"a photo, honestly", 415, "not an image"),
    "brackets": (b"[" * 10, 415, "not an image"),
    "cut JPEG": (encode(draw((9, 9, 9), size=(400, 300)))[:2000], 400, "truncated"),
    "cut PNG": (encode(PHOTO, "PNG")[:100], 400, "decoded"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not an image"),
    "ICO": (encode(PHOTO, "ICO"), 415, "not an image"),
    "too long": (b"\0" * 6_291_457, 413, "6291456"),
    "a strip": (encode(Image.new("L", (510, 10)), "PNG"), 400, "510 x 10 pixels"),
    "no JSON": (b"{", 400, "no JSON"),
    "deep JSON": (b'{"image":' + b"[" * 100_000, 400, "no JSON"),
    "bytes in JSON": (b'{"image": "\xff"}', 400, "no JSON"),
    "no image": (named(picture="abc"), 400, "['picture']"),
    "image and more": (named(image=PNG, top=3), 400, "['image', 'top']"),
    "image and images": (named(image=PNG, images=[PNG]), 400, "['image', 'images']"),
    "no base64": (named(image="%%%"), 400, "base64"),
    "a number": (named(image=3), 400, "int in place of base64"),
    "null": (named(image=None), 400, "base64"),
    "a list as image": (named(image=[PNG]), 400, "list in place of base64"),
    "empty string": (named(image=""), 415, "not an image"),
    "an address": (named(image="http://127.0.0.1/dog.jpg"), 400, "nothing is downloaded"),
    "in a bucket": (named(image=" S3://bucket/dog.jpg"), 400, "an address (S3:)"),
    "a data address": (named(image=f"data:image/png;base64,{PNG}"), 400, "(data:)"),
    "url": (named(url="http://127.0.0.1/dog.jpg"), 400, "nothing is downloaded"),
    "images of none": (named(images=[]), 400, "images"),
    "images of text": (named(images=PNG), 400, "images"),
    "too many images": (named(images=[PNG] * 33), 413, "limit of 32"),
    "second is no image": (named(images=[PNG, "aGFsbG8=", PNG]), 415, "images[1]: not an image"),
    "third is cut": (named(images=[PNG, PNG, PNG[:100]]), 400, "images[2]: cannot be decoded"),
    "first is an address": (named(images=["http://x/", PNG]), 400, "images[0]: an address"),
    "array of floats": (forms.npy(np.zeros((9, 9, 3))), 400, "float64"),
    "array of objects": (shaped("(9, 9, 3)", "|O"), 400, "object"),
    "array of text": (forms.npy(np.array(encode(PHOTO))), 400, "own bytes"),
    "array of numbers": (forms.npy(np.zeros(9, np.uint8)), 400, "shape (9,)"),
    "array of two channels": (forms.npy(np.zeros((9, 9, 2), np.uint8)), 400, "shape (9, 9, 2)"),
    "array of nothing": (forms.npy(np.zeros((0, 9, 3), np.uint8)), 400, "shape (0, 9, 3)"),
    "negative array": (shaped("(-9, -9, 3)"), 400, "shape (-9, -9, 3)"),
    "cut array": (forms.npy(np.asarray(PHOTO))[:-1], 400, "5759"),
    "huge array": (shaped("(1000000, 1000000, 3)"), 400, "3000000000000"),
    "too many in an array": (forms.npy(np.zeros((33, 9, 9, 3), np.uint8)), 413, "limit of 32"),
    "no header": (npy_header("import os"), 400, "cannot be decoded"),
    "open bracket": (npy_header("("), 400, "cannot be decoded"),
    "newer array": (b"\x93NUMPY\x03\x00" + b"\0" * 99, 400, "cannot be decoded"),
    "arrays in a string": (
        forms.as_json(forms.npy(np.zeros((2, 9, 9, 3), np.uint8))),
        400,
        "several photos in place of one",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_the_clients_error_and_says_why(invoke, name):
    body, status, reason = BAD_BODIES[name]
    for content_type in ("application/x-image", "application/json"):
        answered, _, message = invoke(body, content_type)
        assert answered == status, message
        assert reason in message.splitlines()[0]
    assert invoke(encode(PHOTO))[0] == 200  # and the endpoint lives on


def test_too_many_pixels_are_refused_before_decoding(invoke, monkeypatch):
    monkeypatch.setattr(inference, "MAX_PIXELS", 48 * 40 - 1)
    for body in (encode(PHOTO, "PNG"), forms.npy(np.asarray(PHOTO))):
        status, _, message = invoke(body)
        assert status == 413
        assert "48 x 40 pixels" in message


def test_the_pixels_of_all_photos_count_together(invoke, monkeypatch):
    monkeypatch.setattr(inference, "MAX_PIXELS", 2 * 48 * 40)
    array = np.stack([np.asarray(PHOTO)] * 3)
    assert invoke(forms.npy(array[:2]))[0] == 200
    assert invoke(forms.as_json([encode(PHOTO)] * 2))[0] == 200
    assert invoke(forms.npy(array))[0] == 413
    status, _, message = invoke(forms.as_json([encode(PHOTO)] * 3))
    assert status == 413
    assert "images[2]: 48 x 40 pixels, 5760 in all" in message.splitlines()[0]


def test_a_bomb_is_refused_by_its_header(invoke):
    """65535 x 65535 pixels, of which a decoder would make 17 GB."""
    png = bytearray(encode(Image.new("L", (1, 1)), "PNG"))
    png[8:33] = forms.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 65535, 65535, 8, 6, 0, 0, 0))
    for body in (png, forms.as_json([encode(PHOTO), bytes(png)])):
        status, _, message = invoke(body)
        assert status == 413, message
        assert "send smaller or fewer photos" in message.splitlines()[0]


def test_a_damaged_photo_among_good_ones_is_named_when_it_is_decoded(invoke):
    cut = encode(draw((9, 9, 9), size=(400, 300)))[:2000]
    status, _, message = invoke(forms.as_json([encode(PHOTO), cut, encode(PHOTO)]))
    assert status == 400
    assert message.startswith("images[1]: cannot be decoded")


def test_whatever_a_decoder_raises_is_the_clients_error(invoke, monkeypatch):
    """Pillow's parsers raise struct.error and others that are no OSError; so may those to come."""
    photo = encode(PHOTO)
    for error, status in ((struct.error("unpack"), 400), (MemoryError(), 413)):
        monkeypatch.setattr(Image.Image, "load", Mock(side_effect=error))
        assert invoke(photo)[0] == status


def test_the_photos_orientation_counts(invoke):
    exif = Image.Exif()
    exif[forms.ORIENTATION] = 3  # upside down
    gradient = Image.linear_gradient("L").convert("RGB")
    turned = gradient.transpose(Image.Transpose.ROTATE_180)
    _, _, upright = invoke(encode(gradient, "PNG"), accept="application/x-npy")
    assert invoke(encode(turned, "PNG", exif=exif), accept="application/x-npy")[2] == upright
    assert invoke(encode(turned, "PNG"), accept="application/x-npy")[2] != upright


def serve_alone(model_dir: Path, photo: bytes, log: Path) -> None:
    """In a fork: where importing smdebug or the toolkit fails, answer a photo and refuse a text."""
    write_to(log)
    sys.modules["smdebug"] = sys.modules["sagemaker_inference"] = None
    sys.modules.pop("inference", None)
    from inference import BadRequest, input_fn, model_fn, output_fn, predict_fn

    model = model_fn(model_dir)
    print(output_fn(predict_fn(input_fn(photo, "image/png"), model), "application/json"))
    try:
        input_fn(b"no photo", "image/png")
    except BadRequest as error:
        print("refused with", error.status_code, error.message)


def test_it_serves_without_smdebug_and_without_the_toolkit(model_dir, tmp_path):
    process = fork(serve_alone, model_dir, encode(PHOTO), tmp_path / "log")
    process.join(60)
    said = (tmp_path / "log").read_text()
    assert process.exitcode == 0, said
    assert "4.Beagle" in said
    assert "refused with 415" in said


DOCS = (ROOT / "docs" / "serving.md").read_text()


class ModelError(Exception):
    """boto3's, as far as the document uses it."""


def test_the_documents_examples_run(invoke, tmp_path, monkeypatch, capsys):
    """One after another, as a reader would type them, with the toolkit in place of a network."""

    def invoke_endpoint(*, EndpointName, Body, ContentType, Accept):
        body = Body.encode() if isinstance(Body, str) else Body
        status, _, answer = invoke(body, ContentType, Accept)
        if status != 200:
            error = ModelError()
            error.response = {"OriginalStatusCode": status, "OriginalMessage": answer}
            raise error
        return {"Body": io.BytesIO(answer)}

    exceptions = SimpleNamespace(ModelError=ModelError)
    runtime = SimpleNamespace(invoke_endpoint=invoke_endpoint, exceptions=exceptions)
    monkeypatch.setattr("boto3.client", lambda name: runtime)
    monkeypatch.chdir(tmp_path)
    Path("dog.jpg").write_bytes(encode(PHOTO))
    names, values = {"endpoint": "dogs"}, []
    for code in re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL):
        *statements, last = ast.parse(code).body
        exec(compile(ast.Module(statements, []), "serving.md", "exec"), names)
        if isinstance(last, ast.Expr):
            values.append(eval(compile(ast.Expression(last.value), "serving.md", "eval"), names))
        else:
            exec(compile(ast.Module([last], []), "serving.md", "exec"), names)
    assert values[0]["class_name"] == "4.Beagle"
    assert values[1:] == [["Beagle", "Beagle"], 2, "4.Beagle"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("%  Beagle")
    assert printed[-1].startswith("415 not an image")
