/// Scales features to mean 0 and standard deviation 1: x ↦ (x - μ) / σ, column by column.
///
/// μ and σ are fitted on one data set, the training data, and then applied to all others:
///
///     let scaling = try Standardization(fitting: train)
///     let (scaledTrain, scaledTest) = try (scaling.transform(train), scaling.transform(test))
///
/// The calculation is in double precision, and each result is rounded once. The rows count equally, whatever
/// their weights.
public struct Standardization: ColumnScaling, Equatable {
  /// μ, the mean of each feature.
  public let mean: [Double]
  /// σ, the divisor of each feature: √(Σ(x - μ)² / rows), and 1 for a constant feature.
  ///
  /// A feature counts as constant if its variance is within the rounding error of a two-pass computation: σ²
  /// ≤ n ε σ² + (n μ ε)², where n is the number of rows and ε = 2⁻⁵² (Chan, Golub and LeVeque 1983), as in
  /// scikit-learn's `StandardScaler`.
  public let standardDeviation: [Double]

  /// Fits the features of `dataset`.
  ///
  /// - Throws: `ChainruleError.notFinite` if a mean or a standard deviation overflows.
  public init<Scalar: NetworkScalar>(fitting dataset: Dataset<Scalar>) throws(ChainruleError) {
    try self.init(fitting: dataset.features, columns: dataset.inputs)
  }

  /// Fits a row-major matrix of rows × `columns`, such as the targets of a regression.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if `values` are not whole rows, `.invalidValue` for no rows,
  ///   `.badData` for NaN or infinity in them, `.notFinite` if a mean or a standard deviation overflows.
  public init<Scalar: NetworkScalar>(
    fitting values: [Scalar], columns: Int
  ) throws(ChainruleError) {
    let rows = try checkedRows(values, columns: columns)
    try checkFinite(values, columns: columns)
    var moments = ColumnMoments(columns: columns)
    moments.sum(values)
    moments.beginDistances()
    moments.sumDistances(values)
    try self.init(moments.meanAndVariance, rows: rows)
  }

  /// Fits the features of a source by reading it twice. The result is that of the same rows in one data set.
  ///
  /// - Throws: The errors of its iterator, `ChainruleError.invalidValue` for a source without rows,
  ///   `.notFinite` if a mean or a standard deviation overflows.
  public init<Scalar: NetworkScalar>(fitting source: some BatchSource<Scalar>) throws(ChainruleError) {
    try self.init(source, columns: source.inputs) { $0.features }
  }

  /// Fits the targets of a source, such as those of a regression, as ``init(fitting:)-(BatchSource)`` fits
  /// its features.
  ///
  /// - Throws: The errors of that initializer.
  public init<Scalar: NetworkScalar>(fittingTargetsOf source: some BatchSource<Scalar>) throws(ChainruleError)
  {
    try self.init(source, columns: source.outputs) { $0.targets }
  }

  private init<Scalar: NetworkScalar>(
    _ source: some BatchSource<Scalar>, columns: Int, values: (Dataset<Scalar>) -> [Scalar]
  ) throws(ChainruleError) {
    var moments = ColumnMoments(columns: columns)
    var batches = try source.checkedBatches(of: 1024)
    while let batch = try batches.next() { moments.sum(values(batch)) }
    guard moments.rows > 0 else { throw .invalidValue(name: "rows", value: "0", expected: "at least 1") }
    moments.beginDistances()
    batches = try source.checkedBatches(of: 1024)
    while let batch = try batches.next() { moments.sumDistances(values(batch)) }
    try self.init(moments.meanAndVariance, rows: moments.rows)
  }

  private init(_ moments: (mean: [Double], variance: [Double]), rows: Int) throws(ChainruleError) {
    let ((mean, variance), rows) = (moments, Double(rows))
    for column in mean.indices where !(mean[column].isFinite && variance[column].isFinite) {
      throw .notFinite(
        quantity: "standard deviation", layer: nil, step: nil,
        message: "the standard deviation of column \(column + 1) overflows; its numbers are too large")
    }
    self.mean = mean
    standardDeviation = zip(mean, variance).map { mean, variance in
      let rounding = rows * mean * .ulpOfOne
      let isConstant = variance <= rows * .ulpOfOne * variance + rounding * rounding
      return isConstant ? 1 : variance.squareRoot()
    }
  }

  /// Creates a standardisation from known numbers, one of each per feature.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if the numbers of means and deviations differ, `.invalidValue`
  ///   if there are none, for a mean that is not finite, or for a standard deviation that is not finite and
  ///   above 0.
  public init(mean: [Double], standardDeviation: [Double]) throws(ChainruleError) {
    guard standardDeviation.count == mean.count else {
      throw .shapeMismatch(
        what: "standard deviations", expected: mean.count, actual: standardDeviation.count)
    }
    try checkNumbers("mean", mean, expected: "a finite number") { $0.isFinite }
    try checkNumbers("standard deviation", standardDeviation, expected: "a finite number above 0") {
      $0.isFinite && $0 > 0
    }
    self.mean = mean
    self.standardDeviation = standardDeviation
  }

  /// x ↦ (x - μ) / σ
  public var map: ColumnMap {
    ColumnMap(shift: mean.map { -$0 }, divisor: standardDeviation)
  }
}

extension Standardization: Codable {
  private enum CodingKeys: CodingKey { case mean, standardDeviation }

  /// Reads the numbers.
  ///
  /// - Throws: A `DecodingError`, or the errors of ``init(mean:standardDeviation:)``.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      mean: container.decode([Double].self, forKey: .mean),
      standardDeviation: container.decode([Double].self, forKey: .standardDeviation))
  }
}

/// Scales features to a range, column by column: x ↦ a + (b - a) (x - min) / (max - min).
///
/// The minimum and maximum are fitted on one data set, the training data, whose features then span a … b;
/// those of other data may lie outside. The calculation is in double precision, and each result is rounded
/// once.
public struct MinMaxScaling: ColumnScaling, Equatable {
  /// The smallest value of each feature.
  public let minimum: [Double]
  /// The largest value of each feature.
  public let maximum: [Double]
  /// The range a … b.
  public let range: ClosedRange<Double>

  /// Fits the features of `dataset`. A constant feature, max = min, becomes a + (b - a) (x - min).
  ///
  /// - Throws: `ChainruleError.invalidValue` for a range that is empty or not finite.
  public init<Scalar: NetworkScalar>(
    fitting dataset: Dataset<Scalar>, to range: ClosedRange<Double> = 0...1
  ) throws(ChainruleError) {
    try self.init(fitting: dataset.features, columns: dataset.inputs, to: range)
  }

  /// Fits a row-major matrix of rows × `columns`, such as the targets of a regression.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if `values` are not whole rows, `.invalidValue` for no rows, or
  ///   for a range that is empty or not finite, `.badData` for NaN or infinity in them.
  public init<Scalar: NetworkScalar>(
    fitting values: [Scalar], columns: Int, to range: ClosedRange<Double> = 0...1
  ) throws(ChainruleError) {
    _ = try checkedRows(values, columns: columns)
    try checkFinite(values, columns: columns)
    let (minimum, maximum) = extremes(values, columns: columns)
    try self.init(minimum: minimum, maximum: maximum, to: range)
  }

  /// Creates a scaling from known numbers, one of each per feature.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if the numbers of minima and maxima differ, `.invalidValue` if
  ///   there are none, for numbers that are not finite or a maximum below its minimum, or for a range that is
  ///   empty or not finite.
  public init(
    minimum: [Double], maximum: [Double], to range: ClosedRange<Double> = 0...1
  ) throws(ChainruleError) {
    guard maximum.count == minimum.count else {
      throw .shapeMismatch(what: "maxima", expected: minimum.count, actual: maximum.count)
    }
    try checkNumbers("minimum", minimum, expected: "a finite number") { $0.isFinite }
    try checkNumbers("maximum", maximum, expected: "a finite number") { $0.isFinite }
    let spans = zip(minimum, maximum).map { $1 - $0 }
    try checkNumbers("maximum - minimum", spans, expected: "a finite number, not below 0") {
      $0.isFinite && $0 >= 0
    }
    guard range.lowerBound < range.upperBound, (range.upperBound - range.lowerBound).isFinite else {
      throw .invalidValue(
        name: "the range", value: "\(range)", expected: "two finite numbers, the first below the second")
    }
    self.minimum = minimum
    self.maximum = maximum
    self.range = range
  }

