-- Posts the bodies of a file (one a line) in turn, and ends with one line of JSON that says what came of it.
-- Arguments: the file, the path, the token.

local requests, at = {}, 0

function init(arguments)
  local headers = {
    ["Authorization"] = "Bearer " .. arguments[3],
    ["Content-Type"] = "application/json",
    ["User-Agent"] = "headrace-benchmark/1.0",
  }
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", arguments[2], headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"posts":%d,"seconds":%f,"failures":%d,"p50_ms":%f,"p99_ms":%f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
