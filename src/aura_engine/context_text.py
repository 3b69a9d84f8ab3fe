"""Context text: the documents of a project as an agent gets them. Pure."""

import re
from collections.abc import Iterable

from aura_contracts.context_documents import ContextDocument, FoundDocuments, LeftOutDocument

_TICKS = re.compile(r"`+")


def context_text(project: str, found: FoundDocuments, *, several: bool = False) -> str:
    r"""Return the documents as text; empty if there is nothing to tell. With `several` repositories, each is named.

    Each document is in a fence that none of its own lines can close.

    >>> from aura_contracts.context_documents import FoundDocument
    >>> one = FoundDocument(document=ContextDocument(repository="a", path="x.md", size=3, kept=3), text="Hi\n")
    >>> print(context_text("shop", FoundDocuments(documents=(one,))))
    These documents are the context of your work on the project shop. Your instructions follow after them.
    <BLANKLINE>
    x.md:
    ```
    Hi
    ```
    """
    if not (found.documents or found.left_out):
        return ""
    head = (
        f"These documents are the context of your work on the project {project}. Your instructions follow after them."
    )
    parts = [head]
    for one in found.documents:
        fence = "`" * max(3, *(len(ticks) + 1 for ticks in _TICKS.findall(one.text)), 3)
        end = "" if one.text.endswith("\n") else "\n"
        parts.append(f"{_label(one.document, several=several)}:\n{fence}\n{one.text}{end}{fence}")
    if found.left_out:
        parts.append("\n".join(_left_out(found.left_out, found.more, several=several)))
    return "\n\n".join(parts)


def _label(one: ContextDocument, *, several: bool) -> str:
    cut = f" (cut: the file has {one.size:,} bytes)" if one.cut else ""
    return f"{_place(one, several=several)}{cut}"


def _left_out(left_out: Iterable[LeftOutDocument], more: int, *, several: bool) -> Iterable[str]:
    yield "Left out:"
    for one in left_out:
        yield f"- {_place(one, several=several)}: {one.reason}"
    if more:
        yield f"- and {more:,} more"


def _place(one: ContextDocument | LeftOutDocument, *, several: bool) -> str:
    return f"{one.repository}: {one.path}" if several and one.repository else one.path
