"""The other side of tests/interop_playready.rs: a client and a server of PlayReady's license
protocol (SOAP, XML signature and encryption) that know nothing of the code under test. What they
make and read is in `playready_formats.py`; XML is `lxml`'s.

    make FOLDER    a root, a service's credentials, a device of each level
    ask FOLDER     challenges of this side's making, `peer-*`, by FOLDER/device
    open FOLDER    opens the answers, `peer-*.N.license`, and prints what they say
    read FOLDER    reads `challenge` as its server does, and prints what it says
    serve FOLDER   answers it: `answer`
    chains FOLDER  prints what each chain in FOLDER says
    published FILE prints what a license in base64 says, as far as it can be read without a key
"""

import base64
import hashlib
import json
import os
import pathlib
import re
import sys
import time
import uuid

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from lxml import etree

import playready_formats as pr

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
PROTOCOLS = "http://schemas.microsoft.com/DRM/2007/03/protocols"
MESSAGES = PROTOCOLS + "/messages"
HEADER = "http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader"
DSIG, XENC = "http://www.w3.org/2000/09/xmldsig#", "http://www.w3.org/2001/04/xmlenc#"
PREFIXES = {"s": SOAP, "p": PROTOCOLS, "m": MESSAGES, "h": HEADER, "d": DSIG, "e": XENC}
NOW = 1811808000
LEVELS = {"L1": 3000, "L2": 2000, "L3": 150}
KIDS = [bytes([n]) * 4 + bytes(range(12)) for n in (1, 2)]  # no two orders of a GUID are the same


def b64(data):
    return base64.b64encode(data).decode()


def one(node, path):
    (found,) = node.xpath(path, namespaces=PREFIXES)
    return found


def text(node, path):
    return one(node, path).text


def data(node, path):
    return base64.b64decode(text(node, path), validate=True)


def parse(message):
    return etree.fromstring(message, etree.XMLParser(resolve_entities=False, no_network=True))


def cut(message, name):
    """The bytes of the one element of this name, as they were sent."""
    (found,) = re.findall(rb"<%s[ >].*</%s>" % (name, name), message, re.DOTALL)
    assert len(re.findall(rb"<%s[ >]" % name, message)) == 1
    return found


def aes_cbc(key, iv, data, encrypt):
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    if encrypt:
        padder, cipher = padding.PKCS7(128).padder(), cipher.encryptor()
        return cipher.update(padder.update(data) + padder.finalize()) + cipher.finalize()
    unpadder, cipher = padding.PKCS7(128).unpadder(), cipher.decryptor()
    return unpadder.update(cipher.update(data) + cipher.finalize()) + unpadder.finalize()


def signature(key, signed, names_key):
    """A `Signature` over the bytes `signed`, the element with the Id `SignedData`."""
    info = (
        f'<SignedInfo xmlns="{DSIG}">'
        '<CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315">'
        '</CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{PROTOCOLS}#ecdsa-sha256"></SignatureMethod>'
        '<Reference URI="#SignedData">'
        f'<DigestMethod Algorithm="{PROTOCOLS}#sha256"></DigestMethod>'
        f'<DigestValue>{b64(hashlib.sha256(signed.encode()).digest())}</DigestValue></Reference>'
        '</SignedInfo>')
    named = (
        f'<KeyInfo xmlns="{DSIG}"><KeyValue><ECCKeyValue>'
        f'<PublicKey>{b64(pr.point_of(key))}</PublicKey></ECCKeyValue></KeyValue></KeyInfo>')
    return (
        f'<Signature xmlns="{DSIG}">{info}'
        f'<SignatureValue>{b64(pr.sign(key, info.encode()))}</SignatureValue>'
        f'{named if names_key else ""}</Signature>')


def check_signature(message, around, signed_name, point):
    """`around` holds the element that is signed and its `Signature`, and nothing else."""
    signed, holder = [child for child in around]
    assert (holder.tag, etree.QName(signed).localname) == (f"{{{DSIG}}}Signature", signed_name)
    raw = cut(message, signed_name.encode())
    info = one(holder, "d:SignedInfo")
    uri = one(info, "d:Reference").get("URI")
    assert uri == "#" + signed.get("Id") if signed.get("Id") else uri == "", uri
    assert one(info, "d:SignatureMethod").get("Algorithm") == PROTOCOLS + "#ecdsa-sha256"
    assert one(info, "d:Reference/d:DigestMethod").get("Algorithm") == PROTOCOLS + "#sha256"
    assert data(info, "d:Reference/d:DigestValue") == hashlib.sha256(raw).digest()
    # Only challenges must name the key; whoever names one names the right one.
    named = holder.xpath("d:KeyInfo/d:KeyValue/d:ECCKeyValue/d:PublicKey", namespaces=PREFIXES)
    assert [base64.b64decode(key.text) for key in named] in ([[point]] if signed_name == "LA"
                                                             else [[], [point]])
    pr.verify(point, data(holder, "d:SignatureValue"), cut(message, b"SignedInfo"))
    # Who does not keep the bytes and writes the element anew hashes the same.
    assert etree.tostring(signed, method="c14n", exclusive=True) == raw
    assert etree.tostring(info, method="c14n", exclusive=True) == cut(message, b"SignedInfo")
    return raw


