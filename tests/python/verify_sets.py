"""Checks Security Event Tokens as an app in Python would, with PyJWT.

Reads {"jwks", "issuer", "audience", "tokens"} and writes, for each token, its claims or why it is refused.
"""

import json
import sys

import jwt


def verified(token, keys, issuer, audience):
    try:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != "secevent+jwt":
            return {"refused": "not a Security Event Token"}
        claims = jwt.decode(
            token,
            keys[header["kid"]],
            algorithms=["EdDSA"],
            issuer=issuer,
            audience=audience,
            options={"require": ["iss", "aud", "jti", "iat"]},
        )
    except jwt.InvalidTokenError as error:
        return {"refused": type(error).__name__}
    return {"claims": claims}


request = json.load(sys.stdin)
keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(request["jwks"]).keys}
answers = [verified(token, keys, request["issuer"], request["audience"]) for token in request["tokens"]]
json.dump(answers, sys.stdout)
