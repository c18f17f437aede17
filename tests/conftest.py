"""The engine that the course's tests run on, and what each test finds as it was."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch is imported: workers share cores

import pytest
from PIL import ImageFile

from engine_support.fixtures import aws, nothing_is_handed_on, reached  # noqa: F401


@pytest.fixture(autouse=True)
def truncated_photos_are_damaged():
    """Training in this process takes them, and no test is to rely on one before it."""
    yield
    ImageFile.LOAD_TRUNCATED_IMAGES = False
