-- ARGV: for each write its name, what it expects ("any", "absent" or "version"), that version, the new version (empty to
-- delete), microseconds to live (empty for ever) and value. Returns 1 (written) or 0 (the compare failed) for each.
-- Versions are made by the callers, at random: a counter would begin anew on a replica that was promoted too early.

local function holds(name, expect, version)
  if expect == 'any' then
    return true
  end
  local found = living({ name })[1]
  if expect == 'absent' then
    return not found
  end
  return found == version
end

local function write(name, version, ttl, value)
  redis.call('HSET', VERSIONS, name, version)
  redis.call('HSET', VALUES, name, value)
  redis.call('ZADD', NAMES, 0, name)
  if ttl == '' then
    redis.call('ZREM', EXPIRY, name)
  else
    redis.call('ZADD', EXPIRY, digits(now + tonumber(ttl)), name)
  end
end

-- Whoever writes clears away twice as much as it can leave behind.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', digits(now), 'LIMIT', 0, #ARGV / 3)) do
  remove(name)
end

local answers = {}
for n = 1, #ARGV, 6 do
  local name, expect, expected, version, ttl, value = unpack(ARGV, n, n + 5)
  local good = holds(name, expect, expected)
  if good and version == '' then
    remove(name)
  elseif good then
    write(name, version, ttl, value)
  end
  answers[#answers + 1] = good and 1 or 0
end
return answers
