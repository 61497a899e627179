import Dispatch
import Foundation
import Synchronization

/// The result of `body`, run in a task that the first Ctrl-C cancels; a second one ends the process at once.
/// Wrappers such as timeout(1) deliver one signal twice, so that a second within a quarter second is the first.
func cancellingOnInterrupt<Result: Sendable>(
  _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
  let task = Task(operation: body)
  #if canImport(Darwin)
    signal(SIGINT, SIG_IGN)  // Dispatch observes the signal there, but does not stand in for its handler.
  #endif
  let source = DispatchSource.makeSignalSource(signal: SIGINT)
  let first = Mutex<ContinuousClock.Instant?>(nil)
  source.setEventHandler {
    first.withLock { first in
      if let first, .now - first > .milliseconds(250) { _exit(128 + SIGINT) }
      first = first ?? .now
    }
    task.cancel()
  }
  source.activate()
  defer {
    source.cancel()
    signal(SIGINT, SIG_DFL)
  }
  return try await task.value
}
