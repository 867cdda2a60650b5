"""Times of calls, as the table reads them."""
import json
import time


def measure(call, seconds):
    """Calls again and again, the first fifth of the time without counting, and writes the quantiles in microseconds."""
    until = time.perf_counter() + seconds / 5
    while time.perf_counter() < until:
        call()
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begun)
    write(times, seconds)


def write(times, seconds):
    times.sort()
    at = lambda quantile: times[min(int(len(times) * quantile), len(times) - 1)] / 1000
    print(json.dumps({"p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999), "max_us": times[-1] / 1000,
                      "per_second": len(times) / seconds, "answers": len(times)}))
