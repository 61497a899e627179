/// Examples for training: each row is an example with its features x and its targets y.
///
/// Both matrices are dense and row-major, and every number in them is finite. There is at least one
/// row, one input and one output.
///
///     let data = try Dataset<Float>(
///       features: [[0, 0], [0, 1], [1, 0], [1, 1]], targets: [[0], [1], [1], [0]])
///     let (train, test) = try Dataset<Float>.digits.split(holdingOut: 0.2, seed: 1)
public struct Dataset<Scalar: NetworkScalar>: Sendable, Equatable {
  /// x, row-major: rows × inputs.
  public let features: [Scalar]
  /// y, row-major: rows × outputs. Classes have one column each: 1 in the column of the row's class, 0
  /// elsewhere.
  public let targets: [Scalar]
  /// The number of examples.
  public let rows: Int
  /// The number of features of an example.
  public let inputs: Int
  /// The number of targets of an example; the number of classes for a classification.
  public let outputs: Int
  /// The names of the features, in column order, if known.
  public let featureNames: [String]?
  /// The names of the targets of a regression, in column order, if known.
  public let targetNames: [String]?
  /// The classes, in the order of the target columns; `nil` if the targets are not classes.
  public let classLabels: [String]?
  /// The weight of each row in the loss, ≥ 0; `nil` if every row has the weight 1.
  public let sampleWeights: [Scalar]?

  /// The maximum number of classes of a data set.
  static var maximumClasses: Int { 65_536 }

  /// Stores the members without checks; the caller guarantees what the other initialisers check.
  init(
    vouchedFeatures features: [Scalar], targets: [Scalar], rows: Int, inputs: Int, outputs: Int,
    featureNames: [String]?, targetNames: [String]?, classLabels: [String]?, sampleWeights: [Scalar]?
  ) {
    self.features = features
    self.targets = targets
    self.rows = rows
    self.inputs = inputs
    self.outputs = outputs
    self.featureNames = featureNames
    self.targetNames = targetNames
    self.classLabels = classLabels
    self.sampleWeights = sampleWeights
  }
}

// MARK: - Initialisers

extension Dataset {
  /// Creates a data set from flat row-major arrays: `features` of rows × inputs, `targets` of rows × outputs.
  ///
  /// With `classLabels`, each row of `targets` must be one-hot: a single 1, the rest 0.
  ///
  /// - Throws: `ChainruleError.invalidValue` for a size below 1, a repeated name or a weight below 0,
  ///   `.shapeMismatch` if two sizes disagree, `.badData` for a number that is not finite (with its row and
  ///   column, counted from 1) or a row that is not one-hot.
  public init(
    features: [Scalar], targets: [Scalar], rows: Int, inputs: Int, outputs: Int,
    featureNames: [String]? = nil, targetNames: [String]? = nil, classLabels: [String]? = nil,
    sampleWeights: [Scalar]? = nil
  ) throws(ChainruleError) {
    try Self.checkMatrix("features", features, rows: rows, columns: inputs, names: featureNames)
    try Self.checkMatrix("targets", targets, rows: rows, columns: outputs, names: targetNames)
    if let classLabels {
      try Self.checkClasses(classLabels)
      try Self.checkSize("class labels", classLabels.count, expected: outputs)
      if let row = firstRowNotOneHot(targets, columns: outputs) {
        throw Self.bad("targets, row \(row + 1): expected a single 1 and zeros, as for classes")
      }
    }
    if let sampleWeights {
      try Self.checkSize("sample weights", sampleWeights.count, expected: rows)
      if let row = sampleWeights.firstIndex(where: { !($0.isFinite && $0 >= 0) }) {
        throw .invalidValue(
          name: "the weight of row \(row + 1)", value: "\(sampleWeights[row])", expected: "a number ≥ 0")
      }
      guard sampleWeights.contains(where: { $0 > 0 }) else {
        throw .invalidValue(name: "every sample weight", value: "0", expected: "at least one above 0")
      }
    }
    self.init(
      vouchedFeatures: features, targets: targets, rows: rows, inputs: inputs, outputs: outputs,
      featureNames: featureNames, targetNames: targetNames, classLabels: classLabels,
      sampleWeights: sampleWeights)
  }

