"""Audit: proof that no event was changed, removed or moved."""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_store.audit._verification import checkpoint as checkpoint
    from aura_store.audit._verification import verify as verify

export_lazily(__name__)
