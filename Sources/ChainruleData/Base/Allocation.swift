internal import ChainrulePlatform

// Swift's arrays end the process when `malloc` fails. Every array whose size is proportional to a file is
// therefore allocated by these functions, which try `malloc` first. Another thread can take the memory
// between the check and the allocation; Swift has no means against that.

/// Throws unless the process can allocate `count` elements now. Allocates nothing.
///
/// - Parameter purpose: The purpose of the memory, as the subject of a sentence: "the contents of big.csv".
/// - Throws: `ChainruleError.outOfMemory` with the number of bytes.
package func checkMemory<Element>(
  _ count: Int, of element: Element.Type, for purpose: @autoclosure () -> String
) throws(ChainruleError) {
  let (bytes, isTooLarge) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
  // Small allocations are not proportional to the input.
  guard isTooLarge || bytes > 1 << 16 && !isAvailable(bytes) else { return }
  throw .outOfMemory(
    message:
      "\(purpose()): there is no memory for \(isTooLarge ? "\(count) × \(MemoryLayout<Element>.stride)" : "\(bytes)")"
      + " bytes. \(remedy)")
}

private let remedy = "Free memory, raise the process's limit (ulimit -v), or use fewer rows at a time"

/// Throws unless there is memory for the threads of tasks and queues. Call this before waiting for the first
/// of them: if Dispatch finds no memory for a thread's stack, it waits without end.
///
/// - Throws: `ChainruleError.outOfMemory`.
package func checkMemoryForThreads() throws(ChainruleError) {
  guard !isAvailable(0) else { return }
  throw .outOfMemory(
    message: "starting threads: there is no memory for \(spare) bytes of stacks. \(remedy)")
}

/// The memory that an array must leave free: for small allocations, and for the stacks of the threads that
/// Dispatch starts for tasks and queues, 8 MiB each with Linux's default settings. It is mapped and unmapped,
/// never touched.
private let spare = 64 << 20

/// Whether `malloc` can allocate `bytes` bytes while the system keeps ``spare`` bytes free.
private func isAvailable(_ bytes: Int) -> Bool {
  // A compiler may remove a pair of `malloc` and `free` and assume that the allocation succeeds; it may not
  // remove this call.
  var block: UnsafeMutableRawPointer?
  guard posix_memalign(&block, 64, bytes) == 0 else { return false }
  defer { free(block) }
  // Stacks come from the system, without the memory that `malloc` retains.
  let stacks = mmap(nil, spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
  guard stacks != UnsafeMutableRawPointer(bitPattern: -1) else { return false }  // MAP_FAILED
  munmap(stacks, spare)
  return true
}

extension Array {
  /// Creates an empty array with room for `count` elements.
  ///
  /// - Throws: `ChainruleError.outOfMemory`; see ``checkMemory(_:of:for:)``.
  package init(roomFor count: Int, for purpose: @autoclosure () -> String) throws(ChainruleError) {
    try checkMemory(count, of: Element.self, for: purpose())
    self = []
    reserveCapacity(count)
  }

  /// Creates an array with `count` copies of an element.
  ///
  /// - Throws: `ChainruleError.outOfMemory`; see ``checkMemory(_:of:for:)``.
  package init(
    repeating element: Element, count: Int, for purpose: @autoclosure () -> String
  ) throws(ChainruleError) {
    try checkMemory(count, of: Element.self, for: purpose())
    self.init(repeating: element, count: count)
  }

  /// Reserves room for `count` more elements. If memory allows, the capacity doubles, so that appending takes
  /// linear time; otherwise the room is exact. `limit` is the maximum number of elements of the array.
  ///
  /// - Throws: `ChainruleError.outOfMemory`; see ``checkMemory(_:of:for:)``.
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
