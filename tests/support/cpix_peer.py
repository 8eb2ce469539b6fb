"""The other side of tests/interop_cpix.rs: pycpix reads and writes documents, `cryptography`
encrypts and decrypts their keys, signxml signs. Every line that is printed is `document kid key scheme iv`."""

import hashlib
import hmac
import os
import pathlib
import sys
import uuid
from base64 import b64decode, b64encode

import cpix
from lxml import etree
from signxml import CanonicalizationMethod, XMLSigner, methods
from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_der_private_key

OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)


def unwrap(deliveries, private_key):
    """Document key and MAC key out of the delivery that is for this private key."""
    for delivery in deliveries:
        wrapped = (delivery.document_key.cipher_value, delivery.mac_method.cipher_value)
        try:
            return [private_key.decrypt(b64decode(text), OAEP) for text in wrapped]
        except ValueError:
            continue
    raise ValueError("no delivery is for this key")


def read(folder, private_key):
    """Reads each document with pycpix; decrypts with the recipient's key where needed."""
    for path in sorted(pathlib.Path(folder).glob("*.xml")):
        document = cpix.parse(path.read_bytes())
        is_valid, errors = document.validate_content() if document.periods else (True, [])
        assert is_valid, (path, errors)
        for key in document.content_keys:
            value = b64decode(key.cek)
            if key.value_mac is not None:
                document_key, mac_key = unwrap(document.delivery_datas, private_key)
                mac = hmac.digest(mac_key, value, hashlib.sha512)
                assert hmac.compare_digest(mac, b64decode(key.value_mac)), path
                cipher = Cipher(algorithms.AES(document_key), modes.CBC(value[:16])).decryptor()
                unpadder = block_padding.PKCS7(128).unpadder()
                value = unpadder.update(cipher.update(value[16:]) + cipher.finalize())
                value += unpadder.finalize()
            kid = uuid.UUID(str(key.kid)).hex
            iv = b64decode(key.explicit_iv).hex() if key.explicit_iv else "-"
            print(path.stem, kid, value.hex(), key.common_encryption_scheme, iv)


def write(folder, certificate, count):
    """Writes documents with pycpix, encrypted for the certificate's key."""
    public_key = x509.load_der_x509_certificate(certificate).public_key()
    wrap = lambda secret: b64encode(public_key.encrypt(secret, OAEP)).decode()
    for number in range(count):
        document_key, mac_key = os.urandom(32), os.urandom(64)
        keys = []
        for _ in range(1 + number % 4):
            kid, clear, iv = uuid.uuid4(), os.urandom(16), os.urandom(16)
            padder = block_padding.PKCS7(128).padder()
            padded = padder.update(clear) + padder.finalize()
            cipher = Cipher(algorithms.AES(document_key), modes.CBC(iv)).encryptor()
            value = iv + cipher.update(padded) + cipher.finalize()
            mac = hmac.digest(mac_key, value, hashlib.sha512)
            scheme = ["cenc", "cbcs"][number % 2]
            text = lambda some: b64encode(some).decode()
            keys.append(cpix.ContentKey(kid, text(value), scheme, text(iv), text(mac)))
            print(number, kid.hex, clear.hex(), scheme, iv.hex())
        delivery = cpix.DeliveryData(
            cpix.DeliveryKey(b64encode(certificate).decode()),
            cpix.DocumentKey(wrap(document_key)),
            cpix.MACMethod(wrap(mac_key)),
        )
        rules = [
            cpix.UsageRule(keys[0].kid, [cpix.VideoFilter(max_pixels=589824), cpix.KeyPeriodFilter("p0")])
        ]
        document = cpix.CPIX(
            content_keys=cpix.ContentKeyList(*keys),
            drm_systems=cpix.DRMSystemList(cpix.DRMSystem(keys[0].kid, cpix.WIDEVINE_SYSTEM_ID, "AAAA")),
            usage_rules=cpix.UsageRuleList(*rules),
            periods=cpix.PeriodList(cpix.Period("p0", index=number)),
            content_id="film",
            version="2.3",
            delivery_datas=cpix.DeliveryDataList(delivery),
        )
        pathlib.Path(folder, f"{number}.xml").write_bytes(document.pretty_print())


def sign(folder, private_key, certificate):
    """Signs each document in its place, every other one under Canonical XML 1.0."""
    text = b64encode(certificate).decode()
    certificate = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    forms = [CanonicalizationMethod.CANONICAL_XML_1_1, CanonicalizationMethod.CANONICAL_XML_1_0]
    for number, path in enumerate(sorted(pathlib.Path(folder).glob("*.xml"))):
        signer = XMLSigner(
            method=methods.enveloped,
            signature_algorithm="rsa-sha512",
            digest_algorithm="sha512",
            c14n_algorithm=forms[number % 2],
        )
        root = signer.sign(etree.fromstring(path.read_bytes()), key=private_key, cert=certificate)
        path.write_bytes(etree.tostring(root))


if __name__ == "__main__":
    command, folder, secret = sys.argv[1:4]
    der = b64decode(pathlib.Path(secret).read_text())
    if command == "read":
        read(folder, load_der_private_key(der, None))
    elif command == "sign":
        certificate = b64decode(pathlib.Path(sys.argv[4]).read_text())
        sign(folder, load_der_private_key(der, None), certificate)
    else:
        write(folder, der, int(sys.argv[4]))
