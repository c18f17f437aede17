"""The site's configuration, for Sphinx with MyST-NB and the book theme.

    python -m sphinx -c tools/site . build/site

The pages are written from the files as they lie in the repository, so that a link works on GitHub
and on the site alike. Nothing is executed and nothing is loaded from elsewhere: notebooks appear
with the outputs that are committed, and fonts, scripts and formulas are part of the site.
"""

project = "Dog breeds on Amazon SageMaker"
author = "the contributors"
language = "en"

extensions = ["myst_nb", "tools.site.pages", "tools.site.files", "tools.site.formulas"]
root_doc = "README"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/*.md",
    "notebooks/README.md",
    "notebooks/*.ipynb",
    "notebooks/solutions/*.ipynb",
    "notebooks/reports/*.md",
    "packages/*/*.md",
    "packages/*/docs/*.md",
]
exclude_patterns = [".*", "build", "tests", "packages/*/tests", "packages/*/src", "**/node_modules"]

nb_execution_mode = "off"
nb_render_markdown_format = "myst"  # CommonMark has no tables, the write-up has some
nb_ipywidgets_js = {}  # loaded from elsewhere; committed notebooks have pictures of their widgets

myst_enable_extensions = ["dollarmath"]
myst_dmath_allow_digits = False  # as on GitHub: "$0.05 an hour, $3.40 a month" is no formula
myst_dmath_allow_space = False
myst_heading_anchors = 4
myst_heading_anchors_html_ids = True  # GitHub's names of headings, as in the links
smartquotes = False

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_copyright = False
html_last_updated_fmt = None
html_context = {"default_mode": "light"}  # the figures are drawn on white
html_theme_options = {
    "show_navbar_depth": 1,
    "toc_title": "On this page",
    "use_download_button": True,  # each page's notebook or text
    "use_fullscreen_button": False,
}
