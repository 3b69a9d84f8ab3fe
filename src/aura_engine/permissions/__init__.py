"""Permissions: an agent's question, from the request to the answer it receives.

    questions   permission requests, as approvals that outlive the agent
    inquiries   questions in words, asked with AURA's own tools
    precedence  who decides a call: rules, remembered answers, a human
    delivery    takes each decision to the agent that waits for it

For a tool call, silence until the deadline means no.
"""
