-- Statements about events and what the store keeps of itself.

-- name: event_add
-- Something happened.
INSERT INTO events (id, at, subject, subject_id, actor, what, why)
VALUES (:id, :at, :subject, :subject_id, :actor, :what, :why);

-- name: events_of
-- What happened to one subject, first one first.
SELECT * FROM events WHERE subject_id = :subject_id ORDER BY id;

-- name: meta_get
-- One value that the store keeps of itself.
SELECT value FROM meta WHERE name = :name;

-- name: meta_set
-- Keep one value.
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
