-- Every function runs as the schema's owner and with a pinned search path: a role that may execute it needs no right on any
-- table. Planner settings are pinned too. The tables grow from nothing to millions of rows and back while clients keep
-- their cached plans, and a plan that was right for the empty table would read all of the full one.

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
set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
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

-- [{"queue", "id", "token"}, further with "then": [messages] or "again": {"delay", "body"}]
-- -> {"yes": [positions from 0], "busy": [positions]}. Busy: another transaction holds that row at the moment, and nothing
-- was changed. All others have lost their lease.
create function settle(settlements jsonb) returns text
language plpgsql security definer set search_path from current
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    instant timestamptz := clock_timestamp();
    places tid[];
    positions bigint[];
    changed integer;
    gone integer;
    busy bigint[] := '{}';
    more jsonb;
begin
    -- The token is all that is compared beside the key and the lease: any other condition on the state would let the
    -- planner take an index that statistics believe to be empty. Who waits for a locked row would hold up all others.
    select array_agg(held.place), array_agg(held.position) into places, positions
    from (
        select job.ctid as place, mine.position
        from (
            select s ->> 'queue' as queue, s ->> 'id' as id, (s ->> 'token')::bigint as token, n - 1 as position
            from jsonb_array_elements(settlements) with ordinality as given (s, n)
        ) as mine
        join job on job.queue = mine.queue and job.id = mine.id and job.token = mine.token and job.due > instant
        for update of job skip locked
    ) as held;
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
        delete from job where ctid = any (array(
            select place from unnest(places, positions) as held (place, position)
            where settlements -> position::integer -> 'again' is null
        ));
    else
        changed := 0;
        delete from job where ctid = any (places);
    end if;
    get diagnostics gone = row_count;
    if changed + gone <> coalesce(cardinality(positions), 0) then
        raise exception 'a locked job was not where it had been found';
    end if;
    if settlements @? '$[*].then' then
        select jsonb_agg(message) into more
        from unnest(positions) as held (position), jsonb_array_elements(settlements -> position::integer -> 'then') as message;
        perform send(coalesce(more, '[]'));
    end if;
    if coalesce(cardinality(positions), 0) < jsonb_array_length(settlements) then
        busy := still_held(settlements, positions);
    end if;
    return json_build_object('yes', coalesce(positions, '{}'), 'busy', busy)::text;
end
$$;

-- The positions of *loans*, except *settled* ones, whose lease lives on in a row that somebody else has locked.
create function still_held(loans jsonb, settled bigint[]) returns bigint[]
language sql volatile security definer set search_path from current set enable_seqscan = off set enable_hashjoin = off
as $$
    select coalesce(array_agg(mine.position), '{}')
    from (
        select l ->> 'queue' as queue, l ->> 'id' as id, (l ->> 'token')::bigint as token, n - 1 as position
        from jsonb_array_elements(loans) with ordinality as given (l, n)
        where n - 1 <> all (coalesce(settled, '{}'))
    ) as mine
    join job on job.queue = mine.queue and job.id = mine.id and job.token = mine.token and job.due > clock_timestamp()
$$;

-- [{"queue", "id", "token"}]: each loan ends *lease* seconds from now instead -> as settle.
create function extend(loans jsonb, lease double precision) returns text
language plpgsql security definer set search_path from current
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    instant timestamptz := clock_timestamp();
    places tid[];
    positions bigint[];
    busy bigint[] := '{}';
begin
    -- A handler may be settling one of these jobs in its own open transaction: that row is left alone, the others go on.
    select array_agg(held.place), array_agg(held.position) into places, positions
    from (
        select job.ctid as place, mine.position
        from (
            select l ->> 'queue' as queue, l ->> 'id' as id, (l ->> 'token')::bigint as token, n - 1 as position
            from jsonb_array_elements(loans) with ordinality as given (l, n)
        ) as mine
        join job on job.queue = mine.queue and job.id = mine.id and job.token = mine.token and job.due > instant
        for update of job skip locked
    ) as held;
    update job set due = instant + lease * interval '1 second' where ctid = any (places);
    if coalesce(cardinality(positions), 0) < jsonb_array_length(loans) then
        busy := still_held(loans, positions);
    end if;
    return json_build_object('yes', coalesce(positions, '{}'), 'busy', busy)::text;
end
$$;

-- -> [[queue, ready, delayed, leased, seconds since the oldest ready one became so or null]]; of all that hold messages if
-- none is named. Counted one by one, so it is exact, and takes about a tenth of a second for a million.
create function depth(queues text[]) returns text
language plpgsql stable security definer set search_path from current set plan_cache_mode = force_custom_plan
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
language plpgsql security definer set search_path from current set enable_seqscan = off
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
