"""Links: what opens a question from an inbox, without a login.

    addresses    where the pages of links are: the base URL of an installation, and tokens in URLs
    keys         the keys that sign tokens: files in AURA_HOME, rotated
    tokens       the token of a link, bound to the terms on which it was issued, and the one of its form
    issuer       records links, and derives the URLs that open them
    link_page    what a link shows, and why an answer with it would not count

That a link was issued, used or revoked is in the log (`aura_contracts.approval`), and whether it still answers is for
the decider of approvals to say. Here is what the log must not have: the keys, without which no one opens a link.
"""
