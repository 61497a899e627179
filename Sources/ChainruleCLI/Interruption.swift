import ArgumentParser
import Chainrule
import Dispatch
import Foundation
import Synchronization

/// The signals that end a command early, in an orderly way: Ctrl-C, kill(1) and a closed terminal.
private let endingSignals = [SIGINT, SIGTERM, SIGHUP]

/// Runs `body` in a task that the first SIGINT, SIGTERM or SIGHUP cancels. A later signal removes the
/// temporary files and ends the process at once. A SIGHUP that the process ignores (nohup) stays ignored.
///
/// The task starts once signals are observed, so that none of them ends the process before `body` can save
/// its work. Wrappers such as timeout(1) deliver one signal twice, and a terminal that closes may send two
/// kinds: signals within a quarter second of the first count as the first.
///
/// - Returns: The result of `body`, and the signal that cancelled it; nil if none did.
/// - Throws: The errors of `body`; `ChainruleError.outOfMemory` if there is no memory for threads.
func cancellingOnSignals<Result: Sendable>(
  _ body: @escaping @Sendable () async throws -> Result
) async throws -> (result: Result, signal: Int32?) {
  try checkMemoryForThreads()
  let observed = endingSignals.filter { $0 != SIGHUP || !isIgnored($0) }
  let (registrations, registering) = AsyncStream<Void>.makeStream()
  let task = Task {
    var registrations = registrations.makeAsyncIterator()
    for _ in observed { await registrations.next() }
    return try await body()
  }
  let first = Mutex<(signal: Int32, instant: ContinuousClock.Instant)?>(nil)
  let sources = observed.map { number in
    #if canImport(Darwin)
      signal(number, SIG_IGN)  // Dispatch observes the signal there, but does not replace its handler.
    #endif
    let source = DispatchSource.makeSignalSource(signal: number)
    source.setEventHandler {
      first.withLock { first in
        if let first, .now - first.instant > .milliseconds(250) {
          FileReplacement.abandonAll()
          _exit(128 + number)
        }
        first = first ?? (number, .now)
      }
      task.cancel()
    }
    source.setRegistrationHandler { registering.yield() }
    source.activate()
    return source
  }
  defer {
    for (number, source) in zip(observed, sources) {
      source.cancel()
      signal(number, SIG_DFL)
    }
  }
  let result = try await task.value
  return (result, first.withLock { $0?.signal })
}

private func isIgnored(_ number: Int32) -> Bool {
  let handler = signal(number, SIG_DFL)
  signal(number, handler)
  return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}

extension ExitCode {
  /// The status of a command that a signal ended, as shells report it: 130 for SIGINT, 143 for SIGTERM, 129
  /// for SIGHUP.
  static func ended(by signal: Int32) -> ExitCode { ExitCode(128 + signal) }
}
