"""`docs/debugger-rules.md`: it has every rule and run, and says what the code says."""

from benchmarks import rules_page
from benchmarks.illnesses import HEALTHY, ILL
from benchmarks.rules_matrix import PAGE
from open_debugger import RULES, catalogue


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


def test_the_committed_page_is_what_the_code_would_write(tmp_path):
    copy = tmp_path / "page.md"
    rules_page.write(copy, rules_page.measured(PAGE))
    assert copy.read_text() == PAGE.read_text(), "run: make rules-matrix MATRIX=--text"


def test_the_committed_table_shows_what_the_course_promises():
    lines = rules_page.measured(PAGE).splitlines()
    head = next(cells(line) for line in lines if line.startswith("| rule |"))
    assert head == ["rule", *(run.name for run in (*HEALTHY, *ILL))]
    rows = {row[0]: row[1:] for row in map(cells, lines) if row[0] in RULES}
    assert rows.keys() == RULES.keys()
    for place, run in enumerate((*HEALTHY, *ILL)):
        course = {name: row[place].split(" / ")[0] for name, row in rows.items()}
        if run.rule is None:
            assert set(course.values()) <= {"·", "n/a"}, run.name
        else:
            assert course[run.rule] == "✓", run.name


def test_every_rule_has_its_section_its_parameters_and_a_reason():
    text = rules_page.text()
    for name in RULES:
        assert f"### {name}\n" in text
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        assert all(parameter in cells(row)[1] for parameter in catalogue.defaults(name))
        assert len(cells(row)[3]) > 20


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