  /// Creates a data set from one array per row.
  ///
  /// - Throws: The errors of
  ///   ``init(features:targets:rows:inputs:outputs:featureNames:targetNames:classLabels:sampleWeights:)``,
  ///   and `ChainruleError.shapeMismatch` for a row whose length differs from the first.
  public init(
    features: [[Scalar]], targets: [[Scalar]],
    featureNames: [String]? = nil, targetNames: [String]? = nil, sampleWeights: [Scalar]? = nil
  ) throws(ChainruleError) {
    let (flatFeatures, inputs) = try Self.flatten("features", features)
    let (flatTargets, outputs) = try Self.flatten("targets", targets)
    try Self.checkSize("rows of targets", targets.count, expected: features.count)
    try self.init(
      features: flatFeatures, targets: flatTargets, rows: features.count, inputs: inputs, outputs: outputs,
      featureNames: featureNames, targetNames: targetNames, sampleWeights: sampleWeights)
  }

  /// Creates a data set of classes from one array and one label per row.
  ///
  /// The targets are one-hot, with one column per class. The classes are the labels that occur, in ascending
  /// order: numerically if all are numbers ("2" before "10"), otherwise as text.
  ///
  /// - Throws: The errors of ``init(features:targets:featureNames:targetNames:sampleWeights:)``, and
  ///   `ChainruleError.badData` if there are so many classes that the targets are larger than 1 GiB and than
  ///   100 times the features.
  public init(
    features: [[Scalar]], labels: [some LosslessStringConvertible],
    featureNames: [String]? = nil, sampleWeights: [Scalar]? = nil
  ) throws(ChainruleError) {
    let (flatFeatures, inputs) = try Self.flatten("features", features)
    try self.init(
      features: flatFeatures, inputs: inputs, labels: labels.map(\.description),
      featureNames: featureNames, sampleWeights: sampleWeights)
  }

  /// Creates a data set of classes from flat features, rows × inputs, and one label per row. `classes` gives
  /// the order of the columns; `nil`: the labels that occur, ascending. `bad` creates errors.
  init(
    features: [Scalar], inputs: Int, labels: [String], classes: [String]? = nil,
    featureNames: [String]? = nil, sampleWeights: [Scalar]? = nil,
    bad: (String) -> ChainruleError = Self.bad
  ) throws(ChainruleError) {
    let classes = classes ?? ascending(Set(labels.map(ExactText.init)))
    try Self.checkClasses(classes)
    try Self.checkOneHot(rows: labels.count, classes: classes.count, inputs: inputs, bad: bad)
    let column = ClassPlaces(classes)
    let purpose = "one-hot targets of \(labels.count) rows and \(classes.count) classes"
    var indices = try [Int](roomFor: labels.count, for: purpose)
    for (row, label) in labels.enumerated() {
      guard let index = column[label] else {
        throw bad("row \(row + 1) has the label \"\(label)\"; the classes are \(enumeration(classes))")
      }
      indices.append(index)
    }
    try checkMemory(labels.count * classes.count, of: Scalar.self, for: purpose)
    try self.init(
      features: features, targets: oneHot(indices, classes: classes.count), rows: labels.count,
      inputs: inputs, outputs: classes.count, featureNames: featureNames, classLabels: classes,
      sampleWeights: sampleWeights)
  }

  static func bad(_ reason: String) -> ChainruleError {
    .badData(file: nil, line: nil, column: nil, reason: reason)
  }

  private static func checkSize(_ what: String, _ actual: Int, expected: Int) throws(ChainruleError) {
    guard actual == expected else {
      throw .shapeMismatch(what: what, expected: expected, actual: actual)
    }
  }

  private static func checkMatrix(
    _ what: String, _ values: [Scalar], rows: Int, columns: Int, names: [String]?
  ) throws(ChainruleError) {
    guard rows > 0 else { throw .invalidValue(name: "rows", value: "\(rows)", expected: "at least 1") }
    guard columns > 0 else {
      throw .invalidValue(name: "columns of \(what)", value: "\(columns)", expected: "at least 1")
    }
    let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
    guard !overflow else {
      throw .invalidValue(
        name: "\(what)", value: "\(rows) × \(columns)", expected: "a size that fits in memory")
    }
    try checkSize(what, values.count, expected: count)
    if let names {
      try checkSize("names of \(what)", names.count, expected: columns)
      try checkDistinct(names, "the names of the \(what)")
    }
    if let index = firstNotFinite(values) {
      throw bad(
        "\(what), row \(index / columns + 1), column \(index % columns + 1): \(values[index]) is not finite")
    }
  }

