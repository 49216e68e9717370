// What Redis is asked, as scripts: one for each kind of question, so that each is one step that nothing comes between.
//
// The arithmetic is gcra.ts and open-connections.ts once more, in Lua, whose numbers are the same doubles; the store contract
// (test/limits) is asked of both. The clock is Redis' own, so that all nodes agree on it. Every key is written with a time to
// live: a bucket's ends when it is empty, which is what a missing one means.
//
// Connections are counted for each node: a node that has not been heard for LEASE is dead, and what it had open counts no more.

/** Milliseconds that the connections of a node count after it was heard last. */
export const LEASE = 10_000;

const DAY = 86_400_000;
const YEAR = 365 * DAY; // the longest ban, and the longest window of a bucket
const MOST_BANS = 100_000; // as in bans.ts

const CLOCK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

// 'at level limit window', each with all its digits: Lua's own way to print numbers keeps 14.
const BUCKETS = `
local function level(key, limit, window)
  local kept = redis.call('GET', key)
  if not kept then return 0, now end
  local at, full, l, w = string.match(kept, '^(%S+) (%S+) (%S+) (%S+)$')
  at, full, l, w = tonumber(at), tonumber(full), tonumber(l), tonumber(w)
  if now > at then
    full = math.max(0, full - (now - at) * l)
    at = now
  end
  if w ~= window then full = full * window / w end
  return full, at
end

local function room(full, limit, window) return math.floor((limit * window - full) / window) end

local function put(key, full, at, limit, window)
  local left = limit > 0 and full / limit or window
  left = math.min(math.max(1, math.ceil(left + at - now)), ${YEAR})
  redis.call('SET', key, string.format('%.0f %.17g %.0f %.0f', at, full, limit, window), 'PX', string.format('%.0f', left))
end

local function fill(key, limit, window, cost)
  local full, at = level(key, limit, window)
  put(key, full + cost * window, at, limit, window)
  return room(full + cost * window, limit, window)
end
`;

const BANS = `
local function banned(bans, networks)
  if #networks == 0 or redis.call('EXISTS', bans) == 0 then return false end
  for _, network in ipairs(networks) do
    local till = redis.call('ZSCORE', bans, network)
    if till and tonumber(till) > now then return true end
  end
  return false
end

-- true when there was none
local function ban(bans, by, version, network, length, who)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', bans, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', bans, old)
    redis.call('HDEL', by, old)
  end
  local till = redis.call('ZSCORE', bans, network)
  if not till or tonumber(till) < now + length then
    redis.call('ZADD', bans, string.format('%.0f', now + length), network)
  end
  redis.call('HSET', by, network, who)
  if redis.call('ZCARD', bans) > ${MOST_BANS} then
    local soonest = redis.call('ZRANGE', bans, 0, 0)[1]
    redis.call('ZREM', bans, soonest)
    redis.call('HDEL', by, soonest)
  end
  local last = redis.call('ZREVRANGE', bans, 0, 0, 'WITHSCORES')[2]
  for _, key in ipairs({ bans, by }) do redis.call('PEXPIREAT', key, string.format('%.0f', last + 1)) end
  redis.call('INCR', version)
  redis.call('PEXPIRE', version, ${YEAR})
  return not till
end
`;

