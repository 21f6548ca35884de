-- What the scripts on queues share. Each script is this text and its own.
--
-- KEYS: five for each queue, in this order; all of them lie in one slot of a cluster.
--   due    sorted set: the ids of what nobody holds, by the microsecond from which it may be received
--   lent   sorted set: the ids of what is on loan, by the microsecond in which the loan lapses
--   loan   hash: id -> "loan receives", for what is in lent
--   body   hash: id -> body, for what is in due or lent
--   wake   list: one token while something is ready, for one waiting receiver to take; a hint, never a job
--
-- Scripts are not rolled back. Whatever can fail (full memory, a lost disk) fails at the first write, so every script
-- that ends loans begins its writing with a removal: that one is allowed at full memory too, and then so are the others.

local DUE, LENT, LOAN, BODY, WAKE = 1, 2, 3, 4, 5

-- Microseconds. A receiver that waits looks again after 0.8 s by itself.
local SOON = 800000

local function key(queue, part)
  return KEYS[(queue - 1) * 5 + part]
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- Lua would write 1.7e+15 and lose the last digits.
local function digits(number)
  return string.format('%.0f', number)
end

-- Let one waiting receiver look.
local function ring(queue)
  if redis.call('EXISTS', key(queue, WAKE)) == 0 then
    redis.call('RPUSH', key(queue, WAKE), '1')
  end
end

-- Put a new message in its queue. An id that lives there already is left alone: its first send's reply was lost.
-- The body comes last, since it is what makes an id live: a user who lacks a right leaves no job behind that is nowhere due.
local function store(queue, id, due, body)
  if redis.call('HEXISTS', key(queue, BODY), id) == 1 then
    return false
  end
  redis.call('ZADD', key(queue, DUE), digits(due), id)
  redis.call('HSET', key(queue, BODY), id, body)
  return due - now <= SOON
end

-- The names of the loans that are still held, by id. One that has lapsed is over even if nobody has taken the job since.
local function living_loans(queue, ids)
  local found = {}
  local notes = redis.call('HMGET', key(queue, LOAN), unpack(ids))
  local lapses = redis.call('ZMSCORE', key(queue, LENT), unpack(ids))
  for n, id in ipairs(ids) do
    if notes[n] and lapses[n] and tonumber(lapses[n]) > now then
      found[id] = string.match(notes[n], '^%S+')
    end
  end
  return found
end

-- The microsecond in which the first of a sorted set is due, or nil.
local function head(queue, part)
  return tonumber(redis.call('ZRANGE', key(queue, part), 0, 0, 'WITHSCORES')[2])
end
