"""The widgets: what they show, what they leave behind, and what a reader without a kernel sees."""

import base64
import io
import re
import subprocess
import sys
import time

import pytest
from PIL import Image

from course import widgets
from course.figures import style
from course.widgets import answering
from tests.support import widget_notebook
from tests.support.stub_endpoint import BREEDS, Endpoint, client_error, top
from tests.support.tiny_photos import draw, encode
from tests.support.widget_notebook import BROKEN, INTERRUPTED, PICKER, TRACK, WATCH, outputs


def png(output) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"])))


def given(*answers):
    """An `ask` that gives these answers one after the other; an exception is raised."""
    rest = iter(answers)

    def ask():
        answer = next(rest)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return ask


def test_importing_them_does_not_import_sagemaker():
    check = "import sys, course.widgets; print([m for m in sys.modules if m == 'sagemaker'])"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert said.stdout == "[]\n", said.stderr


# -------------------------------------------------------------------------------------------- track


def test_track_yields_all_items_and_says_what_it_counted(capsys):
    assert list(widgets.track(iter("abc"), 3, "photos")) == ["a", "b", "c"]
    assert re.match(r"3 of 3 photos · \d+\.\d s · ", capsys.readouterr().out)


def test_track_asks_for_an_item_only_when_one_is_needed():
    asked = []
    items = widgets.track((asked.append(i) for i in range(5)), 5, "photos")
    next(items)
    assert len(asked) == 1


def test_track_lets_an_error_in_the_middle_through_and_says_how_far_it_came(capsys):
    with pytest.raises(ZeroDivisionError):
        list(widgets.track((1 / (2 - i) for i in range(5)), 5, "photos"))
    said = capsys.readouterr().out
    assert said.startswith("2 of 5 photos")
    assert said.endswith("stopped\n")


def test_track_that_is_left_early_says_so(capsys):
    for item in widgets.track(range(5), 5, "photos"):
        if item == 3:
            break
    said = capsys.readouterr().out
    assert said.startswith("3 of 5 photos")
    assert said.endswith("stopped\n")


def test_track_of_nothing(capsys):
    assert list(widgets.track([], 0, "photos")) == []
    assert capsys.readouterr().out == "0 of 0 photos · 0.0 s\n"


# -------------------------------------------------------------------------------------------- watch


def watched(*answers, label="endpoint", **options):
    return widgets.watch(given(*answers), label, every_s=0.01, **options)


def test_watch_asks_until_the_status_is_final_and_gives_the_last_answer(capsys):
    assert watched("Creating", "Creating", "InService").status == "InService"
    assert capsys.readouterr().out.startswith("endpoint: InService · 0.")


def test_watch_counts_from_the_moment_it_is_given(capsys):
    watched("InService", begun=time.monotonic() - 42)
    assert capsys.readouterr().out == "endpoint: InService · 42 s\n"


def test_watch_counts(capsys):
    answers = [("InProgress", 0), ("InProgress", 4), ("Completed", 6)]
    assert watched(*answers, label="jobs", total=6)[:2] == ("Completed", 6)
    assert capsys.readouterr().out.startswith("jobs: Completed · 6 of 6 done · 0.")


def test_a_failure_names_label_status_and_reason_and_where_to_look(capsys):
    failed = widgets.State("Failed", reason="no health check answered.")
    with pytest.raises(widgets.Unsuccessful) as raised:
        watched("Creating", failed)
    said = str(raised.value)
    assert said.startswith("endpoint Failed after 0.")
    assert ": no health check answered. Its log says more" in said
    assert "/aws/sagemaker/Endpoints/<name>" in said
    assert "local-sagemaker logs" in said
    assert capsys.readouterr().out.startswith("endpoint: Failed")


@pytest.mark.parametrize("status", ["Stopped", "OutOfService", "DeleteFailed"])
def test_other_bad_ends_are_failures_too(status):
    with pytest.raises(widgets.Unsuccessful, match=f"endpoint {status} after .* s. Its log"):
        watched(status)


def test_what_the_sdk_gives_for_not_said_is_no_reason_and_no_count():
    class Unassigned:
        pass

    with pytest.raises(widgets.Unsuccessful) as raised:
        watched(widgets.State("Failed", Unassigned(), Unassigned()))
    assert "Unassigned" not in str(raised.value)


