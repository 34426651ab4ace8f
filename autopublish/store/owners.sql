-- Statements about leases: which process works on which feed or account.

-- name: lease_take
-- A process works on it from now on, unless some process does.
INSERT INTO leases (verb, subject, owner, since) VALUES (:verb, :subject, :owner, :now)
ON CONFLICT (verb, subject) DO NOTHING;

-- name: leases_of_others
-- What other processes work on, or worked on when they died.
SELECT subject, owner FROM leases WHERE verb = :verb AND owner <> :owner;

-- name: lease_take_over
-- The process that worked on it is dead: another one does.
UPDATE leases SET owner = :owner, since = :now WHERE verb = :verb AND subject = :subject AND owner = :dead;

-- name: lease_owner
-- Which process works on it.
SELECT owner FROM leases WHERE verb = :verb AND subject = :subject;

-- name: lease_give_back
-- A process does not work on it any more.
DELETE FROM leases WHERE verb = :verb AND subject = :subject AND owner = :owner;

-- name: leases_give_back
-- A process works on nothing any more.
DELETE FROM leases WHERE owner = :owner;
