import pytest

from platform_assets.alerts.redaction import redacted
from platform_assets.observability.redaction import names_a_secret

SECRETS = {
    "a URL with a password": ("postgres://shop:hunter2@db.internal/x", "hunter2"),
    "a URL with a password with signs": ("at mysql://u:p%40ss!word@db:3306/x", "ss!word"),
    "a URL with a token as user": ("https://ghp0123@github.com/x", "ghp0123"),
    "a password in a connection string": ("host=db password=hunter2 port=5", "hunter2"),
    "a quoted password": ("{'password': 'hunter 2'}", "hunter 2"),
    "a JSON key": ('{"api_key": "abc123"}', "abc123"),
    "a parameter": ("GET /x?page=1&access_token=abc123&y=2", "abc123"),
    "a signature": ("https://b.s3/x?X-Amz-Signature=deadbeef&b=1", "deadbeef"),
    "an authorization": ("Authorization: Bearer abcdefgh12345", "abcdefgh12345"),
    "a bearer": ("sent bearer abcdefgh12345 there", "abcdefgh12345"),
    "basic": ("header Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
    "a key of AWS": ("with AKIAIOSFODNN7EXAMPLE and", "AKIAIOSFODNN7EXAMPLE"),
    "a token of Slack": ("xoxb-123456789012-abcdef", "123456789012-abcdef"),
    "a hook of Slack": ("POST https://hooks.slack.com/services/T0/B0/XyZ failed", "XyZ"),
    "a hook of Teams": ("https://x.webhook.office.com/webhookb2/aa-bb", "aa-bb"),
    "a token of GitHub": ("ghp_0123456789abcdefghij0123", "0123456789abcdefghij"),
    "a key of Stripe": ("sk_live_0123456789abcdefghij", "0123456789abcdefghij"),
    "a JWT": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "eyJzdWIiOiIxIn0"),
    "a private key": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "MIIE",
    ),
    "half a private key": ("-----BEGIN PRIVATE KEY-----\nMIIE", "MIIE"),
    "an address": ("Could not convert 'anna.b+c@example.com' to INT", "anna"),
    "a phone number": ("call +44 20 7946 0958 now", "7946"),
    "a card": ("value 4111 1111 1111 1111 is", "4111"),
    "an account": ("from DE89 3704 0044 0532 0130 00 to", "3704"),
}


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS.keys())
def test_what_must_not_be_read_is_taken_out(text, secret):
    assert secret in text
    assert secret not in redacted(text)
    assert "***" in redacted(text)
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "cleaned/orders 2025-01-01 to 2025-12-31: 1,000,000 rows, 5 % bad",
        'Binder Error: column "price" not found at line 12, column 3',
        "run 3f786850-e387-4a5e-9b2c-0123456789ab of 2025-01-01T08:00:00+00:00",
        "platform-assets backfill --from 2025-01-01 --to 2025-01-02 --select 'key:\"cleaned/a\"+'",
        "http://localhost:3000/runs/de12abcd34ef5678de12abcd34ef5678",
        "the author: somebody; the key: order_id; tokens 3",
        "1234567890123456 is no card, and 20250101000000 neither",
        "",
    ],
)
def test_what_helps_is_left(text):
    assert redacted(text) == text


def test_a_known_secret_is_taken_out_wherever_it_is():
    assert redacted("POST /in/abcdef: 500", ["abcdef", ""]) == "POST /in/***: 500"


@pytest.mark.parametrize(
    ("url", "named"),
    [("http://x/in?api_key=a", True), ("http://x/in?to=a&sig=b", True), ("http://x?to=a", False)],
)
def test_a_parameter_may_be_called_like_a_secret(url, named):
    assert names_a_secret(url) is named
