"""S3-compatible storage on a real server that checks who asks.

Belongs here: starting it, and putting files there. Does not belong here: an assertion about what is
read from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer

from platform_assets.resources import BucketResource
from platform_assets.sources.connections import Bucket

NAME = "deliveries"
ALLOW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


@dataclass(frozen=True)
class Storage:
    """A server with one bucket and one key that opens it."""

    bucket: Bucket
    client: Any

    def put(self, name: str, content: str | bytes) -> None:
        """Put a file below the bucket's prefix."""
        body = content.encode() if isinstance(content, str) else content
        self.client.put_object(Bucket=NAME, Key=f"{self.bucket.prefix}/{name}", Body=body)


@contextmanager
def bucket_server() -> Iterator[Storage]:
    """Storage with one bucket, which every signature is checked for."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        # All servers of a process share their state: what another one left is taken away.
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)
        requests.post(f"http://{host}:{port}/moto-api/reset-auth", data=b"inf", timeout=10)
        options = {"endpoint_url": f"http://{host}:{port}", "region_name": "eu-west-1"}
        anyone = {"aws_access_key_id": "x", "aws_secret_access_key": "y", **options}
        users = boto3.client("iam", **anyone)
        users.create_user(UserName="reader")
        key = users.create_access_key(UserName="reader")["AccessKey"]
        users.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(ALLOW))
        # From here on the server checks every signature.
        requests.post(f"http://{host}:{port}/moto-api/reset-auth", data=b"0", timeout=10)
        client = boto3.client(
            "s3",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            **options,
        )
        client.create_bucket(
            Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        resource = BucketResource(
            bucket=NAME,
            key_id=key["AccessKeyId"],
            secret=key["SecretAccessKey"],
            prefix="in",
            endpoint=f"{host}:{port}",
            region="eu-west-1",
            path_style=True,
            ssl=False,
        )
        assert key["SecretAccessKey"] not in repr(resource.connection)
        yield Storage(resource.connection, client)
    finally:
        server.stop()
