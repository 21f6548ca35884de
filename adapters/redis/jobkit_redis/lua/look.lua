-- KEYS: one queue. Returns the microseconds until something is due: 0 if something is, -1 if nothing ever will be.
local first = math.min(head(1, DUE) or math.huge, head(1, LENT) or math.huge)
return first < math.huge and math.max(0, first - now) or -1
