"""The CDNs' side of signed URLs, by packages of independent origin: botocore, Akamai's own
akamai-edgeauth, cryptography and cwt.

Usage: cdn_peer.py WHAT ARGUMENT... ; prints lines.
"""

import base64
import json
import sys
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit


def cloudfront_sign(key_file, key_id, resource, expires_s, address):
    """The query that botocore makes for a resource and a viewer's address (or none)."""
    from botocore.signers import CloudFrontSigner
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with open(key_file, "rb") as file:
        key = load_pem_private_key(file.read(), None)
    signer = CloudFrontSigner(key_id, lambda told: key.sign(told, padding.PKCS1v15(), hashes.SHA1()))
    until = datetime.fromtimestamp(int(expires_s), timezone.utc)
    policy = signer.build_policy(resource, until, ip_address=address or None)
    print(signer.generate_presigned_url("https://x.example/", policy=policy).partition("?")[2])


def cloudfront_check(key_file, url, now_s, address):
    """Whether a distribution with that key would serve the URL: yes or why not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    def plain(text):
        return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")), validate=True)

    parts = parse_qs(urlsplit(url).query, strict_parsing=True)
    policy, signature, key_id = (parts[name] for name in ("Policy", "Signature", "Key-Pair-Id"))
    if [len(policy), len(signature), len(key_id)] != [1, 1, 1]:
        return "twice"
    with open(key_file, "rb") as file:
        key = load_pem_private_key(file.read(), None).public_key()
    try:
        key.verify(plain(signature[0]), plain(policy[0]), padding.PKCS1v15(), hashes.SHA1())
    except (InvalidSignature, ValueError):
        return "signature"
    (statement,) = json.loads(plain(policy[0]))["Statement"]
    condition = statement["Condition"]
    if int(now_s) >= condition["DateLessThan"]["AWS:EpochTime"]:
        return "expired"
    if condition.get("IpAddress", {}).get("AWS:SourceIp", address + "/32") != address + "/32":
        return "address"
    prefix, star, rest = statement["Resource"].partition("*")
    if not star or rest or not url.startswith(prefix):
        return "resource"
    return "yes"


def akamai_sign(secret, acl, start_s, end_s, payload):
    """The token that Akamai's own package makes."""
    from akamai.edgeauth import EdgeAuth

    auth = EdgeAuth(key=secret, start_time=int(start_s), end_time=int(end_s), payload=payload)
    print(auth.generate_acl_token(acl))


def cwt_at(now_s):
    """python-cwt with a clock that stands."""
    import cwt.cwt

    class Standing:
        @staticmethod
        def now(tz):
            return datetime.fromtimestamp(int(now_s), tz)

    cwt.cwt.datetime = Standing
    return cwt.CWT.new(leeway=1)


def cat_key(algorithm, key, key_id):
    from cwt import COSEKey

    if algorithm == "HS256":
        return COSEKey.from_symmetric_key(bytes.fromhex(key), alg="HS256", kid=key_id)
    with open(key, encoding="ascii") as file:
        return COSEKey.from_pem(file.read(), alg="ES256", kid=key_id)


def cat_check(algorithm, key, key_id, token, now_s):
    """The claims that python-cwt reads from a token at a time, one second late at most, or why it
    reads none."""
    packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    try:
        claims = cwt_at(now_s).decode(packed, cat_key(algorithm, key, key_id))
    except Exception as error:
        print("refused:", type(error).__name__, error)
        return
    claims[7] = claims[7].hex()
    print(json.dumps({str(name): value for name, value in claims.items()}))


def cat_sign(algorithm, key, key_id, claims, form, now_s):
    """A token that python-cwt makes of claims in JSON at a time."""
    claims = {
        int(name): {int(k): {int(a): b for a, b in v.items()} for k, v in value.items()}
        if isinstance(value, dict) else value
        for name, value in json.loads(claims).items()
    }
    claims[7] = bytes.fromhex(claims[7])
    token = cwt_at(now_s).encode(claims, cat_key(algorithm, key, key_id), tagged=form == "tagged")
    print(base64.urlsafe_b64encode(token).rstrip(b"=").decode())


if __name__ == "__main__":
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "cloudfront-sign":
        cloudfront_sign(*arguments)
    elif what == "cloudfront-check":
        print(cloudfront_check(*arguments))
    elif what == "akamai-sign":
        akamai_sign(*arguments)
    elif what == "cat-check":
        cat_check(*arguments)
    elif what == "cat-sign":
        cat_sign(*arguments)
    else:
        sys.exit("unknown: " + what)
