-- What runs both on our connections and on the caller's own. {json} is the one parameter, an array. {body} is the bytes: a
-- second parameter on our connections, else taken from the JSON text or written as a literal.
--
-- Each begins with INSERT, UPDATE or DELETE: Python's sqlite3 opens its implicit transaction before no other word, and
-- the write would be committed at once, outside the caller's transaction.

-- name: send
-- Each element: queue, id, state, wake, text; for a successor also seq, token and now, and then its predecessor must be
-- held. (WHERE also keeps the parser from taking ON CONFLICT for a join's condition.)
INSERT INTO {ns}_job (queue, id, state, wake, body)
SELECT json_extract(given.value, '$[0]'), json_extract(given.value, '$[1]'), json_extract(given.value, '$[2]'), json_extract(given.value, '$[3]'),
    {body}
FROM json_each({json}) AS given
WHERE json_extract(given.value, '$[5]') IS NULL OR EXISTS (
    SELECT 1 FROM {ns}_job AS held
    WHERE held.seq = json_extract(given.value, '$[5]') AND held.token = json_extract(given.value, '$[6]')
        AND held.state = 2 AND held.wake > json_extract(given.value, '$[7]')
)
ON CONFLICT DO NOTHING
RETURNING id

-- name: done
-- Each element: seq, token, now.
DELETE FROM {ns}_job WHERE seq = (
    SELECT held.seq FROM json_each({json}) AS given JOIN {ns}_job AS held ON held.seq = json_extract(given.value, '$[0]')
    WHERE held.token = json_extract(given.value, '$[1]')
        AND held.state = 2 AND held.wake > json_extract(given.value, '$[2]')
)
RETURNING CAST(seq AS TEXT)

-- name: again
-- One element: queue, id, state, wake, text, seq, token, now.
UPDATE {ns}_job
SET state = json_extract(given.value, '$[2]'), wake = json_extract(given.value, '$[3]'), body = {body}, token = NULL, receives = 0
FROM json_each({json}) AS given
WHERE {ns}_job.seq = json_extract(given.value, '$[5]') AND {ns}_job.token = json_extract(given.value, '$[6]')
    AND {ns}_job.state = 2 AND {ns}_job.wake > json_extract(given.value, '$[7]')
RETURNING CAST(seq AS TEXT)

-- name: put
-- One element: collection, name, version, expires, text, expected version (null: no record), whether any will do, now.
INSERT INTO {ns}_record (collection, name, version, expires, value)
SELECT json_extract(given.value, '$[0]'), json_extract(given.value, '$[1]'), json_extract(given.value, '$[2]'),
    json_extract(given.value, '$[3]'), {body}
FROM json_each({json}) AS given
WHERE json_extract(given.value, '$[6]') OR json_extract(given.value, '$[5]') IS (
    SELECT version FROM {ns}_record AS live
    WHERE live.collection = json_extract(given.value, '$[0]') AND live.name = json_extract(given.value, '$[1]')
        AND (live.expires IS NULL OR live.expires > json_extract(given.value, '$[7]'))
)
ON CONFLICT (collection, name) DO UPDATE
SET version = excluded.version, expires = excluded.expires, value = excluded.value
RETURNING version

-- name: delete
-- The same element. A record is deleted by letting it expire at once, so that one statement can tell "there was none"
-- (no row) from "deleted" (1) and "another version" (0).
UPDATE {ns}_record
SET expires = CASE WHEN json_extract(given.value, '$[6]') OR json_extract(given.value, '$[5]') IS {ns}_record.version
        THEN 0.0 ELSE {ns}_record.expires END,
    value = CASE WHEN json_extract(given.value, '$[6]') OR json_extract(given.value, '$[5]') IS {ns}_record.version
        THEN X'' ELSE {ns}_record.value END
FROM json_each({json}) AS given
WHERE {ns}_record.collection = json_extract(given.value, '$[0]') AND {ns}_record.name = json_extract(given.value, '$[1]')
    AND ({ns}_record.expires IS NULL OR {ns}_record.expires > json_extract(given.value, '$[7]'))
RETURNING CASE WHEN {ns}_record.expires IS 0.0 THEN '1' ELSE '0' END
