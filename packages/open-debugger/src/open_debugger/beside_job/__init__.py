"""The processes that evaluate rules beside a job, as AWS's service does."""