  /// Throws for too many classes or a repeated one.
  static func checkClasses(_ classes: [String]) throws(ChainruleError) {
    guard classes.count <= maximumClasses else {
      throw .invalidValue(
        name: "the number of classes", value: "\(classes.count)", expected: "at most \(maximumClasses)")
    }
    if let twice = firstRepeated(in: classes) {
      throw .invalidValue(name: "a class", value: "\"\(twice)\"", expected: "each class once")
    }
  }

  /// Throws for one-hot targets, rows × classes, that are larger than 1 GiB and than 100 times the features.
  /// Otherwise a small file of distinct labels, or one large class number, could require any amount of
  /// memory.
  static func checkOneHot(
    rows: Int, classes: Int, inputs: Int, bad: (String) -> ChainruleError = Self.bad
  ) throws(ChainruleError) {
    let row = classes * MemoryLayout<Scalar>.stride
    guard classes > 100 * inputs, rows > (1 << 30) / row else { return }
    throw bad(
      "\(rows) rows of \(classes) classes make targets of \(rows * row) bytes; expected at most \(1 << 30), or 100 times "
        + "those of the features; is this a regression?")
  }

  private static func flatten(
    _ what: String, _ matrix: [[Scalar]]
  ) throws(ChainruleError) -> (values: [Scalar], columns: Int) {
    let columns = matrix.first?.count ?? 0
    if let row = matrix.firstIndex(where: { $0.count != columns }) {
      throw .shapeMismatch(what: "\(what), row \(row + 1)", expected: columns, actual: matrix[row].count)
    }
    var values = try [Scalar](
      roomFor: matrix.count * columns, for: "the \(matrix.count) × \(columns) \(what)")
    for row in matrix { values += row }
    return (values, columns)
  }
}

// MARK: - Rows and parts

extension Dataset {
  /// The features and targets of one row, counted from 0. Traps if there is no such row.
  public subscript(row index: Int) -> (features: ArraySlice<Scalar>, targets: ArraySlice<Scalar>) {
    precondition(index >= 0 && index < rows, "row \(index) of \(rows)")
    return (
      features[index * inputs..<(index + 1) * inputs], targets[index * outputs..<(index + 1) * outputs]
    )
  }

  /// The class of each row, an index into ``classLabels``; `nil` if the targets are not classes.
  public var labels: [Int]? {
    classLabels == nil ? nil : hotColumns(targets, columns: outputs)
  }

  /// The names of the classes, and the class of each row as an index into them; `nil` for a regression.
  ///
  /// A single target column with only 0 and 1, as for a sigmoid output, has the classes "0" and "1".
  package var classes: (names: [String], ofRows: [Int])? {
    if let classLabels { return (classLabels, hotColumns(targets, columns: outputs)) }
    guard outputs == 1, let rows = zerosAndOnes(targets) else { return nil }
    return (["0", "1"], rows)
  }

  /// Returns ``classes``, or throws an error that names the `purpose`, such as "class weights".
  package func classes(for purpose: String) throws(ChainruleError) -> (names: [String], ofRows: [Int]) {
    guard let classes else {
      throw .invalidValue(
        name: "the data set", value: "a regression", expected: "classes, for \(purpose)")
    }
    return classes
  }

