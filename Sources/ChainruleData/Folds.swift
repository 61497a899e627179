/// The parts of a data set for k-fold cross-validation: each fold holds out one of k parts for validation,
/// and trains on the other k - 1.
///
///     for (train, validation) in try Dataset<Float>.iris.folds(5, seed: 1, stratified: true) { … }
///
/// The rows of a fold are copied when it is accessed, so that only one is in memory at a time.
public struct Folds<Scalar: NetworkScalar>: RandomAccessCollection, Sendable {
  /// One fold.
  public typealias Element = (train: Dataset<Scalar>, validation: Dataset<Scalar>)

  private let dataset: Dataset<Scalar>
  /// A random order of the rows, which all parts keep.
  private let order: [Int]
  /// The fold that validates on each row.
  private let foldOfRow: [Int]

  /// The first fold, 0.
  public var startIndex: Int { 0 }
  /// The number of folds.
  public let endIndex: Int

  /// The training rows and the validation rows of a fold. Traps if there is no such fold.
  public subscript(fold: Int) -> Element {
    precondition(indices.contains(fold), "fold \(fold) of \(count)")
    return (
      train: dataset.selecting(order.filter { foldOfRow[$0] != fold }[...]),
      validation: dataset.selecting(order.filter { foldOfRow[$0] == fold }[...])
    )
  }

  /// Returns the validation rows of a fold: indices into the data set, in the fold's order.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no such fold.
  public func validationRows(ofFold fold: Int) throws(ChainruleError) -> [Int] {
    try checkIndex(fold, within: count, name: "the fold")
    return order.filter { foldOfRow[$0] == fold }
  }

  /// Returns the training rows of a fold; see ``validationRows(ofFold:)``.
  public func trainingRows(ofFold fold: Int) throws(ChainruleError) -> [Int] {
    try checkIndex(fold, within: count, name: "the fold")
    return order.filter { foldOfRow[$0] != fold }
  }

  /// Assigns the rows in random order, stratum after stratum, to the folds in turn. The numbers of a
  /// stratum's rows in each fold, and of all rows, then differ by at most 1.
  fileprivate init(_ dataset: Dataset<Scalar>, count: Int, seed: UInt64, strata: [Int]?) {
    var generator = SplitMix64(seed: seed)
    let order = generator.permutation(of: dataset.rows)
    let dealt = strata.map { rowsByStratum(order, $0).flatMap(\.self) } ?? order
    var foldOfRow = order
    for (place, row) in dealt.enumerated() { foldOfRow[row] = place % count }
    self.dataset = dataset
    self.order = order
    self.foldOfRow = foldOfRow
    endIndex = count
  }
}

extension Dataset {
  /// Returns the folds for k-fold cross-validation, k = `count`.
  ///
  /// Each row is a validation row of exactly one fold; the sizes of the folds differ by at most 1. The rows
  /// are assigned in the order of a Fisher–Yates shuffle with SplitMix64, so a seed gives the same folds on
  /// every platform.
  ///
  /// - Parameters:
  ///   - count: The number of folds, at least 2 and at most the number of rows.
  ///   - seed: The seed of the assignment.
  ///   - stratified: Whether the numbers of rows of each class, too, differ by at most 1 between folds. A
  ///     class with fewer rows than there are folds is missing from some.
  /// - Throws: `ChainruleError.invalidValue` for fewer than 2 folds or more than there are rows, and for
  ///   stratified folds of a regression.
  public func folds(
    _ count: Int, seed: UInt64, stratified: Bool = false
  ) throws(ChainruleError) -> Folds<Scalar> {
    guard count >= 2, count <= rows else {
      throw .invalidValue(
        name: "the number of folds", value: "\(count)",
        expected: rows < 2 ? "at least 2, and as many rows; there is 1" : "2 … \(rows), the number of rows")
    }
    try checkMemory(6 * rows, of: Int.self, for: "the order of \(rows) rows")
    try checkMemory(
      rows * (inputs + outputs + (sampleWeights == nil ? 0 : 1)), of: Scalar.self,
      for: "the parts of a data set of \(self)")
    let strata = stratified ? try classes(for: "stratified folds").ofRows : nil
    return Folds(self, count: count, seed: seed, strata: strata)
  }
}

/// Returns the rows of each stratum, in the given order.
func rowsByStratum(_ order: [Int], _ strata: [Int]) -> [[Int]] {
  var rows = [[Int]](repeating: [], count: (strata.max() ?? -1) + 1)
  for row in order { rows[strata[row]].append(row) }
  return rows
}

/// Returns the number of rows to hold out of each stratum; `counts` has the numbers of their rows.
///
/// A stratum's number is count × fraction, rounded down or up so that the sum is the rounded number for all
/// rows. Those with the largest fractional part are rounded up, the first ones if they are equal. A stratum
/// of 2 rows or more has at least one on either side, whatever the sum; a single row is not held out.
func heldOutCounts(_ counts: [Int], fraction: Double) -> [Int] {
  let shares = counts.map { Double($0) * fraction }
  let bounds = counts.map { $0 > 1 ? 1...$0 - 1 : 0...0 }
  var heldOut = zip(shares, bounds).map { min(max(Int($0), $1.lowerBound), $1.upperBound) }
  let total = Int((Double(counts.reduce(0, +)) * fraction).rounded())
  let candidates = counts.indices
    .filter { Double(heldOut[$0]) < shares[$0] && heldOut[$0] < bounds[$0].upperBound }
    .sorted { (shares[$1] - Double(heldOut[$1]), $0) < (shares[$0] - Double(heldOut[$0]), $1) }
  for stratum in candidates.prefix(Swift.max(0, total - heldOut.reduce(0, +))) { heldOut[stratum] += 1 }
  return heldOut
}
