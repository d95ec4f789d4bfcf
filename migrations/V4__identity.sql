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
    provider_id INTEGER
) STRICT;

CREATE INDEX session_by_user ON session (user_id, id);

-- The second factor of a user.
CREATE TABLE totp (
    user_id INTEGER PRIMARY KEY REFERENCES user (id),
    -- Readable, because codes are computed from it (design 6).
    secret BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    last_used_us INTEGER,
    -- The time step of the newest code that was taken: none is taken twice.
    last_step INTEGER NOT NULL
) STRICT;

CREATE TABLE recovery_code (
    user_id INTEGER NOT NULL REFERENCES user (id),
    -- SHA-256 of the code without dashes, in upper case.
    hash BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    used_us INTEGER,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

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
    -- JSON. Its secrets are readable, because they are sent to the provider (design 6).
    config TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;

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

-- A project that is offered to whoever follows the link.
CREATE TABLE project_transfer (
    -- SHA-256 of the link's token.
    hash BLOB PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES project (id),
    -- Who offers it.
    user_id INTEGER NOT NULL REFERENCES user (id),
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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

-- The only projects that a token is for. A token without rows here is for all.
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

CREATE INDEX audit_entry_by_time ON audit_entry (at_us);