  /// Returns a copy of the rows in `range`, counted from 0, with the same classes. Traps if the range is
  /// empty or extends beyond the rows.
  public subscript(rows range: Range<Int>) -> Dataset {
    precondition(
      !range.isEmpty && range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
    return Dataset(
      vouchedFeatures: Array(features[range.lowerBound * inputs..<range.upperBound * inputs]),
      targets: Array(targets[range.lowerBound * outputs..<range.upperBound * outputs]),
      rows: range.count, inputs: inputs, outputs: outputs, featureNames: featureNames,
      targetNames: targetNames, classLabels: classLabels,
      sampleWeights: sampleWeights.map { Array($0[range]) })
  }

  /// Splits the rows at random into a training part and a held-out part.
  ///
  /// The held-out part has round(rows × fraction) rows. The order is a Fisher–Yates shuffle with SplitMix64,
  /// so a seed gives the same split on every platform. The first rows of that order are held out, and both
  /// parts keep the order.
  ///
  /// - Parameters:
  ///   - fraction: The fraction of the rows to hold out, between 0 and 1.
  ///   - seed: The seed of the order.
  ///   - stratified: Whether both parts have the same fraction of each class. The held-out rows of a class
  ///     are its rows × fraction, rounded down or up; if a class has two rows or more, each part has at least
  ///     one. A class with one row is in the training part. Classes with few rows may make the held-out part
  ///     larger or smaller than above.
  /// - Throws: `ChainruleError.invalidValue` if either part would be empty, and for a stratified split of a
  ///   regression.
  public func split(
    holdingOut fraction: Double, seed: UInt64, stratified: Bool = false
  ) throws(ChainruleError) -> (train: Dataset, test: Dataset) {
    let rows = try splitRows(holdingOut: fraction, seed: seed, stratified: stratified)
    try checkMemory(
      self.rows * (inputs + outputs + (sampleWeights == nil ? 0 : 1)), of: Scalar.self,
      for: "the parts of a data set of \(self)")
    return (train: selecting(rows.train[...]), test: selecting(rows.test[...]))
  }

  /// Returns the rows, counted from 0, of the parts of ``split(holdingOut:seed:stratified:)``, in the parts'
  /// order.
  ///
  /// - Throws: The errors of that method.
  public func splitRows(
    holdingOut fraction: Double, seed: UInt64, stratified: Bool = false
  ) throws(ChainruleError) -> (train: [Int], test: [Int]) {
    guard fraction > 0, fraction < 1 else {
      throw .invalidValue(
        name: "the fraction held out", value: "\(fraction)", expected: "a number between 0 and 1")
    }
    try checkMemory(6 * rows, of: Int.self, for: "the order of \(rows) rows")
    let strata =
      stratified ? try classes(for: "a stratified split").ofRows : Array(repeating: 0, count: rows)
    var generator = SplitMix64(seed: seed)
    let order = generator.permutation(of: rows)
    let rowsOfStrata = rowsByStratum(order, strata)
    let counts = rowsOfStrata.map(\.count)
    let heldOut =
      stratified
      ? heldOutCounts(counts, fraction: fraction) : [Int((Double(rows) * fraction).rounded())]
    let total = heldOut.reduce(0, +)
    guard total >= 1, total < rows else {
      throw .invalidValue(
        name: "the fraction held out", value: "\(fraction), \(total) of \(rows) rows",
        expected: "at least one row in each part")
    }
    var isHeldOut = [Bool](repeating: false, count: rows)
    for (rows, count) in zip(rowsOfStrata, heldOut) {
      for row in rows.prefix(count) { isHeldOut[row] = true }
    }
    return (train: order.filter { !isHeldOut[$0] }, test: order.filter { isHeldOut[$0] })
  }

  /// Returns the same rows with the target columns of `classes`, in that order; they may include classes that
  /// this data set does not have. A model trained on `classes` can be evaluated on the result.
  ///
  /// - Throws: `ChainruleError.invalidValue` if the targets are not classes, `.badData` for a row whose class
  ///   is not in `classes`.
  public func withClasses(_ classes: [String]) throws(ChainruleError) -> Dataset {
    guard let classLabels, let labels else {
      throw .invalidValue(name: "the data set", value: "a regression", expected: "classes")
    }
    if classes.isExactly(classLabels) { return self }
    return try Dataset(
      features: features, inputs: inputs, labels: labels.map { classLabels[$0] }, classes: classes,
      featureNames: featureNames, sampleWeights: sampleWeights)
  }

  /// Returns the same rows, each with a weight ≥ 0 in the loss.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if the number of weights is not that of the rows,
  ///   `.invalidValue` for a weight that is negative or not finite, or if all are 0.
  public func withSampleWeights(_ weights: [Scalar]) throws(ChainruleError) -> Dataset {
    try Dataset(
      features: features, targets: targets, rows: rows, inputs: inputs, outputs: outputs,
      featureNames: featureNames, targetNames: targetNames, classLabels: classLabels,
      sampleWeights: weights)
  }

  /// Returns the same rows with other features, of the same number, which the caller has checked.
  func withVouchedFeatures(_ features: [Scalar]) -> Dataset {
    Dataset(
      vouchedFeatures: features, targets: targets, rows: rows, inputs: inputs, outputs: outputs,
      featureNames: featureNames, targetNames: targetNames, classLabels: classLabels,
      sampleWeights: sampleWeights)
  }

  /// Returns a copy of the rows at `indices`, in that order.
  func selecting(_ indices: ArraySlice<Int>) -> Dataset {
    Dataset(
      vouchedFeatures: gather(indices, from: features, columns: inputs),
      targets: gather(indices, from: targets, columns: outputs),
      rows: indices.count, inputs: inputs, outputs: outputs, featureNames: featureNames,
      targetNames: targetNames, classLabels: classLabels,
      sampleWeights: sampleWeights.map { gather(indices, from: $0, columns: 1) })
  }
}

extension Dataset: CustomStringConvertible {
  /// The sizes in one line, such as "1797 rows, 64 inputs, 10 classes".
  public var description: String {
    "\(rows) rows, \(inputs) inputs, \(outputs) \(classLabels == nil ? "outputs" : "classes")"
  }
}

// MARK: - Loops over every element
//
// Free functions, specialised for both scalars: a generic function called from another module would otherwise
// use witness tables, which is about twenty times slower.

/// Returns the index of the first element that is NaN or infinite.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
func firstNotFinite<Scalar: NetworkScalar>(_ values: [Scalar]) -> Int? {
  values.firstIndex { !$0.isFinite }
}

/// Returns the first row of a row-major matrix that is not one-hot.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func firstRowNotOneHot<Scalar: NetworkScalar>(_ values: [Scalar], columns: Int) -> Int? {
  for row in 0..<values.count / columns {
    var ones = 0
    for value in values[row * columns..<(row + 1) * columns] {
      if value == 1 { ones += 1 } else if value != 0 { return row }
    }
    if ones != 1 { return row }
  }
  return nil
}

