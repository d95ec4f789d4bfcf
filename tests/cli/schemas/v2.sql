-- A database of schema 2 with rows in its tables, dumped by sqlite3. Never edited: a test upgrades it.
PRAGMA page_size = 4096;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1349084011;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE refinery_schema_history(version INT4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255));
INSERT INTO refinery_schema_history VALUES(1,'initial','2026-01-02T00:00:00Z','1649821555191991356');
INSERT INTO refinery_schema_history VALUES(2,'items','2026-01-02T00:00:00Z','1367590562240691446');
CREATE TABLE organization (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    -- Every member may see every team and project.
    open_membership INTEGER NOT NULL DEFAULT 1,
    created_us INTEGER NOT NULL
) STRICT;
INSERT INTO organization VALUES(1,'acme','Acme',1,1767312000000000);
CREATE TABLE team (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (organization_id, slug)
) STRICT;
INSERT INTO team VALUES(2,1,'core','Core',1767312000000000);
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
INSERT INTO project VALUES(31,1,'web','Web','python',1767312000000000,'token',1767312000000000);
CREATE TABLE project_team (
    project_id INTEGER NOT NULL REFERENCES project (id),
    team_id INTEGER NOT NULL REFERENCES team (id),
    PRIMARY KEY (project_id, team_id)
) STRICT, WITHOUT ROWID;
INSERT INTO project_team VALUES(31,2);
CREATE TABLE project_option (
    project_id INTEGER NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    -- JSON.
    value TEXT NOT NULL,
    PRIMARY KEY (project_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO project_option VALUES(31,'filters:localhost','true');
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
INSERT INTO client_key VALUES(5,31,1,'0123456789abcdef0123456789abcdef','fedcba9876543210fedcba9876543210','Default',1,NULL,NULL,'7.x',0,1,0,0,0,1767312000000000);
CREATE TABLE key_window (
    key_id INTEGER NOT NULL,
    window_secs INTEGER NOT NULL,
    -- The window's number: seconds since 1970 divided by window_secs.
    window_number INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (key_id, window_secs)
) STRICT, WITHOUT ROWID;
INSERT INTO key_window VALUES(5,60,29455200,3);
CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    -- Argon2id in the PHC format; null for a user who cannot sign in with a password.
    password_hash TEXT,
    active INTEGER NOT NULL DEFAULT 1,
    created_us INTEGER NOT NULL
) STRICT;
INSERT INTO user VALUES(3,'ann@example.test','Ann',NULL,1,1767312000000000);
CREATE TABLE member (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    user_id INTEGER NOT NULL REFERENCES user (id),
    role TEXT NOT NULL CHECK (role IN ('member', 'admin', 'manager', 'owner')),
    created_us INTEGER NOT NULL,
    UNIQUE (user_id, organization_id)
) STRICT;
INSERT INTO member VALUES(7,1,3,'owner',1767312000000000);
CREATE TABLE team_member (
    team_id INTEGER NOT NULL REFERENCES team (id),
    member_id INTEGER NOT NULL REFERENCES member (id),
    -- Null: the default role.
    role TEXT CHECK (role IN ('contributor', 'admin')),
    PRIMARY KEY (team_id, member_id)
) STRICT, WITHOUT ROWID;
INSERT INTO team_member VALUES(2,7,'admin');
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
INSERT INTO auth_token VALUES(4,'user',3,NULL,'laptop',X'e0d235205135f8505672a2663df5c90dde5c9beeff23d8d6b9edd7904b0a35d2','0001','org:read project:read event:read',1767312000000000,NULL,NULL,NULL);
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
INSERT INTO audit_entry VALUES(1,1,1767312000000000,NULL,NULL,NULL,'org.create',NULL,'{}');
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
INSERT INTO ledger VALUES(10,31,1767312000000000,5,1,0,'',3,3);
INSERT INTO ledger VALUES(10,31,1767312000000000,5,4,0,'',1048586,1);
INSERT INTO ledger VALUES(10,31,1767312000000000,5,10,0,'',1,1);
INSERT INTO ledger VALUES(10,31,1767312000000000,5,22,0,'',1,1);
INSERT INTO ledger VALUES(3600,31,1767312000000000,5,1,0,'',3,3);
INSERT INTO ledger VALUES(3600,31,1767312000000000,5,4,0,'',1048586,1);
INSERT INTO ledger VALUES(3600,31,1767312000000000,5,10,0,'',1,1);
INSERT INTO ledger VALUES(3600,31,1767312000000000,5,22,0,'',1,1);
INSERT INTO ledger VALUES(86400,31,1767312000000000,5,1,0,'',3,3);
INSERT INTO ledger VALUES(86400,31,1767312000000000,5,4,0,'',1048586,1);
INSERT INTO ledger VALUES(86400,31,1767312000000000,5,10,0,'',1,1);
INSERT INTO ledger VALUES(86400,31,1767312000000000,5,22,0,'',1,1);
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL,
    -- 16 bytes.
    event_id BLOB NOT NULL,
    key_id INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    -- The item's payload as the SDK sent it, zstd-compressed.
    payload BLOB NOT NULL, kind INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project_id, event_id)
) STRICT;
INSERT INTO event VALUES(1,31,X'00000000000000000000000000000001',5,1767312000000000,X'28b52ffd0048350200f4037b226576656e745f6964223a223031222c226d657373616765223a2266726f6d20736368656d612032222c22706c6174666f726d223a22707974686f6e227d0100225002',0);
INSERT INTO event VALUES(2,31,X'00000000000000000000000000000002',5,1767312001000000,X'28b52ffd0048350200f4037b226576656e745f6964223a223032222c226d657373616765223a2266726f6d20736368656d612032222c22706c6174666f726d223a22707974686f6e227d0100225002',0);
INSERT INTO event VALUES(3,31,X'00000000000000000000000000000003',5,1767312002000000,X'28b52ffd0048350200f4037b226576656e745f6964223a223033222c226d657373616765223a2266726f6d20736368656d612032222c22706c6174666f726d223a22707974686f6e227d0100225002',0);
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL,
    -- The numbers of StoredKind.
    kind INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    -- 16 bytes: the check-in, the replay, or the event that it belongs to. Null for what has no id.
    item_id BLOB,
    -- JSON: the fields of the item's header that say how to read the payload.
    header TEXT NOT NULL,
    -- The entries of a container, else 1.
    quantity INTEGER NOT NULL,
    -- Of the payload before it was packed.
    bytes INTEGER NOT NULL,
    -- zstd. Null when it lies in large_payload.
    payload BLOB,
    large_payload_id INTEGER,
    CHECK ((payload IS NULL) = (large_payload_id IS NOT NULL))
) STRICT;
INSERT INTO item VALUES(1,31,18,5,1767312000000000,X'00000000000000000000000000000000','{}',1,2,X'28b52ffd00481100007b7d',NULL);
CREATE TABLE attachment (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    -- 16 bytes. The event may not be here, or come later.
    event_id BLOB NOT NULL,
    -- Such as event.attachment or event.minidump.
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT,
    -- Of the payload before it was packed.
    bytes INTEGER NOT NULL,
    -- 20 bytes, of the payload before it was packed.
    sha1 BLOB NOT NULL,
    -- zstd. Null when it lies in large_payload.
    payload BLOB,
    large_payload_id INTEGER,
    CHECK ((payload IS NULL) = (large_payload_id IS NOT NULL))
) STRICT;
INSERT INTO attachment VALUES(1,31,5,1767312000000000,X'00000000000000000000000000000001','event.attachment','a.bin',NULL,1048586,X'a986b154d89d26927a8144a278bdf035cd0e2172',NULL,1);
CREATE TABLE large_payload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- How many there are. Null until the row that it belongs to is written; such are removed at start.
    parts INTEGER
) STRICT;
INSERT INTO large_payload VALUES(1,2);
CREATE TABLE payload_part (
    -- The payload's id times 65536, plus the part's number from 0 on: a payload is one range.
    id INTEGER PRIMARY KEY,
    -- zstd, of at most 1 MiB before it was packed.
    payload BLOB NOT NULL
) STRICT;
INSERT INTO payload_part VALUES(65536,X'28b52ffd00485400001061610100fbff39c00202001061020010610200106102001061020010610200106103001061');
INSERT INTO payload_part VALUES(65537,X'28b52ffd004851000062626262626262626262');
CREATE TABLE organization_option (
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    -- JSON.
    value TEXT NOT NULL,
    PRIMARY KEY (organization_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO organization_option VALUES(1,'sentry:require_scrub_data','true');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('organization',1);
INSERT INTO sqlite_sequence VALUES('team',2);
INSERT INTO sqlite_sequence VALUES('user',3);
INSERT INTO sqlite_sequence VALUES('member',7);
INSERT INTO sqlite_sequence VALUES('project',31);
INSERT INTO sqlite_sequence VALUES('client_key',5);
INSERT INTO sqlite_sequence VALUES('auth_token',4);
INSERT INTO sqlite_sequence VALUES('audit_entry',1);
INSERT INTO sqlite_sequence VALUES('large_payload',1);
CREATE INDEX project_team_by_team ON project_team (team_id, project_id);
CREATE INDEX client_key_by_project ON client_key (project_id, id);
CREATE INDEX client_key_by_organization ON client_key (organization_id, id);
CREATE INDEX member_by_organization ON member (organization_id, id);
CREATE INDEX team_member_by_member ON team_member (member_id, team_id);
CREATE INDEX auth_token_by_user ON auth_token (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX auth_token_by_organization ON auth_token (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX audit_entry_by_organization ON audit_entry (organization_id, id);
CREATE INDEX event_by_kind ON event (project_id, kind, id);
CREATE INDEX item_by_kind ON item (project_id, kind, id);
CREATE INDEX attachment_by_event ON attachment (project_id, event_id);
COMMIT;