def test_watch_refuses_what_is_no_status():
    with pytest.raises(ValueError, match=r"'Ready' is no status that SageMaker gives\. Ask"):
        watched("Ready")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConnectionError("gone")])
def test_watch_leaves_its_picture_when_it_is_cut_short(error, capsys):
    with pytest.raises(type(error)):
        watched(("InProgress", 2), error, label="jobs", total=6)
    said = capsys.readouterr().out
    assert said.startswith("jobs: InProgress · 2 of 6 done")
    assert said.endswith("no longer watched\n")


# ------------------------------------------------------------------------------------------- picker

PHOTOS = {"key-1": encode(draw((210, 180, 140))), "key-2": encode(draw((0, 0, 128)))}


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
def picker(endpoint):
    return widgets.picker({"Beagle 1": "key-1", "Poodle 2": "key-2"}, PHOTOS.get, endpoint)


def send(picker, content, name="mine.jpg"):
    """What the browser sends when a file was chosen."""
    file = {"name": name, "type": "image/jpeg", "size": len(content), "last_modified": 0}
    picker.upload.set_state({"value": [{**file, "content": memoryview(content)}]})


def bundle(picker):
    data, _ = picker._repr_mimebundle_()
    return data


def test_the_first_choice_is_asked_about_at_once(picker, endpoint):
    assert endpoint.asked == [PHOTOS["key-1"]]
    for word in ("Beagle", "50%", "Poodle", "20%", "data:image/jpeg;base64,"):
        assert word in picker.shown.value


def test_choosing_another_photo_asks_with_its_bytes_and_shows_its_breeds(picker, endpoint):
    before, endpoint.answer = picker.shown.value, top("Akita")
    picker.menu.value = "Poodle 2"
    assert endpoint.asked[1:] == [PHOTOS["key-2"]]
    assert "Akita" in picker.shown.value
    assert "Akita" not in before


def test_an_upload_is_asked_about_as_it_is(picker, endpoint):
    mine, endpoint.answer = encode(draw((0, 128, 128)), "PNG"), top("Pug")
    send(picker, mine, "my <dog>.png")
    assert endpoint.asked[1:] == [mine]
    assert picker.shown.value.index("Pug") < picker.shown.value.index("Beagle")
    assert "my &lt;dog&gt;.png" in picker.shown.value


def test_after_an_upload_the_same_file_and_the_same_choice_can_be_had_again(picker, endpoint):
    for _ in range(2):
        send(picker, PHOTOS["key-2"])
        picker.menu.value = "Beagle 1"
    assert endpoint.asked == [PHOTOS["key-1"], *[PHOTOS["key-2"], PHOTOS["key-1"]] * 2]


def test_right_and_wrong_are_coloured_for_choices_only(picker, endpoint):
    assert style.GREEN in picker.shown.value
    picker.menu.value = "Poodle 2"
    assert style.ORANGE in picker.shown.value
    send(picker, encode(draw((0, 128, 128))))
    assert style.ORANGE not in picker.shown.value
    assert style.GREEN not in picker.shown.value


def test_a_bad_file_is_told_in_a_sentence_and_never_sent(picker, endpoint):
    send(picker, b"what is this", "notes <1>.txt")
    assert "<b>notes &lt;1&gt;.txt</b>: The file is no photo" in picker.shown.value
    assert len(endpoint.asked) == 1
    picker.menu.value = "Poodle 2"
    assert "50%" in picker.shown.value


def test_a_remark_stands_above_the_breeds(picker, monkeypatch):
    monkeypatch.setattr(answering, "MAX_BYTES", 1)
    picker.menu.value = "Poodle 2"
    shown = picker.shown.value
    assert shown.index("It was scaled down") < shown.index("Beagle")


def test_an_error_is_told_beside_the_photo_and_the_picker_stays_usable(picker, endpoint):
    endpoint.answer = KeyError("predictions")
    picker.menu.value = "Poodle 2"
    said = "The endpoint gave no answer: KeyError: &#x27;predictions&#x27;."
    assert said in picker.shown.value
    assert "data:image/jpeg" in picker.shown.value
    endpoint.answer = top()
    picker.menu.value = "Beagle 1"
    assert "50%" in picker.shown.value


