-- One row: what this schema is, and the oldest client that can still work with it.
create table meta (
    version integer not null,
    oldest integer not null
);

create sequence job_number;

-- A message. Three facts tell its state, so that no background task has to move it from one state to the next:
--   due <= now                      ready (or its lease has lapsed, which is the same)
--   due > now and receives = 0      delayed
--   due > now and receives > 0      on loan until due, to whoever knows the token
-- Two indexes and no more: lending a job moves it within job_due, and every further index would be written to as well.
create table job (
    number bigint not null,  -- the order of arrival
    token bigint,
    due timestamptz not null,
    receives integer not null default 0,
    queue text collate "C" not null check (queue ~ '^[A-Za-z0-9_-]{1,80}$'),
    id text collate "C" not null check (length(id) <= 512),
    body bytea not null,
    primary key (queue, id)
) with (
    -- Each job leaves dead rows behind: they count by the thousand, not by a share of what the table once held.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000,
    -- Giving the end of the file back to the system needs a lock that stops everybody.
    vacuum_truncate = off
);

create index job_due on job (queue, due, number);

create sequence record_version;

create table record (
    collection text collate "C" not null,
    name text collate "C" not null,
    version bigint not null,
    expires timestamptz,
    value bytea not null,
    primary key (collection, name)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

create index record_expires on record (expires) where expires is not null;

-- What a client asks first on every connection.
create function info() returns text
language sql stable security definer set search_path from current
as $$
    select json_build_object('version', version, 'oldest', oldest)::text from meta
$$;
