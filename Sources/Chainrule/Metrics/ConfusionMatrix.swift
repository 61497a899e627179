/// The number of rows of each class that were predicted as each class.
public struct ConfusionMatrix: Sendable, Equatable {
  /// The classes, in the order of rows and columns.
  public let classLabels: [String]
  /// The counts above 0, with the key actual · classes + predicted. There is at most one for each row of
  /// data, so thousands of classes do not need classes² counts.
  private var cells: [Int: Int] = [:]
  /// The sum of each row, of each column, and the diagonal.
  private var supports, predicted, hits: [Int]

  /// Creates a matrix of zeros.
  init(classLabels: [String]) {
    self.classLabels = classLabels
    let zeros = [Int](repeating: 0, count: classLabels.count)
    (supports, predicted, hits) = (zeros, zeros, zeros)
  }

  /// Counts the rows of `batch`. `threshold` is that of the second of two classes, or of a single output;
  /// `nil`: the class with the largest output is predicted.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  mutating func add<Scalar: NetworkScalar>(
    outputs: [Scalar], of batch: Dataset<Scalar>, threshold: Double?
  ) {
    let columns = batch.outputs
    for row in 0..<batch.rows {
      let first = row * columns
      var actual = 0
      var largest = 0
      if columns < classLabels.count {
        actual = batch.targets[row] == 1 ? 1 : 0
      } else {
        for column in 0..<columns {
          if batch.targets[first + column] == 1 { actual = column }
          if outputs[first + column] > outputs[first + largest] { largest = column }
        }
      }
      if let threshold { largest = Double(outputs[first + columns - 1]) > threshold ? 1 : 0 }
      count(actual: actual, predicted: largest)
    }
  }

  private mutating func count(actual: Int, predicted: Int, rows: Int = 1) {
    cells[actual * classLabels.count + predicted, default: 0] += rows
    supports[actual] += rows
    self.predicted[predicted] += rows
    if actual == predicted { hits[actual] += rows }
  }

  /// The counts, row-major: classes × classes, with a row for each actual class and a column for each
  /// predicted one.
  public var counts: [Int] {
    var counts = [Int](repeating: 0, count: classLabels.count * classLabels.count)
    for (cell, count) in cells { counts[cell] = count }
    return counts
  }

  /// The number of rows of class `actual` that were predicted as class `predicted`, both indices into
  /// ``classLabels``. Traps for an index out of range.
  public subscript(actual actual: Int, predicted predicted: Int) -> Int {
    for label in [actual, predicted] {
      precondition(classLabels.indices.contains(label), "class \(label) of \(classLabels.count)")
    }
    return cells[actual * classLabels.count + predicted] ?? 0
  }

  /// The number of rows.
  public var rows: Int { supports.reduce(0, +) }

  /// The number of rows predicted correctly: the sum of the diagonal.
  public var correct: Int { hits.reduce(0, +) }

  /// Returns the number of rows of a class, an index into ``classLabels``: the sum of its row.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no such class.
  public func support(of label: Int) throws(ChainruleError) -> Int { supports[try checked(label)] }

  /// Returns the number of rows predicted as a class: the sum of its column.
  ///
  /// - Throws: The error of ``support(of:)``.
  public func predictions(of label: Int) throws(ChainruleError) -> Int { predicted[try checked(label)] }

  /// Returns the fraction of a class's rows that were predicted correctly, 0 … 1; NaN if the class has no
  /// rows.
  ///
  /// - Throws: The error of ``support(of:)``.
  public func recall(of label: Int) throws(ChainruleError) -> Double {
    Double(hits[try checked(label)]) / Double(supports[label])
  }

  /// Returns the fraction of the rows predicted as a class that belong to it, 0 … 1; NaN if the class is
  /// never predicted.
  ///
  /// - Throws: The error of ``support(of:)``.
  public func precision(of label: Int) throws(ChainruleError) -> Double {
    Double(hits[try checked(label)]) / Double(predicted[label])
  }

  /// Returns the harmonic mean of a class's precision and recall, 0 … 1; NaN if the class neither occurs nor
  /// is predicted.
  ///
  /// F₁ = 2 TP / (2 TP + FP + FN), which is 0 if only one of the two is undefined.
  ///
  /// - Throws: The error of ``support(of:)``.
  public func f1(of label: Int) throws(ChainruleError) -> Double {
    Double(2 * hits[try checked(label)]) / Double(supports[label] + predicted[label])
  }

  private func checked(_ label: Int) throws(ChainruleError) -> Int {
    try checkIndex(label, within: classLabels.count, name: "the class")
    return label
  }

  private var recalls: [Double] { zip(hits, supports).map { Double($0) / Double($1) } }
  private var precisions: [Double] { zip(hits, predicted).map { Double($0) / Double($1) } }
  private var f1s: [Double] {
    classLabels.indices.map { Double(2 * hits[$0]) / Double(supports[$0] + predicted[$0]) }
  }

  /// The mean recall of the classes that occur: the ``Evaluation/accuracy`` if all of them had the same
  /// number of rows.
  public var balancedAccuracy: Double {
    let defined = recalls.filter { !$0.isNaN }
    return defined.reduce(0, +) / Double(defined.count)
  }

  /// Returns ``precision(of:)`` averaged over the classes; a class that is never predicted has 0.
  public func precision(_ averaging: ClassAveraging) -> Double { average(averaging, precisions) }

  /// Returns ``recall(of:)`` averaged over the classes; a class that is predicted but does not occur has 0.
  public func recall(_ averaging: ClassAveraging) -> Double { average(averaging, recalls) }

  /// Returns ``f1(of:)`` averaged over the classes.
  public func f1(_ averaging: ClassAveraging) -> Double { average(averaging, f1s) }

  private func average(_ averaging: ClassAveraging, _ metric: [Double]) -> Double {
    let classes = classLabels.indices.filter { supports[$0] + predicted[$0] > 0 }
    func defined(_ label: Int) -> Double { metric[label].isNaN ? 0 : metric[label] }
    return switch averaging {
    // With one class per row, every false positive is a false negative of another class: all three are the
    // accuracy.
    case .micro: Double(correct) / Double(rows)
    case .macro: classes.reduce(0) { $0 + defined($1) } / Double(classes.count)
    case .weighted: classes.reduce(0) { $0 + Double(supports[$1]) * defined($1) } / Double(rows)
    }
  }

  /// The counts above 0, in the order of the rows and columns. There are at most as many as rows of data.
  public var nonzeroCounts: [(actual: Int, predicted: Int, count: Int)] {
    let classes = classLabels.count
    return cells.sorted { $0.key < $1.key }.map { ($0.key / classes, $0.key % classes, $0.value) }
  }

  /// Returns the pairs of different classes with the largest counts, largest first; equal counts in the order
  /// of the classes. Pairs that do not occur are not included.
  ///
  /// - Parameter limit: The largest number of pairs returned, at least 0.
  public func mostConfused(_ limit: Int) -> [(actual: Int, predicted: Int, count: Int)] {
    let classes = classLabels.count
    let errors = cells.filter { $0.key / classes != $0.key % classes }
    let ordered = errors.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    return ordered.prefix(max(limit, 0)).map { ($0.key / classes, $0.key % classes, $0.value) }
  }
}

