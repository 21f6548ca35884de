-- KEYS: queues, the first first. ARGV: how many at most, the lease in microseconds, this loan's name, how many bytes of bodies
-- at most (one body is always handed out), and the names of loans whose replies were lost on their way to the same caller.
-- Returns the microseconds until something will be due (-1 if nothing, and 0 if something was found), then for each loan:
-- the queue's number, id, receives, body.
local rest, lease, loan, room = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local until_ = digits(now + lease)
local found = { 0 }

local lost, any_lost = {}, #ARGV > 4
for n = 5, #ARGV do
  lost[ARGV[n]] = true
end

-- Lend those of ids for which there is room. They are taken from the set in which they stand before they join lent, so that
-- the first write is a removal. An id without a body (which no script leaves behind) is dropped.
local function lend(queue, part, ids, step)
  local gone, lent, notes = {}, {}, {}
  local loans = part == LENT and #ids > 0 and redis.call('HMGET', key(queue, LOAN), unpack(ids)) or {}
  for n, id in ipairs(ids) do
    if rest < 1 or room < 1 then
      break
    end
    local body = redis.call('HGET', key(queue, BODY), id)
    gone[#gone + 1] = id
    if body then
      local receives = (loans[n] and tonumber(string.match(loans[n], '%d+$')) or 0) + step
      lent[#lent + 1], lent[#lent + 2] = until_, id
      notes[#notes + 1], notes[#notes + 2] = id, loan .. ' ' .. digits(receives)
      found[#found + 1], found[#found + 2], found[#found + 3], found[#found + 4] = queue, id, receives, body
      rest, room = rest - 1, room - #body
    end
  end
  if #gone > 0 then
    redis.call('ZREM', key(queue, part), unpack(gone))
  end
  if #lent > 0 then
    redis.call('ZADD', key(queue, LENT), unpack(lent))
    redis.call('HSET', key(queue, LOAN), unpack(notes))
  end
end

-- What was lent to the caller in replies that it never saw: the same jobs again, and no delivery more.
local function lend_again(queue)
  local all = redis.call('ZRANGE', key(queue, LENT), 0, -1)
  for first = 1, #all, 1000 do
    local ids, again = { unpack(all, first, math.min(first + 999, #all)) }, {}
    for n, note in ipairs(redis.call('HMGET', key(queue, LOAN), unpack(ids))) do
      if note and lost[string.match(note, '^%S+')] then
        again[#again + 1] = ids[n]
      end
    end
    lend(queue, LENT, again, 0)
  end
end

local function lend_ready(queue, part)
  if rest > 0 and room > 0 then
    lend(queue, part, redis.call('ZRANGEBYSCORE', key(queue, part), '-inf', digits(now), 'LIMIT', 0, rest), 1)
  end
end

-- Pass the token on: while something is ready there is one for the next receiver, and none where nothing is.
local function pass_on(queue, due, lapses)
  if due and due <= now or lapses and lapses <= now then
    ring(queue)
  else
    redis.call('DEL', key(queue, WAKE))
  end
end

local next_due
for queue = 1, #KEYS / 5 do
  if rest < 1 or room < 1 then
    break
  end
  if any_lost then
    lend_again(queue)
  end
  lend_ready(queue, LENT)
  lend_ready(queue, DUE)
  local due, lapses = head(queue, DUE), head(queue, LENT)
  pass_on(queue, due, lapses)
  local first = math.min(due or math.huge, lapses or math.huge)
  next_due = math.min(next_due or math.huge, first)
end

if #found == 1 then
  found[1] = next_due and next_due < math.huge and math.max(0, next_due - now) or -1
end
return found
