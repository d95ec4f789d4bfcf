-- How people sign in, what tokens may be told about, and who vouches for whom.

ALTER TABLE user ADD COLUMN superuser INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN last_login_us INTEGER;
-- Kept to a few minutes.
ALTER TABLE user ADD COLUMN last_active_us INTEGER;

-- A browser that is signed in. Only the SHA-256 of its cookie is here.
CREATE TABLE session (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES user (id),
    created_us INTEGER NOT NULL,
    -- Kept to a few minutes.
    last_used_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    -- Where it began.
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    -- When the password, or what stands for it, was last given here.
    verified_us INTEGER NOT NULL,
    -- The identity provider that vouched for the user, if one did.
    provider_id INTEGER,
    -- When that one wants the session ended at the latest, used or not.
    ends_us INTEGER,
    -- What a SAML provider calls the user and the session: JSON of a list with value, format, and the two qualifiers,
    -- and a text. Single logout names them.
    name_id TEXT,
    session_index TEXT
) STRICT;

CREATE INDEX session_by_user ON session (user_id, id);
CREATE INDEX session_by_name_id ON session (name_id, provider_id) WHERE name_id IS NOT NULL;

-- Second factors of a user: one-time codes, and the recovery codes for when those cannot be had.
CREATE TABLE authenticator (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES user (id),
    kind TEXT NOT NULL CHECK (kind IN ('totp', 'recovery')),
    -- Of one-time codes: the seed, readable, because codes are computed from it (design 6). Of recovery codes: the salt
    -- of their hashes.
    secret BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    last_used_us INTEGER,
    -- Of one-time codes: the time step of the newest that was taken. None is taken twice.
    last_step INTEGER,
    UNIQUE (user_id, kind),
    CHECK ((kind = 'totp') = (last_step IS NOT NULL))
) STRICT;

CREATE TABLE recovery_code (
    authenticator_id INTEGER NOT NULL REFERENCES authenticator (id),
    -- Argon2id: forty bits would soon be found behind anything faster.
    hash BLOB NOT NULL,
    used_us INTEGER,
    PRIMARY KEY (authenticator_id, hash)
) STRICT, WITHOUT ROWID;

-- Whether members who sign in must have a second factor.
ALTER TABLE organization ADD COLUMN require_2fa INTEGER NOT NULL DEFAULT 0;

-- Links that work once: to sign in for the first time, or to set a password.
CREATE TABLE user_link (
    -- SHA-256 of the link's token.
    hash BLOB PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES user (id),
    kind TEXT NOT NULL CHECK (kind IN ('sign-in', 'password')),
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX user_link_by_user ON user_link (user_id);

-- A browser that signed in as this user before: guessing by strangers does not slow it down.
CREATE TABLE known_device (
    -- SHA-256 of its cookie.
    hash BLOB NOT NULL,
    user_id INTEGER NOT NULL REFERENCES user (id),
    last_used_us INTEGER NOT NULL,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

-- Who vouches for the members of an organization.
CREATE TABLE identity_provider (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL UNIQUE REFERENCES organization (id),
    kind TEXT NOT NULL CHECK (kind IN ('oidc', 'saml')),
    -- Whether members must come through it.
    required INTEGER NOT NULL,
    -- JSON. Its secrets are readable, because they are sent to the provider (design 6).
    config TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;

-- Of an owner: may come with a password alone where members must come through the provider.
ALTER TABLE member ADD COLUMN break_glass INTEGER NOT NULL DEFAULT 0;

CREATE TABLE identity (
    provider_id INTEGER NOT NULL REFERENCES identity_provider (id),
    -- What the provider calls the user; it never changes there.
    subject TEXT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES user (id),
    created_us INTEGER NOT NULL,
    last_used_us INTEGER NOT NULL,
    PRIMARY KEY (provider_id, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX identity_by_user ON identity (user_id);

-- What SAML providers signed and was taken: nothing is taken twice.
CREATE TABLE saml_message (
    provider_id INTEGER NOT NULL,
    -- Its kind, a space, and what the provider calls it.
    id TEXT NOT NULL,
    -- It is refused for its age from then on.
    keep_until_us INTEGER NOT NULL,
    PRIMARY KEY (provider_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX saml_message_by_time ON saml_message (keep_until_us);

-- A project that is offered to another organization. There is one offer of a project at a time.
CREATE TABLE project_transfer (
    project_id INTEGER PRIMARY KEY REFERENCES project (id),
    -- SHA-256 of the link's token.
    hash BLOB NOT NULL UNIQUE,
    -- Who may take it: the user of this address.
    email TEXT NOT NULL COLLATE NOCASE,
    -- Who offers it; null for a token of the organization and for the operator of the machine.
    user_id INTEGER REFERENCES user (id),
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT;

-- Tokens: one more kind, so the table is made anew.
CREATE TABLE new_auth_token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'organization', 'api-key')),
    user_id INTEGER REFERENCES user (id),
    organization_id INTEGER REFERENCES organization (id),
    name TEXT NOT NULL,
    -- SHA-256 of the whole token.
    hash BLOB NOT NULL UNIQUE,
    last_characters TEXT NOT NULL,
    -- Names separated by spaces.
    scopes TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER,
    -- Kept to a minute, as is the address.
    last_used_us INTEGER,
    last_address TEXT,
    -- Of an organization's token: the project that it was last used for.
    last_project_id INTEGER,
    revoked_us INTEGER,
    -- Of an API key: switched off for the time being.
    disabled INTEGER NOT NULL DEFAULT 0,
    -- Of an API key: pages of which origins may use it, one a line.
    allowed_origins TEXT NOT NULL DEFAULT '',
    CHECK ((kind = 'user') = (user_id IS NOT NULL)),
    CHECK ((kind <> 'user') = (organization_id IS NOT NULL))
) STRICT;

INSERT INTO new_auth_token (id, kind, user_id, organization_id, name, hash, last_characters, scopes, created_us,
                            expires_us, last_used_us, revoked_us)
SELECT id, kind, user_id, organization_id, name, hash, last_characters, scopes, created_us, expires_us, last_used_us,
       revoked_us
FROM auth_token;
DROP TABLE auth_token;
ALTER TABLE new_auth_token RENAME TO auth_token;
CREATE INDEX auth_token_by_user ON auth_token (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX auth_token_by_organization ON auth_token (organization_id) WHERE organization_id IS NOT NULL;

-- The only projects that a token is for. A token without rows here is for all, so a row outlives its project.
CREATE TABLE auth_token_project (
    token_id INTEGER NOT NULL REFERENCES auth_token (id),
    project_id INTEGER NOT NULL,
    PRIMARY KEY (token_id, project_id)
) STRICT, WITHOUT ROWID;

-- How often a token was used on a day (UTC).
CREATE TABLE auth_token_use (
    token_id INTEGER NOT NULL,
    -- Days since 1970.
    day INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (token_id, day)
) STRICT, WITHOUT ROWID;

ALTER TABLE audit_entry ADD COLUMN actor_session_id INTEGER;

-- For whoever removes old entries, and for lists by date: of all, of one event, of one user, and of both.
CREATE INDEX audit_entry_by_time ON audit_entry (at_us);
CREATE INDEX audit_entry_by_date ON audit_entry (organization_id, at_us);
CREATE INDEX audit_entry_by_event ON audit_entry (organization_id, event, at_us);
CREATE INDEX audit_entry_by_actor ON audit_entry (organization_id, actor_user_id, at_us);
CREATE INDEX audit_entry_by_actor_and_event ON audit_entry (organization_id, actor_user_id, event, at_us);
