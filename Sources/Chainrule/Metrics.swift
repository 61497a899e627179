#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How well a network's outputs meet the targets of a data set.
///
/// A data set is one of classes where it has class labels, or where it has a single target column of
/// nothing but 0 and 1, as for a sigmoid output. Any other is a regression.
///
/// The rows count equally in everything but the loss, whatever their weights. The metrics that rank a
/// classifier's outputs rather than compare them with ½ or with one another are ``ClassScores``'s.
public struct Evaluation: Sendable {
  /// The number of rows evaluated.
  public let rows: Int
  /// L over these rows, as the network's loss function and the sample weights make it.
  public let loss: Double
  /// The fraction, 0 … 1, of rows whose class is predicted right; NaN for a regression.
  ///
  /// The class predicted is that of the largest output, the first where several are equal; for a single
  /// output a it is 1 where a > ½, otherwise 0.
  public let accuracy: Double
  /// The number of rows of each class predicted as each class; nil for a regression.
  public let confusionMatrix: ConfusionMatrix?
  /// The mean of |a - y| over all rows and outputs.
  public let meanAbsoluteError: Double
  /// √(mean over the rows of (a - y)²) of each output, averaged over the outputs.
  public let rootMeanSquaredError: Double
  /// The coefficient of determination of each output, averaged over the outputs.
  ///
  /// R² = 1 - Σ(a - y)² / Σ(y - ȳ)². For an output whose target is constant it is 1 where every row is met
  /// exactly, otherwise 0. NaN for a single row.
  public let r2: Double
  /// The explained variance of each output, averaged over the outputs.
  ///
  /// 1 - Var(y - a) / Var(y), with the variance over the rows: R² but for a constant offset of the outputs.
  /// For an output whose target is constant it is 1 where y - a is too, otherwise 0.
  public let explainedVariance: Double
  /// The mean of |a - y| / max(|y|, 2⁻⁵²) over all rows and outputs, a fraction of 1; NaN for classes.
  ///
  /// A target of 0 makes it huge: it is for targets that keep away from 0.
  public let meanAbsolutePercentageError: Double

  /// The recall of the classes that occur, averaged; NaN for a regression. See
  /// ``ConfusionMatrix/balancedAccuracy``.
  public var balancedAccuracy: Double { confusionMatrix?.balancedAccuracy ?? .nan }

  /// Compares `outputs`, row-major rows × outputs of `dataset`, with the targets.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` for another number of outputs, `.notFinite` for an output that
  ///   is NaN or infinite.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  public init<Scalar: NetworkScalar>(
    loss: Double, outputs: [Scalar], dataset: Dataset<Scalar>
  ) throws(ChainruleError) {
    let (rows, columns) = (dataset.rows, dataset.outputs)
    try checkOutputs(outputs, of: dataset)
    self.rows = rows
    self.loss = loss

    var absolute = 0.0
    var relative = 0.0
    var rootMeanSquared = 0.0
    var determination = 0.0
    var explained = 0.0
    for column in 0..<columns {
      let indices = stride(from: column, to: outputs.count, by: columns)
      // ȳ and the mean of a - y, from the distances to the first row: exact where all are equal.
      let firstTarget = Double(dataset.targets[column])
      let firstError = Double(outputs[column]) - firstTarget
      var (mean, bias) = (0.0, 0.0)
      for index in indices {
        let target = Double(dataset.targets[index])
        mean += target - firstTarget
        bias += Double(outputs[index]) - target - firstError
      }
      mean = firstTarget + mean / Double(rows)
      bias = firstError + bias / Double(rows)
      // Σ(a - y)², Σ(a - y - bias)² and Σ(y - ȳ)²
      var (residual, scatter, variation) = (0.0, 0.0, 0.0)
      for index in indices {
        let target = Double(dataset.targets[index])
        let error = Double(outputs[index]) - target
        absolute += abs(error)
        relative += abs(error) / max(abs(target), .ulpOfOne)
        residual += error * error
        scatter += (error - bias) * (error - bias)
        variation += (target - mean) * (target - mean)
      }
      rootMeanSquared += (residual / Double(rows)).squareRoot()
      determination += variation > 0 ? 1 - residual / variation : residual == 0 ? 1 : 0
      explained += variation > 0 ? 1 - scatter / variation : scatter == 0 ? 1 : 0
    }
    meanAbsoluteError = absolute / Double(rows * columns)
    rootMeanSquaredError = rootMeanSquared / Double(columns)
    r2 = rows > 1 ? determination / Double(columns) : .nan
    explainedVariance = explained / Double(columns)

    confusionMatrix = ConfusionMatrix(outputs: outputs, dataset: dataset)
    accuracy = confusionMatrix.map { Double($0.correct) / Double(rows) } ?? .nan
    meanAbsolutePercentageError = confusionMatrix == nil ? relative / Double(rows * columns) : .nan
  }
}

