"""Amazon SageMaker on one machine: an AWS endpoint that really trains, tunes and serves."""

ACCOUNT = "123456789012"  # moto's default account; the only one this engine knows
REGION = "us-east-1"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/local-sagemaker"
