/// The axes of a Slice and their ranges.
struct Slices {
  struct Part {
    /// Counted from 0
    let axis: Int
    let start, end, step: Int64

    /// Returns the selected indices of an axis of `count`, counted from 0.
    func indices(of count: Int) -> [Int] {
      let range = Graph.range(start, end, of: count)
      let step = Int(min(step, Int64(count) + 1))  // so that no index overflows
      return stride(from: range.lowerBound, to: range.upperBound, by: step).map(\.self)
    }

    /// Whether it selects all of an axis of at most `count`.
    func takesAll(of count: Int) -> Bool { start == 0 && step == 1 && end >= Int64(count) }
  }

  let parts: [Part]

  /// Returns `nil` if its numbers do not fit a tensor of `rank` axes, or are computed.
  ///
  /// - Parameter integers: Returns the integers of the input at a position, or of the attribute that old
  ///   graphs have instead.
  init?(_ node: Node, _ rank: Int, _ integers: (Int, String) throws -> [Int64]?) throws {
    guard let starts = try integers(1, "starts"), let ends = try integers(2, "ends"), starts.count <= rank
    else { return nil }
    let axes = try integers(3, "axes") ?? (0..<Int64(starts.count)).map(\.self)
    let steps = try integers(4, "steps") ?? [Int64](repeating: 1, count: starts.count)
    let places = axes.map { $0 < 0 ? $0 + Int64(rank) : $0 }
    guard ends.count == starts.count, axes.count == starts.count, steps.count == starts.count,
      places.allSatisfy({ $0 >= 0 && $0 < rank }), Set(places).count == places.count,
      steps.allSatisfy({ $0 > 0 })
    else { return nil }
    parts = starts.indices.map {
      Part(axis: Int(places[$0]), start: starts[$0], end: ends[$0], step: steps[$0])
    }
  }
}
