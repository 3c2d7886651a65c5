"""A browser for the tests of pages."""

from __future__ import annotations

import pytest
from support import chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if chromium.find() is None:
        pytest.skip("no Chromium is installed here")
    with chromium.Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser
