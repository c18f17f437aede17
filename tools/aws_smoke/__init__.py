"""`make aws-smoke`: the course's way through an account, in small, and AWS's answers on record.

| module | holds |
|---|---|
| `__main__` | what it costs, the question whether to begin, the run |
| `steps` | the requests: two trials, one endpoint, some refusals, and all of it deleted |
| `record` | the answers, without accounts, names and keys |
| `compare` | where two records differ |
"""
