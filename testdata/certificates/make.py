"""Generates the files of this folder with Python's cryptography package, which is
independent of the tested code.

  response.body  the response of GET /v3/certificates: two certificates, encrypted
                 with the APIv3 key of the tests; the second is valid from a later
                 time, and its serial number begins with a zero byte
  response.sig   its Wechatpay-Signature by the first certificate, whose key is
                 ../platform_key.pem, with timestamp 1700000000 and the nonce below
  text.aead      a text encrypted with associated data, in base64
  bare.aead      the same without associated data
"""
import base64, datetime, json, pathlib
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

here = pathlib.Path(__file__).parent
aead = AESGCM(b"0123456789abcdef0123456789ABCDEF")
platform = serialization.load_pem_private_key((here / "../platform_key.pem").read_bytes(), None)


def certificate(key, serial, begins, ends):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test platform certificate")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(int(serial, 16)).not_valid_before(begins).not_valid_after(ends)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def entry(key, serial, begins, nonce):
    begins = datetime.datetime.fromisoformat(begins)
    ends = begins.replace(year=begins.year + 5)
    text = aead.encrypt(nonce.encode(), certificate(key, serial, begins, ends), b"certificate")
    return {
        "serial_no": serial, "effective_time": begins.isoformat(), "expire_time": ends.isoformat(),
        "encrypt_certificate": {"algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": "certificate",
                                "ciphertext": base64.b64encode(text).decode()},
    }


body = json.dumps({"data": [
    entry(platform, "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", "2023-01-01T08:00:00+08:00", "d215b0511e9c"),
    entry(rsa.generate_private_key(65537, 2048), "00B8E15157F09EFDC096DE15EBE81A47057A7232", "2023-11-14T08:00:00+08:00", "61f9c719728a"),
]}).encode()
(here / "response.body").write_bytes(body)
message = b"1700000000\nEqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF\n" + body + b"\n"
(here / "response.sig").write_bytes(base64.b64encode(platform.sign(message, padding.PKCS1v15(), hashes.SHA256())))
for name, data in ("text", b"complaint"), ("bare", None):
    (here / (name + ".aead")).write_bytes(base64.b64encode(aead.encrypt(b"fdasflkja484", "投诉 complaint".encode(), data)))