extension Evaluation {
  /// What the sums over all batches come to.
  fileprivate init(
    rows: Int, loss: Double, confusionMatrix: ConfusionMatrix?, absolute: Double, relative: Double,
    columns: [EvaluationSum.Column]
  ) {
    self.rows = rows
    self.loss = loss
    self.confusionMatrix = confusionMatrix
    accuracy = confusionMatrix.map { Double($0.correct) / Double(rows) } ?? .nan
    let values = Double(rows * columns.count)
    func mean(_ metric: (EvaluationSum.Column) -> Double) -> Double {
      columns.reduce(0) { $0 + metric($1) } / Double(columns.count)
    }
    func share(_ rest: Double, of variation: Double) -> Double {
      variation > 0 ? 1 - rest / variation : rest == 0 ? 1 : 0
    }
    meanAbsoluteError = absolute / values
    meanAbsolutePercentageError = confusionMatrix == nil ? relative / values : .nan
    rootMeanSquaredError = mean { ($0.residual / Double(rows)).squareRoot() }
    r2 = rows > 1 ? mean { share($0.residual, of: $0.targets.scatter) } : .nan
    explainedVariance = mean { share($0.errors.scatter, of: $0.targets.scatter) }
  }
}

/// The sums over batches that an ``Evaluation`` of all their rows is made of.
struct EvaluationSum {
  /// The number, the mean and Σ(v - v̄)² of some values.
  struct Moments {
    private var count = 0.0
    private var mean = 0.0
    private(set) var scatter = 0.0

    /// Takes more values in. With δ the difference of the two means, Σ(v - v̄)² of all is the sum of both and
    /// δ² n m / (n + m) (Chan, Golub and LeVeque 1979).
    mutating func add(_ values: [Double]) {
      // The mean from the distances to the first: exact where all are equal.
      let other = values[0] + values.reduce(0) { $0 + ($1 - values[0]) } / Double(values.count)
      let more = Double(values.count)
      let distance = other - mean
      let total = count + more
      scatter += values.reduce(0) { $0 + ($1 - other) * ($1 - other) }
      if count > 0 { scatter += distance * distance * count * more / total }
      mean = count > 0 ? mean + distance * more / total : other
      count = total
    }
  }

  /// Of one output.
  struct Column {
    /// Of y.
    var targets = Moments()
    /// Of a - y.
    var errors = Moments()
    /// Σ(a - y)²
    var residual = 0.0
  }

  private var rows = 0
  private var (loss, weight) = (0.0, 0.0)
  private var (absolute, relative) = (0.0, 0.0)
  private var columns: [Column] = []
  private var confusion: ConfusionMatrix?
  private var hasClasses = true

  /// Takes a batch into account; `loss` is L of it.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  mutating func add<Scalar: NetworkScalar>(
    loss: Double, outputs: [Scalar], of batch: Dataset<Scalar>
  ) throws(ChainruleError) {
    try checkOutputs(outputs, of: batch)
    let share = batch.sampleWeights.map { $0.reduce(0) { $0 + Double($1) } } ?? Double(batch.rows)
    self.loss += loss * share
    weight += share
    rows += batch.rows
    if columns.isEmpty { columns = Array(repeating: Column(), count: batch.outputs) }
    for column in 0..<batch.outputs {
      let indices = stride(from: column, to: outputs.count, by: batch.outputs)
      let targets = indices.map { Double(batch.targets[$0]) }
      let errors = indices.map { Double(outputs[$0]) - Double(batch.targets[$0]) }
      columns[column].targets.add(targets)
      columns[column].errors.add(errors)
      for (target, error) in zip(targets, errors) {
        absolute += abs(error)
        relative += abs(error) / max(abs(target), .ulpOfOne)
        columns[column].residual += error * error
      }
    }
    if hasClasses, let matrix = ConfusionMatrix(outputs: outputs, dataset: batch) {
      confusion = confusion.map { $0 + matrix } ?? matrix
    } else {
      hasClasses = false
    }
  }

  /// - Throws: `ChainruleError.invalidValue` where there was no row.
  func evaluation() throws(ChainruleError) -> Evaluation {
    guard rows > 0 else { throw .invalidValue(name: "rows", value: "0", expected: "at least 1") }
    return Evaluation(
      rows: rows, loss: weight > 0 ? loss / weight : 0, confusionMatrix: hasClasses ? confusion : nil,
      absolute: absolute, relative: relative, columns: columns)
  }
}

