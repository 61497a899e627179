/// The task of an evaluation, which determines its metrics.
enum PredictionTask: Equatable {
  /// One class per row. `single`: one output for two classes.
  case classes(single: Bool)
  /// Several labels per row, with one output each.
  case labels
  case regression

  /// Determines the task of the rows of `batch` with outputs of `activation` (`nil`: unknown).
  init<Scalar: NetworkScalar>(of batch: Dataset<Scalar>, activation: Activation?) {
    if batch.classLabels != nil {
      self = .classes(single: false)
    } else if batch.outputs == 1 {
      let isDecision = (activation ?? .sigmoid).isProbability && areZerosAndOnes(batch.targets)
      self = isDecision ? .classes(single: true) : .regression
    } else {
      let areDecisions = activation?.isProbability == true && areZerosAndOnes(batch.targets)
      self = areDecisions ? .labels : .regression
    }
  }
}

extension Activation {
  /// Whether each output is a probability by itself: f(z) is in 0 … 1, and the outputs of a row do not depend
  /// on each other.
  var isProbability: Bool { self == .sigmoid || self == .hardSigmoid }
}

/// The sums over batches that an ``Evaluation`` of all their rows is computed from.
struct EvaluationSum {
  /// The number, the mean and Σ(v - v̄)² of some values.
  struct Moments {
    private var count = 0.0
    private var mean = 0.0
    private(set) var scatter = 0.0

    /// Adds values. With δ the difference of the two means, the new Σ(v - v̄)² is the sum of both and δ² n m
    /// / (n + m) (Chan, Golub and LeVeque 1979).
    mutating func add(_ values: [Double]) {
      // The mean from the distances to the first value: exact if all are equal.
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

  /// The sums of one output.
  struct Column {
    /// Moments of y.
    var targets = Moments()
    /// Moments of a - y.
    var errors = Moments()
    /// Σ(a - y)²
    var residual = 0.0
  }

  private let activation: Activation?
  private let threshold: Double
  private(set) var rows = 0
  /// The task of all rows so far; `nil` before the first.
  private(set) var task: PredictionTask?
  private var (loss, weight) = (0.0, 0.0)
  private var (absolute, relative) = (0.0, 0.0)
  private var columns: [Column] = []
  private var confusion: ConfusionMatrix?
  private var multilabel: MultilabelConfusion?

  /// Creates sums for outputs of `activation` (`nil`: unknown); `threshold` turns outputs into decisions.
  ///
  /// - Throws: `ChainruleError.invalidValue` for a threshold outside 0 … 1.
  init(activation: Activation?, threshold: Double = 0.5) throws(ChainruleError) {
    guard 0...1 ~= threshold else {
      throw .invalidValue(name: "threshold", value: "\(threshold)", expected: "a probability, 0 … 1")
    }
    self.activation = activation
    self.threshold = threshold
  }

  /// Adds a batch, whose L is `loss`.
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
    let next = PredictionTask(of: batch, activation: activation)
    task = task.map { $0 == next ? $0 : .regression } ?? next
    try checkThreshold(of: batch)
    switch task! {
    case .classes(let single):
      var matrix = confusion ?? ConfusionMatrix(classLabels: batch.classLabels ?? ["0", "1"])
      confusion = nil  // One owner, so that the counts change in place.
      matrix.add(outputs: outputs, of: batch, threshold: single || threshold != 0.5 ? threshold : nil)
      confusion = matrix
    case .labels:
      var matrix = multilabel ?? MultilabelConfusion(labels: batch.outputs, names: batch.targetNames)
      multilabel = nil
      matrix.add(outputs: outputs, of: batch, threshold: threshold)
      multilabel = matrix
    case .regression:
      (confusion, multilabel) = (nil, nil)
    }
  }

  /// Throws for a threshold that the task does not use.
  private func checkThreshold<Scalar>(of batch: Dataset<Scalar>) throws(ChainruleError) {
    guard threshold != 0.5 else { return }
    let found: String
    switch task! {
    case .labels, .classes(single: true): return
    case .classes(single: false):
      if batch.outputs == 2, activation == nil || activation == .softmax { return }
      found =
        batch.outputs == 2 ? "two classes without probabilities" : "\(batch.outputs) classes"
    case .regression: found = "a regression"
    }
    throw .invalidValue(
      name: "threshold", value: "\(threshold) for \(found)",
      expected:
        "0.5, which changes nothing; a threshold applies to the probabilities of two classes or of labels")
  }

  /// Returns the metrics of all rows. `exactLoss`: L of all rows, if they came in one batch.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there was no row.
  func evaluation(exactLoss: Double? = nil) throws(ChainruleError) -> Evaluation {
    guard rows > 0 else { throw .invalidValue(name: "rows", value: "0", expected: "at least 1") }
    return Evaluation(
      rows: rows, loss: exactLoss ?? (weight > 0 ? loss / weight : 0), confusionMatrix: confusion,
      multilabel: multilabel, absolute: absolute, relative: relative, columns: columns)
  }
}

/// Whether every element is 0 or 1.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func areZerosAndOnes<Scalar: NetworkScalar>(_ values: [Scalar]) -> Bool {
  values.allSatisfy { $0 == 0 || $0 == 1 }
}
