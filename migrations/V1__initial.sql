-- Ids are AUTOINCREMENT where clients keep them: the number of a deleted row must never come back.
-- Times are microseconds since 1970, UTC, in columns named *_us.

CREATE TABLE organization (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    -- Every member may see every team and project.
    open_membership INTEGER NOT NULL DEFAULT 1,
    created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE team (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (organization_id, slug)
) STRICT;

CREATE TABLE project (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    platform TEXT,
    -- Null until the first event was stored.
    first_event_us INTEGER,
    -- Made with the project and shown by the API.
    security_token TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (organization_id, slug)
) STRICT;

CREATE TABLE project_team (
    project_id INTEGER NOT NULL REFERENCES project (id),
    team_id INTEGER NOT NULL REFERENCES team (id),
    PRIMARY KEY (project_id, team_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX project_team_by_team ON project_team (team_id, project_id);

CREATE TABLE project_option (
    project_id INTEGER NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    -- JSON.
    value TEXT NOT NULL,
    PRIMARY KEY (project_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE client_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES project (id),
    -- The project's, once more, so that the newest keys of an organization are one range of an index.
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    public TEXT NOT NULL UNIQUE,
    -- Readable: the API hands it out again with every answer.
    secret TEXT NOT NULL,
    label TEXT NOT NULL,
    active INTEGER NOT NULL DEFAULT 1,
    rate_limit_count INTEGER,
    rate_limit_window_secs INTEGER,
    browser_sdk_version TEXT NOT NULL,
    loader_has_replay INTEGER NOT NULL,
    loader_has_performance INTEGER NOT NULL,
    loader_has_debug INTEGER NOT NULL,
    loader_has_feedback INTEGER NOT NULL,
    loader_has_logs_and_metrics INTEGER NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;

CREATE INDEX client_key_by_project ON client_key (project_id, id);
CREATE INDEX client_key_by_organization ON client_key (organization_id, id);

-- How many slots of its rate limit a key has used in the newest window that took any.
CREATE TABLE key_window (
    key_id INTEGER NOT NULL,
    window_secs INTEGER NOT NULL,
    -- The window's number: seconds since 1970 divided by window_secs.
    window_number INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (key_id, window_secs)
) STRICT, WITHOUT ROWID;

CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    -- Argon2id in the PHC format; null for a user who cannot sign in with a password.
    password_hash TEXT,
    active INTEGER NOT NULL DEFAULT 1,
    created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE member (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    user_id INTEGER NOT NULL REFERENCES user (id),
    role TEXT NOT NULL CHECK (role IN ('member', 'admin', 'manager', 'owner')),
    created_us INTEGER NOT NULL,
    UNIQUE (user_id, organization_id)
) STRICT;

CREATE INDEX member_by_organization ON member (organization_id, id);

CREATE TABLE team_member (
    team_id INTEGER NOT NULL REFERENCES team (id),
    member_id INTEGER NOT NULL REFERENCES member (id),
    -- Null: the default role.
    role TEXT CHECK (role IN ('contributor', 'admin')),
    PRIMARY KEY (team_id, member_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX team_member_by_member ON team_member (member_id, team_id);

CREATE TABLE auth_token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'organization')),
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
    last_used_us INTEGER,
    revoked_us INTEGER,
    CHECK ((kind = 'user') = (user_id IS NOT NULL)),
    CHECK ((kind = 'organization') = (organization_id IS NOT NULL))
) STRICT;

CREATE INDEX auth_token_by_user ON auth_token (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX auth_token_by_organization ON auth_token (organization_id) WHERE organization_id IS NOT NULL;

-- Who did what. Rows outlive what they speak of, so nothing is referenced.
CREATE TABLE audit_entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Null for what belongs to no organization, like a user.
    organization_id INTEGER,
    at_us INTEGER NOT NULL,
    actor_user_id INTEGER,
    actor_token_id INTEGER,
    -- Null for the operator of the machine.
    address TEXT,
    -- The API's own name, such as project.create.
    event TEXT NOT NULL,
    target_id INTEGER,
    -- JSON.
    data TEXT NOT NULL
) STRICT;

CREATE INDEX audit_entry_by_organization ON audit_entry (organization_id, id);

-- What became of every item, at three resolutions at once. A project's range is one scan.
CREATE TABLE ledger (
    -- Seconds: 10, 3600 or 86400.
    resolution INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    bucket_us INTEGER NOT NULL,
    -- 0: no key.
    key_id INTEGER NOT NULL,
    -- The protocol's numbers.
    category INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    -- '': none.
    reason TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    times_seen INTEGER NOT NULL,
    PRIMARY KEY (resolution, project_id, bucket_us, key_id, category, outcome, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL,
    -- 16 bytes.
    event_id BLOB NOT NULL,
    key_id INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    -- The item's payload as the SDK sent it, zstd-compressed.
    payload BLOB NOT NULL,
    UNIQUE (project_id, event_id)
) STRICT;
