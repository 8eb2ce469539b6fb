-- Policies by name, which titles refer to. The built-in ones are in the program: their rows
-- have no document, and are here for the titles that refer to them.
CREATE TABLE policies (
    name TEXT NOT NULL PRIMARY KEY,
    document TEXT,
    updated_at BIGINT NOT NULL
);
INSERT INTO policies (name, document, updated_at) VALUES
    ('standard', NULL, 0),
    ('studio-strict', NULL, 0);

-- clearkey_max is the title's own exception. A title without a policy is refused.
ALTER TABLE titles ADD COLUMN policy_name TEXT REFERENCES policies (name);
ALTER TABLE titles ADD COLUMN clearkey_max TEXT;

-- What titles said for themselves so far: two numbers, of which only the first could be chosen.
UPDATE titles SET policy_name = 'standard', clearkey_max = CASE policy
    WHEN '{"clearkey_max":"AUDIO","license_s":86400}' THEN 'AUDIO'
    WHEN '{"clearkey_max":"HD","license_s":86400}' THEN 'HD'
    WHEN '{"clearkey_max":"UHD","license_s":86400}' THEN 'UHD'
END WHERE policy IN (
    '{"clearkey_max":"AUDIO","license_s":86400}',
    '{"clearkey_max":"SD","license_s":86400}',
    '{"clearkey_max":"HD","license_s":86400}',
    '{"clearkey_max":"UHD","license_s":86400}'
);
ALTER TABLE titles DROP COLUMN policy;
