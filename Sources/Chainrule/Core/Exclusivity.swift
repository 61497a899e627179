import Synchronization

/// Lets one call at a time use what it guards; a second one is refused rather than made to wait, because it
/// can only come from an actor's other work while training is awaited.
final class Exclusivity: Sendable {
  private let taken = Atomic(false)

  func take() throws(ChainruleError) {
    if taken.exchange(true, ordering: .acquiring) { throw .busy }
  }

  func release() {
    taken.store(false, ordering: .releasing)
  }

  func callAsFunction<Result>(_ body: () throws(ChainruleError) -> Result) throws(ChainruleError) -> Result {
    try take()
    defer { release() }
    return try body()
  }
}
