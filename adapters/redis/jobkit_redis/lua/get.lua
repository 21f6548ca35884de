-- ARGV: names. Returns version and value of each, both nil where there is no record.
local found = {}
for first = 1, #ARGV, 1000 do
  local names = { unpack(ARGV, first, math.min(first + 999, #ARGV)) }
  for n, version in ipairs(living(names)) do
    found[#found + 1] = version
    found[#found + 1] = version and redis.call('HGET', VALUES, names[n])
  end
end
return found
