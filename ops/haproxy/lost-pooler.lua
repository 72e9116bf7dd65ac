-- Ends the sessions of a pooler that is lost, and no session that is still being made.
--
-- HAProxy's own `on-marked-down shutdown-sessions` does it in the moment of DOWN. A connection that is just being made
-- to an address that does not answer is closed then on its server's side only (HAProxy 3.0.11): its client waits for ever.
-- Left alone it goes to another pooler after `timeout connect`. So wait for longer than that: whatever is left belongs to
-- the pooler, which may hang with its kernel still acknowledging, so that no keepalive would ever end it.
--
-- Loaded by: lua-load lost-pooler.lua BACKEND MILLISECONDS, the time from DOWN or maint to the end of the sessions.
local backend, wait = ...

-- Looks are counted, not the clock: when the process itself stood still, everything that became due meanwhile runs in any
-- order. A server is UP for longer than a look before it can be DOWN again (`fall` checks), so no UP is missed.
local look = 100
local looks = math.ceil(wait / look)

local function gone(status)
	return status:find("^DOWN") or status:find("^MAINT")
end

core.register_task(function()
	local seen = {} -- server -> looks in a row that found it gone
	while true do
		for name, server in pairs(core.backends[backend].servers) do
			if not gone(server:get_stats().status) then
				seen[name] = nil
			else
				seen[name] = (seen[name] or 0) + 1
				-- Once: nobody is sent to it before it is back.
				if seen[name] == looks + 1 then
					server:shut_sess()
				end
			end
		end
		core.msleep(look)
	end
end)
