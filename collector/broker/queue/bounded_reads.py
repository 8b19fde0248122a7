"""Lua scripts that read the streams for a worker, bounded by the unpacked size of the entries.

Each script runs atomically over all streams that it is given. An entry states its unpacked size in field `u`;
entries of an older version do not, and count as sixteen times their length.
"""

from typing import Final

from collector.broker.keys import GROUP

SHARED_DELIVERIES: Final = 4
"""An entry that was delivered this often without being acknowledged is delivered alone from then on."""

_SIZE: Final = """
local function size_of(fields)
  local packed, unpacked = 0, nil
  for i = 1, #fields, 2 do
    if fields[i] == 'u' then unpacked = tonumber(fields[i + 1]) end
    packed = packed + #fields[i + 1]
  end
  return unpacked or packed * 16
end
"""

READ: Final = f"""#!lua flags=allow-oom
{_SIZE}
-- KEYS: streams. ARGV: consumer, entries at most, bytes worth of entries, stream to begin with (from 0).
local found, bytes, is_without_group = {{}}, 0, 0
local left = {{}}
for i = 1, #KEYS do left[i] = (ARGV[4] + i - 1) % #KEYS + 1 end
while #left > 0 do
  local still = {{}}
  for _, index in ipairs(left) do
    if #found >= tonumber(ARGV[2]) or bytes >= tonumber(ARGV[3]) then
      return {{is_without_group, found}}
    end
    local reply = redis.pcall(
      'XREADGROUP', 'GROUP', '{GROUP}', ARGV[1], 'COUNT', 1, 'STREAMS', KEYS[index], '>')
    if type(reply) == 'table' and reply.err then
      if not string.find(reply.err, 'NOGROUP', 1, true) then return reply end
      is_without_group = 1
    elseif reply then
      local entry = reply[1][2][1]
      found[#found + 1] = {{index - 1, entry[1], entry[2], 1}}
      bytes = bytes + size_of(entry[2])
      still[#still + 1] = index
    end
  end
  left = still
end
return {{is_without_group, found}}
"""
"""Reads new entries, one of each stream in turn."""

CLAIM: Final = f"""#!lua flags=allow-oom
{_SIZE}
-- KEYS: streams. ARGV: consumer, idle milliseconds, entries at most, bytes worth of entries, names of entries
-- that this consumer holds.
local in_hand = {{}}
for i = 5, #ARGV do in_hand[ARGV[i]] = true end
local found, bytes = {{}}, 0
for index, stream in ipairs(KEYS) do
  local pending = redis.pcall('XPENDING', stream, '{GROUP}', 'IDLE', ARGV[2], '-', '+', ARGV[3])
  if pending.err and not string.find(pending.err, 'NOGROUP', 1, true) then return pending end
  for _, each in ipairs(pending.err and {{}} or pending) do
    if #found >= tonumber(ARGV[3]) or bytes >= tonumber(ARGV[4]) then return found end
    local is_alone = each[4] >= {SHARED_DELIVERIES}
    if not in_hand[(index - 1) .. ':' .. each[1]] and not (is_alone and #found > 0) then
      local entry = redis.call('XCLAIM', stream, '{GROUP}', ARGV[1], ARGV[2], each[1])[1]
      if entry then  -- else it was deleted, and is no longer pending
        found[#found + 1] = {{index - 1, entry[1], entry[2], each[4] + 1}}
        bytes = bytes + size_of(entry[2])
        if is_alone then return found end
      end
    end
  end
end
return found
"""
"""Claims entries that were not acknowledged in time; one that was delivered often is returned alone."""

KEEP: Final = f"""#!lua flags=allow-oom
-- KEYS: streams. ARGV: consumer, then the index of a stream (from 0) and the id of an entry, in turn.
for i = 2, #ARGV, 2 do
  local stream, id = KEYS[ARGV[i] + 1], ARGV[i + 1]
  local pending = redis.pcall('XPENDING', stream, '{GROUP}', id, id, 1, ARGV[1])
  if not pending.err and #pending > 0 then
    redis.call('XCLAIM', stream, '{GROUP}', ARGV[1], 0, id, 'JUSTID')
  end
end
"""
"""Resets the idle time of entries without a delivery; leaves those that another consumer has claimed."""
