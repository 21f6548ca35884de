-- What the store does on its own connections. Its writes are in shared.sql.

-- name: get
SELECT value, version FROM {ns}_record WHERE collection = ? AND name = ? AND (expires IS NULL OR expires > ?)

-- name: forward
SELECT name, value, version FROM {ns}_record
WHERE collection = ? AND name > ? AND (expires IS NULL OR expires > ?) ORDER BY name LIMIT ?

-- name: backward
SELECT name, value, version FROM {ns}_record
WHERE collection = ? AND name < ? AND (expires IS NULL OR expires > ?) ORDER BY name DESC LIMIT ?

-- name: count
SELECT count(*) FROM (
    SELECT 1 FROM {ns}_record WHERE collection = ? AND (expires IS NULL OR expires > ?) LIMIT ?
)

-- name: sweep
-- A few at a time, on the way of other writes, so that nobody ever waits for a long sweep.
DELETE FROM {ns}_record WHERE rowid IN (SELECT rowid FROM {ns}_record WHERE expires <= ? LIMIT 100)
