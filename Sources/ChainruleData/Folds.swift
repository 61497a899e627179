/// The parts of a data set for k-fold cross-validation: each fold holds out one of k parts to validate on, and
/// trains on the other k - 1.
///
///     for (train, validation) in try Dataset<Float>.iris.folds(5, seed: 1, stratified: true) { … }
///
/// A fold is copied together when it is asked for, so that one at a time is in memory.
public struct Folds<Scalar: NetworkScalar>: RandomAccessCollection, Sendable {
  /// One fold.
  public typealias Element = (train: Dataset<Scalar>, validation: Dataset<Scalar>)

  private let dataset: Dataset<Scalar>
  /// A random order of the rows, which every part keeps.
  private let order: [Int]
  /// The fold that validates on each row.
  private let foldOfRow: [Int]

  /// The first fold, 0.
  public var startIndex: Int { 0 }
  /// The number of folds.
  public let endIndex: Int

  /// The rows to train on and those to validate on. Traps where there is no such fold.
  public subscript(fold: Int) -> Element {
    precondition(indices.contains(fold), "fold \(fold) of \(count)")
    return (
      train: dataset.selecting(order.filter { foldOfRow[$0] != fold }[...]),
      validation: dataset.selecting(order.filter { foldOfRow[$0] == fold }[...])
    )
  }

  /// The rows of the data set, counted from 0, that a fold validates on, in their order there.
  ///
  /// - Throws: `ChainruleError.invalidValue` where there is no such fold.
  public func validationRows(ofFold fold: Int) throws(ChainruleError) -> [Int] {
    try checkIndex(fold, within: count, name: "the fold")
    return order.filter { foldOfRow[$0] == fold }
  }

  /// The rows that a fold trains on, as ``validationRows(ofFold:)``.
  public func trainingRows(ofFold fold: Int) throws(ChainruleError) -> [Int] {
    try checkIndex(fold, within: count, name: "the fold")
    return order.filter { foldOfRow[$0] != fold }
  }

  /// The rows in random order, those of `strata` one stratum after the other, are dealt out to the folds in
  /// turns: a stratum's rows, and all rows, come to numbers a fold that differ by at most 1.
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
  /// Folds for k-fold cross-validation, k = `count`.
  ///
  /// Each row is validated on in exactly one fold; the sizes of the folds differ by at most 1. The rows are dealt
  /// out in the order of a Fisher–Yates shuffle driven by SplitMix64, so a seed gives the same folds on every
  /// platform.
  ///
  /// - Parameters:
  ///   - count: The number of folds, at least 2 and at most the number of rows.
  ///   - seed: Decides which rows each fold gets.
  ///   - stratified: Whether the rows of each class, too, come to numbers a fold that differ by at most 1. A class of
  ///     fewer rows than there are folds is missing from some.
  /// - Throws: `ChainruleError.invalidValue` for fewer than 2 folds or more than there are rows, and for a
  ///   regression that is to be stratified.
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

/// The rows of each stratum, in the order given.
func rowsByStratum(_ order: [Int], _ strata: [Int]) -> [[Int]] {
  var rows = [[Int]](repeating: [], count: (strata.max() ?? -1) + 1)
  for row in order { rows[strata[row]].append(row) }
  return rows
}

/// How many rows of each stratum are held out, of strata with `counts` rows.
///
/// A stratum's share is count × fraction, rounded down or up so that all of them make up the rounded share of all
/// rows: up where most is cut off, the first of several. Of 2 rows or more at least one lies on either side,
/// whatever the sum then is; a single row is not held out.
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
