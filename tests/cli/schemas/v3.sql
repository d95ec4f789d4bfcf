-- A database of schema 3 with rows in its tables, dumped by sqlite3. Never edited: a test upgrades it.
PRAGMA page_size = 4096;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1349084011;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE refinery_schema_history(version INT4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255));
INSERT INTO refinery_schema_history VALUES(1,'initial','2026-01-02T00:00:00Z','1649821555191991356');
INSERT INTO refinery_schema_history VALUES(2,'items','2026-01-02T00:00:00Z','1367590562240691446');
INSERT INTO refinery_schema_history VALUES(3,'management','2026-01-02T00:00:00Z','6766906722023170458');
CREATE TABLE organization (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    -- Every member may see every team and project.
    open_membership INTEGER NOT NULL DEFAULT 1,
    created_us INTEGER NOT NULL
, deleted_us INTEGER, members_invite INTEGER NOT NULL DEFAULT 1, members_create_projects INTEGER NOT NULL DEFAULT 1, members_admin_events INTEGER NOT NULL DEFAULT 1, members_write_alerts INTEGER NOT NULL DEFAULT 1, early_adopter INTEGER NOT NULL DEFAULT 0, superuser_access INTEGER NOT NULL DEFAULT 1) STRICT;
INSERT INTO organization VALUES(1,'acme','Acme',1,1767312000000000,NULL,1,1,1,1,0,1);
CREATE TABLE team (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    created_us INTEGER NOT NULL, deleted_us INTEGER,
    UNIQUE (organization_id, slug)
) STRICT;
INSERT INTO team VALUES(2,1,'core','Core',1767312000000000,NULL);
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
    created_us INTEGER NOT NULL, deleted_us INTEGER, purged INTEGER NOT NULL DEFAULT 0, seen_kinds INTEGER NOT NULL DEFAULT 0,
    UNIQUE (organization_id, slug)
) STRICT;
INSERT INTO project VALUES(31,1,'web','Web','python',1767312000000000,'token',1767312000000000,NULL,0,262145);
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
, expires_us INTEGER) STRICT;
INSERT INTO client_key VALUES(5,31,1,'0123456789abcdef0123456789abcdef','fedcba9876543210fedcba9876543210','Default',1,NULL,NULL,'7.x',0,1,0,0,0,1767312000000000,NULL);
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
INSERT INTO event VALUES(1,31,X'00000000000000000000000000000001',5,1767312000000000,X'28b52ffd0048350200f4037b226576656e745f6964223a223031222c226d657373616765223a2266726f6d20736368656d612033222c22706c6174666f726d223a22707974686f6e227d0100225002',0);
INSERT INTO event VALUES(2,31,X'00000000000000000000000000000002',5,1767312001000000,X'28b52ffd0048350200f4037b226576656e745f6964223a223032222c226d657373616765223a2266726f6d20736368656d612033222c22706c6174666f726d223a22707974686f6e227d0100225002',0);
INSERT INTO event VALUES(3,31,X'00000000000000000000000000000003',5,1767312002000000,X'28b52ffd0048350200f4037b226576656e745f6964223a223033222c226d657373616765223a2266726f6d20736368656d612033222c22706c6174666f726d223a22707974686f6e227d0100225002',0);
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
CREATE TABLE project_slug_redirect (
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    slug TEXT NOT NULL,
    project_id INTEGER NOT NULL REFERENCES project (id),
    PRIMARY KEY (organization_id, slug)
) STRICT, WITHOUT ROWID;
INSERT INTO project_slug_redirect VALUES(1,'old',31);
CREATE TABLE project_bookmark (
    user_id INTEGER NOT NULL REFERENCES user (id),
    project_id INTEGER NOT NULL REFERENCES project (id),
    PRIMARY KEY (user_id, project_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE project_ownership (
    project_id INTEGER PRIMARY KEY REFERENCES project (id),
    -- The rules as they were written; null when they were cleared.
    raw TEXT,
    fallthrough INTEGER NOT NULL,
    -- The words of the API.
    auto_assignment TEXT NOT NULL,
    codeowners_auto_sync INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL
) STRICT;
CREATE TABLE environment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    hidden INTEGER NOT NULL DEFAULT 0,
    first_us INTEGER NOT NULL,
    UNIQUE (project_id, name)
) STRICT;
INSERT INTO environment VALUES(1,31,'production',0,1767312000000000);
CREATE TABLE client_key_use (
    key_id INTEGER NOT NULL,
    sdk TEXT NOT NULL,
    release TEXT NOT NULL,
    environment TEXT NOT NULL,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    PRIMARY KEY (key_id, sdk, release, environment)
) STRICT, WITHOUT ROWID;
INSERT INTO client_key_use VALUES(5,'sentry.python/2.75.0','shop@1','production',1767312000000000,1767312000000000);
CREATE TABLE IF NOT EXISTS "member" (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    user_id INTEGER REFERENCES user (id),
    role TEXT NOT NULL CHECK (role IN ('member', 'admin', 'manager', 'owner')),
    created_us INTEGER NOT NULL,
    -- Of an invitation: whom it was sent to, by whom, the SHA-256 of its link's token, and until when it is good.
    email TEXT COLLATE NOCASE,
    inviter_user_id INTEGER,
    invite_hash BLOB UNIQUE,
    invite_expires_us INTEGER,
    CHECK ((user_id IS NULL) = (email IS NOT NULL)),
    UNIQUE (user_id, organization_id),
    UNIQUE (organization_id, email)
) STRICT;
INSERT INTO member VALUES(7,1,3,'owner',1767312000000000,NULL,NULL,NULL,NULL);
INSERT INTO member VALUES(8,1,NULL,'member',1767312000000000,'bea@example.test',3,X'0101010101010101010101010101010101010101010101010101010101010101',1767312000000001);
CREATE TABLE team_request (
    team_id INTEGER NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    member_id INTEGER NOT NULL REFERENCES member (id) ON DELETE CASCADE,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (team_id, member_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE member_block (
    organization_id INTEGER NOT NULL,
    -- The member's number divided by 256.
    block INTEGER NOT NULL,
    members INTEGER NOT NULL,
    PRIMARY KEY (organization_id, block)
) STRICT, WITHOUT ROWID;
INSERT INTO member_block VALUES(1,0,2);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('member',8);
INSERT INTO sqlite_sequence VALUES('organization',1);
INSERT INTO sqlite_sequence VALUES('team',2);
INSERT INTO sqlite_sequence VALUES('user',3);
INSERT INTO sqlite_sequence VALUES('project',31);
INSERT INTO sqlite_sequence VALUES('client_key',5);
INSERT INTO sqlite_sequence VALUES('auth_token',4);
INSERT INTO sqlite_sequence VALUES('audit_entry',1);
INSERT INTO sqlite_sequence VALUES('large_payload',1);
INSERT INTO sqlite_sequence VALUES('environment',1);
CREATE INDEX project_team_by_team ON project_team (team_id, project_id);
CREATE INDEX client_key_by_project ON client_key (project_id, id);
CREATE INDEX client_key_by_organization ON client_key (organization_id, id);
CREATE INDEX team_member_by_member ON team_member (member_id, team_id);
CREATE INDEX auth_token_by_user ON auth_token (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX auth_token_by_organization ON auth_token (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX audit_entry_by_organization ON audit_entry (organization_id, id);
CREATE INDEX event_by_kind ON event (project_id, kind, id);
CREATE INDEX item_by_kind ON item (project_id, kind, id);
CREATE INDEX attachment_by_event ON attachment (project_id, event_id);
CREATE INDEX organization_to_remove ON organization (id) WHERE deleted_us IS NOT NULL;
CREATE INDEX team_to_remove ON team (id) WHERE deleted_us IS NOT NULL;
CREATE INDEX project_to_remove ON project (id) WHERE deleted_us IS NOT NULL AND purged = 0;
CREATE INDEX project_by_created ON project (created_us, id) WHERE deleted_us IS NULL;
CREATE INDEX project_slug_redirect_by_project ON project_slug_redirect (project_id);
CREATE INDEX project_bookmark_by_project ON project_bookmark (project_id);
CREATE INDEX member_by_organization ON member (organization_id, id, user_id);
CREATE INDEX member_invited ON member (organization_id, created_us) WHERE user_id IS NULL;
CREATE INDEX user_inactive ON user (id) WHERE active = 0;
CREATE INDEX team_request_by_member ON team_request (member_id, team_id);
CREATE TRIGGER member_comes AFTER INSERT ON member BEGIN
    INSERT INTO member_block (organization_id, block, members) VALUES (new.organization_id, new.id >> 8, 1)
    ON CONFLICT DO UPDATE SET members = members + 1;
END;
CREATE TRIGGER member_goes AFTER DELETE ON member BEGIN
    UPDATE member_block SET members = members - 1
    WHERE organization_id = old.organization_id AND block = old.id >> 8;
    DELETE FROM member_block
    WHERE organization_id = old.organization_id AND block = old.id >> 8 AND members = 0;
END;
COMMIT;
