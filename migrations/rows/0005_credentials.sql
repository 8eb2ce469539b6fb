-- Imported credentials of DRM systems: what is public of them, and what is secret under the
-- system's own KEK, which the KMS wraps.

CREATE TABLE credential_keks (
    dialect TEXT NOT NULL PRIMARY KEY,
    wrapped BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- kind: root, service, devices, provisioning, sessions. seq is the value of the setting
-- `credentials` when the row was written: newer rows have more. A row without a secret is sealed
-- too, so that what is public of it cannot be changed either.
CREATE TABLE credentials (
    dialect TEXT NOT NULL REFERENCES credential_keks (dialect),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 1),
    public BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (dialect, kind, name)
);

-- Certificates of devices that made their own key. model: SHA-256 of the issuer's certificate;
-- device_key: of the device's public key.
CREATE TABLE provisioned_devices (
    model BYTEA NOT NULL CHECK (length(model) = 32),
    device_key BYTEA NOT NULL CHECK (length(device_key) = 32),
    certificate BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (model, device_key)
);

-- Raised by every change of credentials: a running vault reads them again when it sees another.
INSERT INTO settings (name, value) VALUES ('credentials', 0);
