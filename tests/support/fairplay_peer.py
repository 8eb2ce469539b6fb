"""The other side of tests/interop_fairplay.rs: a FairPlay client that makes SPCs and opens CKCs,
and a key server that does the reverse. Declared with the package `construct`, encrypted by the
package `cryptography`; it knows nothing of the code under test.

    make FOLDER    a certificate with its key and ASk, as an operator would have them
    ask FOLDER     SPCs of this side's making, `peer-*.spc`
    open FOLDER    opens the answers, `peer-*.N.ckc`, and prints what they say
    serve FOLDER   opens `challenge`, prints what it says, answers it: `answer`
"""

import datetime
import hashlib
import json
import os
import pathlib
import random
import sys

from construct import (
    Bytes, Const, GreedyBytes, GreedyRange, Int32ub, Int64ub, Prefixed, Struct, Terminated,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, load_pem_private_key,
)
from cryptography.x509.oid import NameOID

OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
NOW = 1811808000

TAGS = {
    0x3D1A10B8BFFAC2EC: "sk-r1",
    0xB349D4809E910687: "integrity",
    0x71B5595AC1521133: "r2",
    0x89C90F12204106B2: "seed",
    0x19F9D4E5AB7609CB: "return",
    0x1BF7F53F5D5D5A1F: "asset",
    0x47AA7AD3440577DE: "transaction",
    0x67B8FB79ECCE1A13: "supported",
    0x5D81BCBCC7F61703: "used",
    0xABB0256A31843974: "streaming",
    0xEB8EFDF2B25AB3A0: "playback",
    0x9C02AF3253C07FB2: "capabilities",
    0x58B38165AF0E3D5A: "content-key",
    0xEA74C4645D5EFEE9: "r1",
    0x47ACF6A418CD091A: "duration",
    0x2E52F1530D8DDB4A: "hdcp",
    0x644CB1DAC0313250: "level",
}
NUMBERS = {name: tag for tag, name in TAGS.items()}
# What a client puts in beside what is known, and asks for again.
OWN_TAG = 0x0123456789ABCDEF
PLAYBACK = {0xF4DEE5A2: "first", 0x4F834330: "needed", 0xA5D6739E: "not-needed",
            0x5991BF20: "halted"}
KEY_TYPES = {0x1A4BDE7E: "lease", 0x3DFE45A0: "rental", 0x27B59BDE: "lease+rental",
             0x3DF2D9FB: "persistent", 0x18F06048: "persistent+duration"}
HDCP = {0xEF72894CA7895B78: "none", 0x40791AC78BD5C571: "type-0", 0x285A0863BBA8E1D3: "type-1"}

SPC = Struct(
    Const(1, Int32ub), Const(bytes(4)), "iv" / Bytes(16), "key" / Bytes(128),
    "certificate" / Bytes(20), "payload" / Prefixed(Int32ub, GreedyBytes), Terminated)
CKC = Struct(
    Const(1, Int32ub), Const(bytes(4)), "iv" / Bytes(16),
    "payload" / Prefixed(Int32ub, GreedyBytes), Terminated)
BLOCK = Struct(
    "tag" / Int64ub, "size" / Int32ub, "used" / Int32ub, "rest" / Bytes(lambda own: own.size))
BLOCKS = Struct("found" / GreedyRange(BLOCK), Terminated)
SECRETS = Struct("sk" / Bytes(16), "hu" / Bytes(20), "r1" / Bytes(44), "integrity" / Bytes(16))
STATE = Struct("created" / Int32ub, "state" / Int32ub, "session" / Bytes(8))
DURATION = Struct(
    "lease" / Int32ub, "rental" / Int32ub, "type" / Int32ub, Const(0x86D34A3A, Int32ub))


def aes(key, mode, data, encrypt):
    cipher = Cipher(algorithms.AES(key), mode)
    cipher = cipher.encryptor() if encrypt else cipher.decryptor()
    return cipher.update(data) + cipher.finalize()


def cbc(key, iv, data, encrypt):
    return aes(key, modes.CBC(iv), data, encrypt)


def ecb(key, data, encrypt):
    return aes(key, modes.ECB(), data, encrypt)


def block(tag, value):
    padding = os.urandom(-len(value) % 16 + 16 * random.randrange(3))
    return BLOCK.build(dict(tag=tag, size=len(value) + len(padding), used=len(value),
                            rest=value + padding))


