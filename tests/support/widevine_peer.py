"""The other side of tests/interop_widevine.rs: Google's `protobuf` package reads and writes the
messages, by a descriptor that is put together here from the public field numbers; the package
`cryptography` does the rest. Its own file knows nothing of the code under test.

    read FOLDER   opens `license` as the device that sent `challenge`, prints what it finds
    write FOLDER  writes `peer-clear` and `peer-private`: challenges of this side's making
    open FOLDER   opens the answers to them
"""

import hashlib
import hmac
import os
import pathlib
import sys

from cryptography.hazmat.primitives import cmac, hashes, padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
PSS = padding.PSS(padding.MGF1(hashes.SHA1()), 20)

# message -> field -> (number, type); a type of another message is its name, `*` repeats.
MESSAGES = {
    "SignedMessage": {
        "type": (1, "int32"), "msg": (2, "bytes"), "signature": (3, "bytes"),
        "session_key": (4, "bytes"),
    },
    "LicenseRequest": {
        "client_id": (1, "ClientIdentification"), "content_id": (2, "ContentIdentification"),
        "type": (3, "int32"), "request_time": (4, "int64"), "protocol_version": (6, "int32"),
        "key_control_nonce": (7, "uint32"),
        "encrypted_client_id": (8, "EncryptedClientIdentification"),
    },
    "ContentIdentification": {
        "widevine_pssh_data": (1, "PsshContent"), "webm_key_id": (2, "WebmKeyId"),
        "init_data": (4, "InitData"),
    },
    "PsshContent": {
        "pssh_data": (1, "*bytes"), "license_type": (2, "int32"), "request_id": (3, "bytes"),
    },
    "WebmKeyId": {
        "header": (1, "bytes"), "license_type": (2, "int32"), "request_id": (3, "bytes"),
    },
    "InitData": {
        "init_data_type": (1, "int32"), "init_data": (2, "bytes"), "license_type": (3, "int32"),
        "request_id": (4, "bytes"),
    },
    "ClientIdentification": {
        "type": (1, "int32"), "token": (2, "bytes"), "client_info": (3, "*NameValue"),
        "client_capabilities": (6, "ClientCapabilities"),
    },
    "NameValue": {"name": (1, "string"), "value": (2, "string")},
    "ClientCapabilities": {
        "max_hdcp_version": (4, "int32"), "oem_crypto_api_version": (5, "uint32"),
        "resource_rating_tier": (12, "uint32"),
    },
    "EncryptedClientIdentification": {
        "provider_id": (1, "string"), "service_certificate_serial_number": (2, "bytes"),
        "encrypted_client_id": (3, "bytes"), "encrypted_client_id_iv": (4, "bytes"),
        "encrypted_privacy_key": (5, "bytes"),
    },
    "SignedDrmCertificate": {
        "drm_certificate": (1, "bytes"), "signature": (2, "bytes"),
        "signer": (3, "SignedDrmCertificate"), "hash_algorithm": (4, "int32"),
    },
    "DrmCertificate": {
        "type": (1, "int32"), "serial_number": (2, "bytes"),
        "creation_time_seconds": (3, "uint32"), "public_key": (4, "bytes"),
        "system_id": (5, "uint32"), "provider_id": (7, "string"), "algorithm": (9, "int32"),
        "expiration_time_seconds": (12, "uint32"),
    },
    "WidevinePsshData": {
        "algorithm": (1, "int32"), "key_ids": (2, "*bytes"), "provider": (3, "string"),
        "content_id": (4, "bytes"), "policy": (6, "string"), "crypto_period_index": (7, "uint32"),
        "protection_scheme": (9, "uint32"),
    },
    "License": {
        "id": (1, "LicenseIdentification"), "policy": (2, "Policy"), "key": (3, "*KeyContainer"),
        "license_start_time": (4, "int64"), "protection_scheme": (7, "uint32"),
    },
    "LicenseIdentification": {
        "request_id": (1, "bytes"), "session_id": (2, "bytes"), "purchase_id": (3, "bytes"),
        "type": (4, "int32"), "version": (5, "int32"), "provider_session_token": (6, "bytes"),
    },
    "Policy": {
        "can_play": (1, "bool"), "can_persist": (2, "bool"), "can_renew": (3, "bool"),
        "rental_duration_seconds": (4, "int64"), "playback_duration_seconds": (5, "int64"),
        "license_duration_seconds": (6, "int64"),
        "renewal_recovery_duration_seconds": (7, "int64"), "renewal_server_url": (8, "string"),
        "renewal_delay_seconds": (9, "int64"), "renewal_retry_interval_seconds": (10, "int64"),
        "renew_with_usage": (11, "bool"), "always_include_client_id": (12, "bool"),
        "play_start_grace_period_seconds": (13, "int64"),
        "soft_enforce_playback_duration": (14, "bool"),
        "soft_enforce_rental_duration": (15, "bool"),
    },
    "KeyContainer": {
        "id": (1, "bytes"), "iv": (2, "bytes"), "key": (3, "bytes"), "type": (4, "int32"),
        "level": (5, "int32"), "required_protection": (6, "OutputProtection"),
        "track_label": (12, "string"),
    },
    "OutputProtection": {"hdcp": (1, "int32"), "disable_analog_output": (4, "bool")},
}


