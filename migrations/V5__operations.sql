-- What keeps a file from growing for ever.

-- How much each project has of each kind, changed with the rows in the same transaction, so that a budget costs no look
-- through them.
CREATE TABLE project_size (
    project_id INTEGER NOT NULL,
    -- The numbers of StoredKind; 100 is attachments.
    kind INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    -- Of the packed payloads, and 200 for each row.
    bytes INTEGER NOT NULL,
    PRIMARY KEY (project_id, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO project_size (project_id, kind, entries, bytes)
SELECT project_id, kind, count(*), sum(length(payload) + 200) FROM event GROUP BY project_id, kind;

INSERT INTO project_size (project_id, kind, entries, bytes)
SELECT project_id, kind, count(*),
       sum(200 + coalesce(length(payload), (
           SELECT total(length(part.payload)) FROM payload_part AS part
           WHERE part.id >= large_payload_id * 65536 AND part.id < (large_payload_id + 1) * 65536), 0) | 0)
FROM item GROUP BY project_id, kind;

INSERT INTO project_size (project_id, kind, entries, bytes)
SELECT project_id, 100, count(*),
       sum(200 + coalesce(length(payload), (
           SELECT total(length(part.payload)) FROM payload_part AS part
           WHERE part.id >= large_payload_id * 65536 AND part.id < (large_payload_id + 1) * 65536), 0) | 0)
FROM attachment GROUP BY project_id;

-- What came in, by the hour, so that somebody can be told when the disk will be full. Kept for some days.
CREATE TABLE intake (
    hour_us INTEGER PRIMARY KEY,
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

-- The oldest attachments of a project.
CREATE INDEX attachment_by_project ON attachment (project_id, id);
