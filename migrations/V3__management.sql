-- What the management API changes: settings, invitations, deletion, and what is seen of a project's data.

-- A row with deleted_us is gone for everybody but the background job that removes what belongs to it. Its slug is
-- free at once: it bears one that no slug can be (with a '~').
ALTER TABLE organization ADD COLUMN deleted_us INTEGER;
ALTER TABLE team ADD COLUMN deleted_us INTEGER;
ALTER TABLE project ADD COLUMN deleted_us INTEGER;
-- Nothing is left of a deleted project but this row and its daily ledger, so that the totals of its organization
-- do not shrink.
ALTER TABLE project ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;

CREATE INDEX organization_to_remove ON organization (id) WHERE deleted_us IS NOT NULL;
CREATE INDEX team_to_remove ON team (id) WHERE deleted_us IS NOT NULL;
CREATE INDEX project_to_remove ON project (id) WHERE deleted_us IS NOT NULL AND purged = 0;

-- For lists over all organizations, newest first.
CREATE INDEX project_by_created ON project (created_us, id) WHERE deleted_us IS NULL;

-- What an organization lets its plain members do.
ALTER TABLE organization ADD COLUMN members_invite INTEGER NOT NULL DEFAULT 1;
ALTER TABLE organization ADD COLUMN members_create_projects INTEGER NOT NULL DEFAULT 1;
ALTER TABLE organization ADD COLUMN members_admin_events INTEGER NOT NULL DEFAULT 1;
ALTER TABLE organization ADD COLUMN members_write_alerts INTEGER NOT NULL DEFAULT 1;

-- What every answer about an organization shows as it was set; neither has an effect.
ALTER TABLE organization ADD COLUMN early_adopter INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organization ADD COLUMN superuser_access INTEGER NOT NULL DEFAULT 1;

-- Which kinds of data a project has had: bits, numbered by StoredKind.
ALTER TABLE project ADD COLUMN seen_kinds INTEGER NOT NULL DEFAULT 0;

-- Where requests for an old slug are sent. A project that takes the slug wins.
CREATE TABLE project_slug_redirect (
    organization_id INTEGER NOT NULL REFERENCES organization (id),
    slug TEXT NOT NULL,
    project_id INTEGER NOT NULL REFERENCES project (id),
    PRIMARY KEY (organization_id, slug)
) STRICT, WITHOUT ROWID;

CREATE INDEX project_slug_redirect_by_project ON project_slug_redirect (project_id);

CREATE TABLE project_bookmark (
    user_id INTEGER NOT NULL REFERENCES user (id),
    project_id INTEGER NOT NULL REFERENCES project (id),
    PRIMARY KEY (user_id, project_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX project_bookmark_by_project ON project_bookmark (project_id);

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

-- Made by events, never by the API.
CREATE TABLE environment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    hidden INTEGER NOT NULL DEFAULT 0,
    first_us INTEGER NOT NULL,
    UNIQUE (project_id, name)
) STRICT;

-- A key that was replaced: valid until then.
ALTER TABLE client_key ADD COLUMN expires_us INTEGER;

-- Who uses a key, so that it can be retired knowingly. '' is none.
CREATE TABLE client_key_use (
    key_id INTEGER NOT NULL,
    sdk TEXT NOT NULL,
    release TEXT NOT NULL,
    environment TEXT NOT NULL,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    PRIMARY KEY (key_id, sdk, release, environment)
) STRICT, WITHOUT ROWID;

-- A member is a user, or somebody who was invited and has not come yet. The table is made anew because a column
-- may now be null; the seats in teams wait elsewhere meanwhile.
CREATE TABLE seat AS SELECT team_id, member_id, role FROM team_member;
DELETE FROM team_member;

CREATE TABLE new_member (
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

INSERT INTO new_member (id, organization_id, user_id, role, created_us)
SELECT id, organization_id, user_id, role, created_us FROM member;
DROP TABLE member;
ALTER TABLE new_member RENAME TO member;
-- The user stands in it so that whose account is off can be left out of a list without reading the rows before a page.
CREATE INDEX member_by_organization ON member (organization_id, id, user_id);
CREATE INDEX member_invited ON member (organization_id, created_us) WHERE user_id IS NULL;
CREATE INDEX user_inactive ON user (id) WHERE active = 0;

INSERT INTO team_member (team_id, member_id, role) SELECT team_id, member_id, role FROM seat;
DROP TABLE seat;

-- Who asked to join a team and waits for somebody to let them in.
CREATE TABLE team_request (
    team_id INTEGER NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    member_id INTEGER NOT NULL REFERENCES member (id) ON DELETE CASCADE,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (team_id, member_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX team_request_by_member ON team_request (member_id, team_id);

-- How many members of an organization have numbers of the same 256, so that a page is found without walking over all
-- that come before it.
CREATE TABLE member_block (
    organization_id INTEGER NOT NULL,
    -- The member's number divided by 256.
    block INTEGER NOT NULL,
    members INTEGER NOT NULL,
    PRIMARY KEY (organization_id, block)
) STRICT, WITHOUT ROWID;

INSERT INTO member_block (organization_id, block, members)
SELECT organization_id, id >> 8, count(*) FROM member GROUP BY organization_id, id >> 8;

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