extension Evaluation: Equatable {
  /// Whether all members are equal, NaN to NaN too.
  public static func == (left: Evaluation, right: Evaluation) -> Bool {
    func same(_ member: KeyPath<Evaluation, Double>) -> Bool {
      let (a, b) = (left[keyPath: member], right[keyPath: member])
      return a == b || (a.isNaN && b.isNaN)
    }
    return left.rows == right.rows && left.confusionMatrix == right.confusionMatrix
      && same(\.loss) && same(\.accuracy) && same(\.meanAbsoluteError) && same(\.rootMeanSquaredError)
      && same(\.r2) && same(\.explainedVariance) && same(\.meanAbsolutePercentageError)
  }
}

extension Evaluation: CustomStringConvertible {
  /// One line: "loss 0.0812, accuracy 97.5 %", or for a regression "loss 0.0812, MAE 0.21, RMSE 0.285, R² 0.913".
  public var description: String {
    let loss = "loss \(significant(loss))"
    if confusionMatrix != nil { return "\(loss), accuracy \(percent(accuracy))" }
    return "\(loss), MAE \(significant(meanAbsoluteError)), RMSE \(significant(rootMeanSquaredError)), "
      + "R² \(significant(r2))"
  }
}

/// How many rows of each class were predicted as each class.
public struct ConfusionMatrix: Sendable, Equatable {
  /// The classes, in the order of rows and columns.
  public let classLabels: [String]
  /// The counts, row-major: classes × classes, a row the actual class, a column the predicted one.
  public let counts: [Int]

  /// The number of rows of class `actual` that were predicted as class `predicted`, both indices into
  /// ``classLabels``.
  public subscript(actual actual: Int, predicted predicted: Int) -> Int {
    precondition(classLabels.indices.contains(predicted), "class \(predicted) of \(classLabels.count)")
    return counts[actual * classLabels.count + predicted]
  }

  /// The number of rows predicted right: the sum of the diagonal.
  public var correct: Int {
    classLabels.indices.reduce(0) { $0 + self[actual: $1, predicted: $1] }
  }

  /// The number of rows of a class: the sum of its row.
  public func support(of label: Int) -> Int {
    classLabels.indices.reduce(0) { $0 + self[actual: label, predicted: $1] }
  }

  /// The number of rows predicted as a class: the sum of its column.
  public func predictions(of label: Int) -> Int {
    classLabels.indices.reduce(0) { $0 + self[actual: $1, predicted: label] }
  }

  /// The fraction, 0 … 1, of the rows of a class that were predicted as it; NaN where there is none.
  public func recall(of label: Int) -> Double {
    Double(self[actual: label, predicted: label]) / Double(support(of: label))
  }

  /// The fraction, 0 … 1, of the rows predicted as a class that are of it; NaN where there is none.
  public func precision(of label: Int) -> Double {
    Double(self[actual: label, predicted: label]) / Double(predictions(of: label))
  }

  /// The harmonic mean of a class's precision and recall, 0 … 1; NaN where the class is neither actual nor
  /// predicted.
  ///
  /// F₁ = 2 TP / (2 TP + FP + FN), which is 0 where one of the two is not defined.
  public func f1(of label: Int) -> Double {
    Double(2 * self[actual: label, predicted: label]) / Double(support(of: label) + predictions(of: label))
  }

  /// The mean recall of the classes that occur: what ``Evaluation/accuracy`` would be if all of them had as
  /// many rows.
  public var balancedAccuracy: Double {
    let recalls = classLabels.indices.filter { support(of: $0) > 0 }.map { recall(of: $0) }
    return recalls.reduce(0, +) / Double(recalls.count)
  }

  /// ``precision(of:)`` averaged over the classes, 0 for a class never predicted.
  public func precision(_ averaging: ClassAveraging) -> Double { average(averaging, precision(of:)) }

