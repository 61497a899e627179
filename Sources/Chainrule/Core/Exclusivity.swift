import Synchronization

/// Permits one call at a time on the object it guards. A second call throws instead of waiting, because it
/// can only come from other work of an actor that awaits training.
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
