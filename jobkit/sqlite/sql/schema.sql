-- Everything in here is repeatable, since several processes may open a new file at once.
--
-- Instants (job.wake, record.expires) are seconds on the host's own steady clock since it was booted; see boot.py.

CREATE TABLE IF NOT EXISTS {ns}_meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    boot TEXT NOT NULL,
    steady REAL NOT NULL,
    wall REAL NOT NULL
);

-- AUTOINCREMENT: without it the number of a deleted job is given to a new one, and an old receipt would fit that.
-- state: 0 ready, 1 delayed, 2 lent. wake: since when it has been ready, or when it will be.
-- The body comes last, so that the short columns are read without following its overflow pages.
CREATE TABLE IF NOT EXISTS {ns}_job (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    state INTEGER NOT NULL,
    wake REAL NOT NULL,
    token INTEGER,
    receives INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS {ns}_job_id ON {ns}_job (queue, id);
CREATE INDEX IF NOT EXISTS {ns}_job_ready ON {ns}_job (queue, seq, wake) WHERE state = 0;
CREATE INDEX IF NOT EXISTS {ns}_job_waiting ON {ns}_job (queue, wake) WHERE state > 0;

CREATE TABLE IF NOT EXISTS {ns}_record (
    collection TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    expires REAL,
    value BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS {ns}_record_name ON {ns}_record (collection, name);
CREATE INDEX IF NOT EXISTS {ns}_record_expires ON {ns}_record (expires) WHERE expires IS NOT NULL;
