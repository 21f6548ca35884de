-- [{"collection", "name", "value": base64 or null to delete, "ttl": seconds, and a condition: "version" or "absent": true}]
-- -> [[position from 0, new version or null]] of the writes that happened; the others' conditions did not hold.
create function put(writes jsonb) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    w record;
    ends timestamptz;
    wrote bigint;
    hit boolean;
    answers jsonb := '[]';
begin
    for w in
        select n - 1 as position, g ->> 'collection' as collection, g ->> 'name' as name,
               decode(g ->> 'value', 'base64') as value, (g ->> 'ttl')::double precision as ttl,
               g ->> 'version' as version, coalesce((g ->> 'absent')::boolean, false) as absent
        from jsonb_array_elements(writes) with ordinality as given (g, n)
        -- One order for all writers, whatever order they named their keys in: they can't wait for each other in a circle.
        order by g ->> 'collection' collate "C", g ->> 'name' collate "C"
    loop
        wrote := null;
        ends := clock_timestamp() + w.ttl * interval '1 second';
        if w.value is null then
            hit := forget(w.collection, w.name, w.version, w.absent);
        elsif w.version is not null then
            update record set version = nextval('record_version'), expires = ends, value = w.value
            where collection = w.collection and name = w.name and version::text = w.version
                and (expires is null or expires > clock_timestamp())
            returning version into wrote;
            hit := found;
        else
            -- The condition is tested again on the row as it is once it is locked, so of many who insert or replace an
            -- expired one, only the first succeeds.
            insert into record as old (collection, name, version, expires, value)
            values (w.collection, w.name, nextval('record_version'), ends, w.value)
            on conflict (collection, name) do update
                set version = excluded.version, expires = excluded.expires, value = excluded.value
                where not w.absent or old.expires <= clock_timestamp()
            returning version into wrote;
            hit := found;
        end if;
        if hit then
            answers := answers || jsonb_build_array(jsonb_build_array(w.position, wrote::text));
        end if;
    end loop;
    return answers::text;
end
$$;

-- Deletes one record, if the condition holds -> whether it did.
create function forget(in_collection text, called text, expected text, absent boolean) returns boolean
language plpgsql security definer set search_path from current set jit = off set enable_seqscan = off
as $$
begin
    delete from record where collection = in_collection and name = called and expires <= clock_timestamp();
    if absent then
        return not exists (select from record where collection = in_collection and name = called);
    end if;
    delete from record where collection = in_collection and name = called and (expected is null or version::text = expected);
    return found or expected is null;
end
$$;

-- [[collection, name]] -> those that are there; positions count from 0, values are hex.
create function records_at(keys jsonb) returns table (place integer, version text, value text)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query select (asked.n - 1)::integer, r.version::text, encode(r.value, 'hex')
    from jsonb_array_elements(keys) with ordinality as asked (k, n)
    join record as r on r.collection = k ->> 0 and r.name = k ->> 1
    where r.expires is null or r.expires > clock_timestamp();
end
$$;

-- Up to *most* records beyond *start* (below it, if *backwards*); an empty *start* means from the first (last) one on.
create function scan(in_collection text, start text, most integer, backwards boolean)
returns table (name text, version text, value text)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set plan_cache_mode = force_generic_plan
as $$
begin
    if not backwards then
        return query select r.name, r.version::text, encode(r.value, 'hex') from record as r
        where r.collection = in_collection and r.name > start and (r.expires is null or r.expires > clock_timestamp())
        order by r.name limit most;
    elsif start = '' then
        return query select r.name, r.version::text, encode(r.value, 'hex') from record as r
        where r.collection = in_collection and (r.expires is null or r.expires > clock_timestamp())
        order by r.name desc limit most;
    else
        return query select r.name, r.version::text, encode(r.value, 'hex') from record as r
        where r.collection = in_collection and r.name < start and (r.expires is null or r.expires > clock_timestamp())
        order by r.name desc limit most;
    end if;
end
$$;

-- How many records stand in a collection, counted up to *most*.
create function count_records(in_collection text, most integer) returns text
language sql volatile security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off
as $$
    select count(*)::text from (
        select from record
        where collection = in_collection and (expires is null or expires > clock_timestamp()) limit most
    ) as standing
$$;

-- Removes up to *most* expired records -> how many. Whoever writes n records removes up to 2n dead ones, so that they can't
-- pile up and no task of its own is needed; never within an application's transaction, whose locks may last.
create function sweep(most integer) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
declare
    gone integer;
    instant timestamptz := clock_timestamp();
begin
    delete from record where ctid = any (array(
        select ctid from record where expires <= instant order by expires limit most for update skip locked
    ));
    get diagnostics gone = row_count;
    return gone::text;
end
$$;

-- Microseconds since 1970 on the clock that decides everything here.
create function now_in_microseconds() returns text
language sql volatile security definer set search_path from current
as $$
    select (extract(epoch from clock_timestamp()) * 1000000)::bigint::text
$$;
