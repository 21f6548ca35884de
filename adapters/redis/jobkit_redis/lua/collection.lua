-- What the scripts on collections share. Each script is this text and its own.
--
-- KEYS: four, all in one slot of a cluster.
--   names      sorted set, all scores 0: the names in the order of their bytes
--   versions   hash: name -> version
--   values     hash: name -> value
--   expiry     sorted set: the names of records that expire, by the microsecond in which they do

local NAMES, VERSIONS, VALUES, EXPIRY = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function digits(number)
  return string.format('%.0f', number)
end

local function remove(name)
  redis.call('ZREM', NAMES, name)
  redis.call('ZREM', EXPIRY, name)
  redis.call('HDEL', VERSIONS, name)
  redis.call('HDEL', VALUES, name)
end

-- Versions of the named records, false for those that are not there or have expired.
local function living(names)
  if #names == 0 then
    return {}
  end
  local versions = redis.call('HMGET', VERSIONS, unpack(names))
  for n, expires in ipairs(redis.call('ZMSCORE', EXPIRY, unpack(names))) do
    if expires and tonumber(expires) <= now then
      versions[n] = false
    end
  end
  return versions
end
