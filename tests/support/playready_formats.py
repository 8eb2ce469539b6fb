"""PlayReady's binary layouts, as the other side of tests/interop_playready.rs: certificates
(BCert), licenses (XMR), ElGamal on P-256 and the byte order of key ids.

Declared with the package `construct`; points are those of pycryptodome; signatures, CMAC and AES
those of `cryptography`. Written from the layouts alone: it knows nothing of the code under test.
"""

import hashlib
import hmac
import uuid

from construct import (
    Aligned, Array, Bytes, Const, ExprAdapter, FocusedSeq, GreedyBytes, GreedyRange, Int16ub,
    Int32ub, Prefixed, PrefixedArray, Rebuild, Sequence, Struct, Terminated, len_, obj_, this,
)
from Crypto.PublicKey import ECC
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import cmac, hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, load_pem_private_key,
)

CURVE, SHA256 = ec.SECP256R1(), hashes.SHA256()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
NEVER = 0xFFFFFFFF


def whole(layout):
    """The layout, with nothing behind it."""
    return FocusedSeq("value", "value" / layout, Terminated)


# Keys and signatures.

def point_of(key):
    """X and Y, 64 bytes, of a private or public key."""
    numbers = (key.public_key() if hasattr(key, "public_key") else key).public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def numbers(point):
    assert len(point) == 64
    return int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")


def sign(key, message):
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(SHA256)))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(point, signature, message):
    r, s = numbers(signature)
    key = ec.EllipticCurvePublicNumbers(*numbers(point), CURVE).public_key()
    key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(SHA256))


def new_key():
    return ec.generate_private_key(CURVE)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_pem(path):
    return load_pem_private_key(path.read_bytes(), None)


# ElGamal: two points, kG and M + kP; what is said is X of M.

def point_of_bytes(point):
    """Refuses what is not on the curve."""
    return ECC.EccPoint(*numbers(point), "P-256")


def elgamal_encrypt(point, message):
    k = ECC.generate(curve="P-256")
    c2 = ECC.EccPoint(*message, "P-256") + point_of_bytes(point) * int(k.d)
    return b"".join(int(n).to_bytes(32, "big") for n in (*k.pointQ.xy, *c2.xy))


def elgamal_decrypt(key, text):
    """X of the point that was encrypted; both points must be on the curve."""
    assert len(text) == 128
    c1, c2 = point_of_bytes(text[:64]), point_of_bytes(text[64:])
    shared = c1 * key.private_numbers().private_value
    return int((c2 + -shared).x).to_bytes(32, "big")


def random_point():
    return tuple(int(n) for n in ECC.generate(curve="P-256").pointQ.xy)


