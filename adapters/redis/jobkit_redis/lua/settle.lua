-- KEYS: all queues concerned. ARGV: for each settlement the queue's number, id, loan, and then
--   "again", delay, body                                    or
--   "done", n, and n times: queue's number, id, delay, body.
-- Delays in microseconds. Returns 1 (it happened) or 0 (the loan was over, nothing changed) for each.
-- Reads for all, then removes for all, then stores for all: few commands for many jobs, and a removal is the first write.
local at = 1

local function take(count)
  at = at + count
  return unpack(ARGV, at - count, at - 1)
end

local function read_message(queue, id)
  local delay, body = take(2)
  return { queue = queue, id = id, delay = tonumber(delay), body = body }
end

local function read_successors()
  local found = {}
  for n = 1, tonumber(take(1)) do
    local queue, id = take(2)
    found[n] = read_message(tonumber(queue), id)
  end
  return found
end

local settlements, ids, loans = {}, {}, {}
while at <= #ARGV do
  local queue, id, loan, kind = take(4)
  queue = tonumber(queue)
  local messages = kind == 'again' and { read_message(queue, id) } or read_successors()
  settlements[#settlements + 1] = { queue = queue, id = id, loan = loan, messages = messages }
  ids[queue] = ids[queue] or {}
  table.insert(ids[queue], id)
end

for queue, those in pairs(ids) do
  loans[queue] = living_loans(queue, those)
end

-- Of two settlements of one loan the first counts.
local answers, ended = {}, {}
for n, each in ipairs(settlements) do
  local held = loans[each.queue][each.id] == each.loan
  if held then
    loans[each.queue][each.id] = nil
    ended[each.queue] = ended[each.queue] or {}
    table.insert(ended[each.queue], each.id)
  end
  answers[n] = held and 1 or 0
end

for queue, those in pairs(ended) do
  redis.call('ZREM', key(queue, LENT), unpack(those))
  redis.call('HDEL', key(queue, LOAN), unpack(those))
  redis.call('HDEL', key(queue, BODY), unpack(those))
end

local soon = {}
for n, each in ipairs(settlements) do
  for _, message in ipairs(answers[n] == 1 and each.messages or {}) do
    if store(message.queue, message.id, now + message.delay, message.body) then
      soon[message.queue] = true
    end
  end
end
for queue in pairs(soon) do
  ring(queue)
end
return answers