/// The way of averaging a metric of each class. A class that neither occurs nor is predicted is left out.
public enum ClassAveraging: String, Sendable, CaseIterable {
  /// Every class counts the same.
  case macro
  /// Every row counts the same: the metric of all classes' decisions taken together.
  case micro
  /// A class counts in proportion to its rows.
  case weighted
}

extension ConfusionMatrix: CustomStringConvertible {
  /// A table for up to 20 classes: a row for each actual class, a column for each predicted one, and the
  /// recall of each class. For more, one line: "3000 classes, 1843 of 2000 rows predicted correctly".
  public var description: String {
    let classes = classLabels.indices
    guard classes.count <= 20 else {
      return "\(classes.count) classes, \(correct) of \(rows) rows predicted correctly"
    }
    let recalls = recalls
    var table = [["actual \\ predicted"] + classLabels + ["recall"]]
    for actual in classes {
      let counts = classes.map { String(self[actual: actual, predicted: $0]) }
      table.append([classLabels[actual]] + counts + [percent(recalls[actual])])
    }
    let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    let lines = table.map { row in
      row.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - row[column].count)
        return column == 0 ? row[column] + padding : padding + row[column]
      }.joined(separator: "  ")
    }
    return lines.joined(separator: "\n")
  }
}

// MARK: - Files

/// Encoded as the classes and, for each pair of them that occurs, `[actual, predicted, rows]`.
extension ConfusionMatrix: Codable {
  private enum CodingKeys: CodingKey { case classLabels, cells }

  /// Reads a matrix written by ``encode(to:)``.
  ///
  /// - Throws: A `DecodingError`, also for a pair with an unknown class and for a repeated pair.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(classLabels: try container.decode([String].self, forKey: .classLabels))
    for cell in try container.decode([[Int]].self, forKey: .cells) {
      guard cell.count == 3, cell[..<2].allSatisfy(classLabels.indices.contains), 1...1 << 53 ~= cell[2],
        self[actual: cell[0], predicted: cell[1]] == 0
      else {
        throw DecodingError.dataCorruptedError(
          forKey: .cells, in: container,
          debugDescription: "\(cell): expected [actual, predicted, rows], each pair of classes once")
      }
      count(actual: cell[0], predicted: cell[1], rows: cell[2])
    }
  }

  /// Writes the classes and the pairs, in order.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(classLabels, forKey: .classLabels)
    let pairs = cells.sorted { $0.key < $1.key }
    try container.encode(
      pairs.map { [$0.key / classLabels.count, $0.key % classLabels.count, $0.value] }, forKey: .cells)
  }
}
