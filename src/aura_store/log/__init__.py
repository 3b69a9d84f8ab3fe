"""The event log over any database: encoding, sealing, group commit, patience with outages, tailing."""
