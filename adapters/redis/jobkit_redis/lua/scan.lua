-- ARGV: "forwards" or "backwards", the name to begin beyond (empty for the first), how many at most.
-- Returns name, version and value of each. Expired ones are passed over, however many stand in a row.
local command = ARGV[1] == 'forwards' and 'ZRANGEBYLEX' or 'ZREVRANGEBYLEX'
local last = ARGV[1] == 'forwards' and '+' or '-'
local first = ARGV[1] == 'forwards' and '-' or '+'
local after = ARGV[2] == '' and first or '(' .. ARGV[2]
local rest, found = tonumber(ARGV[3]), {}

while rest > 0 do
  local asked = math.min(rest, 1000)
  local names = redis.call(command, NAMES, after, last, 'LIMIT', 0, asked)
  for n, version in ipairs(living(names)) do
    if version then
      found[#found + 1] = names[n]
      found[#found + 1] = version
      found[#found + 1] = redis.call('HGET', VALUES, names[n])
      rest = rest - 1
    end
  end
  if #names < asked then
    break
  end
  after = '(' .. names[#names]
end
return found
