-- Every function runs as the schema's owner and with a pinned search path: a role that may execute it needs no right on any
-- table. Planner settings are pinned too. The tables grow from nothing to millions of rows and back while clients keep
-- their cached plans, and a plan that was right for the empty table would read all of the full one. (jit too: a plan that
-- can't do without what is switched off here seems so expensive that it would be compiled, for a third of a second.)

-- [{"id", "queue", "delay": seconds, "body": base64}] -> how many. One that lives already is left as it is.
create function send(messages jsonb) returns text
language plpgsql security definer set search_path from current
as $$
declare
    instant timestamptz := clock_timestamp();
begin
    -- Numbered in the caller's order, which is the order of delivery; stored in the order of their keys, so that two
    -- senders of the same messages never wait for each other in a circle.
    insert into job (number, queue, id, due, body)
    select message.number, message.queue, message.id, message.due, message.body
    from (
        select nextval('job_number') as number,
               m ->> 'queue' as queue,
               m ->> 'id' as id,
               instant + coalesce((m ->> 'delay')::double precision, 0) * interval '1 second' as due,
               decode(m ->> 'body', 'base64') as body
        from jsonb_array_elements(messages) as m
    ) as message
    order by message.queue, message.id
    on conflict (queue, id) do nothing;
    return jsonb_array_length(messages)::text;
end
$$;

-- Lends up to *most* due messages, from the first queue on, for *lease* seconds to whoever knows *loan* (below 2^53)
-- -> {"jobs": [[queue, id, receives, body in hex]], "next": seconds until one falls due, told if none is}.
create function receive(queues text[], most integer, lease double precision, loan bigint) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    -- A variable, since a scan of the index can't be bounded by clock_timestamp() itself.
    instant timestamptz := clock_timestamp();
    until timestamptz := instant + lease * interval '1 second';
    asked text;
    places tid[];
    part text;
    jobs text;
    taken integer := 0;
    room bigint := 33554432;  -- bytes: the answer has to fit into one text, and into the receiver's memory
    next timestamptz;
begin
    foreach asked in array queues loop
        -- Lock and limit first, then update what was locked: in one statement the planner may run the limited part
        -- again and again, and lend more than was asked for. A locked row doesn't move, so its place is its fastest key.
        select array_agg(fitting.place), room - coalesce(sum(fitting.size), 0) into places, room
        from (
            select found.place, found.size, sum(found.size) over (order by found.due, found.number) - found.size as before
            from (
                select ctid as place, due, number, octet_length(body) as size from job
                where queue = asked and due <= instant
                order by due, number limit most - taken for update skip locked
            ) as found
        ) as fitting
        where fitting.before < room;
        continue when places is null;
        with lent as (
            update job set due = until, receives = receives + 1, token = loan where ctid = any (places)
            returning number, queue, id, receives, body
        )
        -- Put together by hand: building JSON values from the bodies would copy and escape them once more.
        select string_agg(
            concat('["', queue, '",', to_json(id), ',', receives, ',"', encode(body, 'hex'), '"]'), ',' order by number
        ) into part from lent;
        jobs := concat_ws(',', jobs, part);
        taken := taken + cardinality(places);
        exit when taken >= most or room <= 0;
    end loop;
    if taken = 0 then
        select min(coming.due) into next from unnest(queues) as asking (queue), lateral (
            select due from job where job.queue = asking.queue and due > instant order by due, number limit 1
        ) as coming;
    end if;
    return concat('{"jobs":[', jobs, '],"next":', coalesce(extract(epoch from next - instant)::text, 'null'), '}');
end
$$;

-- Locks those of *loans*, [{"queue", "id", "token"}], whose lease lives -> their places and positions (from 0). Of two that
-- are the same, the first one counts. Jobs must be looked up by key alone: statistics may say that nothing is on loan, and
-- then the planner would rather read all that is. So the lease is compared with what no index can be bounded by. (This one
-- and the next two run with their caller's planner settings.)
create function lock_free(loans jsonb, out places tid[], out positions bigint[])
language plpgsql security definer set search_path from current
as $$
begin
    select array_agg(once.place), array_agg(once.position) into places, positions
    from (
        select held.place, min(held.position) as position
        from (
            select job.ctid as place, mine.position
            from (
                select l ->> 'queue' as queue, l ->> 'id' as id, (l ->> 'token')::bigint as token, n - 1 as position
                from jsonb_array_elements(loans) with ordinality as given (l, n)
            ) as mine
            join job on job.queue = mine.queue and job.id = mine.id and job.token = mine.token
            where job.due > clock_timestamp()
            for update of job skip locked
        ) as held
        group by held.place
    ) as once;
end
$$;

-- As lock_free; *busy* are the positions of loans that live, but which some other transaction holds for long.
create function hold(loans jsonb, out places tid[], out positions bigint[], out busy bigint[])
language plpgsql security definer set search_path from current set lock_timeout = '250ms'
as $$
begin
    select f.places, f.positions into places, positions from lock_free(loans) as f;
    busy := '{}';
    if coalesce(cardinality(positions), 0) < jsonb_array_length(loans) then
        busy := still_held(loans, positions);
    end if;
    if busy = '{}' then
        return;
    end if;
    -- A receiver that saw the row as it was before it was lent locks it for a moment, and then lets it be: worth waiting
    -- for. A handler that settles its job in a transaction of its own may take minutes: the others can't wait for that.
    begin
        perform from job join jsonb_array_elements(loans) as l
            on job.queue = l ->> 'queue' and job.id = l ->> 'id' and job.token = (l ->> 'token')::bigint
        for update of job;
    exception when lock_not_available then
        null;
    end;
    select f.places, f.positions into places, positions from lock_free(loans) as f;
    busy := still_held(loans, positions);
end
$$;

-- The positions of *loans*, except those already *locked*, whose lease lives on in a row that somebody else has locked.
create function still_held(loans jsonb, locked bigint[]) returns bigint[]
language plpgsql volatile security definer set search_path from current
as $$
begin
    return coalesce((
        select array_agg(mine.position)
        from (
            select l ->> 'queue' as queue, l ->> 'id' as id, (l ->> 'token')::bigint as token, n - 1 as position
            from jsonb_array_elements(loans) with ordinality as given (l, n)
        ) as mine
        join job on job.queue = mine.queue and job.id = mine.id and job.token = mine.token
        where job.due > clock_timestamp() and job.ctid <> all (array(
            -- the same loan may have been named twice
            select j.ctid from job as j join jsonb_array_elements(loans) with ordinality as l (named, n)
                on j.queue = named ->> 'queue' and j.id = named ->> 'id' where n - 1 = any (locked)
        ))
    ), '{}');
end
$$;

-- [{"queue", "id", "token"}, further with "then": [messages] or "again": {"delay", "body"}]
-- -> {"yes": [positions from 0], "busy": [positions]}. Busy: another transaction holds that job at the moment, and nothing
-- was changed. All others have lost their lease.
create function settle(settlements jsonb) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    instant timestamptz := clock_timestamp();
    places tid[];
    positions bigint[];
    busy bigint[];
    changed integer := 0;
    gone integer;
    more jsonb;
begin
    select h.places, h.positions, h.busy into places, positions, busy from hold(settlements) as h;
    if settlements @? '$[*].again' then
        update job set number = nextval('job_number'), token = null, receives = 0,
                       due = instant + coalesce((renewed.message ->> 'delay')::double precision, 0) * interval '1 second',
                       body = decode(renewed.message ->> 'body', 'base64')
        from (
            select place, settlements -> position::integer -> 'again' as message
            from unnest(places, positions) as held (place, position)
        ) as renewed
        where job.ctid = renewed.place and renewed.message is not null;
        get diagnostics changed = row_count;
        places := array(
            select place from unnest(places, positions) as held (place, position)
            where settlements -> position::integer -> 'again' is null
        );
    end if;
    delete from job where ctid = any (places);
    get diagnostics gone = row_count;
    if changed + gone <> coalesce(cardinality(positions), 0) then
        raise exception 'a locked job was not where it had been found';
    end if;
    if settlements @? '$[*].then' then
        select jsonb_agg(message) into more
        from unnest(positions) as held (position),
            jsonb_array_elements(settlements -> position::integer -> 'then') as message;
        perform send(coalesce(more, '[]'));
    end if;
    return json_build_object('yes', coalesce(positions, '{}'), 'busy', busy)::text;
end
$$;

-- [{"queue", "id", "token"}]: each loan ends *lease* seconds from now instead -> as settle.
create function extend(loans jsonb, lease double precision) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    places tid[];
    positions bigint[];
    busy bigint[];
begin
    select h.places, h.positions, h.busy into places, positions, busy from hold(loans) as h;
    update job set due = clock_timestamp() + lease * interval '1 second' where ctid = any (places);
    return json_build_object('yes', coalesce(positions, '{}'), 'busy', busy)::text;
end
$$;

-- -> [[queue, ready, delayed, leased, seconds since the oldest ready one became so or null]]; of all that hold messages if
-- none is named. Counted one by one, so it is exact, and takes about a tenth of a second for a million.
create function depth(queues text[]) returns text
language plpgsql stable security definer set search_path from current set jit = off set plan_cache_mode = force_custom_plan
as $$
declare
    instant timestamptz := clock_timestamp();
begin
    return coalesce((
        select json_agg(json_build_array(
            counted.queue, counted.ready, counted.delayed, counted.leased, extract(epoch from instant - counted.oldest)
        ) order by counted.queue)
        from (
            select queue,
                   count(*) filter (where due <= instant) as ready,
                   count(*) filter (where due > instant and receives = 0) as delayed,
                   count(*) filter (where due > instant and receives > 0) as leased,
                   min(due) filter (where due <= instant) as oldest
            from job where cardinality(queues) = 0 or queue = any (queues)
            group by queue
        ) as counted
    ), '[]')::text;
end
$$;

-- Removes up to *most* messages of *asked* that are not on loan -> how many. Called again until fewer than *most* are found,
-- so that no single statement runs long.
create function purge(asked text, most integer) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
declare
    instant timestamptz := clock_timestamp();
    gone integer;
begin
    delete from job where ctid = any (array(
        select ctid from job
        where queue = asked and (due <= instant or receives = 0)
        order by due, number limit most for update skip locked
    ));
    get diagnostics gone = row_count;
    return gone::text;
end
$$;