def classes():
    """The messages of the table, as classes."""
    file = descriptor_pb2.FileDescriptorProto(name="peer.proto", package="peer", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = kinds.LABEL_REPEATED if kind[0] == "*" else kinds.LABEL_OPTIONAL
            kind = kind.lstrip("*")
            added = message.field.add(name=field, number=number, label=label)
            if kind in MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, ".peer." + kind
            else:
                added.type = getattr(kinds, "TYPE_" + kind.upper())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {n: pool.FindMessageTypeByName("peer." + n) for n in MESSAGES}
    return {n: message_factory.GetMessageClass(d) for n, d in found.items()}


WIRE = classes()


def parse(name, data):
    """Reads a message that may have no field beyond the table."""
    message = WIRE[name]()
    message.ParseFromString(data)
    again = message.SerializeToString(deterministic=True)
    assert again == data, f"{name} does not come back byte for byte"
    return message


def public_key(certificate):
    return load_der_public_key(certificate.public_key)


def verify_certificate(signed, issuer):
    issuer.verify(signed.signature, signed.drm_certificate, PSS, hashes.SHA1())
    return parse("DrmCertificate", signed.drm_certificate)


def derive(session_key, request):
    """Encryption key, server's MAC key, client's MAC key."""
    def block(counter, label, bits):
        mac = cmac.CMAC(algorithms.AES(session_key))
        mac.update(bytes([counter]) + label + b"\0" + request + bits.to_bytes(4, "big"))
        return mac.finalize()
    macs = b"".join(block(counter, b"AUTHENTICATION", 512) for counter in range(1, 5))
    return block(1, b"ENCRYPTION", 128), macs[:32], macs[32:]


def decrypt(key, iv, text):
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    unpadder = block_padding.PKCS7(128).unpadder()
    return unpadder.update(cipher.update(text) + cipher.finalize()) + unpadder.finalize()


def encrypt(key, iv, data):
    padder = block_padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return cipher.update(padder.update(data) + padder.finalize()) + cipher.finalize()


def open_license(answer, request, device_key):
    """Opens a license as a device does, and prints it: one `field value` a line."""
    signed = parse("SignedMessage", answer)
    assert signed.type == 2
    session_key = device_key.decrypt(signed.session_key, OAEP)
    encryption, server, client = derive(session_key, request)
    signature = hmac.digest(server, signed.msg, hashlib.sha256)
    assert hmac.compare_digest(signature, signed.signature)
    license = parse("License", signed.msg)
    for field, value in license.policy.ListFields():
        print(field.name, value)
    for field in license.policy.DESCRIPTOR.fields:
        is_set = license.policy.HasField(field.name)
        assert is_set or field.name == "renewal_server_url", field.name
    print("scheme", license.protection_scheme.to_bytes(4, "big").decode())
    print("start", license.license_start_time)
    print("request_id", license.id.request_id.decode(), "type", license.id.type,
          "version", license.id.version, "session", len(license.id.session_id))
    signing = [container for container in license.key if container.type == 1]
    assert [decrypt(encryption, c.iv, c.key) for c in signing] == [server + client]
    for container in license.key:
        if container.type != 1:
            assert container.type == 2
            key = decrypt(encryption, container.iv, container.key)
            output = container.required_protection
            print("key", container.id.hex(), key.hex(), "level", container.level, "hdcp",
                  output.hdcp, "analog", not output.disable_analog_output, container.track_label)


def read(folder, device_key):
    """Reads our client's challenge, then our server's license."""
    root = load_der_public_key((folder / "root_public.der").read_bytes())
    signed = parse("SignedMessage", (folder / "challenge").read_bytes())
    device_key.public_key().verify(signed.signature, signed.msg, PSS, hashes.SHA1())
    request = parse("LicenseRequest", signed.msg)
    assert (signed.type, request.type, request.protocol_version) == (1, 1, 21)
    leaf = parse("SignedDrmCertificate", request.client_id.token)
    model = verify_certificate(leaf.signer, root)
    device = verify_certificate(leaf, public_key(model))
    assert (model.type, device.type, model.system_id) == (1, 2, device.system_id)
    print("system_id", device.system_id)
    print("content", " ".join(d.hex() for d in request.content_id.widevine_pssh_data.pssh_data))
    open_license((folder / "license").read_bytes(), signed.msg, device_key)


def write(folder, device_key):
    """Writes challenges with client info, capabilities and a full `pssh` payload."""
    identity = WIRE["ClientIdentification"](
        type=1,
        token=(folder / "device.bin").read_bytes(),
        client_info=[WIRE["NameValue"](name="company_name", value="Peer")],
        client_capabilities=WIRE["ClientCapabilities"](
            max_hdcp_version=4, oem_crypto_api_version=17, resource_rating_tier=3),
    )
    pssh = WIRE["WidevinePsshData"](
        algorithm=1, key_ids=[b"\x01" * 16, b"\x02" * 16], provider="peer", content_id=b"film",
        crypto_period_index=5, protection_scheme=int.from_bytes(b"cbcs", "big"))
    for name in ["peer-clear", "peer-private"]:
        request = WIRE["LicenseRequest"](type=1, request_time=1811808000, protocol_version=21,
                                         key_control_nonce=1)
        content = request.content_id.widevine_pssh_data
        content.pssh_data.append(pssh.SerializeToString())
        content.license_type, content.request_id = 1, b"peer request"
        if name == "peer-clear":
            request.client_id.CopyFrom(identity)
        else:
            answer = parse("SignedMessage", (folder / "service-certificate").read_bytes())
            root = load_der_public_key((folder / "root_public.der").read_bytes())
            service = verify_certificate(parse("SignedDrmCertificate", answer.msg), root)
            assert (answer.type, service.type) == (5, 3)
            key, iv = os.urandom(16), os.urandom(16)
            sealed = request.encrypted_client_id
            sealed.provider_id = service.provider_id
            sealed.service_certificate_serial_number = service.serial_number
            sealed.encrypted_client_id = encrypt(key, iv, identity.SerializeToString())
            sealed.encrypted_client_id_iv = iv
            sealed.encrypted_privacy_key = public_key(service).encrypt(key, OAEP)
        msg = request.SerializeToString()
        signature = device_key.sign(msg, PSS, hashes.SHA1())
        signed = WIRE["SignedMessage"](type=1, msg=msg, signature=signature)
        (folder / name).write_bytes(signed.SerializeToString())


def open_answers(folder, device_key):
    for name in ["peer-clear", "peer-private"]:
        request = parse("SignedMessage", (folder / name).read_bytes()).msg
        open_license((folder / f"{name}.license").read_bytes(), request, device_key)


if __name__ == "__main__":
    command, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    device_key = load_pem_private_key((folder / "device_private.pem").read_bytes(), None)
    {"read": read, "write": write, "open": open_answers}[command](folder, device_key)
