"""PostgreSQL: a log shared by many processes on many machines. Needs the extra ``postgres``."""
