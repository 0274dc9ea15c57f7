-- rates.lua: adds packets and bytes per second, bytes per packet and the duration to flows, and leaves times and MAC addresses out.
--
--   sonda luamodule -i u:flows,u:rates -l rates.lua

function on_template_recv()
   ur_add("double DURATION, double PPS, double BPS", "uint32 BPP")
   ur_del("TIME_FIRST", "TIME_LAST", "SRC_MAC", "DST_MAC")
end

function on_record_recv()
   local bytes, packets, first, last = ur_get("BYTES", "PACKETS", "TIME_FIRST", "TIME_LAST")
   if bytes == nil or packets == nil or first == nil or last == nil then
      return -- fields that were added stay 0
   end
   local duration = last - first
   local pps, bps = 0, 0
   if duration > 0 then
      pps, bps = packets / duration, bytes / duration
   end
   ur_set("DURATION", duration, "PPS", pps, "BPS", bps, "BPP", packets > 0 and bytes / packets or 0)
end
