"""Error codes are promised: none is renamed, dropped, or given to another error."""

import json

from golden.make_error_codes import FILE, codes


def test_every_code_is_on_the_list_and_means_what_it_meant() -> None:
    assert codes() == json.loads(FILE.read_text()), "for a new error: python tests/golden/make_error_codes.py"