def envelope(body):
    return ('<?xml version="1.0" encoding="utf-8"?>'
            '<soap:Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            f'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:soap="{SOAP}">'
            f"<soap:Body>{body}</soap:Body></soap:Envelope>")


# The client.

def header(version, kids, algorithm):
    """A WRMHEADER of the version, as the header specification shows it."""
    ids = [b64(pr.guid(kid)) for kid in kids]
    if version == "4.0":
        (kid,) = ids
        inner = (f"<PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>{algorithm}</ALGID></PROTECTINFO>"
                 f"<KID>{kid}</KID>")
    else:
        tags = "".join(f'<KID ALGID="{algorithm}" VALUE="{kid}"></KID>' for kid in ids)
        tags = tags if version == "4.1" else f"<KIDS>{tags}</KIDS>"
        inner = f"<PROTECTINFO>{tags}</PROTECTINFO>"
    return f'<WRMHEADER xmlns="{HEADER}" version="{version}.0.0"><DATA>{inner}</DATA></WRMHEADER>'


def challenge(device, wmrm, version, kids, nonce, algorithm, features):
    point = pr.random_point()
    x = point[0].to_bytes(32, "big")
    chain = (device / "chain.bin").read_bytes()
    signing = pr.read_pem(device / "signing_private.pem")
    features = "".join(f'<Feature Name="{name}"></Feature>' for name in features)
    identity = (f"<Data><CertificateChains><CertificateChain>{b64(chain)}</CertificateChain>"
                f"</CertificateChains><Features>{features}</Features></Data>")
    sealed = x[:16] + aes_cbc(x[16:], x[:16], identity.encode(), True)
    la_version = {"4.0": 1, "4.1": 1, "4.2": 4, "4.3": 5}[version]
    la = (
        f'<LA xmlns="{PROTOCOLS}" Id="SignedData" xml:space="preserve">'
        f"<Version>{la_version}</Version>"
        f"<ContentHeader>{header(version, kids, algorithm)}</ContentHeader>"
        "<CLIENTINFO><CLIENTVERSION>10.0.16384.10011</CLIENTVERSION></CLIENTINFO>"
        "<RevocationLists><RevListInfo><ListID>ioydTlK2p0WXkWklprR5Hw==</ListID>"
        "<Version>0</Version></RevListInfo></RevocationLists><CustomData>User=Peer</CustomData>"
        f"<LicenseNonce>{b64(nonce)}</LicenseNonce><ClientTime>{NOW}</ClientTime>"
        f'<EncryptedData xmlns="{XENC}" Type="{XENC}Element">'
        f'<EncryptionMethod Algorithm="{XENC}aes128-cbc"></EncryptionMethod>'
        f'<KeyInfo xmlns="{DSIG}"><EncryptedKey xmlns="{XENC}">'
        f'<EncryptionMethod Algorithm="{PROTOCOLS}#ecc256"></EncryptionMethod>'
        f'<KeyInfo xmlns="{DSIG}"><KeyName>WMRMServer</KeyName></KeyInfo>'
        f"<CipherData><CipherValue>{b64(pr.elgamal_encrypt(wmrm, point))}</CipherValue>"
        "</CipherData></EncryptedKey></KeyInfo>"
        f"<CipherData><CipherValue>{b64(sealed)}</CipherValue></CipherData></EncryptedData></LA>")
    return envelope(
        f'<AcquireLicense xmlns="{PROTOCOLS}"><challenge><Challenge xmlns="{MESSAGES}">{la}'
        f'{signature(signing, la, True)}</Challenge></challenge></AcquireLicense>')


CHALLENGES = {
    "peer-v40": ("4.0", KIDS[:1], "AESCTR", []),
    "peer-v41": ("4.1", KIDS[:1], "AESCTR", []),
    "peer-v42": ("4.2", KIDS, "AESCTR", ["AESCBC"]),
    "peer-v43": ("4.3", KIDS, "AESCBC", ["AESCBC"]),
}