// KEYS: bans, by, version, then one for each charge, then the strike's, then that of its `once`.
// ARGV: charges, (limit window cost) each, networks, each, strike: limit window faults network length – or nothing,
// once: limit window – or nothing
const QUESTION = `
local at = 1
local function arg()
  at = at + 1
  return ARGV[at - 1]
end
local function number() return tonumber(arg()) end

local charges = {}
for i = 1, number() do charges[i] = { key = KEYS[FIRST + i], limit = number(), window = number(), cost = number() } end
local networks = {}
for i = 1, number() do networks[i] = arg() end
local strike = nil
if ARGV[at] then
  strike = { key = KEYS[FIRST + #charges + 1], limit = number(), window = number(), faults = number(), network = arg(), length = number() }
  if ARGV[at] then strike.once = { key = KEYS[FIRST + #charges + 2], limit = number(), window = number() } end
end

-- the first that does not fit, counted from 0; -1
local function refusing()
  for i, charge in ipairs(charges) do
    local full = level(charge.key, charge.limit, charge.window)
    if room(full, charge.limit, charge.window) < math.max(1, charge.cost) then return i - 1 end
  end
  return -1
end

local function pay()
  for _, charge in ipairs(charges) do
    if charge.cost > 0 then fill(charge.key, charge.limit, charge.window, charge.cost) end
  end
end

-- room in each
local function rooms(answer)
  for _, charge in ipairs(charges) do
    table.insert(answer, room(level(charge.key, charge.limit, charge.window), charge.limit, charge.window))
  end
  return answer
end

-- 1 when this was one too many
local function hit()
  if not strike then return 0 end
  local once = strike.once
  if once then
    local full = level(once.key, once.limit, once.window)
    if room(full, once.limit, once.window) < 1 then return 0 end
    fill(once.key, once.limit, once.window, 1)
  end
  if fill(strike.key, strike.limit, strike.window, 1) > 0 then return 0 end
  ban(KEYS[1], KEYS[2], KEYS[3], strike.network, strike.length, 'limits')
  return 1
end
`;

const NODES = `
-- in all, and those of one more reader: the counts of the living
local function open(key, alive)
  local sum = 0
  local counts = redis.call('HGETALL', key)
  for i = 1, #counts, 2 do
    if alive[counts[i]] then sum = sum + counts[i + 1] else redis.call('HDEL', key, counts[i]) end
  end
  return sum
end

local function living(nodes)
  local alive = {}
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', nodes, now - ${LEASE}, '+inf')) do alive[node] = true end
  return alive
end

local function seat(key, node, difference)
  if redis.call('HINCRBY', key, node, difference) <= 0 then redis.call('HDEL', key, node) end
  redis.call('PEXPIRE', key, ${DAY})
end
`;

const ASKED = QUESTION.replaceAll('FIRST', '3');
const ENTRY = QUESTION.replaceAll('FIRST', '6');

/** Answers refused, banned (0 no, 1 now, 2 was), and the room that is left for each charge. */
const TAKE = `${CLOCK}${BUCKETS}${BANS}${ASKED}
if banned(KEYS[1], networks) then return { -1, 2 } end
local refused = refusing()
if refused == -1 then pay() end
local now_banned = 0
if strike and refused ~= -1 and refused < strike.faults then now_banned = hit() end
return rooms({ refused, now_banned })
`;

/** KEYS: one for each charge. ARGV: limit window cost each. */
const CHARGE = `${CLOCK}${BUCKETS}
for i, key in ipairs(KEYS) do fill(key, tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])) end
return 1
`;

/** KEYS: bans, by, version, nodes, the connector's seats, the source's, then as above. ARGV: as above, and before it: node,
 * connections of the source and of the connector, percent, force. Answers refused, banned, and
 * room as above. */
const ENTER = `${CLOCK}${BUCKETS}${BANS}${NODES}
local node, ofSource, ofConnector = table.remove(ARGV, 1), tonumber(table.remove(ARGV, 1)), tonumber(table.remove(ARGV, 1))
local percent, force = tonumber(table.remove(ARGV, 1)), table.remove(ARGV, 1) == '1'
${ENTRY}
local refused, was = '', 0
if banned(KEYS[1], networks) then
  refused, was = 'ban', 2
else
  local alive = living(KEYS[4])
  local all, own = open(KEYS[5], alive), open(KEYS[6], alive)
  local function of(left) return percent >= 100 and math.huge or math.max(1, math.floor(percent * left / 100)) end
  local share = of(ofConnector - (all - own))
  if refusing() ~= -1 then refused = 'rate'
  elseif own >= ofSource then refused = 'source'
  elseif own >= share then refused = 'percent'
  elseif all >= ofConnector then refused = 'connector' end
  -- what the others leave is theirs
  local theirs = refused == 'connector' or (refused == 'percent' and own < of(ofConnector))
  if refused ~= '' and not theirs then was = hit() end
end
if refused == '' or force then
  pay()
  seat(KEYS[5], node, 1)
  seat(KEYS[6], node, 1)
end
return rooms({ refused, was })
`;

