-- KEYS: one queue. ARGV: the lease in microseconds, or 0 to ask only; then id and loan of each delivery.
-- Returns 1 (held) or 0 (over) for each.
local lease, answers = tonumber(ARGV[1]), {}
for n = 2, #ARGV, 2 do
  local held = holds(1, ARGV[n], ARGV[n + 1])
  if held and lease > 0 then
    redis.call('ZREM', key(1, LENT), ARGV[n])
    redis.call('ZADD', key(1, LENT), digits(now + lease), ARGV[n])
  end
  answers[#answers + 1] = held and 1 or 0
end
return answers
