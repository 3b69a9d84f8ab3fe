"""Permissions: an agent's question, from the request to the answer it receives.

The facade uses the names below, and imports what defines one when it first needs it.
"""

from typing import TYPE_CHECKING

from aura_contracts._lazy import export_lazily

if TYPE_CHECKING:
    from aura_engine.permissions.inquiries import withdraw_inquiries as withdraw_inquiries
    from aura_engine.permissions.questions import withdraw_all as withdraw_all

export_lazily(__name__)
