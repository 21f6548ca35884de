-- KEYS: one queue. ARGV: id, delay in microseconds and body of each message.
-- A batch shares one instant; a microsecond for each message behind it keeps its order, and lies in the past so that all are
-- ready at once.
local count, soon = #ARGV / 3, false
for n = 0, count - 1 do
  local delay = tonumber(ARGV[3 * n + 2])
  local due = delay > 0 and now + delay or now - (count - n)
  soon = store(1, ARGV[3 * n + 1], due, ARGV[3 * n + 3]) or soon
end
if soon then
  ring(1)
end
return count
