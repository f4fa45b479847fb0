-- The health of a ChannelMembership, by the conditions Ready, Reconciling and Stalled, as in
-- kstatus. A resource with `suspend: true` or `mode: Observe` is Suspended if it is not Healthy.
local hs = { status = "Progressing", message = "Waiting for the operator to reconcile it" }

if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "Pending deletion"
  return hs
end
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local ready = conditions["Ready"]
if ready == nil then
  return hs
end
hs.message = ready.reason .. ": " .. ready.message
if holds("Stalled") then
  hs.status = "Degraded"
elseif holds("Reconciling") then
  hs.status = "Progressing"
elseif ready.reason == "Suspended" then
  hs.status = "Suspended"
elseif holds("Ready") then
  hs.status = "Healthy"
elseif ready.reason == "Observed" then
  hs.status = "Suspended"
end
return hs
