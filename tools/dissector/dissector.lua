-- What Wireshark shows: the fields, the tree of each message, and which dissector of Wireshark's has what is inside.

local framing = Proto("rprov", "rprov message framing")
local nas = Proto("rprov.nas", "rprov NAS")
local n2 = Proto("rprov.n2", "rprov N2")
local radio = Proto("rprov.radio", "rprov radio")
local user = Proto("rprov.user", "rprov user packet on the radio")

local PROTOS = { framing, nas, n2, radio, user }
local FIELDS, EXPERTS = {}, {}

local function register()
    for _, proto in ipairs(PROTOS) do
        local own = {}
        for _, entry in ipairs(FIELD_LIST) do
            local abbr, kind, label, values, meaning = entry[1], entry[2], entry[3], entry[4], entry[5]
            if entry.proto == proto.name:lower() then
                local made
                if kind == "uint8" or kind == "uint16" or kind == "uint32" then
                    made = ProtoField[kind](abbr, label, entry.hex and base.HEX or base.DEC, VALUES[values], nil, meaning)
                elseif kind == "uint64" then
                    made = ProtoField.uint64(abbr, label, base.DEC, nil, nil, meaning)
                elseif kind == "bool" then
                    made = ProtoField.bool(abbr, label, nil, nil, nil, meaning)
                elseif kind == "string" then
                    made = ProtoField.string(abbr, label, base.ASCII, meaning)
                elseif kind == "bytes" then
                    made = ProtoField.bytes(abbr, label, base.NONE, meaning)
                else
                    made = ProtoField[kind](abbr, label, meaning)
                end
                FIELDS[abbr] = made
                own[#own + 1] = made
            end
        end
        proto.fields = own
    end
end
register()

local function notice(name, text, group, severity)
    EXPERTS[name] = ProtoExpert.new("rprov." .. name, text, group, severity)
end
notice("malformed", "Malformed: rprov does not take this message", expert.group.MALFORMED, expert.severity.ERROR)
notice("inside", "What is inside cannot be read", expert.group.MALFORMED, expert.severity.WARN)
notice("unknown", "A type, an alternative or a value of a later release", expert.group.UNDECODED, expert.severity.WARN)
notice("cause", "Something is refused, or ends", expert.group.RESPONSE_CODE, expert.severity.NOTE)
notice("unprotected", "Unprotected, and it never may be", expert.group.SECURITY, expert.severity.WARN)
notice("not_ciphered", "Integrity alone, where ciphering is due", expert.group.SECURITY, expert.severity.WARN)
notice("null_ciphering", "No ciphering (NEA0)", expert.group.SECURITY, expert.severity.NOTE)
notice("key", "A key stands here in clear", expert.group.SECURITY, expert.severity.WARN)
notice("ciphered", "Ciphered: rprov trace decode --keylog reads it", expert.group.DECRYPTION, expert.severity.CHAT)
do
    local all = {}
    for _, made in pairs(EXPERTS) do
        all[#all + 1] = made
    end
    framing.experts = all
end

-- Stands for a link in conversations of EAP.
local ON_RADIO, ON_N2 = 1, 2

local interface_name, gtp_flags = Field.new("frame.interface_name"), Field.new("gtp.flags")

-- Wireshark's own dissector of a name, or the one for plain octets where this Wireshark has none of that name.
local function others(name)
    local done, found = pcall(Dissector.get, name)
    return done and found or Dissector.get("data")
end
local EAP, GTP, TLS = others("eap"), others("gtp"), others("tls")

-- What was said earlier in the capture: which ciphering a UE has, and where GTP-U goes. Forgotten with the file.
local ciphering, tunnels = {}, {}
function framing.init()
    ciphering, tunnels = {}, {}
end

-- The ends of a link in one order, and the UE: several RANs may use the same number.
local function place_of_ue(pinfo, link, ue)
    local one = tostring(pinfo.src) .. ":" .. pinfo.src_port
    local other = tostring(pinfo.dst) .. ":" .. pinfo.dst_port
    if other < one then
        one, other = other, one
    end
    return table.concat({ link, one, other, ue }, " ")
end

-- Wireshark may come back to a packet, so that a choice stands beside the frame from which on it holds.
local function chosen(place, pinfo, nea)
    local history = ciphering[place] or {}
    ciphering[place] = history
    history[pinfo.number] = nea
end

local function null_ciphered(place, pinfo)
    local last, nea = 0, nil
    for number, value in pairs(ciphering[place] or {}) do
        if number <= pinfo.number and number > last then
            last, nea = number, value
        end
    end
    return nea == NULL_CIPHERING
end

-- How values are written that have a way of their own

local function hexadecimal(octets)
    return (octets:gsub(".", function(char)
        return string.format("%02x", char:byte())
    end))
end

local function swapped(octets)
    return (hexadecimal(octets):gsub("(.)(.)", "%2%1"))
end

local SHOWN = {
    digits = hexadecimal,
    plmn = function(octets)
        local digits = swapped(octets)
        local third = digits:sub(4, 4)
        return digits:sub(1, 3) .. "-" .. digits:sub(5, 6) .. (third == "f" and "" or third)
    end,
    labels = function(octets)
        local found, at = {}, 1
        while at <= #octets do
            local size = octets:byte(at)
            found[#found + 1] = octets:sub(at + 1, at + size)
            at = at + size + 1
        end
        return table.concat(found, "."):lower()
    end,
    slice = function(octets)
        local more = hexadecimal(octets:sub(2)):upper()
        return octets:byte() .. ((#more == 6 and more ~= "FFFFFF") and "-" .. more or "")
    end,
    ipv4 = function(octets)
        return Address.ip(table.concat({ octets:byte(1, 4) }, "."))
    end,
}

local function algorithms(bits, family)
    local found = {}
    for number = 0, 7 do
        if math.floor(bits / 2 ^ (7 - number)) % 2 == 1 then
            found[#found + 1] = family .. number
        end
    end
    return #found == 0 and "none" or table.concat(found, " ")
end

-- A copy of octets that do not begin at a whole octet of the packet, for other dissectors.
local function copy(octets, name)
    return ByteArray.new(hexadecimal(octets)):tvb(name)
end

-- Lets another dissector read; what it cannot read is its malformed packet, not a mistake of this file.
local function hand_over(dissector, tvb, pinfo, tree)
    local done, problem = pcall(dissector.call, dissector, tvb, pinfo, tree)
    if not done then
        if not tostring(problem):find("Malformed", 1, true) then
            error(problem, 0)
        end
        tree:add_proto_expert_info(EXPERTS.inside)
    end
end

-- EAP of each UE on each link is a conversation of its own, for a packet is seen on radio and N2, and in interface
-- `eap`: in the place of the ports stand the UE's id and a number of the link.
local function dissect_eap(octets, pinfo, tree, context)
    local source, destination = pinfo.src_port, pinfo.dst_port
    if context.ue and octets:byte() == EAP_RESPONSE then
        pinfo.src_port, pinfo.dst_port = context.ue, context.link
    elseif context.ue then
        pinfo.src_port, pinfo.dst_port = context.link, context.ue
    end
    hand_over(EAP, copy(octets, "EAP"), pinfo, tree)
    pinfo.src_port, pinfo.dst_port = source, destination
    context.with_eap = true
end

local draw_message

-- Draws the nodes below `node`. `prefix` begins the names of its members, `context` is the message they belong to.
local function draw(node, tree, tvb, prefix, context, pinfo)
    local kind = node.type
    local upto = node.upto or node.from + 1
    local first = math.min(math.floor(node.from / 8), tvb:len() - 1)
    local range = tvb(first, math.max(1, math.min(math.ceil(upto / 8), tvb:len()) - first))
    local item, inner = tree, prefix
    if kind.kind == "choice" then
        for _, child in ipairs(node.children) do
            draw(child, tree, tvb, prefix, context, pinfo)
        end
        return
    elseif kind.kind == "sequence" then
        if not node.is_message then
            item = tree:add(FIELDS[prefix .. node.name], range)
            inner = prefix .. node.name .. "."
        end
    elseif kind.kind ~= "list" then
        local field, value = FIELDS[prefix .. node.name], node.value
        if value == nil then
            return
        elseif kind.kind == "octets" and not SHOWN[kind.show] then
            item = tree:add(field, tvb(first, #value), value)
        elseif kind.show and SHOWN[kind.show] then
            item = tree:add(field, range, SHOWN[kind.show](value))
        elseif kind.kind == "integer" and kind.width > 32 and kind.width <= 48 then
            item = tree:add(field, range, UInt64(value % 2 ^ 32, math.floor(value / 2 ^ 32)))
        else
            item = tree:add(field, range, value)
        end
        if kind.show == "cause" then
            context.cause = value
            if value ~= 0 then
                item:add_proto_expert_info(EXPERTS.cause, CAUSE_TEXTS[value] or "a cause that rprov does not know")
            end
        elseif kind.show == "capability" then
            item:append_text(" (" .. algorithms(value, node.name:upper()) .. ")")
        elseif kind.show == "nea" then
            context.nea = value
            if value == NULL_CIPHERING then
                item:add_proto_expert_info(EXPERTS.null_ciphering)
            end
        elseif kind.show == "key" then
            if value:find("[^%z]") then
                item:add_proto_expert_info(EXPERTS.key)
            else
                item:append_text(" (redacted)")
            end
        elseif kind.show == "digits" then
            context.about = hexadecimal(value)
        elseif kind.show == "eap" then
            dissect_eap(value, pinfo, tree, context)
        elseif kind.show == "request" then
            draw_message("NasMessage", copy(value, "The AttachRequest as it was sent"), pinfo, item, { inner = true })
        end
    end
    for _, child in ipairs(node.children) do
        draw(child, item, tvb, inner, context, pinfo)
    end
    if kind.show == "tunnel" and not pinfo.visited then
        local found = {}
        for _, child in ipairs(node.children) do
            found[child.name] = child.value
        end
        if found.address and found.port then
            tunnels[table.concat({ found.address:byte(1, 4) }, ".") .. ":" .. found.port] = true
        end
    end
end

-- Draws a message of one of the three CHOICEs. Gives its name, or nil where it is none; `context` tells what was seen.
draw_message = function(root, tvb, pinfo, tree, context)
    local prefix = PREFIXES[root]
    local octets = tvb:range():raw()
    local node, problem, at = read_message(root, octets)
    local name
    if node.value then
        name = TYPES[root].alternatives[node.value + 1].type
        local bits = TYPES[root].width
        tree:add(FIELDS[prefix .. "type"], tvb(0, math.min(math.ceil(bits / 8), tvb:len())), node.value)
        tree:add(FIELDS[prefix .. "message"], tvb(), name):set_generated()
        local message = node.children[1]
        if message then
            message.is_message = true
            draw(message, tree, tvb, prefix, context, pinfo)
        end
    end
    if problem then
        local where = problem.path == "" and root or problem.path
        local last = tvb(math.min(math.floor(at / 8), tvb:len() - 1))
        local which = problem.unknown and EXPERTS.unknown or EXPERTS.malformed
        tree:add(FIELDS[prefix .. "malformed"], last, where .. ": " .. problem.reason):add_proto_expert_info(
            which,
            where .. ": " .. problem.reason
        )
        return nil
    end
    return name
end

local function malformed(prefix, tvb, tree, reason)
    tree:add(FIELDS[prefix .. "malformed"], tvb(), reason):add_proto_expert_info(EXPERTS.malformed, reason)
end

-- One line about a message for the list of packets.
local function summary(name, context)
    local text = name
    if context.about then
        text = text .. " " .. context.about
    end
    if context.cause then
        text = text .. ": " .. (VALUES.Cause[context.cause] or context.cause)
    end
    return text
end

local function columns(pinfo, protocol, texts, context)
    pinfo.cols.protocol = protocol
    local text = table.concat(texts, " | ")
    if context.with_eap then
        pinfo.cols.info:prepend(text .. " | ")
    else
        pinfo.cols.info = text
    end
end

-- NAS: a security header, and a message that may be ciphered

local function dissect_nas(tvb, pinfo, tree, place, context)
    local item = tree:add(nas, tvb())
    if tvb:len() > MAX_NAS_PDU or tvb:len() < 2 then
        malformed("rprov.nas.", tvb, item, "a NAS PDU has 2 to " .. MAX_NAS_PDU .. " octets")
        return "Malformed"
    end
    local header = tvb(0, 1):uint()
    item:add(FIELDS["rprov.nas.header"], tvb(0, 1))
    local name, body = nil, nil
    if header == HEADERS.PLAIN then
        body = tvb(1):tvb()
        name = draw_message("NasMessage", body, pinfo, item, context)
        if name and not PLAIN_NAS[name] then
            item:add_proto_expert_info(EXPERTS.unprotected, name .. " is unprotected, and it never may be")
        end
        return name and summary(name, context) or "Malformed"
    elseif not VALUES.SecurityHeader[header] then
        malformed("rprov.nas.", tvb, item, "there is no security header type " .. header)
        return "Malformed"
    elseif tvb:len() <= NAS_HEADER then
        malformed("rprov.nas.", tvb, item, "a protected NAS PDU has a MAC, a sequence number and a payload")
        return "Malformed"
    end
    item:add(FIELDS["rprov.nas.mac"], tvb(1, NAS_MAC))
    item:add(FIELDS["rprov.nas.sequence_number"], tvb(1 + NAS_MAC, 1))
    body = tvb(NAS_HEADER):tvb()
    local new_context = header == HEADERS.INTEGRITY_NEW_CONTEXT
    if CIPHERED[header] and not null_ciphered(place, pinfo) then
        item:add(FIELDS["rprov.nas.ciphertext"], body()):add_proto_expert_info(EXPERTS.ciphered)
        return "Protected NAS"
    end
    name = draw_message("NasMessage", body, pinfo, item, context)
    if name == "SecurityModeCommand" and new_context and not pinfo.visited then
        chosen(place, pinfo, context.nea)
    elseif name and not CIPHERED[header] and not (name == "SecurityModeCommand" and new_context) then
        item:add_proto_expert_info(EXPERTS.not_ciphered)
    end
    return name and summary(name, context) or "Malformed"
end

function nas.dissector(tvb, pinfo, tree)
    local context = {}
    local text = dissect_nas(tvb, pinfo, tree, place_of_ue(pinfo, "nas", 0), context)
    columns(pinfo, "RPROV-NAS", { text }, context)
    return tvb:len()
end

-- N2

function n2.dissector(tvb, pinfo, tree)
    local item = tree:add(n2, tvb())
    if tvb:len() <= N2_HEADER then
        malformed("rprov.n2.", tvb, item, "an N2 message is shorter than its header and one octet")
        columns(pinfo, "RPROV-N2", { "Malformed" }, {})
        return tvb:len()
    end
    local ue, kind = tvb(0, 4):uint(), tvb(8, 1):uint()
    item:add(FIELDS["rprov.n2.ran_ue_id"], tvb(0, 4))
    item:add(FIELDS["rprov.n2.cp_ue_id"], tvb(4, 4))
    item:add(FIELDS["rprov.n2.kind"], tvb(8, 1))
    local body, context, text = tvb(N2_HEADER):tvb(), { ue = ue, link = ON_N2 }, "Malformed"
    if kind == N2_KINDS.CONTROL then
        local name = draw_message("LinkMessage", body, pinfo, item, context)
        text = name and summary(name, context) or text
    elseif VALUES.N2Kind[kind] then
        text = dissect_nas(body, pinfo, tree, place_of_ue(pinfo, "n2", ue), context)
    else
        malformed("rprov.n2.", tvb(8, 1):tvb(), item, "unknown kind " .. kind .. " of N2 message")
    end
    columns(pinfo, "RPROV-N2", { text }, context)
    return tvb:len()
end

-- Radio: messages of the cell, or a PDCP PDU of a UE's signalling bearer

local function draw_rrc(body, pinfo, item, context, allowed)
    local name = draw_message("RadioMessage", body, pinfo, item, context)
    if name and allowed and not allowed[name] then
        item:add_proto_expert_info(EXPERTS.unprotected, name .. " is unprotected, and it never may be")
    end
    return name and summary(name, context) or "Malformed"
end

-- A PDU with a MAC-I: integrity alone protects what switches ciphering on, the rest is ciphered.
local function readable(inner, place, pinfo)
    local bare = null_ciphered(place, pinfo)
    if inner:byte(1) == SRB_KINDS.NAS then
        return bare
    end
    if inner:byte(1) ~= SRB_KINDS.RRC or #inner < 2 then
        return false
    end
    local node, problem = read_message("RadioMessage", inner:sub(2))
    if bare then
        return not problem
    end
    return not problem and AS_SECURITY_MODE[TYPES.RadioMessage.alternatives[node.value + 1].type] == true
end

local function dissect_srb(tvb, pinfo, tree, item, ue, context)
    if tvb:len() <= SRB_HEADER + PDCP_MAC then
        local reason = "a PDCP PDU of a signalling bearer is shorter than its header, an octet and its MAC-I"
        malformed("rprov.radio.", tvb, item, reason)
        return "Malformed"
    end
    local size = tvb:len() - SRB_HEADER - PDCP_MAC
    local mac = tvb(SRB_HEADER + size, PDCP_MAC)
    item:add(FIELDS["rprov.radio.sequence_number"], tvb(0, SRB_HEADER), tvb(0, SRB_HEADER):uint() % 2 ^ SRB_SN_BITS)
    item:add(FIELDS["rprov.radio.mac"], mac)
    local inner = tvb(SRB_HEADER, size)
    local protected = mac:uint() ~= 0
    local place = place_of_ue(pinfo, "radio", ue)
    if protected and not readable(inner:raw(), place, pinfo) then
        item:add(FIELDS["rprov.radio.ciphertext"], inner):add_proto_expert_info(EXPERTS.ciphered)
        return "Protected SRB"
    end
    local kind = inner(0, 1):uint()
    if size < 2 or not VALUES.SrbKind[kind] then
        malformed("rprov.radio.", inner:tvb(), item, "an SRB carries neither RRC nor NAS")
        return "Malformed"
    end
    item:add(FIELDS["rprov.radio.kind"], inner(0, 1))
    local body = inner(1):tvb()
    if kind == SRB_KINDS.NAS then
        return dissect_nas(body, pinfo, tree, "nas " .. place, context)
    end
    local text = draw_rrc(body, pinfo, item, context, not protected and PLAIN_RRC or nil)
    if protected and context.nea and not pinfo.visited then
        chosen(place, pinfo, context.nea)
    end
    return text
end

function radio.dissector(tvb, pinfo, tree)
    local item = tree:add(radio, tvb())
    local context, text = {}, nil
    if tvb:len() <= RADIO_HEADER then
        malformed("rprov.radio.", tvb, item, "a radio message is shorter than its header and one octet")
        text = "Malformed"
    else
        local ue = tvb(0, 4):uint()
        item:add(FIELDS["rprov.radio.ue_radio_id"], tvb(0, 4))
        if ue == 0 then
            text = draw_rrc(tvb(RADIO_HEADER):tvb(), pinfo, item, context, CELL_RRC)
        else
            context.ue, context.link = ue, ON_RADIO
            text = dissect_srb(tvb(RADIO_HEADER):tvb(), pinfo, tree, item, ue, context)
        end
    end
    columns(pinfo, "RPROV-RADIO", { text }, context)
    return tvb:len()
end

-- User packets on the radio

function user.dissector(tvb, pinfo, tree)
    local item = tree:add(user, tvb())
    local text = "Malformed"
    if tvb:len() <= USER_HEADER + DRB_HEADER then
        malformed("rprov.user.", tvb, item, "a user packet is shorter than its headers and an octet")
    else
        local number = tvb(USER_HEADER, DRB_HEADER):uint() % 2 ^ DRB_SN_BITS
        item:add(FIELDS["rprov.user.ue_radio_id"], tvb(0, 4))
        item:add(FIELDS["rprov.user.bearer"], tvb(4, 1))
        item:add(FIELDS["rprov.user.sequence_number"], tvb(USER_HEADER, DRB_HEADER), number)
        item:add(FIELDS["rprov.user.ciphertext"], tvb(USER_HEADER + DRB_HEADER))
        text = string.format("User packet %d on bearer %d", number, tvb(4, 1):uint())
    end
    columns(pinfo, "RPROV-USER", { text }, {})
    return tvb:len()
end

-- What carries them: frames on TCP, SCTP by payload protocol identifier, UDP, and exported PDUs by name

local BY_PPID = { [PPIDS.RADIO] = radio, [PPIDS.N2] = n2 }

local function dissect_frame(tvb, pinfo, tree)
    local item = tree:add(framing, tvb(0, math.min(FRAME_HEADER, tvb:len())))
    local length, ppid = tvb(0, 4):uint(), tvb(6, 4):uint()
    item:add(FIELDS["rprov.length"], tvb(0, 4))
    item:add(FIELDS["rprov.stream"], tvb(4, 2))
    item:add(FIELDS["rprov.ppid"], tvb(6, 4))
    if length < 1 or length > MAX_FRAME then
        malformed("rprov.", tvb, item, "a frame has 1 to " .. MAX_FRAME .. " octets of payload")
        return tvb:len()
    end
    local body = tvb(FRAME_HEADER):tvb()
    local inner = BY_PPID[ppid]
    if inner then
        inner.dissector(body, pinfo, tree)
    elseif ppid == PPIDS.HEARTBEAT then
        item:append_text(", heartbeat: " .. body:range():string())
        columns(pinfo, "RPROV", { "Heartbeat " .. body:range():string() }, {})
    else
        item:add_proto_expert_info(EXPERTS.unknown, "a payload protocol identifier that is none of rprov's")
        hand_over(Dissector.get("data"), body, pinfo, tree)
    end
    return tvb:len()
end

local function frame_length(tvb, _, offset)
    local length = tvb(offset, 4):uint()
    if length < 1 or length > MAX_FRAME then
        return tvb:len() - offset -- nothing behind it can be trusted
    end
    return FRAME_HEADER + length
end

function framing.dissector(tvb, pinfo, tree)
    local first = tvb(0, 1):uint()
    if first >= 20 and first <= 23 then -- a record of TLS: the first octet of a length is 0
        hand_over(TLS, tvb, pinfo, tree)
        return tvb:len()
    end
    dissect_tcp_pdus(tvb, tree, FRAME_HEADER, frame_length, dissect_frame)
    return tvb:len()
end

framing:register_heuristic("tcp", function(tvb, pinfo, tree)
    if tvb:len() < FRAME_HEADER or not BY_PPID[tvb(6, 4):uint()] then
        return false
    end
    local length = tvb(0, 4):uint()
    if length < 1 or length > MAX_FRAME then
        return false
    end
    pinfo.conversation = framing
    framing.dissector(tvb, pinfo, tree)
    return true
end)

-- UDP without a port of its own: by the name of the interface in captures of rprov, or by what N2 said of tunnels.
framing:register_heuristic("udp", function(tvb, pinfo, tree)
    if gtp_flags() then
        return false -- a datagram of a UE, inside GTP-U
    end
    local name = interface_name()
    name = name and tostring(name) or ""
    if name == "radio-user" then
        user.dissector(tvb, pinfo, tree)
        return true
    end
    local to, from = pinfo.dst, pinfo.src
    local known = tunnels[tostring(to) .. ":" .. pinfo.dst_port] or tunnels[tostring(from) .. ":" .. pinfo.src_port]
    if name == "n3" or known then
        hand_over(GTP, tvb, pinfo, tree)
        return true
    end
    return false
end)

local tcp_port, udp_port = DissectorTable.get("tcp.port"), DissectorTable.get("udp.port")
local sctp_ppi = DissectorTable.get("sctp.ppi")
tcp_port:add(PORTS.RADIO, framing)
tcp_port:add(PORTS.N2, framing)
udp_port:add(PORTS.RADIO_USER, user)
sctp_ppi:add(PPIDS.RADIO, radio)
sctp_ppi:add(PPIDS.N2, n2)
sctp_ppi:add(PPIDS.TLS, TLS)
