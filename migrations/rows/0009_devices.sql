-- Registered devices, and the tickets they hold.
ALTER TABLE plans ADD COLUMN max_devices BIGINT NOT NULL DEFAULT 6 CHECK (max_devices >= 0);

-- device_key: RFC 7638 thumbprint of the key that the device keeps; null: a browser without one,
-- whose device is its sign-in and has the sign-in's id. expires_at: when the registration ends; a
-- device with a key keeps its place after that, the others give it up. removed_at: when its owner
-- or the operator took it away. last_epoch: number of its last ticket.
CREATE TABLE devices (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account BYTEA NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    device_key BYTEA CHECK (length(device_key) = 32),
    registered_at BIGINT NOT NULL,
    renewed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    removed_at BIGINT,
    last_epoch BIGINT NOT NULL DEFAULT 0
);
-- Devices without a key differ: nulls are never equal.
CREATE UNIQUE INDEX devices_of_account ON devices (account, device_key);

-- sequence: the highest number that a control message under the ticket has had.
CREATE TABLE device_tickets (
    device BYTEA NOT NULL REFERENCES devices (id),
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    sequence BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (device, epoch)
);
