-- What arrives beside errors, and options of organizations.

-- What an event is; the numbers are those of StoredKind. Errors, security reports, transactions and feedback
-- share the ids of a project.
ALTER TABLE event ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;

CREATE INDEX event_by_kind ON event (project_id, kind, id);

-- Everything that is no event and no attachment, one row per item as it arrived.
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

CREATE INDEX item_by_kind ON item (project_id, kind, id);

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

CREATE INDEX attachment_by_event ON attachment (project_id, event_id);

-- A payload over 1 MiB, written in parts before the row that it belongs to, so that no transaction is long.
CREATE TABLE large_payload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- How many there are. Null until the row that it belongs to is written; such are removed at start.
    parts INTEGER
) STRICT;

CREATE TABLE payload_part (
    -- The payload's id times 65536, plus the part's number from 0 on: a payload is one range.
    id INTEGER PRIMARY KEY,
    -- zstd, of at most 1 MiB before it was packed.
    payload BLOB NOT NULL
) STRICT;

CREATE TABLE organization_option (
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    -- JSON.
    value TEXT NOT NULL,
    PRIMARY KEY (organization_id, name)
) STRICT, WITHOUT ROWID;
