"""`tools/site/files.py`: links to files and folders lead to pages of the site."""

import re


def links(page):
    return dict(re.findall(r'href="([^"]+)">(?:<[^>]*>)*([^<]+)', page.read_text()))


def test_a_file_is_a_page_with_its_lines(pages):
    assert links(pages / "README.html")["code/code/train.py.html"] == "the script"
    assert links(pages / "docs" / "guide.html")["../code/code/train.py.html"] == "the script"
    text = re.sub(r"<[^>]+>", "", (pages / "code/code/train.py.html").read_text())
    assert "loss = 0.5 &lt; 1" in text.replace("\xa0", " ")


def test_a_folder_is_a_page_with_its_files(pages):
    assert links(pages / "README.html")["code/code.html"] == "its folder"
    listed = links(pages / "code" / "code.html")
    assert listed["code/train.py.html"] == "train.py"
    assert listed["code/inner/empty.txt.html"] == "inner/empty.txt"
    assert "<li>dog.png</li>" in (pages / "code" / "code.html").read_text()
    assert (pages / "code/code/inner/empty.txt.html").is_file()


def test_a_page_in_html_is_copied_as_it_is(pages):
    assert links(pages / "README.html")["report/profile.html"] == "the report"
    assert (pages / "report/profile.html").read_text() == "<p>as it is</p>"


def test_other_links_are_left_alone(pages):
    assert links(pages / "README.html")["docs/guide.html#a-formula"] == "the guide"
    assert "no-file.py.html" not in (pages / "README.html").read_text()
