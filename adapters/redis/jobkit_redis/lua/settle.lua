-- KEYS: all queues concerned. ARGV: for each settlement the queue's number, id, loan, and then
--   "again", delay, body                                    or
--   "done", n, and n times: queue's number, id, delay, body.
-- Delays in microseconds. Returns 1 (it happened) or 0 (the loan was over, nothing changed) for each.
local at, answers, soon = 1, {}, {}

local function take(count)
  at = at + count
  return unpack(ARGV, at - count, at - 1)
end

local function end_loan(queue, id)
  redis.call('ZREM', key(queue, LENT), id)
  redis.call('HDEL', key(queue, LOAN), id)
end

local function put(queue, id, delay, body)
  if store(queue, id, now + tonumber(delay), body) then
    soon[queue] = true
  end
end

local function again(queue, id, held)
  local delay, body = take(2)
  if held then
    end_loan(queue, id)
    redis.call('HDEL', key(queue, BODY), id)
    put(queue, id, delay, body)
  end
end

local function done(queue, id, held)
  local count = tonumber(take(1))
  if held then
    end_loan(queue, id)
    redis.call('HDEL', key(queue, BODY), id)
  end
  for _ = 1, count do
    local other, name, delay, body = take(4)
    if held then
      put(tonumber(other), name, delay, body)
    end
  end
end

while at <= #ARGV do
  local queue, id, loan, kind = take(4)
  queue = tonumber(queue)
  local held = holds(queue, id, loan)
  if kind == 'again' then
    again(queue, id, held)
  else
    done(queue, id, held)
  end
  answers[#answers + 1] = held and 1 or 0
end

for queue in pairs(soon) do
  ring(queue)
end
return answers
