"""Notifications: who is notified what happened, when, and by which channel.

    event ──► notice ──► waiting notices ──► message in the outbox ──► channel ──► sent, or a dead letter
              (kinds)    (settings)          (an event)

    kinds            what notifies whom, as a table
    notices          from an event to what people are notified about it
    settings         channels and people, from ``notifications.yaml``
    settings_file    what that file may hold
    waiting_notices  what a person must still be notified of, bounded
    lane             messages of one channel to one person: when, how often, and again
    answer_links     what a message gets on its way out, so that its recipient answers where they read it
    notifier         reads the log, and serves the lanes
    outage_watch     tells operators that the store is away, although nothing can be recorded
    alert_search     finds what should be known although nothing happened: alerts

A lane is a channel and a person. It makes one message at a time; meanwhile the log is the buffer, of which a lane
keeps the beginning and the numbers. So a channel that does not answer holds up nothing and fills nothing: one message
has all that came meanwhile, once it is back. Each message is recorded before it is sent (`aura_contracts.outbox`) and
afterwards; a crash between the two sends it again, under the same key.
"""
