"""A notebook with each of the widgets, executed once for all tests that look at its outputs."""

from functools import cache

from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

IMPORT = "from course import widgets"
TRACK = "list(widgets.track(range(20), 20, 'photos'))[-1]"
BROKEN = """\
try:
    for item in widgets.track(range(20), 20, "photos"):
        1 / (10 - item)
except ZeroDivisionError:
    print("caught")"""
WATCH = """\
answers = iter([("InProgress", 0), ("InProgress", 3), ("Completed", 6)])
status = widgets.watch(lambda: next(answers), "jobs", total=6, every_s=0.6)
print(status.status)"""
PICKER = """\
import io
from PIL import Image
buffer = io.BytesIO()
Image.new("RGB", (80, 60), "tan").save(buffer, "JPEG")
answer = [{"breed": "Beagle", "probability": 0.75}, {"breed": "Pug", "probability": 0.25}]
widgets.picker({"Beagle 1": buffer.getvalue()}, bytes, lambda photo: answer)"""
INTERRUPTED = """\
import _thread, threading
threading.Timer(1, _thread.interrupt_main).start()
widgets.watch(lambda: "Creating", "endpoint", every_s=30)"""
CELLS = [IMPORT, TRACK, BROKEN, WATCH, PICKER]


@cache
def executed() -> NotebookNode:
    """The notebook as the kernel has left it: with views and the widgets' states. Not to change."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    error = {"tags": ["raises-exception"]}  # is no end of the notebook
    notebook.cells.append(new_code_cell(INTERRUPTED, metadata=error))
    return NotebookClient(notebook, timeout=60).execute()


def outputs(notebook: NotebookNode, source: str) -> list[NotebookNode]:
    """The outputs of the cell with this source."""
    return next(cell.outputs for cell in notebook.cells if cell.source == source)