  /// x ↦ a + (b - a) (x - min) / (max - min)
  public var map: ColumnMap {
    ColumnMap(
      shift: minimum.map { -$0 }, divisor: zip(minimum, maximum).map { $1 > $0 ? $1 - $0 : 1 },
      factor: range.upperBound - range.lowerBound, offset: range.lowerBound)
  }
}

extension MinMaxScaling: Codable {
  private enum CodingKeys: CodingKey { case minimum, maximum, range }

  /// Reads the numbers. A missing range is 0 … 1.
  ///
  /// - Throws: A `DecodingError`, or the errors of ``init(minimum:maximum:to:)``.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      minimum: container.decode([Double].self, forKey: .minimum),
      maximum: container.decode([Double].self, forKey: .maximum),
      to: container.decodeIfPresent(ClosedRange<Double>.self, forKey: .range) ?? 0...1)
  }
}

// MARK: - Affine maps of columns

/// A scaling of the columns of a matrix that was fitted on some rows: ``Standardization`` or
/// ``MinMaxScaling``.
public protocol ColumnScaling: Sendable {
  /// The affine map of each column.
  var map: ColumnMap { get }
}

extension ColumnScaling {
  /// Returns the same rows with scaled features.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` for another number of features, `.notFinite` if a number
  ///   overflows.
  public func transform<Scalar: NetworkScalar>(
    _ dataset: Dataset<Scalar>
  ) throws(ChainruleError) -> Dataset<Scalar> {
    try map.apply(to: dataset)
  }

  /// Returns scaled features, row-major rows × columns, for predictions for example.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if they are not whole rows, `.badData` for NaN or infinity in
  ///   them, `.notFinite` if a number overflows.
  public func transform<Scalar: NetworkScalar>(_ features: [Scalar]) throws(ChainruleError) -> [Scalar] {
    try map.apply(to: features)
  }

  /// Returns the same rows with their features before ``transform(_:)-(Dataset<Scalar>)``.
  ///
  /// - Throws: The errors of ``transform(_:)-(Dataset<Scalar>)``.
  public func inverseTransform<Scalar: NetworkScalar>(
    _ dataset: Dataset<Scalar>
  ) throws(ChainruleError) -> Dataset<Scalar> {
    try map.inverse.apply(to: dataset)
  }

  /// Returns values, row-major rows × columns, as before ``transform(_:)-([Scalar])``.
  ///
  /// - Throws: The errors of ``transform(_:)-([Scalar])``.
  public func inverseTransform<Scalar: NetworkScalar>(
    _ features: [Scalar]
  ) throws(ChainruleError) -> [Scalar] {
    try map.inverse.apply(to: features)
  }
}

/// x ↦ (x + shift) / divisor · factor + offset, with a shift and a divisor per column; or the inverse of
/// this.
public struct ColumnMap: Sendable {
  var shift: [Double]
  var divisor: [Double]
  var factor = 1.0
  var offset = 0.0
  var isInverse = false

  var inverse: ColumnMap {
    var map = self
    map.isInverse.toggle()
    return map
  }

  func apply<Scalar: NetworkScalar>(to dataset: Dataset<Scalar>) throws(ChainruleError) -> Dataset<Scalar> {
    guard dataset.inputs == shift.count else {
      throw .shapeMismatch(
        what: "features of the data set", expected: shift.count, actual: dataset.inputs)
    }
    return dataset.withVouchedFeatures(try apply(to: dataset.features))
  }

  func apply<Scalar: NetworkScalar>(to values: [Scalar]) throws(ChainruleError) -> [Scalar] {
    let columns = shift.count
    guard values.count.isMultiple(of: columns) else {
      throw .shapeMismatch(
        what: "values, to be a multiple of the columns fitted", expected: columns, actual: values.count)
    }
    try checkFinite(values, columns: columns)
    let mapped = affine(
      values, shift: shift, divisor: divisor, factor: factor, offset: offset, isInverse: isInverse)
    if let index = firstNotFinite(mapped) {
      throw .notFinite(
        quantity: "features", layer: nil, step: nil,
        message: "\(values[index]) in row \(index / columns + 1), column \(index % columns + 1) is scaled to "
          + "\(mapped[index])")
    }
    return mapped
  }
}