def read_blocks(payload):
    """Values by tag."""
    found = {}
    for part in BLOCKS.parse(payload).found:
        assert part.tag not in found, f"{part.tag:x} twice"
        assert part.size % 16 == 0 and part.used <= part.size
        found[part.tag] = part.rest[:part.used]
    return found


def named(found, name):
    return found[NUMBERS[name]]


def derive(ask, r2):
    """DASk, by the derivation that stands in for the vendor's."""
    return ecb(ask, hashlib.sha256(b"standin-D-v1" + r2).digest()[:16], True)


def answer_key(r1, seed):
    return ecb(hashlib.sha1(r1).digest()[:16], seed, True)


# The client.

SPCS = {
    # name: asset id, playback state, what else
    "peer-plain": ("skd://film?kid=" + "01" * 16, None, {}),
    "peer-first": ("film?kid=" + "01" * 16, "first", {}),
    "peer-playing": ("01" * 16, "needed", {"streaming": NUMBERS["streaming"]}),
    "peer-kept": ("skd://film?kid=" + "01" * 16, "first", {"capabilities": 3}),
}


def ask(folder):
    for name, (asset, state, more) in SPCS.items():
        make_spc(folder, name, asset, state, more)


def make_spc(folder, name, asset, state, more):
    certificate = (folder / "app_cert.der").read_bytes()
    public = x509.load_der_x509_certificate(certificate).public_key()
    ask_key = bytes.fromhex((folder / "ask.hex").read_text().strip())
    sk, hu, r1, integrity, r2 = (os.urandom(n) for n in (16, 20, 44, 16, 21))
    seed, transaction, own = os.urandom(16), os.urandom(8), os.urandom(19)
    secrets = SECRETS.build(dict(sk=sk, hu=hu, r1=r1, integrity=integrity))
    iv = os.urandom(16)
    returned = [NUMBERS["transaction"], OWN_TAG]
    values = {
        NUMBERS["sk-r1"]: iv + cbc(derive(ask_key, r2), iv, secrets, True),
        NUMBERS["integrity"]: integrity, NUMBERS["r2"]: r2, NUMBERS["seed"]: seed,
        NUMBERS["return"]: b"".join(Int64ub.build(tag) for tag in returned),
        NUMBERS["asset"]: asset.encode(), NUMBERS["transaction"]: transaction, OWN_TAG: own,
        NUMBERS["supported"]: Int32ub.build(1), NUMBERS["used"]: Int32ub.build(1),
    }
    if state:
        (number,) = [number for number, name in PLAYBACK.items() if name == state]
        session = hashlib.sha256(b"session").digest()[:8]
        values[NUMBERS["playback"]] = STATE.build(dict(created=NOW, state=number, session=session))
    if "streaming" in more:
        values[NUMBERS["streaming"]] = Int64ub.build(more["streaming"])
    if "capabilities" in more:
        values[NUMBERS["capabilities"]] = bytes(8) + Int64ub.build(more["capabilities"])
    blocks = [block(tag, value) for tag, value in values.items()]
    random.shuffle(blocks)
    key, iv = os.urandom(16), os.urandom(16)
    spc = SPC.build(dict(iv=iv, key=public.encrypt(key, OAEP),
                         certificate=hashlib.sha1(certificate).digest(),
                         payload=cbc(key, iv, b"".join(blocks), True)))
    (folder / f"{name}.spc").write_bytes(spc)
    kept = dict(sk=sk, r1=r1, seed=seed)
    kept = {field: value.hex() for field, value in kept.items()}
    kept["returned"] = {f"{tag:x}": values[tag].hex() for tag in returned}
    (folder / f"{name}.json").write_text(json.dumps(kept))


def open_answers(folder):
    for path in sorted(folder.glob("peer-*.ckc")):
        kept = json.loads((folder / (path.name.split(".")[0] + ".json")).read_text())
        print(path.stem)
        open_ckc(path.read_bytes(), kept)