def ask(folder):
    wmrm = pr.point_of(pr.read_pem(folder / "wmrm_private.pem"))
    for name, (version, kids, algorithm, features) in CHALLENGES.items():
        nonce = os.urandom(16)
        (folder / f"{name}.nonce").write_bytes(nonce)
        body = challenge(folder / "device", wmrm, version, kids, nonce, algorithm, features)
        (folder / name).write_text(body)


def show(name, value):
    """One object of a license, in words."""
    if name in ("analog", "digital"):
        return f"{pr.kid_of(value[0]).hex()} {value[1].hex()}"
    if name in ("enabler", "secure-stop"):
        return pr.kid_of(value).hex()
    if name == "real-time":
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def open_answer(answer, nonce, device, root):
    """Opens an answer as the device does, and prints it."""
    tree = parse(answer)
    result = one(tree, "/s:Envelope/s:Body/p:AcquireLicenseResponse/p:AcquireLicenseResult")
    around = one(result, "m:Response")
    said = one(around, "p:LicenseResponse")
    signers = pr.read_chain(data(said, "p:SigningCertificateChain"), root, NOW)
    check_signature(answer, around, "LicenseResponse", signers[0].key_for(pr.MAY_SIGN_RESPONSES))
    assert data(said, "p:LicenseNonce") == nonce
    wanted = said.xpath("p:Acknowledgement/p:TransactionID", namespaces=PREFIXES)
    assert [str(uuid.UUID(one.text)) for one in wanted] == [one.text for one in wanted]
    print("response", text(said, "p:Version"), *(["to acknowledge"] if wanted else []))
    key = pr.read_pem(device / "encryption_private.pem")
    for license in said.xpath("p:Licenses/p:License", namespaces=PREFIXES):
        rights_id, content_key, found = pr.open_license(base64.b64decode(license.text), key)
        (secret,) = [value for _, _, name, value in found if name == "content-key"]
        print("license", pr.kid_of(secret.kid).hex(), content_key.hex(), "type", secret.type,
              "nonce" if rights_id == nonce else "other")
        print(*sorted(rules(found)), sep="\n")


def rules(found):
    """What a license says beside its key, each as `containers.name value`."""
    for _, path, name, value in found:
        if value is not None and name not in ("content-key", "device-key", "signature"):
            yield f"{'.'.join((*path[1:], name))} {show(name, value)}".strip()


def open_answers(folder):
    root = (folder / "root_public.bin").read_bytes()
    for path in sorted(folder.glob("peer-*.license")):
        print(path.stem)
        nonce = (folder / (path.name.split(".")[0] + ".nonce")).read_bytes()
        open_answer(path.read_bytes(), nonce, folder / "device", root)


# The server.

def read_challenge(folder):
    """Checks our client's challenge: its LA, and the device's chain."""
    message = (folder / "challenge").read_bytes()
    tree = parse(message)
    around = one(tree, "/s:Envelope/s:Body/p:AcquireLicense/p:challenge/m:Challenge")
    la = one(around, "p:LA")
    sealed = one(la, "e:EncryptedData")
    wrapped = data(sealed, "d:KeyInfo/e:EncryptedKey/e:CipherData/e:CipherValue")
    x = pr.elgamal_decrypt(pr.read_pem(folder / "wmrm_private.pem"), wrapped)
    cipher = data(sealed, "e:CipherData/e:CipherValue")
    assert cipher[:16] == x[:16]
    identity = parse(aes_cbc(x[16:], x[:16], cipher[16:], False))
    (chain,) = identity.xpath("/Data/CertificateChains/CertificateChain")
    features = [feature.get("Name") for feature in identity.xpath("/Data/Features//Feature")]
    root = (folder / "root_public.bin").read_bytes()
    certificates = pr.read_chain(base64.b64decode(chain.text), root, NOW)
    device = certificates[0]
    assert device.type == "device"
    check_signature(message, around, "LA", device.key_for(pr.MAY_SIGN))
    kids = [pr.kid_of(base64.b64decode(kid.get("VALUE") or kid.text))
            for kid in la.xpath("p:ContentHeader/h:WRMHEADER//h:KID", namespaces=PREFIXES)]
    version = one(la, "p:ContentHeader/h:WRMHEADER").get("version")
    return la, device, kids, version, features