/// Returns a row-major matrix with a 1 in column indices[row] of each row and zeros elsewhere.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
func oneHot<Scalar: NetworkScalar>(_ indices: [Int], classes: Int) -> [Scalar] {
  var matrix = [Scalar](repeating: 0, count: indices.count * classes)
  for (row, index) in indices.enumerated() {
    matrix[row * classes + index] = 1
  }
  return matrix
}

/// Returns the column of the 1 in each row of a one-hot matrix.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func hotColumns<Scalar: NetworkScalar>(_ matrix: [Scalar], columns: Int) -> [Int] {
  var hot: [Int] = []
  hot.reserveCapacity(matrix.count / columns)
  for (index, value) in matrix.enumerated() where value == 1 {
    hot.append(index % columns)
  }
  return hot
}

/// Returns the elements as integers if each is 0 or 1, otherwise `nil`.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func zerosAndOnes<Scalar: NetworkScalar>(_ values: [Scalar]) -> [Int]? {
  guard values.allSatisfy({ $0 == 0 || $0 == 1 }) else { return nil }
  return values.map { $0 == 1 ? 1 : 0 }
}

/// Returns the rows at `indices` of a row-major matrix.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func gather<Scalar: NetworkScalar>(
  _ indices: ArraySlice<Int>, from matrix: [Scalar], columns: Int
) -> [Scalar] {
  var rows: [Scalar] = []
  rows.reserveCapacity(indices.count * columns)
  for index in indices {
    rows.append(contentsOf: matrix[index * columns..<(index + 1) * columns])
  }
  return rows
}

// MARK: - Text

/// Returns the first twenty of `names`; if there are more, also their number.
func enumeration(_ names: [String]) -> String {
  let shown = names.prefix(20).joined(separator: ", ")
  return names.count > 20 ? "\(shown), … (\(names.count) in all)" : shown
}