  /// ``recall(of:)`` averaged over the classes, 0 for a class that does not occur but is predicted.
  public func recall(_ averaging: ClassAveraging) -> Double { average(averaging, recall(of:)) }

  /// ``f1(of:)`` averaged over the classes.
  public func f1(_ averaging: ClassAveraging) -> Double { average(averaging, f1(of:)) }

  private func average(_ averaging: ClassAveraging, _ metric: (Int) -> Double) -> Double {
    let classes = classLabels.indices.filter { support(of: $0) + predictions(of: $0) > 0 }
    let rows = Double(counts.reduce(0, +))
    func defined(_ label: Int) -> Double {
      let value = metric(label)
      return value.isNaN ? 0 : value
    }
    return switch averaging {
    // Of one class a row, every false positive is another class's false negative: all three are the accuracy.
    case .micro: Double(correct) / rows
    case .macro: classes.reduce(0) { $0 + defined($1) } / Double(classes.count)
    case .weighted: classes.reduce(0) { $0 + Double(support(of: $1)) * defined($1) } / rows
    }
  }

  /// The counts of both, which are of the same classes.
  static func + (left: ConfusionMatrix, right: ConfusionMatrix) -> ConfusionMatrix {
    ConfusionMatrix(classLabels: left.classLabels, counts: zip(left.counts, right.counts).map(+))
  }

  private init(classLabels: [String], counts: [Int]) {
    self.classLabels = classLabels
    self.counts = counts
  }

  /// nil for a regression.
  init?<Scalar: NetworkScalar>(outputs: [Scalar], dataset: Dataset<Scalar>) {
    guard let (labels, actual) = dataset.classes else { return nil }
    let columns = dataset.outputs
    var counts = [Int](repeating: 0, count: labels.count * labels.count)
    for (row, actual) in actual.enumerated() {
      var predicted = row * columns
      for index in predicted..<predicted + columns where outputs[index] > outputs[predicted] {
        predicted = index
      }
      predicted -= row * columns
      if columns < labels.count { predicted = outputs[row] > 0.5 ? 1 : 0 }
      counts[actual * labels.count + predicted] += 1
    }
    classLabels = labels
    self.counts = counts
  }
}

/// How a metric of each class becomes one number. A class that neither occurs nor is predicted is left out.
public enum ClassAveraging: String, Sendable, CaseIterable {
  /// Every class counts the same.
  case macro
  /// Every row counts the same: the metric is that of all classes' decisions taken together.
  case micro
  /// A class counts as its rows do.
  case weighted
}

extension ConfusionMatrix: CustomStringConvertible {
  /// A table: a row an actual class, a column a predicted one, and the recall of each class.
  public var description: String {
    let classes = classLabels.indices
    var table = [["actual \\ predicted"] + classLabels + ["recall"]]
    for actual in classes {
      let counts = classes.map { String(self[actual: actual, predicted: $0]) }
      table.append([classLabels[actual]] + counts + [percent(recall(of: actual))])
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

/// Throws where `outputs` are not finite, or not rows × outputs of `dataset`.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
func checkOutputs<Scalar: NetworkScalar>(
  _ outputs: [Scalar], of dataset: Dataset<Scalar>
) throws(ChainruleError) {
  let (rows, columns) = (dataset.rows, dataset.outputs)
  guard outputs.count == rows * columns else {
    throw .shapeMismatch(what: "outputs", expected: rows * columns, actual: outputs.count)
  }
  if let index = outputs.firstIndex(where: { !$0.isFinite }) {
    throw .notFinite(
      quantity: "outputs", layer: nil, step: nil,
      message: "output \(index % columns + 1) of row \(index / columns + 1) is \(outputs[index])")
  }
}

/// A fraction in percent with one decimal, such as "97.5 %"; "–" for NaN.
func percent(_ fraction: Double) -> String {
  fraction.isNaN ? "–" : "\((fraction * 1000).rounded() / 10) %"
}

/// A number to four significant digits, without zeros at the end.
func significant(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
  let places = 3 - log10(abs(value)).rounded(.down)
  let unit = pow(10, abs(places))  // A power of ten that is exact up to 10²², where 10^-|places| is not.
  guard unit.isFinite else { return "\(value)" }
  let text = "\(places < 0 ? (value / unit).rounded() * unit : (value * unit).rounded() / unit)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
