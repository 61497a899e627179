import Chainrule
import Dispatch
import Foundation

/// The seconds that `body` takes.
///
/// Where one thread does the work, and more than 0.1 s of it, they are those that the CPU gave it, so that
/// other work on the machine counts less.
func seconds(threads: Int, _ body: () throws -> Void) rethrows -> Double {
  let (cpu, wall) = (nanoseconds(CLOCK_PROCESS_CPUTIME_ID), nanoseconds(CLOCK_MONOTONIC))
  try body()
  let wallTime = nanoseconds(CLOCK_MONOTONIC) - wall
  let cpuTime = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu
  let isShort = wallTime < 100_000_000
  return Double(threads > 1 || isShort ? wallTime : min(wallTime, cpuTime)) * 1e-9
}

private func nanoseconds(_ clock: clockid_t) -> Int {
  var time = timespec()
  clock_gettime(clock, &time)
  return Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
}

/// The seconds of calls of `body`, ascending: after one to warm up, as many as fit into `budget` seconds, but
/// at least three.
///
/// Calls of less than 20 µs are timed several together, and each counts as their mean: reading the clocks
/// takes a part of a microsecond.
func times(threads: Int, budget: Double, _ body: () throws -> Void) rethrows -> [Double] {
  try body()
  var times: [Double] = []
  var calls = 1
  let clock = ContinuousClock()
  let end = clock.now + .seconds(budget)
  while times.count < 3 || clock.now < end {
    let time = try seconds(threads: threads) { for _ in 0..<calls { try body() } }
    if time < 20e-6 { calls *= 2 } else { times.append(time / Double(calls)) }
  }
  return times.sorted()
}

extension NetworkScalar {
  /// The floating-point operations a second of which `threads` threads of this machine are capable together:
  /// the best of three runs, each of some 0.1 s.
  static func peak(threads: Int) -> Double {
    var count = 1024
    while seconds(threads: 1, { multiplyAdd(rounds: count) }) < 0.01 { count *= 2 }
    let rounds = 10 * count
    let operations = Double(threads * rounds) * multiplyAdd(rounds: 1)
    let times = (0..<3).map { _ in
      seconds(threads: threads) {
        if threads == 1 {
          multiplyAdd(rounds: rounds)
        } else {
          DispatchQueue.concurrentPerform(iterations: threads) { _ in multiplyAdd(rounds: rounds) }
        }
      }
    }
    return operations / times.min()!
  }
}