def test_an_endpoint_that_does_not_exist_is_said_to(aws):
    def ask(body):
        return aws.runtime.invoke_endpoint(EndpointName="never-there", Body=body)

    shown = widgets.picker({"Beagle 1": PHOTOS["key-1"]}, lambda key: key, ask)
    assert "This endpoint no longer exists" in shown.shown.value
    data = bundle(shown)
    assert "image/png" not in data
    assert "This endpoint no longer exists" in data["text/plain"]


def test_a_photo_that_cannot_be_fetched_is_told(endpoint):
    def fetch(key):
        raise client_error("The specified key does not exist.")

    shown = widgets.picker({"Beagle 1": "gone"}, fetch, endpoint).shown.value
    assert "The photo could not be fetched: The specified key does not exist." in shown
    assert endpoint.asked == []


def test_an_answer_is_shown_the_likeliest_first_five_at_most(endpoint):
    endpoint.answer = [{"breed": name, "probability": i / 21} for i, name in enumerate(BREEDS, 1)]
    shown = widgets.picker({"a photo": "key-1"}, PHOTOS.get, endpoint).shown.value
    positions = [shown.index(name) for name in BREEDS[:0:-1]]
    assert positions == sorted(positions)
    assert BREEDS[0] not in shown


def test_the_output_has_a_picture_and_words_of_the_first_choice(picker):
    data = bundle(picker)
    picker.menu.value = "Poodle 2"
    assert bundle(picker)["text/plain"] == data["text/plain"]
    assert data["text/plain"].startswith("Beagle 1: Beagle 50%, Poodle 20%, ")
    assert data["text/plain"].endswith("Run this notebook in Jupyter to choose another photo.")
    assert png({"data": data}).width > 300
    assert widgets.VIEW in data


def test_keys_are_labelled_by_the_folder_that_they_lie_in(endpoint):
    keys = ["test/016.Beagle/a.jpg", "test/124.Poodle/b.jpg", "test/124.Poodle/c.jpg"]
    shown = widgets.picker(keys, lambda key: PHOTOS["key-1"], endpoint)
    labels = [label for label, _ in shown.menu.options]
    assert labels == ["choose a photo", "Beagle 1", "Poodle 2", "Poodle 3"]
    assert style.GREEN in shown.shown.value  # the first is a Beagle, as the endpoint says


def test_a_picker_without_choices():
    with pytest.raises(ValueError, match="there is no photo to choose"):
        widgets.picker({}, PHOTOS.get, top)
    with pytest.raises(ValueError, match="there is no photo to choose"):
        widgets.picker([], PHOTOS.get, top)


# ------------------------------------------------------------------------ in a kernel, and after it


@pytest.fixture(scope="module")
def executed():
    return widget_notebook.executed()


@pytest.mark.parametrize(
    ("source", "words"),
    [(TRACK, "20 of 20 photos · "), (BROKEN, "10 of 20 photos · "), (WATCH, "jobs: Completed · 6")],
)
def test_progress_leaves_a_picture_and_words_in_the_widgets_place(executed, source, words):
    picture, *rest = outputs(executed, source)
    assert picture["data"]["text/plain"].startswith(words)
    assert set(picture["data"]) == {"image/png", "text/plain"}
    assert png(picture).size[0] == 2 * picture["metadata"]["image/png"]["width"]
    assert rest  # what the cell itself has shown is still there
    assert "error" not in {output.output_type for output in rest}


def test_the_picker_is_one_output(executed):
    (output,) = outputs(executed, PICKER)
    assert set(output["data"]) == {widgets.VIEW, "image/png", "text/plain"}


def test_an_interrupted_watch_leaves_its_picture(executed):
    picture, error = outputs(executed, INTERRUPTED)
    assert error["ename"] == "KeyboardInterrupt"
    assert picture["data"]["text/plain"].startswith("endpoint: Creating · ")
    assert picture["data"]["text/plain"].endswith("no longer watched")
    assert "image/png" in picture["data"]
