"""An answer to a photo is always had: the breeds, or a sentence that says why there are none."""

import io

import pytest
from botocore.exceptions import EndpointConnectionError
from PIL import Image

from course.widgets import answering
from tests.support.stub_endpoint import BREEDS, Endpoint, client_error, top
from tests.support.tiny_photos import draw, encode

PHOTO = encode(draw((200, 160, 110), size=(80, 60)))


@pytest.fixture
def endpoint():
    return Endpoint()


def answered(endpoint, raw=PHOTO, name="mine.jpg", truth=None):
    return answering.answer(name, truth, lambda: raw, endpoint)


def test_a_photo_is_asked_about_as_it_is(endpoint):
    answer = answered(endpoint, truth="Beagle")
    assert endpoint.asked == [PHOTO]
    assert answer.predictions == top()
    assert (answer.name, answer.truth, answer.remark) == ("mine.jpg", "Beagle", "")
    assert (answer.photo.size, answer.photo.mode) == ((80, 60), "RGB")


def test_the_answer_is_the_five_likeliest_the_likeliest_first(endpoint):
    endpoint.answer = [{"breed": name, "probability": i / 21} for i, name in enumerate(BREEDS, 1)]
    assert [guess["breed"] for guess in answered(endpoint).predictions] == BREEDS[:0:-1]


def test_the_sentence_has_name_breeds_and_remark(endpoint):
    said = answering.sentence(answered(endpoint, name="Rex"))
    assert said == "Rex: Beagle 50%, Poodle 20%, Komondor 10%, Boxer 5%, Pug 1%"
    assert answering.sentence(answered(endpoint, b"", "Rex")) == "Rex: The file is empty."


# --------------------------------------------------------------------------------- what is no photo

BAD_FILES = {
    "The file is no photo": b"what is this",
    "or it is damaged": encode(draw((200, 160, 110), size=(400, 300)))[:700],
    "The file is empty": b"",
}


@pytest.mark.parametrize("said", BAD_FILES)
def test_a_bad_file_is_told_in_a_sentence_and_never_sent(endpoint, said):
    answer = answered(endpoint, BAD_FILES[said])
    assert said in answer.remark
    assert (answer.photo, answer.predictions, endpoint.asked) == (None, (), [])


def test_a_photo_of_too_many_pixels_to_open_is_told(endpoint, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses more than twice that
    assert "more pixels than can be opened safely" in answered(endpoint).remark
    assert endpoint.asked == []


def test_a_photo_that_cannot_be_fetched_is_told(endpoint):
    def load():
        raise client_error("The specified key does not exist.")

    answer = answering.answer("gone", None, load, endpoint)
    assert answer.remark == "The photo could not be fetched: The specified key does not exist."
    assert endpoint.asked == []


# ---------------------------------------------------------------------------------- what is a photo


def test_a_large_photo_is_scaled_down_and_that_is_said(endpoint):
    mine = encode(draw((128, 128, 128), size=(3000, 2500)), quality=98)
    assert len(mine) > answering.MAX_BYTES
    answer = answered(endpoint, mine)
    (body,) = endpoint.asked
    assert len(body) < answering.MAX_BYTES
    assert Image.open(io.BytesIO(body)).size == (2048, 1707)
    assert "3000 by 2500 pixels: more than an endpoint takes" in answer.remark
    assert "scaled down to 2048 by 1707" in answer.remark
    assert max(answer.photo.size) <= 640
    assert answer.predictions == top()


def test_a_photo_of_too_many_pixels_for_an_endpoint_is_scaled_down_too(endpoint, monkeypatch):
    monkeypatch.setattr(answering, "MAX_PIXELS", 80 * 60 - 1)
    assert "more than an endpoint takes" in answered(endpoint).remark
    assert endpoint.asked != [PHOTO]


def test_a_large_photo_without_an_answer_has_both_remarks(endpoint, monkeypatch):
    monkeypatch.setattr(answering, "MAX_PIXELS", 80 * 60 - 1)
    endpoint.answer = []
    said = answered(endpoint).remark
    assert said.startswith("The photo has 0.0 MB, 80 by 60 pixels")
    assert said.endswith(" pixels. The endpoint answered without a breed.")


def test_a_photo_is_shown_upright(endpoint):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: TIFF 6.0, Orientation
    answer = answered(endpoint, encode(Image.new("RGB", (80, 60)), exif=exif))
    assert answer.photo.size == (60, 80)
    (body,) = endpoint.asked
    assert Image.open(io.BytesIO(body)).size == (80, 60)  # sent as it is: the endpoint turns it


def test_what_is_transparent_is_shown_white(endpoint):
    clear = encode(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG")
    assert answered(endpoint, clear).photo.getpixel((4, 4)) == (255, 255, 255)


# -------------------------------------------------------------------------------- what is no answer

REFUSALS = {
    "This endpoint no longer exists": client_error("Endpoint d of account 123456789012 not found."),
    "The endpoint refused the photo: too dark.": client_error("x", OriginalMessage="too dark"),
    "The endpoint gave no answer: Endpoint d is Deleting.": client_error("Endpoint d is Deleting."),
    "SageMaker does not answer": EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
    "The endpoint gave no answer: out of luck.": RuntimeError("out of luck"),
    "The endpoint gave no answer: KeyError: 'predictions'.": KeyError("predictions"),
}


@pytest.mark.parametrize("said", REFUSALS)
def test_an_error_is_told_in_a_sentence_and_the_photo_kept(endpoint, said):
    endpoint.answer = REFUSALS[said]
    answer = answered(endpoint)
    assert answer.remark.startswith(said)
    assert answer.photo.size == (80, 60)
    assert answer.predictions == ()
    assert "127.0.0.1" not in answer.remark


@pytest.mark.parametrize("given", [[], [{"name": "Pug"}], {"predictions": []}, None])
def test_an_answer_of_another_form_is_told(endpoint, given):
    endpoint.answer = given
    answer = answered(endpoint)
    assert answer.remark.startswith("The endpoint ")
    assert answer.predictions == ()
