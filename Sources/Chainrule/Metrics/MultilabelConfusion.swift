/// The number of correct decisions for each label, for a model that predicts any number of labels per row.
///
/// TP are the rows that have a label and for which it is predicted, FP those for which it is predicted
/// wrongly, FN those for which it is missing wrongly, TN the rest. Every metric is scikit-learn's of the same
/// name, with `zero_division=0` in averages.
public struct MultilabelConfusion: Sendable, Equatable {
  /// The names of the labels in the order of the outputs; "output 1", "output 2", … if the targets have no
  /// names.
  public let labels: [String]
  /// The number of rows.
  public private(set) var rows = 0
  private var truePositives, supports, predicted: [Int]
  private var exactRows = 0
  /// Σ over the rows of 2 TP / (2 TP + FP + FN).
  private var rowF1 = 0.0

  init(labels: Int, names: [String]?) {
    self.labels = names ?? (1...labels).map { "output \($0)" }
    let zeros = [Int](repeating: 0, count: labels)
    (truePositives, supports, predicted) = (zeros, zeros, zeros)
  }

  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  mutating func add<Scalar: NetworkScalar>(
    outputs: [Scalar], of batch: Dataset<Scalar>, threshold: Double
  ) {
    rows += batch.rows
    for row in 0..<batch.rows {
      var (hits, actual, given) = (0, 0, 0)
      for label in 0..<batch.outputs {
        let index = row * batch.outputs + label
        let isActual = batch.targets[index] == 1
        let isGiven = Double(outputs[index]) > threshold
        if isActual {
          supports[label] += 1
          actual += 1
        }
        if isGiven {
          predicted[label] += 1
          given += 1
        }
        if isActual && isGiven {
          truePositives[label] += 1
          hits += 1
        }
      }
      if hits == actual && hits == given { exactRows += 1 }
      if actual + given > 0 { rowF1 += Double(2 * hits) / Double(actual + given) }
    }
  }

  /// The fraction of rows whose labels are all correct, 0 … 1.
  public var subsetAccuracy: Double { Double(exactRows) / Double(rows) }

  /// The fraction of the rows × labels decisions that are wrong, 0 … 1.
  public var hammingLoss: Double {
    let wrong = labels.indices.reduce(0) { $0 + supports[$1] + predicted[$1] - 2 * truePositives[$1] }
    return Double(wrong) / (Double(rows) * Double(labels.count))
  }

  /// Returns the number of rows that have a label, an index into ``labels``.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no such label.
  public func support(of label: Int) throws(ChainruleError) -> Int { supports[try checked(label)] }

  /// Returns the number of rows for which a label is predicted.
  ///
  /// - Throws: The error of ``support(of:)``.
  public func predictions(of label: Int) throws(ChainruleError) -> Int { predicted[try checked(label)] }

  /// Returns TP / (TP + FP), 0 … 1; NaN if the label is never predicted.
  ///
  /// - Throws: The error of ``support(of:)``.
  public func precision(of label: Int) throws(ChainruleError) -> Double {
    Double(truePositives[try checked(label)]) / Double(predicted[label])
  }

  /// Returns TP / (TP + FN), 0 … 1; NaN if no row has the label.
  ///
  /// - Throws: The error of ``support(of:)``.
  public func recall(of label: Int) throws(ChainruleError) -> Double {
    Double(truePositives[try checked(label)]) / Double(supports[label])
  }

  /// Returns 2 TP / (2 TP + FP + FN), 0 … 1; NaN if no row has the label and it is never predicted.
  ///
  /// - Throws: The error of ``support(of:)``.
  public func f1(of label: Int) throws(ChainruleError) -> Double {
    Double(2 * truePositives[try checked(label)]) / Double(supports[label] + predicted[label])
  }

  private func checked(_ label: Int) throws(ChainruleError) -> Int {
    try checkIndex(label, within: labels.count, name: "the label")
    return label
  }

  /// Returns F₁ over all labels, with 0 for a divisor of 0.
  ///
  /// - `micro`: of all decisions together;
  /// - `macro`: the mean over the labels;
  /// - `samples`: the mean over the rows of the F₁ of a row's labels. A row without labels and without
  ///   predicted labels counts as 0.
  public func f1(_ averaging: MultilabelAveraging) -> Double {
    switch averaging {
    case .micro:
      let decisions = supports.reduce(0, +) + predicted.reduce(0, +)
      return decisions == 0 ? 0 : Double(2 * truePositives.reduce(0, +)) / Double(decisions)
    case .macro:
      let all = labels.indices.map { Double(2 * truePositives[$0]) / Double(supports[$0] + predicted[$0]) }
      return all.reduce(0) { $0 + ($1.isNaN ? 0 : $1) } / Double(labels.count)
    case .samples: return rowF1 / Double(rows)
    }
  }
}

/// The way of averaging a multi-label F₁.
public enum MultilabelAveraging: String, Sendable, CaseIterable {
  /// All decisions count the same.
  case micro
  /// All labels count the same.
  case macro
  /// All rows count the same.
  case samples
}

// MARK: - Files

/// Encoded as its counts.
extension MultilabelConfusion: Codable {
  private enum CodingKeys: CodingKey {
    case labels, rows, truePositives, supports, predicted, exactRows, rowF1
  }

  /// Reads counts written by `encode(to:)`.
  ///
  /// - Throws: A `DecodingError`, also if the number of counts differs from the number of labels.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let labels = try container.decode([String].self, forKey: .labels)
    func counts(_ key: CodingKeys) throws -> [Int] {
      let counts = try container.decode([Int].self, forKey: key)
      guard counts.count == labels.count, counts.allSatisfy((0...1 << 53).contains) else {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: container,
          debugDescription: "\(counts.count) counts; expected \(labels.count), one per label, none below 0")
      }
      return counts
    }
    self.labels = labels
    rows = try container.decode(Int.self, forKey: .rows)
    truePositives = try counts(.truePositives)
    supports = try counts(.supports)
    predicted = try counts(.predicted)
    exactRows = try container.decode(Int.self, forKey: .exactRows)
    rowF1 = try container.decode(Double.self, forKey: .rowF1)
  }
}
