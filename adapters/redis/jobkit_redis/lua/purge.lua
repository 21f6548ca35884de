-- KEYS: one queue. ARGV: how many at most. Removes what nobody holds, and returns how many that were.
local most = tonumber(ARGV[1])

local function drop(part, ids)
  if #ids > 0 then
    redis.call('ZREM', key(1, part), unpack(ids))
    redis.call('HDEL', key(1, LOAN), unpack(ids))
    redis.call('HDEL', key(1, BODY), unpack(ids))
  end
  return #ids
end

local count = drop(DUE, redis.call('ZRANGE', key(1, DUE), 0, most - 1))
return count + drop(LENT, redis.call('ZRANGEBYSCORE', key(1, LENT), '-inf', digits(now), 'LIMIT', 0, most - count))
