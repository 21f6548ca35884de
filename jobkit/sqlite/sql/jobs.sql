-- What the transport does on its own connections.

-- name: send
INSERT INTO {ns}_job (queue, id, state, wake, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: look
-- Which queues have something due, and when the others will have.
SELECT value,
    EXISTS (SELECT 1 FROM {ns}_job WHERE queue = value AND state = 0),
    (SELECT min(wake) FROM {ns}_job WHERE queue = value AND state > 0)
FROM json_each(?)

-- name: promote
UPDATE {ns}_job SET state = 0, token = NULL WHERE queue = ? AND state > 0 AND wake <= ?

-- name: claim
UPDATE {ns}_job SET state = 2, wake = ?, token = ?, receives = receives + 1
WHERE seq IN (SELECT seq FROM {ns}_job WHERE queue = ? AND state = 0 ORDER BY seq LIMIT ?)
RETURNING seq, id, body, receives

-- name: done
DELETE FROM {ns}_job
WHERE seq IN (SELECT value FROM json_each(?)) AND token = ? AND state = 2 AND wake > ?
RETURNING seq

-- name: again
UPDATE {ns}_job SET state = ?, wake = ?, body = ?, token = NULL, receives = 0
WHERE seq = ? AND token = ? AND state = 2 AND wake > ?

-- name: extend
UPDATE {ns}_job SET wake = ?
WHERE seq IN (SELECT value FROM json_each(?)) AND token = ? AND state = 2 AND wake > ?
RETURNING seq

-- name: purge
DELETE FROM {ns}_job WHERE queue = ? AND (state < 2 OR wake <= ?)

-- name: queues
-- Steps from name to name through the index, instead of reading every job's entry.
WITH RECURSIVE known (name) AS (
    SELECT min(queue) FROM {ns}_job
    UNION ALL
    SELECT (SELECT min(queue) FROM {ns}_job WHERE queue > name) FROM known WHERE name IS NOT NULL
)
SELECT name FROM known WHERE name IS NOT NULL

-- name: depth
-- One statement, hence one snapshot. What has come due counts as ready, although nobody has promoted it yet.
SELECT value,
    (SELECT count(*) FROM {ns}_job WHERE queue = value AND state = 0),
    (SELECT count(*) FROM {ns}_job WHERE queue = value AND state > 0 AND wake <= ?1),
    (SELECT count(*) FROM {ns}_job WHERE queue = value AND state > 0 AND wake > ?1 AND state = 1),
    (SELECT count(*) FROM {ns}_job WHERE queue = value AND state > 0 AND wake > ?1 AND state = 2),
    (SELECT min(wake) FROM {ns}_job WHERE queue = value AND state = 0),
    (SELECT min(wake) FROM {ns}_job WHERE queue = value AND state > 0 AND wake <= ?1)
FROM json_each(?2)
