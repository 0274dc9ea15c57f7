-- networks.lua: keeps flows with many bytes only, replaces source addresses by their networks (/24 and /48), and tells at each 1000th
-- record how many flows each network had.
--
--   sonda luamodule -i u:flows,u:networks -l networks.lua

local BYTES_MIN = 1000
local flows = {}

function on_init()
   print("flows of " .. BYTES_MIN .. " bytes and more")
end

function on_template_recv()
   ur_add("ipaddr SRC_NET, string NOTE")
   ur_del("SRC_IP")
   -- Numbers of fields are quicker than their names.
   src_ip, src_net = ur_id("SRC_IP", "SRC_NET")
end

function on_record_recv()
   if ur_get("BYTES") < BYTES_MIN then
      ur_drop()
      return
   end
   local address = ur_get(src_ip)
   local network = ur_ip4(address) and address / 24 or address / 48
   local text = tostring(network)
   flows[text] = (flows[text] or 0) + 1
   ur_set(src_net, network, "NOTE", "flow " .. flows[text] .. " of " .. text)
   if _REC_COUNT % 1000 == 0 then
      for name, count in pairs(flows) do
         print(name, count)
      end
   end
end