def read(folder):
    la, device, kids, version, features = read_challenge(folder)
    nonce = data(la, "p:LicenseNonce")
    assert len(nonce) == 16 and abs(int(text(la, "p:ClientTime")) - NOW) < 5
    print("la", text(la, "p:Version"), "header", version, "level", device.level)
    print("features", *features)
    for kid in kids:
        print("kid", kid.hex())


def serve(folder):
    la, device, kids, _, _ = read_challenge(folder)
    nonce = data(la, "p:LicenseNonce")
    point = device.key_for(pr.MAY_ENCRYPT)
    hdcp = [pr.item("digital", (pr.guid(bytes.fromhex("abb2c6f1e6634625a945972d17b231e7")),
                                b"\0\0\0\1"))]
    limits = [pr.item("settings", 1), pr.item("level", 2000), pr.item("issued", NOW),
              pr.item("expiration", (NOW - 300, NOW + 86400)), pr.item("first-play", 3600),
              pr.item("real-time", b"")]
    plays = [pr.item("opl", (0, 300, 200, 0, 0)), pr.item("digital-outputs", hdcp)]
    licenses = [pr.new_license(nonce, kid, bytes(b ^ 255 for b in kid), 1, point, limits, plays)
                for kid in kids]
    chain, signing = (folder / "signing_chain.bin").read_bytes(), folder / "signing_private.pem"
    said = (
        f'<LicenseResponse xmlns="{PROTOCOLS}" Id="SignedData"><Version>1</Version><Licenses>'
        + "".join(f"<License>{b64(license)}</License>" for license in licenses)
        + f"</Licenses><LicenseNonce>{b64(nonce)}</LicenseNonce>"
        f"<ResponseID>{b64(os.urandom(16))}</ResponseID>"
        f"<SigningCertificateChain>{b64(chain)}</SigningCertificateChain></LicenseResponse>")
    answer = envelope(
        f'<AcquireLicenseResponse xmlns="{PROTOCOLS}"><AcquireLicenseResult>'
        f'<Response xmlns="{MESSAGES}">{said}'
        f'{signature(pr.read_pem(signing), said, False)}</Response>'
        "</AcquireLicenseResult></AcquireLicenseResponse>")
    (folder / "answer").write_text(answer)


# Credentials.

def make(folder):
    """What a vendor would give: a root, a service, a device of each level."""
    root, models, signing, wmrm = (pr.new_key() for _ in range(4))
    (folder / "root_public.bin").write_bytes(pr.point_of(root))
    (folder / "wmrm_private.pem").write_bytes(pr.pem(wmrm))
    (folder / "signing_private.pem").write_bytes(pr.pem(signing))
    leaf = pr.certificate(12, 3000, [(signing, [pr.MAY_SIGN_RESPONSES])], root)
    (folder / "signing_chain.bin").write_bytes(pr.chain(leaf))
    (folder / "revocation.json").write_text(json.dumps({"revoked_public_key_digests": []}))
    for name, level in LEVELS.items():
        device = folder / name
        device.mkdir()
        sign, encrypt = pr.new_key(), pr.new_key()
        model = pr.certificate(4, level, [(models, [pr.MAY_ISSUE])], root)
        keys = [(sign, [pr.MAY_SIGN]), (encrypt, [pr.MAY_ENCRYPT])]
        leaf = pr.certificate(2, level, keys, models, features=(4, 9, 13))
        (device / "chain.bin").write_bytes(pr.chain(leaf, model))
        (device / "signing_private.pem").write_bytes(pr.pem(sign))
        (device / "encryption_private.pem").write_bytes(pr.pem(encrypt))


def chains(folder):
    root = (folder / "root_public.bin").read_bytes()
    for path in sorted(folder.rglob("*chain.bin")):
        found = pr.read_chain(path.read_bytes(), root, time.time())
        parts = [f"{c.type} {c.level} {c.usages()}" for c in found]
        print(path.relative_to(folder), *parts, sep=": ")


def published(file):
    license = base64.b64decode(file.read_text())
    print("version", pr.LICENSE.parse(license).version)
    found = list(pr.objects(license[24:], 24))
    (secret,) = [value for _, _, name, value in found if name == "content-key"]
    (device,) = [value for _, _, name, value in found if name == "device-key"]
    for point in (secret.text[:64], secret.text[64:], device.point):
        pr.point_of_bytes(point)
    print("key", b64(secret.kid), "type", secret.type, "cipher", secret.cipher)
    print(*sorted(rules(found)), sep="\n")


if __name__ == "__main__":
    command, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    commands = {"make": make, "ask": ask, "open": open_answers, "read": read, "serve": serve,
                "chains": chains, "published": published}
    commands[command](folder)