/** What a node counted by itself. KEYS: one for each bucket. ARGV: level limit window each. */
const MERGE = `${CLOCK}${BUCKETS}
for i, key in ipairs(KEYS) do
  local own, limit, window = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local full, at = level(key, limit, window)
  if own > full then put(key, own, at, limit, window) end
end
return 1
`;

/** KEYS: seats. ARGV: node, how many more there are: -1 where one leaves. */
const MOVE = `${CLOCK}${NODES}
for _, key in ipairs(KEYS) do seat(key, ARGV[1], ARGV[2]) end
return 1
`;

/** KEYS: bans, by, version. ARGV: network, length, who. Answers 1 when there was none. */
const BAN = `${CLOCK}${BANS}
return ban(KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2]), ARGV[3]) and 1 or 0
`;

/** KEYS: bans, by, version. ARGV: network. Answers 1 when there was one. */
const LIFT = `${CLOCK}
local till = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('INCR', KEYS[3])
redis.call('PEXPIRE', KEYS[3], ${YEAR})
return till and tonumber(till) > now and 1 or 0
`;

/** A node is alive. KEYS: bans, by, version, nodes. ARGV: node, the version it knows, how many bans at most. Answers whether it
 * was thought alive, and the version of the bans; if that is another, then how many there are and of the longest each network,
 * milliseconds left, by whom. */
const BEAT = `${CLOCK}
local heard = redis.call('ZSCORE', KEYS[4], ARGV[1])
local alive = heard and tonumber(heard) >= now - ${LEASE} and 1 or 0
redis.call('ZADD', KEYS[4], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', string.format('%.0f', now - 10 * ${LEASE}))
redis.call('PEXPIRE', KEYS[4], ${DAY})
local version = redis.call('GET', KEYS[3]) or ''
if version == ARGV[2] then return { alive, version } end
local answer = { alive, version, redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now), '+inf') }
local bans = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', string.format('(%.0f', now), 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for i = 1, #bans, 2 do
  table.insert(answer, bans[i])
  table.insert(answer, string.format('%.0f', bans[i + 1] - now))
  table.insert(answer, redis.call('HGET', KEYS[2], bans[i]) or 'limits')
end
return answer
`;

/** A node begins: the name it had counts no more, the new one has so many seats. KEYS: nodes, then seats. ARGV: the name
 * before, the new one, then a count for each key. */
const BEGIN = `${CLOCK}
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[2])
redis.call('PEXPIRE', KEYS[1], ${DAY})
for i = 2, #KEYS do
  redis.call('HSET', KEYS[i], ARGV[2], ARGV[i + 1])
  redis.call('PEXPIRE', KEYS[i], ${DAY})
end
return 1
`;

/** A node ends. KEYS: nodes. ARGV: its name. */
const END = `return redis.call('ZREM', KEYS[1], ARGV[1])`;

/** KEYS: nodes, buckets, then seats. ARGV: how many buckets, (limit window) each. Answers the level of each in events, as text,
 * then the connections of each. */
const LOOK = `${CLOCK}${BUCKETS}${NODES}
local answer = {}
local buckets = tonumber(ARGV[1])
for i = 1, buckets do
  local window = tonumber(ARGV[2 * i + 1])
  answer[i] = string.format('%.17g', level(KEYS[i + 1], tonumber(ARGV[2 * i]), window) / window)
end
local alive = living(KEYS[1])
for i = buckets + 2, #KEYS do table.insert(answer, tostring(open(KEYS[i], alive))) end
return answer
`;

export const SCRIPTS = {
  take: TAKE,
  charge: CHARGE,
  merge: MERGE,
  enter: ENTER,
  move: MOVE,
  ban: BAN,
  lift: LIFT,
  beat: BEAT,
  begin: BEGIN,
  end: END,
  look: LOOK,
} as const;