def point_with(x):
    """A point with this X, where there is one."""
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    square = (x**3 - 3 * x + b) % p
    y = pow(square, (p + 1) // 4, p)
    return (x, y) if x < p and y * y % p == square else None


# Key ids: of GUIDs in Windows' byte order.

def guid(kid):
    return uuid.UUID(bytes=kid).bytes_le


def kid_of(guid_bytes):
    return uuid.UUID(bytes_le=guid_bytes).bytes


# Objects of both formats: flags, kind, length with these eight bytes, body.
ITEM = Struct(
    "flags" / Int16ub,
    "kind" / Int16ub,
    "body" / Prefixed(ExprAdapter(Int32ub, obj_ - 8, obj_ + 8), GreedyBytes),
)

# Certificates.

KEY = Struct(
    Const(1, Int16ub), Const(512, Int16ub), "flags" / Int32ub, "point" / Bytes(64),
    "usages" / PrefixedArray(Int32ub, Int32ub),
)
NAME = FocusedSeq(
    "text", "length" / Rebuild(Int32ub, len_(this.text)), "text" / Aligned(4, Bytes(this.length)))
BASIC, DEVICE, FEATURES, KEYS, MAKER, SIGNED = 1, 4, 5, 6, 7, 8
BODIES = {
    BASIC: Struct(
        "id" / Bytes(16), "level" / Int32ub, "flags" / Int32ub, "type" / Int32ub,
        "digest" / Bytes(32), "expires" / Int32ub, "client_id" / Bytes(16)),
    DEVICE: Struct("max_license" / Int32ub, "max_header" / Int32ub, "max_depth" / Int32ub),
    FEATURES: PrefixedArray(Int32ub, Int32ub),
    KEYS: PrefixedArray(Int32ub, KEY),
    MAKER: Struct("flags" / Int32ub, "names" / Array(3, NAME)),
    SIGNED: Struct(
        Const(1, Int16ub), Const(64, Int16ub), "signature" / Bytes(64),
        Const(512, Int32ub), "signer" / Bytes(64)),
}
CERTIFICATE = Struct(
    "start" / Const(b"CERT"), Const(1, Int32ub), "total" / Int32ub, "signed" / Int32ub)
CHAIN = Struct(
    Const(b"CHAI"), Const(1, Int32ub), "total" / Int32ub, "flags" / Int32ub, "count" / Int32ub)
TYPES = {1: "pc", 2: "device", 4: "issuer", 6: "service", 8: "application", 11: "server",
         12: "license-signer"}
MAY_SIGN, MAY_ENCRYPT, MAY_ISSUE, MAY_SIGN_RESPONSES = 1, 2, 6, 0x14


class Certificate:
    """One certificate, of which the signature has not been looked at."""

    def __init__(self, data):
        head = CERTIFICATE.parse(data)
        assert head.total == len(data) and head.signed < head.total
        self.signed_bytes = data[:head.signed]
        items = whole(GreedyRange(ITEM)).parse(data[16:])
        self.parts = {}
        for item in items:
            assert item.kind not in self.parts, "twice the same object"
            self.parts[item.kind] = whole(BODIES[item.kind]).parse(item.body)
        assert items[-1].kind == SIGNED
        assert head.total - head.signed == 8 + len(items[-1].body), "the signature covers the rest"
        basic = self.parts[BASIC]
        self.type, self.level, self.client_id = TYPES[basic.type], basic.level, basic.client_id
        self.expires, self.signer = basic.expires, self.parts[SIGNED].signer
        self.keys = self.parts[KEYS]
        assert basic.digest == hashlib.sha256(self.keys[0].point).digest()

    def key_for(self, usage):
        (point,) = [key.point for key in self.keys if usage in key.usages]
        return point

    def usages(self):
        return ",".join(str(usage) for key in self.keys for usage in key.usages)


def read_chain(data, root, now):
    """Its certificates, the leaf first: verified up to the root."""
    head = CHAIN.parse(data)
    assert head.total == len(data) and 1 <= head.count <= 6
    rest, certificates = data[20:], []
    for _ in range(head.count):
        total = CERTIFICATE.parse(rest).total
        certificates.append(Certificate(rest[:total]))
        rest = rest[total:]
    assert not rest
    for number, certificate in enumerate(certificates):
        is_last = number + 1 == len(certificates)
        signed = certificate.parts[SIGNED]
        verify(signed.signer, signed.signature, certificate.signed_bytes)
        assert now < certificate.expires
        if is_last:
            assert signed.signer == root, "another root"
        else:
            issuer = certificates[number + 1]
            assert issuer.type == "issuer" and certificate.level <= issuer.level
            assert signed.signer in [key.point for key in issuer.keys]
    return certificates


def certificate(kind, level, keys, signer, features=(), expires=NEVER):
    """A new one; `keys` are (private key, usages)."""
    points = [dict(flags=0, point=point_of(key), usages=usages) for key, usages in keys]
    parts = [(BASIC, dict(
        id=uuid.uuid4().bytes, level=level, flags=0, type=kind, expires=expires,
        digest=hashlib.sha256(points[0]["point"]).digest(), client_id=uuid.uuid4().bytes))]
    if kind == 2:
        parts.append((DEVICE, dict(max_license=10240, max_header=15360, max_depth=2)))
    parts.append((FEATURES, list(features)))
    parts.append((KEYS, points))
    parts.append((MAKER, dict(flags=0, names=[b"Peer", b"Model\0", b"Number 1"])))

    def item(kind, value):
        return ITEM.build(dict(flags=1, kind=kind, body=BODIES[kind].build(value)))
    body = b"".join(item(*part) for part in parts)
    signed = CERTIFICATE.build(dict(total=16 + len(body) + 144, signed=16 + len(body))) + body
    end = item(SIGNED, dict(signature=sign(signer, signed), signer=point_of(signer)))
    assert len(end) == 144
    return signed + end


def chain(*certificates):
    body = b"".join(certificates)
    return CHAIN.build(dict(total=20 + len(body), flags=0, count=len(certificates))) + body


# Licenses.

LICENSE = Struct("start" / Const(b"XMR\0"), "version" / Int32ub, "rights_id" / Bytes(16))
CONTENT_KEY = Struct(
    "kid" / Bytes(16), "type" / Int16ub, "cipher" / Int16ub,
    "text" / Prefixed(Int16ub, GreedyBytes))
CONTAINER = 2
# kind -> name and layout; a container has none.
OBJECTS = {
    0x01: ("license", None), 0x02: ("global", None), 0x04: ("play", None),
    0x05: ("opl", Array(5, Int16ub)), 0x07: ("analog-outputs", None),
    0x08: ("analog", Sequence(Bytes(16), GreedyBytes)), 0x09: ("key", None),
    0x0A: ("content-key", CONTENT_KEY), 0x0B: ("signature", Struct(
        Const(1, Int16ub), "mac" / Prefixed(Int16ub, GreedyBytes))),
    0x0D: ("settings", Int16ub), 0x12: ("expiration", Array(2, Int32ub)), 0x13: ("issued", Int32ub),
    0x1A: ("grace", Int32ub), 0x2A: ("device-key", Struct(
        Const(1, Int16ub), Const(64, Int16ub), "point" / Bytes(64))),
    0x30: ("first-play", Int32ub), 0x32: ("revocation", Int32ub), 0x33: ("embedding", Int16ub),
    0x34: ("level", Int16ub),
    0x36: ("enablers", None), 0x39: ("enabler", Bytes(16)), 0x50: ("removal", Int32ub),
    0x55: ("real-time", Bytes(0)), 0x58: ("digital-outputs", None),
    0x59: ("digital", Sequence(Bytes(16), GreedyBytes)), 0x5A: ("secure-stop", Bytes(16)),
}


def objects(data, start, path=()):
    """Every object below: where it starts, its containers, its name, its value."""
    while data:
        item = ITEM.parse(data)
        name, layout = OBJECTS[item.kind]
        assert bool(item.flags & CONTAINER) == (layout is None), f"{name}: flags {item.flags}"
        if layout is None:
            yield start, path, name, None
            yield from objects(item.body, start + 8, (*path, name))
        else:
            yield start, path, name, whole(layout).parse(item.body)
        size = 8 + len(item.body)
        data, start = data[size:], start + size


def open_license(data, device_key):
    """Checks a license as its device does. What it says, as (containers, name, value)."""
    head = LICENSE.parse(data)
    assert head.version == 3
    found = list(objects(data[24:], 24))
    assert [name for _, path, name, _ in found if not path] == ["license"]
    (secret,) = [value for _, _, name, value in found if name == "content-key"]
    (bound,) = [value.point for _, _, name, value in found if name == "device-key"]
    assert bound == point_of(device_key), "it is another device's"
    assert secret.cipher == 3
    x = elgamal_decrypt(device_key, secret.text)
    end, path, name, signature = found[-1]
    assert (path, name) == (("license",), "signature")
    assert end + 8 + 4 + len(signature.mac) == len(data) and len(signature.mac) == 16
    assert hmac.compare_digest(mac(x[:16], data[:end]), signature.mac), "the MAC is not right"
    return head.rights_id, x[16:], found


def mac(integrity_key, data):
    mac = cmac.CMAC(algorithms.AES(integrity_key))
    mac.update(data)
    return mac.finalize()


KINDS = {name: (kind, layout) for kind, (name, layout) in OBJECTS.items()}


def item(name, value, flags=1):
    """An object; a container's value is the objects in it."""
    kind, layout = KINDS[name]
    body = b"".join(value) if layout is None else layout.build(value)
    flags |= CONTAINER if layout is None else 0
    return ITEM.build(dict(flags=flags, kind=kind, body=body))


def new_license(rights_id, kid, key, key_type, device, globals_, plays):
    """A license for the device, whose encryption key `device` is."""
    from os import urandom
    point = None
    while point is None:
        integrity_key = urandom(16)
        point = point_with(int.from_bytes(integrity_key + key, "big"))
    text = elgamal_encrypt(device, point)
    secret = item("content-key", dict(kid=guid(kid), type=key_type, cipher=3, text=text))
    parts = [item("global", globals_), item("play", plays),
             item("key", [secret, item("device-key", dict(point=device))])]
    body = b"".join(parts)
    outer = ITEM.build(dict(flags=3, kind=1, body=body + bytes(28)))
    data = LICENSE.build(dict(version=3, rights_id=rights_id)) + outer[:-28]
    return data + item("signature", dict(mac=mac(integrity_key, data)))
