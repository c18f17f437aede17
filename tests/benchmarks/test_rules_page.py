"""`benchmarks/rules_page.py`: what it makes of runs, and what it writes into a page."""

import pytest

from benchmarks import rules_page
from benchmarks.illnesses import HEALTHY, ILL
from open_debugger import RULES


def cells(line):
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def result(run, seed=0, **fires):
    """A run of which the rules named fired, by whose parameters."""
    epoch = {"train_loss": 2.0, "valid_accuracy": 0.5}
    said = {
        whose: {
            name: {"said": "fires" if name in fires.get(whose, ()) else "silent"} for name in RULES
        }
        for whose in ("course", "aws")
    }
    made = {"name": run.name, "seed": seed, "epochs": [epoch], "said": said}
    return {**made, "megabytes": 1.0, "seconds": [1.0, 1.0]}


def page(path, measured="old", course="old"):
    """A page with both blocks, and text around them."""
    blocks = ((rules_page.MEASURED, measured), (rules_page.COURSE, course))
    parts = [begin + part + end for (begin, end), part in blocks]
    path.write_text("\n".join(["before", *parts, "after"]))
    return path


def test_both_blocks_are_written_and_the_rest_of_the_page_is_left(tmp_path):
    table = rules_page.tables([result(run) for run in (*HEALTHY, *ILL)], "by hand")
    written = page(tmp_path / "page.md")
    rules_page.write(written, table)
    assert rules_page.measured(written) == table
    expected = page(tmp_path / "expected.md", table, rules_page.course_part())
    assert written.read_text() == expected.read_text()
    assert all(f"\n| {name} | " in rules_page.course_part() for name in RULES)


def test_a_rule_or_a_block_that_is_missing_is_named(tmp_path):
    table = rules_page.tables([result(run) for run in (*HEALTHY, *ILL)], "by hand")
    with pytest.raises(ValueError, match=r"no line '\| Overfit \|' was measured"):
        rules_page.write(page(tmp_path / "page.md"), table.replace("| Overfit |", "| Other |"))
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(ValueError, match=r"page\.md has no block <!-- measured"):
        rules_page.write(tmp_path / "page.md", table)


def test_a_field_has_both_answers_and_counts_seeds():
    run, other = HEALTHY[0], ILL[0]
    results = [result(each) for each in (*HEALTHY, *ILL)]
    results += [result(run, 1, aws=["Overfit"]), result(run, 2, aws=["Overfit"])]
    results[3] = result(other, course=[other.rule, "Overfit"])
    table = rules_page.tables(results, "by hand").splitlines()
    rows = {row[0]: row[1:] for row in map(cells, table) if row[0] in RULES}
    assert rows["Overfit"][0] == "· / **!** 2 of 3"
    assert rows["Overfit"][3] == "**!** / ·"
    assert rows[other.rule][3] == "✓ / ·"
    assert "Seeds: ResNet18 3, ResNet50 1, VGG16 1" in "".join(table)
