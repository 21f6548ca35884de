-- ARGV: how far to count.
local living_ones = redis.call('ZCARD', NAMES) - redis.call('ZCOUNT', EXPIRY, '-inf', digits(now))
return math.min(living_ones, tonumber(ARGV[1]))
