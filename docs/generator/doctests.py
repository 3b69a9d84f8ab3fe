"""An extension of griffe for the API reference: the doctests of a docstring become blocks of code.

Markdown would take ``>>>`` for a quotation and a printed list for a link.
"""

import re

import griffe

_DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Fences doctests, whatever object they document."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring of an object when it is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = _DOCTEST.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
