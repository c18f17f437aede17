"""S3 on moto, with bodies that live as files."""
