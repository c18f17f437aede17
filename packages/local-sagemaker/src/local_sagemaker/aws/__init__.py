"""The other services that a job and its reader need, on moto: S3, CloudWatch, Logs, IAM."""
