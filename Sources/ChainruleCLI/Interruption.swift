import Dispatch
import Foundation
import Synchronization

/// The result of `body`, run in a task that the first Ctrl-C cancels; a second one ends the process at once. The task
/// begins once signals are observed, so that none of them ends the process before it has saved what there is to save.
/// Wrappers such as timeout(1) deliver one signal twice, so that a second within a quarter second is the first.
func cancellingOnInterrupt<Result: Sendable>(
  _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
  let (observed, observing) = AsyncStream<Never>.makeStream()
  let task = Task {
    for await _ in observed {}
    return try await body()
  }
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
  source.setRegistrationHandler { observing.finish() }
  source.activate()
  defer {
    source.cancel()
    signal(SIGINT, SIG_DFL)
  }
  return try await task.value
}
