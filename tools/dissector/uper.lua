-- The reader of UPER: walks a type of TYPES over octets and gives a tree of what it found. Knows nothing of Wireshark.
--
-- A node is {name, from, upto (bits), type, value, children}; `value` is a number, a boolean, a string of octets or of
-- characters, a UInt64, or the place of an alternative. What cannot be read raises a fault {path, reason, unknown}, and
-- the nodes that were read before it stay. Lua 5.2 to 5.4: nothing but arithmetic on bits.

local ENDS = "the octets end too early"
local VISIBLE, NUMERIC = "visible", "numeric"

local function fault(reader, reason, unknown)
    error({ path = table.concat(reader.path, "."), reason = reason, unknown = unknown }, 0)
end

-- Takes a number of `width` bits, 48 at most: more than that a number of Lua 5.2 cannot hold exactly.
local function take(reader, width)
    if reader.at + width > reader.bits then
        fault(reader, ENDS)
    end
    local value, at, left = 0, reader.at, width
    while left > 0 do
        local octet = reader.octets:byte(math.floor(at / 8) + 1)
        local free = 8 - at % 8
        local piece = math.min(free, left)
        value = value * 2 ^ piece + math.floor(octet / 2 ^ (free - piece)) % 2 ^ piece
        at, left = at + piece, left - piece
    end
    reader.at = at
    return math.floor(value)
end

local function take_octets(reader, size)
    if reader.at + 8 * size > reader.bits then
        fault(reader, ENDS)
    end
    local found = {}
    for place = 1, size do
        found[place] = string.char(take(reader, 8))
    end
    return table.concat(found)
end

local function in_range(reader, width, lower, upper)
    local distance = take(reader, width)
    if distance > upper - lower then
        fault(reader, string.format("%d is not in %d..%d", distance + lower, lower, upper))
    end
    return lower + distance
end

-- A place in an ENUMERATED or a CHOICE; what was added later has a form of its own (X.691 14.3, 23.8).
local function place_of(reader, width, count, what)
    local place = take(reader, width)
    if place < count then
        return place
    end
    if place >= 2 ^ (width - 1) then
        reader.at = reader.at - width + 1
        place = count + take(reader, 7)
    end
    fault(reader, string.format("unknown %s %d", what, place), true)
end

-- What is left fills up an octet, with zeros.
local function check_filled(reader)
    local left = reader.bits - reader.at
    if left >= 8 then
        fault(reader, string.format("trailing octets: %d", math.floor(left / 8)))
    end
    if take(reader, left) ~= 0 then
        fault(reader, "padding that is not zero")
    end
end

local read_node

local function read_additions(reader, node, additions)
    local count = take(reader, 7) + 1
    if count > 64 then
        fault(reader, "an addition beyond the 64th")
    end
    local present, any = {}, false
    for place = 1, count do
        present[place] = take(reader, 1) == 1
        any = any or present[place]
    end
    if not any then
        fault(reader, "additions are announced but there are none")
    end
    for place = 1, count do
        if present[place] then
            local size = take(reader, 8)
            if size >= 192 then
                fault(reader, "an addition in fragments")
            elseif size >= 128 then
                size = (size - 128) * 256 + take(reader, 8)
            end
            local ends = reader.at + 8 * size
            if ends > reader.bits then
                fault(reader, ENDS)
            end
            if additions[place] then
                local inner = { octets = reader.octets, at = reader.at, bits = ends, path = reader.path }
                read_node(inner, node, additions[place].name, additions[place].type)
                check_filled(inner)
            end
            reader.at = ends -- an addition of a later release is stepped over
        end
    end
end

local READ = {
    integer = function(reader, kind)
        if kind.width <= 48 then
            return in_range(reader, kind.width, kind.lower, kind.upper)
        end
        local high = take(reader, kind.width - 32)
        return UInt64(take(reader, 32), high)
    end,
    boolean = function(reader)
        return take(reader, 1) == 1
    end,
    bits = function(reader, kind)
        return take(reader, kind.width)
    end,
    octets = function(reader, kind)
        return take_octets(reader, in_range(reader, kind.width, kind.least, kind.most))
    end,
    characters = function(reader, kind)
        local found = {}
        for place = 1, in_range(reader, kind.width, kind.least, kind.most) do
            local code = take(reader, kind.each)
            if kind.alphabet == NUMERIC then
                code = code == 0 and 32 or code + 47
                if code > 57 then
                    fault(reader, "a character that the type does not have")
                end
            elseif kind.alphabet == VISIBLE and (code < 32 or code > 126) then
                fault(reader, "a character that the type does not have")
            end
            found[place] = string.char(code)
        end
        return table.concat(found)
    end,
    enumerated = function(reader, kind)
        return kind.numbers[place_of(reader, kind.width, #kind.numbers, "value") + 1]
    end,
    choice = function(reader, kind, node)
        local place = place_of(reader, kind.width, #kind.alternatives, "alternative")
        node.value = place
        read_node(reader, node, kind.alternatives[place + 1].name, kind.alternatives[place + 1].type)
        return place
    end,
    sequence = function(reader, kind, node)
        local extended, present = take(reader, 1) == 1, {}
        for place, member in ipairs(kind.members) do
            present[place] = not member.optional or take(reader, 1) == 1
        end
        for place, member in ipairs(kind.members) do
            if present[place] then
                read_node(reader, node, member.name, member.type)
            end
        end
        if extended then
            read_additions(reader, node, kind.additions)
        end
    end,
    list = function(reader, kind, node)
        local count = in_range(reader, kind.width, kind.least, kind.most)
        for _ = 1, count do
            read_node(reader, node, node.name, kind.element)
        end
        return count
    end,
}

read_node = function(reader, parent, name, kind)
    kind = type(kind) == "string" and TYPES[kind] or kind
    local node = { name = name, from = reader.at, type = kind, children = {} }
    parent.children[#parent.children + 1] = node
    reader.path[#reader.path + 1] = name
    node.value = READ[kind.kind](reader, kind, node)
    node.upto = reader.at
    reader.path[#reader.path] = nil
end

-- Reads one message that fills the octets. Gives the root node, and the fault if there is one.
local function read_message(root, octets)
    local reader = { octets = octets, at = 0, bits = 8 * #octets, path = {} }
    local top = { children = {} }
    local done, problem = pcall(function()
        if #octets > MAX_OCTETS then
            fault(reader, string.format("longer than %d octets", MAX_OCTETS))
        end
        read_node(reader, top, root, root)
        check_filled(reader)
    end)
    if not done and type(problem) ~= "table" then
        error(problem, 0) -- a mistake of this file, not of the message
    end
    return top.children[1] or { name = root, from = 0, type = TYPES[root], children = {} }, problem, reader.at
end
