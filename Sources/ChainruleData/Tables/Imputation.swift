/// Replaces missing values, column by column. A missing value is NaN, in arrays of numbers for the features
/// of a ``Dataset``, where every number must be finite.
///
/// The replacements are fitted on the training rows, and then applied to all others:
///
///     let imputation = try Imputation(.median, fitting: rows, columns: 3)
///     let features = try imputation.transform(rows)
///
/// ``CSVOptions/missing`` does this for the empty cells of a table.
public struct Imputation: Sendable, Equatable {
  /// The source of a column's replacement.
  public enum Strategy: Sendable, Hashable {
    /// The mean of the values that are present.
    case mean
    /// The median of the values that are present; for an even number, the mean of the two middle ones.
    case median
    /// The value that occurs most often; the smallest if there are several.
    case mostFrequent
    /// The same number for every column.
    case constant(Double)
  }

  /// The replacement of missing values in each column.
  public let values: [Double]

  /// Fits a row-major matrix of rows × `columns`, in which NaN is a missing value.
  ///
  /// - Parameters:
  ///   - strategy: The source of the replacements.
  ///   - features: The matrix.
  ///   - columns: The number of columns.
  ///   - names: The names of the columns, for errors.
  /// - Throws: `ChainruleError.invalidValue` for a column without any value, unless the strategy is
  ///   `constant`, or for a constant that is not finite; `.badData` for an infinite value; `.shapeMismatch`
  ///   if `features` are not whole rows.
  public init<Scalar: NetworkScalar>(
    _ strategy: Strategy, fitting features: [Scalar], columns: Int, names: [String]? = nil
  ) throws(ChainruleError) {
    _ = try checkedRows(features, columns: columns)
    try checkNoneInfinite(features, columns: columns)
    if let names, names.count != columns {
      throw .shapeMismatch(what: "names of features", expected: columns, actual: names.count)
    }
    var values: [Double] = []
    for column in 0..<columns {
      if case .constant(let constant) = strategy {
        values.append(constant)
        continue
      }
      let present = presentValues(features, column: column, columns: columns)
      guard !present.isEmpty else {
        throw .invalidValue(
          name: names.map { "\"\($0[column])\"" } ?? "column \(column + 1)", value: "missing in every row",
          expected: "a value in at least one, or a constant to take its place")
      }
      let value =
        switch strategy {
        case .mean: average(of: present)
        case .median: median(of: present.sorted())
        case .mostFrequent: mostFrequent(in: present.sorted())
        case .constant(let constant): constant
        }
      values.append(value)
    }
    try self.init(values: values)
  }

  /// Creates an imputation from known replacements, one per column.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there are none, or for one that is not finite.
  public init(values: [Double]) throws(ChainruleError) {
    try checkNumbers("value", values, expected: "a finite number") { $0.isFinite }
    self.values = values
  }

  /// Returns the features, row-major rows × columns, with a replacement for each NaN.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if they are not whole rows, `.badData` for an infinite value,
  ///   `.invalidValue` for a replacement that overflows `Scalar`.
  public func transform<Scalar: NetworkScalar>(_ features: [Scalar]) throws(ChainruleError) -> [Scalar] {
    let columns = values.count
    guard features.count.isMultiple(of: columns) else {
      throw .shapeMismatch(
        what: "values, to be a multiple of the columns fitted", expected: columns, actual: features.count)
    }
    try checkNoneInfinite(features, columns: columns)
    let replacements = values.map { Scalar($0) }
    if let column = replacements.firstIndex(where: { !$0.isFinite }) {
      throw .invalidValue(
        name: "the value of column \(column + 1)", value: "\(values[column])",
        expected: "a number that fits in \(Scalar.scalarType.rawValue)")
    }
    return replacingNaN(in: features, by: replacements)
  }
}

extension Imputation: Codable {
  private enum CodingKeys: CodingKey { case values }

  /// Reads the replacements.
  ///
  /// - Throws: A `DecodingError`, or the errors of ``init(values:)``.
  public init(from decoder: any Decoder) throws {
    try self.init(values: decoder.container(keyedBy: CodingKeys.self).decode([Double].self, forKey: .values))
  }
}

// MARK: - Statistics

/// Returns the mean, computed from the distances to the first value: exact if all are equal.
private func average(of values: [Double]) -> Double {
  let first = values[0]
  let mean = first + values.reduce(0) { $0 + ($1 - first) } / Double(values.count)
  // If a distance or the sum overflows, the sum of the parts does not.
  return mean.isFinite ? mean : values.reduce(0) { $0 + $1 / Double(values.count) }
}

func median(of ascending: [Double]) -> Double {
  let upper = ascending[ascending.count / 2]
  if !ascending.count.isMultiple(of: 2) { return upper }
  let lower = ascending[ascending.count / 2 - 1]
  return (lower + upper).isFinite ? (lower + upper) / 2 : lower / 2 + upper / 2
}

func mostFrequent(in ascending: [Double]) -> Double {
  var (best, bestCount, start) = (ascending[0], 0, 0)
  for index in ascending.indices {
    if ascending[index] != ascending[start] { start = index }
    if index - start + 1 > bestCount { (best, bestCount) = (ascending[index], index - start + 1) }
  }
  return best
}

/// Returns the values of a column of a row-major matrix that are not NaN.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func presentValues<Scalar: NetworkScalar>(
  _ matrix: [Scalar], column: Int, columns: Int
) -> [Double] {
  var values: [Double] = []
  for index in stride(from: column, to: matrix.count, by: columns) where !matrix[index].isNaN {
    values.append(Double(matrix[index]))
  }
  return values
}

@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func replacingNaN<Scalar: NetworkScalar>(in matrix: [Scalar], by replacements: [Scalar]) -> [Scalar] {
  var replaced = matrix
  for index in replaced.indices where replaced[index].isNaN {
    replaced[index] = replacements[index % replacements.count]
  }
  return replaced
}

@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func checkNoneInfinite<Scalar: NetworkScalar>(
  _ matrix: [Scalar], columns: Int
) throws(ChainruleError) {
  if let index = matrix.firstIndex(where: \.isInfinite) {
    throw .badData(
      file: nil, line: nil, column: nil,
      reason: "row \(index / columns + 1), column \(index % columns + 1): \(matrix[index]) is not finite")
  }
}
