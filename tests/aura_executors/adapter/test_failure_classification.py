"""Failures as agents and services word them: why, and whether another attempt could do better."""

import pytest

from aura_contracts.failures import FailureReason
from aura_executors.adapter.failure_classification import failure_from

WORDS = {
    (FailureReason.RATE_LIMITED, True): (
        "Claude AI usage limit reached|1764460800",
        "You've hit your limit · resets 3pm (Europe/Vienna)",
        "5-hour limit reached ∙ resets 6pm",
        "You've hit your usage limit. Upgrade to Pro or try again in 3 days 4 hours 5 minutes.",
        "You've reached your weekly limit",
        "Monthly request limit reached",
        "Credit balance is too low",
        "429 insufficient_quota",
        "API Error: 402 Payment Required",
    ),
    (FailureReason.RATE_LIMITED, False): (
        "Too Many Requests",
        "529 Overloaded",
        "Resource has been exhausted (e.g. check quota).",
        "This request would exceed your organization's rate limit of 30,000 input tokens per minute.",
    ),
    (FailureReason.AUTHENTICATION, False): (
        "Invalid API key · Please run /login",
        "Incorrect API key provided: sk-x. You can find your API key at platform.example.com.",
        "OAuth token has expired. Please obtain a new token or refresh your existing token",
    ),
    (FailureReason.AGENT_ERROR, True): (
        "prompt is too long: 210000 tokens > 200000 maximum",
        "This model's maximum context length is 128000 tokens",
        "There's an issue with the selected model (foo). It may not exist or you may not have access to it.",
        "model_not_found: The model `gpt-9` does not exist",
    ),
    (FailureReason.AGENT_ERROR, False): (
        "503 Service Unavailable",
        "API Error: 500 the daily limit of this test",
        "it reached its limit of requests to the model before it was done",
    ),
}


@pytest.mark.parametrize(("told", "words"), [(told, words) for told, those in WORDS.items() for words in those])
def test_as_it_is_worded(told, words):
    failure = failure_from(words)
    assert (failure.reason, failure.lasting) == told
    assert failure.message == words
