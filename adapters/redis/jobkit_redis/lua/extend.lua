-- KEYS: one queue. ARGV: the lease in microseconds, or 0 to ask only; then id and loan of each delivery.
-- Returns 1 (held) or 0 (over) for each.
local lease, answers, held, ids = tonumber(ARGV[1]), {}, {}, {}
for n = 2, #ARGV, 2 do
  ids[#ids + 1] = ARGV[n]
end

local loans, lapses = living_loans(1, ids), digits(now + lease)
for n, id in ipairs(ids) do
  answers[n] = loans[id] == ARGV[2 * n + 1] and 1 or 0
  if answers[n] == 1 then
    held[#held + 1], held[#held + 2] = lapses, id
  end
end

if lease > 0 and #held > 0 then
  -- A removal of nothing, so that what follows is allowed at full memory: it takes no room.
  redis.call('ZREM', key(1, LENT), '')
  redis.call('ZADD', key(1, LENT), unpack(held))
end
return answers
