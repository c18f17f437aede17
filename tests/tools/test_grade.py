"""`tools/grade.py`: what each checking cell said, as an instructor wants to see it."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from course.exercises import UNANSWERED, Verdict
from tools import grade
from tools.run import NOTEBOOKS


def shown(value):
    data = {"text/plain": repr(value), "text/html": "<p></p>"}
    return [new_output("execute_result", data=data, execution_count=1)]


ERROR = new_output("error", ename="NameError", evalue="", traceback=[])
OUTPUTS = {
    "right": shown(Verdict(True, "So it is.")),
    "not yet": shown(Verdict(False, "Too small.")),
    "not answered": shown(UNANSWERED),
    "not run": [],
    "error": [ERROR],
}


@pytest.mark.parametrize(("said", "outputs"), OUTPUTS.items(), ids=OUTPUTS)
def test_each_outcome_is_told(tmp_path, capsys, said, outputs):
    cell = new_code_cell("answer = 1\nexercises.price(answer)", outputs=outputs)
    (tmp_path / "ann").mkdir()
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "ann" / "02-hpo.ipynb")
    assert grade.main([str(tmp_path)]) == 0
    row, count = capsys.readouterr().out.splitlines()
    assert row.split(maxsplit=2) == ["ann/02-hpo.ipynb", "price", said]
    assert count == f"1 {said}"


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    assert grade.main([str(tmp_path)]) == 1
    assert f"no notebooks in {tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize(("folder", "said"), [("", "not answered"), ("solutions", "right")])
def test_the_committed_notebooks_are_graded(folder, said):
    for file in sorted((NOTEBOOKS / folder).glob("[0-9]*.ipynb")):
        found = [outcome for _, outcome in grade.verdicts(nbformat.read(file, as_version=4))]
        assert found == [said, said], file
