internal import ChainrulePlatform

// Swift's arrays end the process where `malloc` fails. Every array whose size is in proportion to a file is therefore
// made through these functions, which ask `malloc` first. Another thread can take the memory between the question and
// the allocation; nothing in Swift prevents that.

/// Throws unless the process can allocate `count` elements now. Allocates nothing.
///
/// - Parameter purpose: What needs the memory, as the subject of a sentence: "the contents of big.csv".
/// - Throws: `ChainruleError.outOfMemory` with the number of bytes.
package func checkMemory<Element>(
  _ count: Int, of element: Element.Type, for purpose: @autoclosure () -> String
) throws(ChainruleError) {
  let (bytes, isTooLarge) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
  // Small allocations are not in proportion to the input.
  guard isTooLarge || bytes > 1 << 16 && !isAvailable(bytes) else { return }
  throw .outOfMemory(
    message:
      "\(purpose()): there is no memory for \(isTooLarge ? "\(count) × \(MemoryLayout<Element>.stride)" : "\(bytes)")"
      + " bytes. \(remedy)")
}

private let remedy = "Free memory, raise the process's limit (ulimit -v), or use fewer rows at a time"

/// Throws unless there is memory for the threads that tasks and queues need. To be called before the first of them is
/// waited for: where Dispatch finds no memory for a thread's stack, it waits for some without end.
///
/// - Throws: `ChainruleError.outOfMemory`.
package func checkMemoryForThreads() throws(ChainruleError) {
  guard !isAvailable(0) else { return }
  throw .outOfMemory(
    message: "starting threads: there is no memory for \(spare) bytes of stacks. \(remedy)")
}

/// What an array leaves of the memory: room for small allocations, and for the stacks of the threads that Dispatch
/// starts for tasks and queues, of 8 MiB each with Linux's usual settings. It is asked for and given back, never touched.
private let spare = 64 << 20

/// Whether `malloc` has `bytes` bytes, and the system ``spare`` beside them.
private func isAvailable(_ bytes: Int) -> Bool {
  // A compiler may drop a pair of `malloc` and `free` and take the allocation for granted; it may not drop this one.
  var block: UnsafeMutableRawPointer?
  guard posix_memalign(&block, 64, bytes) == 0 else { return false }
  defer { free(block) }
  // Stacks come from the system, which has not got what `malloc` keeps for itself.
  let stacks = mmap(nil, spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
  guard stacks != UnsafeMutableRawPointer(bitPattern: -1) else { return false }  // MAP_FAILED
  munmap(stacks, spare)
  return true
}

extension Array {
  /// An empty array with room for `count` elements.
  ///
  /// - Throws: `ChainruleError.outOfMemory`, as ``checkMemory(_:of:for:)``.
  package init(roomFor count: Int, for purpose: @autoclosure () -> String) throws(ChainruleError) {
    try checkMemory(count, of: Element.self, for: purpose())
    self = []
    reserveCapacity(count)
  }

  /// `count` times the same element.
  ///
  /// - Throws: `ChainruleError.outOfMemory`, as ``checkMemory(_:of:for:)``.
  package init(
    repeating element: Element, count: Int, for purpose: @autoclosure () -> String
  ) throws(ChainruleError) {
    try checkMemory(count, of: Element.self, for: purpose())
    self.init(repeating: element, count: count)
  }

  /// Makes room for `count` more elements: for twice as many as there are where memory allows, so that appending takes
  /// linear time, otherwise for exactly these. `limit` is the most elements that the array will ever have.
  ///
  /// - Throws: `ChainruleError.outOfMemory`, as ``checkMemory(_:of:for:)``.
  package mutating func makeRoom(
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
