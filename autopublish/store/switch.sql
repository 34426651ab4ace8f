-- Statements about the big switch: what a person stopped.

-- name: switch_add
-- Everything, or a category, is stopped; what was stopped already stays as it was.
INSERT INTO switches (kind, name, words, who, since, why) VALUES (:kind, :name, :words, :who, :since, :why)
ON CONFLICT (kind, name) DO NOTHING;

-- name: switch_get
-- One stop.
SELECT * FROM switches WHERE kind = :kind AND name = :name;

-- name: switches_of
-- All stops of a kind, the oldest first.
SELECT * FROM switches WHERE kind = :kind ORDER BY since, name;

-- name: switch_end
-- A stop is over.
DELETE FROM switches WHERE kind = :kind AND name = :name;

-- name: deliveries_all_ready
-- What would go by itself on any account, in its order.
SELECT * FROM deliveries WHERE state = 'READY' ORDER BY account, published, id;

-- name: deliveries_held_for
-- What is held for exactly this reason, oldest article first.
SELECT * FROM deliveries WHERE state = 'HELD' AND reason = :reason ORDER BY published, id;
