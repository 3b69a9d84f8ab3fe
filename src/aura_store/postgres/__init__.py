"""PostgreSQL: a log that many processes on many machines share. Needs the extra ``postgres``."""