@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func affine<Scalar: NetworkScalar>(
  _ values: [Scalar], shift: [Double], divisor: [Double], factor: Double, offset: Double, isInverse: Bool
) -> [Scalar] {
  var mapped: [Scalar] = []
  mapped.reserveCapacity(values.count)
  for start in stride(from: 0, to: values.count, by: shift.count) {
    for column in shift.indices {
      let x = Double(values[start + column])
      mapped.append(
        Scalar(
          isInverse
            ? (x - offset) / factor * divisor[column] - shift[column]
            : (x + shift[column]) / divisor[column] * factor + offset))
    }
  }
  return mapped
}

/// μ and σ² of each column of a row-major matrix, part by part.
///
/// The first pass gives a mean with a rounding error. With d = x - mean from the second pass, μ = mean + d̄
/// and σ² = Σd² / n - d̄².
private struct ColumnMoments {
  private(set) var rows = 0
  /// Σx, then Σx / n
  private var mean: [Double]
  /// Σd and Σd²
  private var (sum, squares): ([Double], [Double])

  init(columns: Int) {
    mean = Array(repeating: 0, count: columns)
    (sum, squares) = (mean, mean)
  }

  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  mutating func sum<Scalar: NetworkScalar>(_ values: [Scalar]) {
    for start in stride(from: 0, to: values.count, by: mean.count) {
      for column in mean.indices { mean[column] += Double(values[start + column]) }
    }
    rows += values.count / mean.count
  }

  mutating func beginDistances() {
    for column in mean.indices { mean[column] /= Double(rows) }
  }

  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  mutating func sumDistances<Scalar: NetworkScalar>(_ values: [Scalar]) {
    for start in stride(from: 0, to: values.count, by: mean.count) {
      for column in mean.indices {
        let distance = Double(values[start + column]) - mean[column]
        sum[column] += distance
        squares[column] += distance * distance
      }
    }
  }

  var meanAndVariance: (mean: [Double], variance: [Double]) {
    var (mean, variance) = (mean, squares)
    for column in mean.indices {
      let correction = sum[column] / Double(rows)
      mean[column] += correction
      variance[column] = max(0, squares[column] / Double(rows) - correction * correction)
    }
    return (mean, variance)
  }
}

/// Returns the smallest and the largest number of each column of a row-major matrix.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func extremes<Scalar: NetworkScalar>(
  _ values: [Scalar], columns: Int
) -> (minimum: [Double], maximum: [Double]) {
  var minimum = values[..<columns].map(Double.init)
  var maximum = minimum
  for start in stride(from: 0, to: values.count, by: columns) {
    for column in 0..<columns {
      let value = Double(values[start + column])
      minimum[column] = min(minimum[column], value)
      maximum[column] = max(maximum[column], value)
    }
  }
  return (minimum, maximum)
}

// MARK: - Checks

/// Returns the number of rows of a row-major matrix, at least 1.
package func checkedRows<Scalar>(_ values: [Scalar], columns: Int) throws(ChainruleError) -> Int {
  guard columns > 0 else {
    throw .invalidValue(name: "columns", value: "\(columns)", expected: "at least 1")
  }
  guard !values.isEmpty else { throw .invalidValue(name: "rows", value: "0", expected: "at least 1") }
  guard values.count.isMultiple(of: columns) else {
    throw .shapeMismatch(
      what: "values, to be a multiple of the columns", expected: columns, actual: values.count)
  }
  return values.count / columns
}

/// Throws for NaN or infinity in a row-major matrix.
package func checkFinite<Scalar: NetworkScalar>(_ values: [Scalar], columns: Int) throws(ChainruleError) {
  if let index = firstNotFinite(values) {
    throw .badData(
      file: nil, line: nil, column: nil,
      reason: "row \(index / columns + 1), column \(index % columns + 1): \(values[index]) is not finite")
  }
}

/// Throws if there are no numbers, or for the first invalid one.
package func checkNumbers(
  _ name: String, _ numbers: [Double], expected: String, isValid: (Double) -> Bool
) throws(ChainruleError) {
  guard !numbers.isEmpty else { throw .invalidValue(name: "columns", value: "0", expected: "at least 1") }
  if let index = numbers.firstIndex(where: { !isValid($0) }) {
    throw .invalidValue(
      name: "the \(name) of column \(index + 1)", value: "\(numbers[index])", expected: expected)
  }
}
