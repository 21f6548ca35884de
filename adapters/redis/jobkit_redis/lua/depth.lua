-- KEYS: one queue. Returns how many are ready, delayed and on loan, and for how many microseconds the first has been ready
-- (-1 if none is). Changes nothing.
local soon = '(' .. digits(now)
local lapsed = redis.call('ZCOUNT', key(1, LENT), '-inf', digits(now))
local ready = redis.call('ZCOUNT', key(1, DUE), '-inf', digits(now))
local oldest = math.min(head(1, DUE) or math.huge, head(1, LENT) or math.huge)
return {
  ready + lapsed,
  redis.call('ZCOUNT', key(1, DUE), soon, '+inf'),
  redis.call('ZCOUNT', key(1, LENT), soon, '+inf'),
  oldest <= now and now - oldest or -1,
}
