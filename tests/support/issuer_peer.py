"""An identity provider's token maker by two independent packages: PyJWT and joserfc.

Prints one JSON document: for each package its key set, and tokens by algorithm. NOW and ISSUER are
arguments.
"""

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwk
from joserfc import jwt as joserfc_jwt

now, issuer = int(sys.argv[1]), sys.argv[2]
claims = {"iss": issuer, "aud": "tv", "sub": "ada", "iat": now, "exp": now + 300, "sid": "s"}


def by_pyjwt():
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keys = {
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    keys |= {name: rsa_key for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")}
    jwks, tokens = [], {}
    for name, key in keys.items():
        public = jwt.get_algorithm_by_name(name).to_jwk(key.public_key(), as_dict=True)
        jwks.append(public | {"kid": name, "alg": name, "use": "sig"})
        tokens[name] = jwt.encode(claims, key, algorithm=name, headers={"kid": name})
    return {"keys": {"keys": jwks}, "tokens": tokens}


def by_joserfc():
    keys = {
        "RS256": jwk.RSAKey.generate_key(3072, {"kid": "RS256", "use": "sig"}),
        "PS256": jwk.RSAKey.generate_key(2048, {"kid": "PS256", "use": "sig"}),
        "ES256": jwk.ECKey.generate_key("P-256", {"kid": "ES256", "use": "sig"}),
        "ES384": jwk.ECKey.generate_key("P-384", {"kid": "ES384", "use": "sig"}),
        "EdDSA": jwk.OKPKey.generate_key("Ed25519", {"kid": "EdDSA", "use": "sig"}),
    }
    tokens = {
        name: joserfc_jwt.encode(
            {"alg": name, "kid": name, "typ": "at+jwt"}, claims, key, algorithms=[name]
        )
        for name, key in keys.items()
    }
    return {"keys": {"keys": [key.as_dict(private=False) for key in keys.values()]}, "tokens": tokens}


print(json.dumps({"pyjwt": by_pyjwt(), "joserfc": by_joserfc()}))