def open_ckc(data, kept):
    sk, r1, seed = (bytes.fromhex(kept[name]) for name in ("sk", "r1", "seed"))
    ckc = CKC.parse(data)
    found = read_blocks(cbc(answer_key(r1, seed), ckc.iv, ckc.payload, False))
    assert named(found, "r1") == r1
    for tag, value in kept["returned"].items():
        assert found.pop(int(tag, 16)).hex() == value, f"{tag} was not returned as it was"
    secret = named(found, "content-key")
    assert len(secret) == 32
    print("key", ecb(sk, secret[16:], False).hex(), "iv", secret[:16].hex())
    for name in ("duration", "hdcp", "level"):
        if NUMBERS[name] in found:
            print(name, show(name, found.pop(NUMBERS[name])))
    left = [TAGS.get(tag, f"{tag:x}") for tag in found]
    assert sorted(left) == ["content-key", "r1"], left


def show(name, value):
    if name == "duration":
        said = DURATION.parse(value)
        assert len(value) == 16
        return f"{KEY_TYPES[said.type]} lease {said.lease} rental {said.rental}"
    (number,) = [Int64ub.parse(value)]
    assert len(value) == 8
    return HDCP[number] if name == "hdcp" else f"{number:x}"


# The key server.

def serve(folder):
    """Opens our client's SPC and answers with a lease, HDCP type 1 and what is asked for."""
    spc = SPC.parse((folder / "challenge").read_bytes())
    certificate = (folder / "app_cert.der").read_bytes()
    assert spc.certificate == hashlib.sha1(certificate).digest()
    private = load_pem_private_key((folder / "app_private.pem").read_bytes(), None)
    key = private.decrypt(spc.key, OAEP)
    found = read_blocks(cbc(key, spc.iv, spc.payload, False))
    ask_key = bytes.fromhex((folder / "ask.hex").read_text().strip())
    assert len(named(found, "r2")) == 21 and len(named(found, "seed")) == 16
    sealed = named(found, "sk-r1")
    assert len(sealed) == 112
    secrets = SECRETS.parse(
        cbc(derive(ask_key, named(found, "r2")), sealed[:16], sealed[16:], False))
    assert secrets.integrity == named(found, "integrity")
    supported = named(found, "supported")
    assert 1 in [int.from_bytes(supported[n:n + 4], "big") for n in range(0, len(supported), 4)]
    assert named(found, "used") == Int32ub.build(1)
    print("asset", named(found, "asset").decode())
    if NUMBERS["playback"] in found:
        state = STATE.parse(named(found, "playback"))
        assert abs(state.created - NOW) < 5
        print("playback", PLAYBACK[state.state])
    if NUMBERS["capabilities"] in found:
        value = named(found, "capabilities")
        assert len(value) == 16 and not any(value[:8])
        print("capabilities", int.from_bytes(value, "big"))
    wanted = named(found, "return")
    assert len(wanted) % 8 == 0
    wanted = [int.from_bytes(wanted[n:n + 8], "big") for n in range(0, len(wanted), 8)]
    print("return", *sorted(TAGS.get(tag, f"{tag:x}") for tag in wanted))
    blocks = [block(tag, found[tag]) for tag in wanted]
    content_key, iv = b"\xfe" * 16, b"\xaa" * 16
    (lease,) = [number for number, name in KEY_TYPES.items() if name == "lease"]
    (type_1,) = [number for number, name in HDCP.items() if name == "type-1"]
    blocks += [
        block(NUMBERS["content-key"], iv + ecb(secrets.sk, content_key, True)),
        block(NUMBERS["r1"], secrets.r1),
        block(NUMBERS["hdcp"], Int64ub.build(type_1)),
    ]
    if NUMBERS["playback"] in found:
        duration = DURATION.build(dict(lease=3600, rental=0, type=lease))
        blocks.append(block(NUMBERS["duration"], duration))
    random.shuffle(blocks)
    iv, key = os.urandom(16), answer_key(secrets.r1, named(found, "seed"))
    ckc = CKC.build(dict(iv=iv, payload=cbc(key, iv, b"".join(blocks), True)))
    (folder / "answer").write_bytes(ckc)


# Credentials.

def make(folder):
    private = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    start = datetime.datetime.fromtimestamp(NOW - 86400, datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(private.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36500))
        .sign(private, hashes.SHA256()))
    (folder / "app_cert.der").write_bytes(certificate.public_bytes(Encoding.DER))
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "app_private.pem").write_bytes(pem)
    (folder / "ask.hex").write_text(os.urandom(16).hex() + "\n")
    (folder / "d_function").write_text("standin-d-v1\n")


if __name__ == "__main__":
    command, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    {"make": make, "ask": ask, "open": open_answers, "serve": serve}[command](folder)
