#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

// Swift's arrays end the process where `malloc` fails. Every array whose size is in proportion to a file is therefore
// made through these functions, which ask `malloc` first. Another thread can take the memory between the question and
// the allocation; nothing in Swift prevents that.

/// Throws unless the process can allocate `count` elements now. Allocates nothing.
///
/// - Parameter purpose: What needs the memory, as the subject of a sentence: "the contents of big.csv".
/// - Throws: `ChainruleError.outOfMemory` with the number of bytes.
func checkMemory<Element>(
  _ count: Int, of element: Element.Type, for purpose: @autoclosure () -> String
) throws(ChainruleError) {
  let (bytes, isTooLarge) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
  guard isTooLarge || !isAvailable(bytes) else { return }
  throw .outOfMemory(
    message:
      "\(purpose()): there is no memory for \(isTooLarge ? "\(count) × \(MemoryLayout<Element>.stride)" : "\(bytes)")"
      + " bytes. Free memory, raise the process's limit (ulimit -v), or use fewer rows at a time")
}

/// Whether `malloc` has `bytes` bytes, and 1 MiB more for the small allocations around them.
private func isAvailable(_ bytes: Int) -> Bool {
  // Small allocations are not in proportion to the input.
  if bytes <= 1 << 16 { return true }
  let (size, isTooLarge) = bytes.addingReportingOverflow(1 << 20)
  guard !isTooLarge else { return false }
  // A compiler may drop a pair of `malloc` and `free` and take the allocation for granted; it may not drop this one.
  var block: UnsafeMutableRawPointer?
  guard posix_memalign(&block, 64, size) == 0 else { return false }
  free(block)
  return true
}

extension Array {
  /// An empty array with room for `count` elements.
  ///
  /// - Throws: `ChainruleError.outOfMemory`, as ``checkMemory(_:of:for:)``.
  init(roomFor count: Int, for purpose: @autoclosure () -> String) throws(ChainruleError) {
    try checkMemory(count, of: Element.self, for: purpose())
    self = []
    reserveCapacity(count)
  }

  /// `count` times the same element.
  ///
  /// - Throws: `ChainruleError.outOfMemory`, as ``checkMemory(_:of:for:)``.
  init(
    repeating element: Element, count: Int, for purpose: @autoclosure () -> String
  ) throws(ChainruleError) {
    try checkMemory(count, of: Element.self, for: purpose())
    self.init(repeating: element, count: count)
  }

  /// Makes room for `count` more elements: for twice as many as there are where memory allows, so that appending takes
  /// linear time, otherwise for exactly these. `limit` is the most elements that the array will ever have.
  ///
  /// - Throws: `ChainruleError.outOfMemory`, as ``checkMemory(_:of:for:)``.
  mutating func makeRoom(
    for count: Int, limit: Int = .max, for purpose: @autoclosure () -> String
  ) throws(ChainruleError) {
    let needed = self.count + count
    if needed <= capacity { return }
    let doubled = Swift.max(needed, Swift.min(2 * capacity, limit))
    if isAvailable(doubled * MemoryLayout<Element>.stride) { return reserveCapacity(doubled) }
    try checkMemory(needed, of: Element.self, for: purpose())
    reserveCapacity(needed)
  }
}
