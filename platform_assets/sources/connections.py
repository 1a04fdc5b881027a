"""What the connections of files lead to, beside a folder, which is a ``Path``.

Belongs here: where a system is and how to sign in there. Does not belong here: reading
(``stores``), and where the values come from (``resources``).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3-compatible storage, or what lies below a prefix of it.

    Attributes:
        bucket: Its name.
        key_id: The access key's id.
        secret: The access key's secret.
        prefix: What the names of all files begin with, before ``/``; empty: the whole bucket.
        endpoint: Host and port, such as ``minio.internal:9000``; empty: Amazon's.
        region: Where it is.
        path_style: Whether the bucket's name stands in the path, and not in the host's name.
        ssl: Whether to connect by HTTPS.
    """

    bucket: str
    key_id: str
    secret: str = field(repr=False)
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    path_style: bool = False
    ssl: bool = True

    @property
    def root(self) -> str:
        """What the url of every file begins with."""
        return "s3://" + "/".join(part for part in (self.bucket, self.prefix.strip("/")) if part)
