-- The script that wrk runs: our head, byte for byte, and exact totals at the end.
--
-- wrk would order fields anew in every run, so it gets the head from us. With a serial, every request carries that
-- serial and a counter in its cookie and no head is ever sent twice. All but the counter is made beforehand, because
-- this runs once per request; without a serial `request` stays undefined, and wrk sends one prepared head for nothing.

local MARK = "bench-mark"

function init(args)
  local head = assert(os.getenv("BENCH_HEAD"))
  local serial = args[1]
  wrk.format = function()
    return head
  end
  if serial == nil then
    return
  end
  local first, last = head:find(MARK, 1, true)
  local before = head:sub(1, first - 1) .. serial .. "-"
  local after = head:sub(last + 1)
  -- Starting high keeps every counter, and so every head of one run, at the same length.
  local count = 1000000000
  request = function()
    count = count + 1
    return before .. count .. after
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "BENCH requests=%d bytes=%d microseconds=%d connect=%d read=%d write=%d status=%d timeout=%d\n",
    summary.requests, summary.bytes, summary.duration,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
